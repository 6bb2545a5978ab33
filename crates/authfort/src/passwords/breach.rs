//! The application's check whether a password is known from a breach.
//!
//! The library has no list and contacts no service. The application provides a hook, such as one that queries a
//! k-anonymity service or a local list. The hook receives the plaintext, in this process and for the length of the
//! call; it must not log or send it. The library does neither.
//!
//! The hook runs in its own task, so that a panic or a blocked thread in it does not affect the request. If it fails,
//! panics, or exceeds its timeout, [`OnFailure`] decides.

use std::{error::Error as StdError, pin::Pin, sync::Arc, time::Duration};

use secrecy::SecretString;

use super::NormalizedPassword;
use crate::{Error, Result};

/// The future that a [`BreachCheck`] returns.
pub type BreachFuture<'a> = Pin<Box<dyn Future<Output = Result<bool, Box<dyn StdError + Send + Sync>>> + Send + 'a>>;

/// Checks whether a password is known from a breach.
///
/// Implemented by every `async` closure over a [`SecretString`]:
///
/// ```
/// use authfort::secrecy::{ExposeSecret, SecretString};
/// use authfort::{Algorithm, AuthFort};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
/// let known = |password: SecretString| async move {
///     Ok::<_, std::io::Error>(password.expose_secret() == "correct horse battery staple")
/// };
/// let auth = AuthFort::builder().algorithm(Algorithm::EdDsa).breach_check(known).connect("sqlite::memory:").await?;
///
/// let error = auth.create_user("jane@example.com").password("correct horse battery staple").await.unwrap_err();
/// assert_eq!(error.to_string(), "Invalid input: password: appears in a list of breached passwords.");
/// # Ok(()) }
/// ```
///
/// The password is passed in NFKC, as it will be hashed. It must not be logged, and only a prefix of its hash may leave
/// the process.
pub trait BreachCheck: Send + Sync + 'static {
    /// Returns `true` if the password is known and must be refused.
    ///
    /// # Errors
    /// Any error that prevented the check. The text is logged, so it must not contain the password.
    fn check<'a>(&'a self, password: &'a SecretString) -> BreachFuture<'a>;
}

impl<F, Fut, E> BreachCheck for F
where
    F: Fn(SecretString) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<bool, E>> + Send + 'static,
    E: Into<Box<dyn StdError + Send + Sync>>,
{
    fn check<'a>(&'a self, password: &'a SecretString) -> BreachFuture<'a> {
        let answer = self(password.clone());
        Box::pin(async move { answer.await.map_err(Into::into) })
    }
}

/// What happens to a password if the [`BreachCheck`] fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnFailure {
    /// Accept it, so that an outage of the breach list does not prevent sign-ups. The failure is logged.
    #[default]
    FailOpen,
    /// Refuse it with `password_check_unavailable`.
    FailClosed,
}

/// A hook with its timeout and its failure mode.
#[derive(Clone)]
pub(crate) struct BreachGuard {
    hook: Arc<dyn BreachCheck>,
    timeout: Duration,
    on_failure: OnFailure,
}

impl std::fmt::Debug for BreachGuard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BreachGuard")
            .field("timeout", &self.timeout)
            .field("on_failure", &self.on_failure)
            .finish_non_exhaustive()
    }
}

/// Aborts the hook when the caller no longer waits for it.
struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl BreachGuard {
    pub(crate) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(2);

    pub(crate) fn new(hook: Arc<dyn BreachCheck>, timeout: Duration, on_failure: OnFailure) -> Self {
        Self { hook, timeout, on_failure }
    }

    /// Succeeds if the password is not known from a breach. Must be called on a tokio runtime, outside transactions.
    ///
    /// # Errors
    /// - [`Error::Validation`] for `field`: `password_breached`, or `password_check_unavailable` if it fails closed.
    pub(crate) async fn check(&self, field: &str, password: &NormalizedPassword) -> Result<()> {
        match self.ask(password.as_secret().clone()).await {
            Ok(false) => Ok(()),
            Ok(true) => Err(Error::invalid(field, "password_breached", "appears in a list of breached passwords")),
            Err(reason) => {
                tracing::warn!(reason, on_failure = ?self.on_failure, "the password breach check failed");
                match self.on_failure {
                    OnFailure::FailOpen => Ok(()),
                    OnFailure::FailClosed => Err(Error::invalid(
                        field,
                        "password_check_unavailable",
                        "could not be checked against breached passwords; try again later",
                    )),
                }
            }
        }
    }

    async fn ask(&self, password: SecretString) -> Result<bool, String> {
        let hook = Arc::clone(&self.hook);
        let task = tokio::spawn(async move { hook.check(&password).await });
        let _abort = AbortOnDrop(task.abort_handle());
        match tokio::time::timeout(self.timeout, task).await {
            Ok(Ok(Ok(breached))) => Ok(breached),
            Ok(Ok(Err(error))) => Err(error.to_string()),
            // The payload of a panic may contain the password.
            Ok(Err(_)) => Err("it panicked".to_owned()),
            Err(_) => Err(format!("no answer within {:?}", self.timeout)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use secrecy::ExposeSecret;

    use super::*;

    async fn outcome(hook: impl BreachCheck, on_failure: OnFailure) -> Option<&'static str> {
        let guard = BreachGuard::new(Arc::new(hook), Duration::from_millis(50), on_failure);
        let password = NormalizedPassword::of(&SecretString::from("planted-password")).unwrap();
        match guard.check("new_password", &password).await {
            Ok(()) => None,
            Err(Error::Validation(fields)) => {
                assert_eq!(fields[0].field, "new_password");
                assert!(!fields[0].message.contains("planted"));
                Some(fields[0].code)
            }
            Err(other) => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_breached_password_is_refused_and_another_passes() {
        let known =
            |password: SecretString| async move { Ok::<_, io::Error>(password.expose_secret() == "planted-password") };
        assert_eq!(outcome(known, OnFailure::FailOpen).await, Some("password_breached"));
        assert_eq!(outcome(|_| async { Ok::<_, io::Error>(false) }, OnFailure::FailClosed).await, None);
    }

    #[tokio::test]
    async fn failing_panicking_and_hanging_hooks_do_as_configured() {
        for (on_failure, expected) in
            [(OnFailure::FailOpen, None), (OnFailure::FailClosed, Some("password_check_unavailable"))]
        {
            assert_eq!(outcome(|_| async { Err(io::Error::other("down")) }, on_failure).await, expected);
            assert_eq!(outcome(|_| std::future::pending::<io::Result<bool>>(), on_failure).await, expected);
            assert_eq!(outcome(Panics { at_once: true }, on_failure).await, expected);
            assert_eq!(outcome(Panics { at_once: false }, on_failure).await, expected);
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_hook_that_blocks_its_thread_does_not_block_the_request() {
        let start = std::time::Instant::now();
        let blocks = |_| async {
            std::thread::sleep(Duration::from_millis(1500));
            Ok::<_, io::Error>(false)
        };
        assert_eq!(outcome(blocks, OnFailure::FailClosed).await, Some("password_check_unavailable"));
        assert!(start.elapsed() < Duration::from_millis(1200));
    }

    #[tokio::test]
    async fn the_hook_stops_when_the_caller_goes_away() {
        struct Told(Option<tokio::sync::oneshot::Sender<()>>);
        impl Drop for Told {
            fn drop(&mut self) {
                let _ = self.0.take().unwrap().send(());
            }
        }
        let (told, stopped) = tokio::sync::oneshot::channel();
        let told = std::sync::Mutex::new(Some(Told(Some(told))));
        let hook = move |_| {
            let told = told.lock().unwrap().take();
            async move {
                let _told = told;
                std::future::pending::<io::Result<bool>>().await
            }
        };
        let guard = BreachGuard::new(Arc::new(hook), Duration::from_mins(1), OnFailure::FailOpen);
        let password = NormalizedPassword::of(&SecretString::from("planted-password")).unwrap();
        let waiting = guard.check("password", &password);
        assert!(tokio::time::timeout(Duration::from_millis(20), waiting).await.is_err());
        tokio::time::timeout(Duration::from_secs(5), stopped).await.unwrap().unwrap();
    }

    struct Panics {
        at_once: bool,
    }

    impl BreachCheck for Panics {
        fn check<'a>(&'a self, _: &'a SecretString) -> BreachFuture<'a> {
            assert!(!self.at_once, "at once");
            Box::pin(async { panic!("when polled") })
        }
    }
}
