//! Callers, and whether the guard remembers them.

use std::time::Duration;

use authfort::{AuthFort, SignedIn};

use crate::statements::counted;
use crate::support::user;
use crate::tools::guard;

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
