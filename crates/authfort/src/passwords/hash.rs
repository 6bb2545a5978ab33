//! Keeping and checking passwords with Argon2id (RFC 9106), off the async runtime, no more at once than configured.
//!
//! Guaranteed:
//! - Every new hash is `$argon2id$v=19$` under the configured parameters, with 16 random bytes of salt.
//! - At most `permits` hashes run at once, in as many buffers that are kept, so memory for hashing is `permits` ×
//!   `memory_kib` at the most, however many threads run them (a stored hash that asks for more gets more while it runs);
//!   at most `queue` more wait, and the next one is told [`Error::Overloaded`] at once. A caller who goes away gives its
//!   place back.
//! - A check costs one hash whatever it is given: an unknown user, a user without a password, a password of a megabyte and
//!   a row that holds no hash at all cost the same as a wrong password under the current parameters. A row with older
//!   parameters costs what those cost, until the next successful sign-in replaces it.
//! - What a row says is not trusted: a hash that asks for more than [`Hashing`] tolerates is not computed. It counts as a
//!   wrong password, and the log gets an error without the hash.
//!
//! Argon2i, Argon2d, version 16 and weaker parameters still verify, and are reported as [`PasswordMatch::RightButWeaker`].
//! bcrypt, scrypt and PBKDF2 are not understood and count as unusable.

use std::{num::NonZero, sync::Arc};

use argon2::password_hash::phc::{Output, ParamsString, Salt};
use argon2::{Algorithm, Argon2, Params, PasswordHash, Version};
use secrecy::SecretString;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use super::NormalizedPassword;
use super::memory::Memory;
use crate::{
    Error, Result,
    crypto::{constant_time_eq, random},
};

const SALT_BYTES: usize = 16;
const OUTPUT_BYTES: usize = Params::DEFAULT_OUTPUT_LEN;
const MIN_MEMORY_KIB: u32 = Params::DEFAULT_M_COST;
const MIN_ITERATIONS: u32 = Params::DEFAULT_T_COST;
/// 1 GiB a hash.
const MAX_MEMORY_KIB: u32 = 1 << 20;
const MAX_ITERATIONS: u32 = 64;

/// A stored hash may use this much memory even where the configured parameters are small: what other libraries choose
/// by default (64 MiB) must verify.
const TOLERATED_MEMORY_KIB: u64 = 256 * 1024;
/// And fill this much in all its passes together: some two seconds.
const TOLERATED_WORK_KIB: u64 = 2 * 1024 * 1024;
/// Beyond that, how many times the configured parameters are tolerated.
const TOLERATED_FACTOR: u64 = 8;

/// What one password hash costs, and how many may run at once.
///
/// The defaults are OWASP's first choice for Argon2id: 19 MiB, two passes, one lane; about 20 ms of one core.
///
/// ```
/// use authfort::{Algorithm, AuthFort, Hashing};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
/// let hashing = Hashing::default().memory_kib(64 * 1024).iterations(3);
/// AuthFort::builder().algorithm(Algorithm::EdDsa).hashing(hashing).connect("sqlite::memory:").await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hashing {
    memory_kib: u32,
    iterations: u32,
    parallelism: u32,
    permits: Option<usize>,
    queue: usize,
    insecure: bool,
}

impl Default for Hashing {
    fn default() -> Self {
        Self {
            memory_kib: Params::DEFAULT_M_COST,
            iterations: Params::DEFAULT_T_COST,
            parallelism: Params::DEFAULT_P_COST,
            permits: None,
            queue: 256,
            insecure: false,
        }
    }
}

impl Hashing {
    /// Sets the memory one hash fills, in KiB: 19,456 (the default) to 1,048,576.
    #[must_use]
    pub fn memory_kib(mut self, memory_kib: u32) -> Self {
        self.memory_kib = memory_kib;
        self
    }

    /// Sets how often it is filled: 2 (the default) to 64.
    #[must_use]
    pub fn iterations(mut self, iterations: u32) -> Self {
        self.iterations = iterations;
        self
    }

    /// Sets the number of lanes: 1 (the default) to 16. Lanes are computed one after the other.
    #[must_use]
    pub fn parallelism(mut self, parallelism: u32) -> Self {
        self.parallelism = parallelism;
        self
    }

    /// Sets how many hashes run at once: 1 to 1,024; by default one a core.
    #[must_use]
    pub fn permits(mut self, permits: usize) -> Self {
        self.permits = Some(permits);
        self
    }

    /// Sets how many more may wait: 0 to 100,000, by default 256. Each holds one password in memory.
    #[must_use]
    pub fn queue(mut self, queue: usize) -> Self {
        self.queue = queue;
        self
    }

    /// Parameters that protect nothing and take a fraction of a millisecond: for test suites, where the password is not
    /// what is tested. Never for passwords of people.
    #[must_use]
    pub fn insecure_fast_for_tests() -> Self {
        Self { memory_kib: 32, iterations: 1, insecure: true, ..Self::default() }
    }

    fn params(&self) -> Result<Params> {
        let (min_memory, min_iterations) =
            if self.insecure { (Params::MIN_M_COST, Params::MIN_T_COST) } else { (MIN_MEMORY_KIB, MIN_ITERATIONS) };
        within("hashing.memory_kib", u64::from(self.memory_kib), u64::from(min_memory), u64::from(MAX_MEMORY_KIB))?;
        within("hashing.iterations", u64::from(self.iterations), u64::from(min_iterations), u64::from(MAX_ITERATIONS))?;
        within("hashing.parallelism", u64::from(self.parallelism), 1, 16)?;
        Params::new(self.memory_kib, self.iterations, self.parallelism, Some(OUTPUT_BYTES))
            .map_err(|error| Error::config("hashing.memory_kib", error.to_string()))
    }

    fn places(&self) -> Result<(usize, usize)> {
        let permits =
            self.permits.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, NonZero::get).min(1024));
        within("hashing.permits", permits as u64, 1, 1024)?;
        within("hashing.queue", self.queue as u64, 0, 100_000)?;
        Ok((permits, self.queue))
    }
}

fn within(field: &'static str, value: u64, min: u64, max: u64) -> Result<()> {
    if (min..=max).contains(&value) {
        Ok(())
    } else {
        Err(Error::config(field, format!("must be between {min} and {max}, and is {value}")))
    }
}

/// What a check found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PasswordMatch {
    /// Not this user's password, or nothing to compare with.
    Wrong,
    /// The user's password.
    Right,
    /// The user's password, kept under parameters weaker than configured: hash it anew.
    RightButWeaker,
}

/// Hashes and checks, within its bounds. One for the whole process; cheap to clone.
#[derive(Clone)]
pub(crate) struct PasswordHasher {
    params: Params,
    memory: Arc<Memory>,
    running: Arc<Semaphore>,
    /// One place for each that runs or waits.
    places: Arc<Semaphore>,
}

impl std::fmt::Debug for PasswordHasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PasswordHasher").field("params", &self.params).finish_non_exhaustive()
    }
}

impl PasswordHasher {
    /// # Errors
    /// - [`Error::Config`] for the first option of [`Hashing`] that is out of range.
    pub(crate) fn new(config: &Hashing) -> Result<Self> {
        let params = config.params()?;
        let (permits, queue) = config.places()?;
        Ok(Self {
            memory: Arc::new(Memory::new(params.block_count())),
            params,
            running: Arc::new(Semaphore::new(permits)),
            places: Arc::new(Semaphore::new(permits.saturating_add(queue))),
        })
    }

    /// The PHC string to store for a password that a policy accepted.
    ///
    /// # Errors
    /// - [`Error::Overloaded`] when as many wait as may wait.
    /// - [`Error::Internal`] when there is no memory or no randomness.
    pub(crate) async fn hash(&self, password: &NormalizedPassword) -> Result<String> {
        let (password, argon2) = (password.clone(), self.argon2());
        self.off_the_runtime(move |memory| {
            let salt = random::<SALT_BYTES>()?;
            let mut output = Zeroizing::new([0; OUTPUT_BYTES]);
            compute(&argon2, memory, password.expose().as_bytes(), &salt, output.as_mut())?;
            let hash = PasswordHash {
                algorithm: Algorithm::Argon2id.ident(),
                version: Some(Version::V0x13.into()),
                params: ParamsString::try_from(argon2.params()).map_err(Error::internal)?,
                salt: Some(Salt::new(&salt).map_err(Error::internal)?),
                hash: Some(Output::new(output.as_ref()).map_err(Error::internal)?),
            };
            Ok(hash.to_string())
        })
        .await
    }

    /// Compares a password as it was typed with the stored PHC string; `None` for a user who is unknown or has no
    /// password. The password is normalized here, and one that is too long is wrong.
    ///
    /// # Errors
    /// - [`Error::Overloaded`] when as many wait as may wait.
    /// - [`Error::Internal`] when there is no memory or no randomness.
    pub(crate) async fn verify(&self, password: &SecretString, stored: Option<&str>) -> Result<PasswordMatch> {
        let password = NormalizedPassword::of(password);
        let stored = stored.and_then(|stored| {
            Stored::parse(stored, &self.params)
                .inspect_err(|reason| tracing::error!(reason, "a stored password hash is unusable"))
                .ok()
        });
        let argon2 = self.argon2();
        self.off_the_runtime(move |memory| {
            if let (Some(password), Some(stored)) = (password, stored) {
                return stored.verify(memory, password.expose());
            }
            let mut output = Zeroizing::new([0; OUTPUT_BYTES]);
            let salt = random::<SALT_BYTES>()?;
            compute(&argon2, memory, b"no password to compare with", &salt, output.as_mut())?;
            Ok(PasswordMatch::Wrong)
        })
        .await
    }

    fn argon2(&self) -> Argon2<'static> {
        Argon2::new(Algorithm::Argon2id, Version::V0x13, self.params.clone())
    }

    async fn off_the_runtime<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Memory) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| Error::Overloaded)?;
        let permit = Arc::clone(&self.running).acquire_owned().await.map_err(Error::internal)?;
        let memory = Arc::clone(&self.memory);
        let task = tokio::task::spawn_blocking(move || {
            let result = work(&memory);
            // Given back by the work, not by who waits for it: what runs counts until it is done.
            drop((permit, place));
            result
        });
        task.await.map_err(|_| Error::internal("a password hash was interrupted"))?
    }
}

fn compute(argon2: &Argon2<'_>, memory: &Memory, password: &[u8], salt: &[u8], output: &mut [u8]) -> Result<()> {
    memory.with(argon2.params().block_count(), |blocks| {
        argon2.hash_password_into_with_memory(password, salt, output, blocks).map_err(Error::internal)
    })
}

/// A hash as a row holds it, checked to be one that may be computed.
struct Stored {
    argon2: Argon2<'static>,
    salt: Vec<u8>,
    expected: Vec<u8>,
    weaker: bool,
}

impl Stored {
    fn parse(text: &str, current: &Params) -> Result<Self, &'static str> {
        let hash = PasswordHash::new(text).map_err(|_| "not a PHC string")?;
        let algorithm = Algorithm::new(hash.algorithm.as_str()).map_err(|_| "not Argon2")?;
        // A PHC string of Argon2 without `v` is of the first version.
        let version = match hash.version {
            None => Version::V0x10,
            Some(version) => Version::try_from(version).map_err(|_| "an unknown version of Argon2")?,
        };
        let salt = hash.salt.as_ref().ok_or("no salt")?;
        let expected = hash.hash.as_ref().ok_or("no hash")?;
        let params = Params::try_from(&hash).map_err(|_| "impossible parameters")?;
        if !tolerated(&params, current) {
            return Err("parameters beyond what is tolerated");
        }
        let weaker = algorithm != Algorithm::Argon2id
            || version != Version::V0x13
            || params.m_cost() < current.m_cost()
            || params.t_cost() < current.t_cost()
            || salt.as_ref().len() < SALT_BYTES
            || expected.as_bytes().len() < OUTPUT_BYTES;
        Ok(Self {
            argon2: Argon2::new(algorithm, version, params),
            salt: salt.as_ref().to_vec(),
            expected: expected.as_bytes().to_vec(),
            weaker,
        })
    }

    fn verify(&self, memory: &Memory, password: &str) -> Result<PasswordMatch> {
        let mut output = Zeroizing::new(vec![0; self.expected.len()]);
        compute(&self.argon2, memory, password.as_bytes(), &self.salt, &mut output)?;
        Ok(match (constant_time_eq(&output, &self.expected), self.weaker) {
            (false, _) => PasswordMatch::Wrong,
            (true, false) => PasswordMatch::Right,
            (true, true) => PasswordMatch::RightButWeaker,
        })
    }
}

fn tolerated(params: &Params, current: &Params) -> bool {
    let memory = |params: &Params| u64::from(params.m_cost());
    let work = |params: &Params| memory(params).saturating_mul(u64::from(params.t_cost()));
    memory(params) <= TOLERATED_MEMORY_KIB.max(memory(current).saturating_mul(TOLERATED_FACTOR))
        && work(params) <= TOLERATED_WORK_KIB.max(work(current).saturating_mul(TOLERATED_FACTOR))
        && params.m_cost() <= MAX_MEMORY_KIB
}

#[cfg(test)]
mod tests;
