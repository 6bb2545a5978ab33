//! The guides of `docs/guide` and the crates' READMEs, as modules, so that every example in them is compiled and most are
//! run: `cargo test --doc -p authfort-guide`. Nothing else is here, and the crate is not published.
//!
//! Only for documentation and its tests: a package of this crate would not hold the files.
#![cfg(any(doc, doctest))]

macro_rules! guides {
    ($($name:ident = $file:literal;)*) => {
        $(
            #[doc = include_str!($file)]
            pub mod $name {}
        )*
    };
}

guides! {
    getting_started = "../../../docs/guide/getting-started.md";
    users = "../../../docs/guide/users.md";
    roles_and_guards = "../../../docs/guide/roles-and-guards.md";
    extractors = "../../../docs/guide/extractors.md";
    browser = "../../../docs/guide/browser.md";
    admin_page = "../../../docs/guide/admin-page.md";
    sessions_and_tokens = "../../../docs/guide/sessions-and-tokens.md";
    events = "../../../docs/guide/events.md";
    transactions = "../../../docs/guide/transactions.md";
    http_reference = "../../../docs/guide/http-reference.md";
    operating = "../../../docs/guide/operating.md";
    testing = "../../../docs/guide/testing.md";
    security = "../../../docs/guide/security.md";
    readme_of_authfort = "../../authfort/README.md";
    readme_of_authfort_axum = "../../authfort-axum/README.md";
}
