//! Callers, and whether the guard remembers them.

use std::ops::Range;
use std::time::{Duration, Instant};

use authfort::{AuthFort, SignedIn};

use crate::statements::counted;
use crate::support::user;
use crate::tools::{access, guard};

/// Makes a user with a session.
pub async fn signed_in(auth: &AuthFort, email: &str) -> SignedIn {
    let id = user(auth, email).await.id;
    auth.create_session(id).await.unwrap()
}

/// Asks the guard until the answer comes from what it remembers, and returns it.
pub async fn warm(auth: &AuthFort, token: &str) -> &'static str {
    loop {
        if let (answer, 0) = counted(guard(auth, token)).await
            && answer != "database_unavailable"
        {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Asks a node until it refuses the token of who was banned. It may let her through for as long as the bound allows.
pub async fn is_refused_within(bound: Duration, banned: Instant, node: &AuthFort, token: &str) {
    loop {
        let asked = Instant::now();
        match guard(node, token).await {
            "user_banned" => return,
            "ok" => assert!(asked.duration_since(banned) <= bound, "let through after the bound"),
            other => assert_eq!(other, "database_unavailable"),
        }
    }
}

/// Gives a user one name after the other on one node, and awaits each on another, which remembers her.
pub async fn names_arrive(there: &AuthFort, here: &AuthFort, jane: &SignedIn, names: Range<u32>) {
    for n in names {
        warm(here, access(jane)).await;
        let name = format!("Jane {n}");
        there.update_user(jane.user.id).name(&name).await.unwrap();
        while here.authenticate(access(jane)).await.unwrap().name.as_deref() != Some(&name) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}
