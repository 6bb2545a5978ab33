//! Changing the editable fields of a user.

use serde_json::{Map, Value};

use crate::events::{EmailVerified, UserUpdated};
use crate::model::user::User;
use crate::model::validate;
use crate::model::validate::Keys;
use crate::store::users::Profile;
use crate::users::token_size;
use crate::work::{Before, Conditional, Joinable, Operation, Verdict, Work, Write};
use crate::{AuthFort, Error, Result, UserId, store};

impl AuthFort {
    /// Changes the given fields; writes nothing, and no event, if they have these values already. Event:
    /// `user_updated`.
    ///
    /// | option | |
    /// |---|---|
    /// | `email(…)` | the address; unverified, unless `email_verified` says otherwise |
    /// | `email_verified(…)` | whether the address is known to be the user's |
    /// | `name(…)`, `clear_name()` | the name |
    /// | `avatar_url(…)`, `clear_avatar_url()` | the picture's URL |
    /// | `phone(…)`, `clear_phone()` | the phone number |
    /// | `metadata(…)` | replaces the metadata |
    /// | `merge_metadata(…)` | changes the metadata by a JSON merge patch (RFC 7396) |
    /// | `if_version(…)` | only at this version of the user |
    pub fn update_user(&self, id: UserId) -> Write<UpdateUser> {
        Write::new(self.core(), UpdateUser::new(id))
    }
}

/// Changes a user; created by [`AuthFort::update_user`](crate::AuthFort::update_user). Fields that are not given stay.
#[derive(Clone)]
#[expect(clippy::option_option, reason = "of a merge patch: not named, cleared, or a value")]
pub struct UpdateUser {
    id: UserId,
    email: Option<String>,
    email_verified: Option<bool>,
    // Outer: whether the field is given. Inner: the value, or none to clear it.
    name: Option<Option<String>>,
    avatar_url: Option<Option<String>>,
    phone: Option<Option<String>>,
    metadata: Option<Metadata>,
}

#[derive(Clone)]
enum Metadata {
    Replace(Map<String, Value>),
    Merge(Map<String, Value>),
}

impl Metadata {
    fn applied_to(&self, stored: &Map<String, Value>) -> Map<String, Value> {
        match self {
            Self::Replace(new) => new.clone(),
            Self::Merge(patch) => {
                let mut merged = stored.clone();
                merge(&mut merged, patch);
                merged
            }
        }
    }
}

impl UpdateUser {
    pub(crate) fn new(id: UserId) -> Self {
        Self { id, email: None, email_verified: None, name: None, avatar_url: None, phone: None, metadata: None }
    }
}

impl Write<UpdateUser> {
    /// Sets the address. A new address is unverified unless [`email_verified`](Self::email_verified) is set by the same
    /// call; all sessions end, and tokens that were sent to the old address become invalid.
    pub fn email(mut self, email: impl Into<String>) -> Self {
        self.op.email = Some(email.into());
        self
    }

    /// Sets whether the address is known to be the user's.
    pub fn email_verified(mut self, verified: bool) -> Self {
        self.op.email_verified = Some(verified);
        self
    }

    /// Sets the name.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.op.name = Some(Some(name.into()));
        self
    }

    /// Removes the name.
    pub fn clear_name(mut self) -> Self {
        self.op.name = Some(None);
        self
    }

    /// Sets the picture, at an `http` or `https` URL.
    pub fn avatar_url(mut self, url: impl Into<String>) -> Self {
        self.op.avatar_url = Some(Some(url.into()));
        self
    }

    /// Removes the picture.
    pub fn clear_avatar_url(mut self) -> Self {
        self.op.avatar_url = Some(None);
        self
    }

    /// Sets the phone number.
    pub fn phone(mut self, phone: impl Into<String>) -> Self {
        self.op.phone = Some(Some(phone.into()));
        self
    }

    /// Removes the phone number.
    pub fn clear_phone(mut self) -> Self {
        self.op.phone = Some(None);
        self
    }

    /// Replaces the metadata.
    pub fn metadata(mut self, metadata: Map<String, Value>) -> Self {
        self.op.metadata = Some(Metadata::Replace(metadata));
        self
    }

    /// Merges into the metadata by RFC 7396: members are set, `null` removes a member, objects are merged.
    pub fn merge_metadata(mut self, patch: Map<String, Value>) -> Self {
        self.op.metadata = Some(Metadata::Merge(patch));
        self
    }
}

impl Joinable for UpdateUser {}

impl Conditional for UpdateUser {}

impl Operation for UpdateUser {
    type Output = User;

    async fn prepare(&mut self, before: &mut Before<'_>) -> Result<()> {
        let core = before.core;
        let mut faults = validate::Faults::default();
        self.email = self.email.take().and_then(|v| faults.take(validate::email("email", &v)));
        let mut clean = |field: &mut Option<Option<String>>, rule: fn(&str) -> validate::Checked<String>| {
            if let Some(Some(value)) = field {
                *field = faults.take(rule(value)).map(Some);
            }
        };
        clean(&mut self.name, validate::name);
        clean(&mut self.avatar_url, validate::avatar_url);
        clean(&mut self.phone, validate::phone);
        match &self.metadata {
            Some(Metadata::Replace(new)) => {
                drop(faults.take(validate::metadata(new, core.config().metadata_max_bytes)));
            }
            // The size of the result depends on the stored metadata.
            Some(Metadata::Merge(patch)) => drop(faults.take(validate::metadata(patch, usize::MAX))),
            None => {}
        }
        faults.finish()
    }

    async fn apply(&self, work: &mut Work<'_>) -> Result<Verdict<User>> {
        let row = work.lock_user(self.id).await?;
        let before = Profile::of(&row);
        let mut after = before.clone();
        if let Some(change) = &self.metadata {
            let stored: Map<String, Value> = serde_json::from_str(&row.metadata).map_err(Error::internal)?;
            let changed = change.applied_to(&stored);
            // Compared as objects: another order of the same members is not a change.
            if changed != stored {
                let limit = work.core.config().metadata_max_bytes;
                after.metadata = validate::metadata(&changed, limit).map_err(|fault| Error::Validation(vec![fault]))?;
            }
        }
        if let Some(email) = &self.email {
            after.email.clone_from(email);
            if after.email != before.email {
                after.email_verified = false;
            }
        }
        if let Some(verified) = self.email_verified {
            after.email_verified = verified;
        }
        for (field, value) in
            [(&mut after.name, &self.name), (&mut after.avatar_url, &self.avatar_url), (&mut after.phone, &self.phone)]
        {
            if let Some(value) = value {
                field.clone_from(value);
            }
        }
        let fields = before.differences(&after);
        if fields.is_empty() {
            return Ok(Verdict::Commit(row.into_user(work.now)?));
        }

        let new_address = after.email != before.email;
        let keys = Keys::of(&after.email, after.name.as_deref());
        let roles = row.role_list();
        let was = (before.email.as_str(), before.name.as_deref(), roles.as_slice());
        token_size::check(work.core.config(), Some(was), (&after.email, after.name.as_deref(), &roles))?;
        store::users::update_profile(&mut work.conn, self.id, &after, &keys, work.now).await?;
        // Checked after the update, which waits for a deletion of the same address that may have blocked it.
        if new_address && store::users::email_is_blocked(&mut work.conn, &keys.email).await? {
            return Err(Error::invalid("email", "email_blocked", "may not be used again"));
        }
        work.append(UserUpdated::draft(self.id, fields.into_iter().map(ToOwned::to_owned).collect()));
        if after.email_verified && (new_address || !before.email_verified) {
            work.append(EmailVerified::draft(self.id, after.email.clone()));
        }
        if new_address {
            work.revoke_access(self.id, None).await?;
        }
        Ok(Verdict::Commit(work.read_user(self.id).await?))
    }
}

/// Applies RFC 7396, section 2. The recursion is bounded by the depth of the patch, which was validated.
fn merge(target: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (key, value) in patch {
        match value {
            Value::Null => {
                target.remove(key);
            }
            Value::Object(patch) => {
                let entry = target.entry(key.clone()).or_insert(Value::Null);
                if !entry.is_object() {
                    *entry = Value::Object(Map::new());
                }
                if let Value::Object(inner) = entry {
                    merge(inner, patch);
                }
            }
            other => {
                target.insert(key.clone(), other.clone());
            }
        }
    }
}
