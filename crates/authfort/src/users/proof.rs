//! What follows when somebody proves that an address is theirs.
//!
//! Anybody can register an address that is somebody else's, and wait: with a password, a session or a provider account of
//! their own, they would keep the account once its owner takes it over (pre-hijacking). So when an unverified address is
//! proven by somebody who is in none of the user's sessions, what the registrant had ends: sessions, access tokens, the
//! password, and linked accounts. Who proves the address in their own session keeps everything.

use crate::events::{EmailVerified, OauthUnlink, SessionRevoked, UserUpdated};
use crate::store::users::UserRow;
use crate::work::Work;
use crate::{Result, store};

/// Marks the address of a locked user as proven, and ends what its registrant had, where that may be somebody else.
/// Nothing where it was proven before.
pub(crate) async fn prove_email(work: &mut Work<'_>, user: &UserRow) -> Result<()> {
    if !proven_by_another(work, user).await? {
        return Ok(());
    }
    // Tokens that were sent to the address stay good: it is its owner who has them.
    work.revoke_access_tokens(user.id).await?;
    if work.revoke_sessions(user.id, None).await? > 0 {
        work.append(SessionRevoked::draft(user.id, None, true));
    }
    if user.has_password {
        store::users::clear_password(&mut work.conn, user.id, work.now).await?;
        work.append(UserUpdated::draft(user.id, vec!["password".to_owned()]));
    }
    Ok(())
}

/// The same for who replaces the password and ends the sessions in any case. Answers whether the registrant may be
/// somebody else.
pub(crate) async fn proven_by_another(work: &mut Work<'_>, user: &UserRow) -> Result<bool> {
    if user.email_verified {
        return Ok(false);
    }
    store::users::set_email_verified(&mut work.conn, user.id, work.now).await?;
    work.append(EmailVerified::draft(user.id, user.email.clone()));
    if is_own(work, user).await? {
        return Ok(false);
    }
    for account in store::accounts::of_user(&mut work.conn, user.id).await? {
        store::accounts::delete(&mut work.conn, user.id, &account.provider).await?;
        work.append(OauthUnlink::draft(user.id, account.provider));
    }
    Ok(true)
}

/// Whether the caller is in a session of this user that lives.
async fn is_own(work: &mut Work<'_>, user: &UserRow) -> Result<bool> {
    let actor = work.actor();
    let Some(session) = actor.session_id.filter(|_| actor.user_id == Some(user.id)) else { return Ok(false) };
    let row = store::sessions::lock(&mut work.conn, session).await?;
    Ok(row.is_some_and(|row| row.user_id == user.id && row.is_active(work.now)))
}
