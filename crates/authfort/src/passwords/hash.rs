//! Hashing and verifying passwords with Argon2id (RFC 9106), off the async runtime, and no more at once than
//! configured.
//!
//! Guarantees:
//! - Every new hash is `$argon2id$v=19$` with the configured parameters and 16 random bytes of salt.
//! - At most `permits` hashes run at once, in as many buffers, which are kept. So hashing uses at most `permits` ×
//!   `memory_kib` of memory, on any number of threads (a stored hash with larger parameters uses more while it runs).
//!   At most `queue` more wait, and further callers get [`Error::Overloaded`] at once. A caller who is dropped while
//!   waiting frees its place.
//! - A check costs one hash for any input: an unknown user, a user without a password, a password of a megabyte and a
//!   row without a valid hash cost the same as a wrong password under the current parameters. A row with older
//!   parameters costs what those cost, until the next successful sign-in replaces it.
//! - Stored hashes are not trusted: a hash that requires more than [`Hashing`] tolerates is not computed. It counts as
//!   a wrong password, and an error without the hash is logged.
//!
//! Argon2i, Argon2d, version 16 and weaker parameters still verify, and are reported as
//! [`PasswordMatch::RightButWeaker`]. bcrypt, scrypt and PBKDF2 are not supported and count as unusable.

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
    metrics::HashQueue,
};

const SALT_BYTES: usize = 16;
const OUTPUT_BYTES: usize = Params::DEFAULT_OUTPUT_LEN;
const MIN_MEMORY_KIB: u32 = Params::DEFAULT_M_COST;
const MIN_ITERATIONS: u32 = Params::DEFAULT_T_COST;
/// 1 GiB per hash.
const MAX_MEMORY_KIB: u32 = 1 << 20;
const MAX_ITERATIONS: u32 = 64;

/// A stored hash may use this much memory even if the configured parameters are small, so that the default of other
/// libraries (64 MiB) verifies.
const TOLERATED_MEMORY_KIB: u64 = 256 * 1024;
/// The most memory that a stored hash may fill in all its passes together: about two seconds.
const TOLERATED_WORK_KIB: u64 = 2 * 1024 * 1024;
/// Beyond both limits, stored hashes may cost this many times the configured parameters.
const TOLERATED_FACTOR: u64 = 8;

/// The cost of one password hash, and how many may run at once.
///
/// The defaults are OWASP's first recommendation for Argon2id: 19 MiB, two passes, one lane; about 20 ms of one core.
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
    /// Sets the memory that one hash fills, in KiB: 19,456 (the default) to 1,048,576.
    #[must_use]
    pub fn memory_kib(mut self, memory_kib: u32) -> Self {
        self.memory_kib = memory_kib;
        self
    }

    /// Sets the number of passes over the memory: 2 (the default) to 64.
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

    /// Sets how many hashes run at once: 1 to 1,024; by default one per core.
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

    /// Returns parameters that give no protection and take a fraction of a millisecond: for test suites that do not
    /// test passwords. Never use them for real passwords.
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

/// The result of verifying a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PasswordMatch {
    /// Not this user's password, or no hash to compare with.
    Wrong,
    /// The user's password.
    Right,
    /// The user's password, hashed with weaker parameters than configured: hash it again.
    RightButWeaker,
}

/// Hashes and verifies passwords within its limits. There is one for the whole process; cheap to clone.
#[derive(Clone)]
pub(crate) struct PasswordHasher {
    params: Params,
    memory: Arc<Memory>,
    running: Arc<Semaphore>,
    /// One permit for each hash that runs or waits.
    places: Arc<Semaphore>,
    queue: HashQueue,
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
            queue: HashQueue::new(),
        })
    }

    /// Returns the PHC string to store for a password that a policy accepted.
    ///
    /// # Errors
    /// - [`Error::Overloaded`] if the queue is full.
    /// - [`Error::Internal`] if there is not enough memory or the random generator fails.
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

    /// Compares a password, as typed, with the stored PHC string; `None` for a user who is unknown or has no password.
    /// The password is normalized here; one that is too long is wrong.
    ///
    /// # Errors
    /// - [`Error::Overloaded`] if the queue is full.
    /// - [`Error::Internal`] if there is not enough memory or the random generator fails.
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
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            self.queue.refuse();
            return Err(Error::Overloaded);
        };
        let waiting = self.queue.wait();
        let permit = Arc::clone(&self.running).acquire_owned().await.map_err(Error::internal)?;
        drop(waiting);
        let memory = Arc::clone(&self.memory);
        let task = tokio::task::spawn_blocking(move || {
            let result = work(&memory);
            // Released by the work, not by the waiting caller: a running hash counts until it is done.
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

/// A stored hash whose parameters are tolerated.
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
        // An Argon2 PHC string without `v` has the first version.
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
