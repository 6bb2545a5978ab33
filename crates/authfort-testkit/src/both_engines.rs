//! Runs one test on two engines.

use crate::{Engine, TestDatabase};

/// Turns each test into two, `<name>::sqlite` and `<name>::postgres`, which share its body.
///
/// The body receives its own [`TestDatabase`], sees what the module around it sees, and returns nothing. Documentation
/// and other attributes are put on the module that holds the two tests, so `#[cfg]` and `#[expect]` work; `#[ignore]`
/// does not, because no engine is skipped. The module is `cfg(test)`: lints that allow `unwrap` in tests allow it in
/// the body.
///
/// ```
/// use authfort_testkit::{TestDatabase, both_engines};
///
/// both_engines! {
///     /// Whichever engine it is on.
///     async fn a_database_has_a_url(db: TestDatabase) {
///         assert!(db.url().contains("://"));
///     }
/// }
/// ```
#[macro_export]
macro_rules! both_engines {
    ($($(#[$attribute:meta])* async fn $name:ident($($db:tt)+) $body:block)+) => {$(
        $(#[$attribute])*
        #[cfg(test)]
        mod $name {
            #[allow(unused_imports, clippy::wildcard_imports, reason = "a body may need nothing from around it")]
            use super::*;

            async fn body($($db)+) $body

            #[test]
            fn sqlite() {
                $crate::run($crate::Engine::Sqlite, body);
            }

            #[test]
            fn postgres() {
                $crate::run($crate::Engine::Postgres, body);
            }
        }
    )+};
}

/// Runs a test's body with a fresh database, on two worker threads. [`both_engines!`] calls it.
///
/// The runtime is the one that `#[tokio::test(flavor = "multi_thread", worker_threads = 2)]` creates, but the tested
/// crate needs none of tokio's features for it.
///
/// # Panics
/// If the body panics, or if no database can be created.
pub fn run<Body, Running>(engine: Engine, body: Body)
where
    Body: FnOnce(TestDatabase) -> Running,
    Running: Future<Output = ()>,
{
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(async { body(TestDatabase::create(engine).await).await });
}
