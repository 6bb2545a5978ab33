//! What happens when a person proves that an address is theirs.
//!
//! Anyone can register another person's address and wait: with a password, a session or a linked provider account they
//! would keep access once the owner takes the account over (pre-hijacking). So if an unverified address is verified
//! from outside the user's sessions, the access of whoever registered it is revoked: sessions, access tokens, the
//! password, and linked accounts. If it is verified in the user's own session, everything stays.

use crate::events::{EmailVerified, OauthUnlink, SessionRevoked, UserUpdated};
use crate::store::users::UserRow;
use crate::work::Work;
use crate::{Result, store};

/// Marks the address of a locked user as verified, and revokes the access of whoever registered it, if that may be
/// another person. Does nothing if the address is already verified.
pub(crate) async fn prove_email(work: &mut Work<'_>, user: &UserRow) -> Result<()> {
    if !proven_by_another(work, user).await? {
        return Ok(());
    }
    // Tokens that were sent to the address stay valid: only its owner has them.
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

/// Does the same for callers that replace the password and end the sessions in any case. Returns whether another person
/// may have registered the address.
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

/// Returns whether the caller is in a live session of this user.
async fn is_own(work: &mut Work<'_>, user: &UserRow) -> Result<bool> {
    let actor = work.actor();
    let Some(session) = actor.session_id.filter(|_| actor.user_id == Some(user.id)) else { return Ok(false) };
    let row = store::sessions::lock(&mut work.conn, session).await?;
    Ok(row.is_some_and(|row| row.user_id == user.id && row.is_active(work.now)))
}
