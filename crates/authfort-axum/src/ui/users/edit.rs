//! `POST /ui/users/{id}`: changes the profile, if nobody else has meanwhile.

use authfort::{Error, JsonFault, User, UserId, read_json};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};

use serde_json::{Map, Value};

use super::acts::version;
use super::person::Person;
use crate::Rejection;
use crate::admin::UserPath;
use crate::extract::Path;
use crate::ui::frame::{Staff, page};
use crate::ui::params::{Form, Params};
use crate::ui::step_up::StepUp;
use crate::ui::words;

/// Longer metadata is on one line, so that the form stays within the limit of its body.
const MOST_PRETTY: usize = 32 * 1024;

/// The profile as the form has it. An empty field is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::ui) struct Profile {
    pub version: i64,
    pub email: String,
    pub email_verified: bool,
    pub name: String,
    pub phone: String,
    pub avatar_url: String,
    /// JSON. None if the form does not ask for it.
    pub metadata: Option<String>,
    /// Whether another address needs the password of the administrator.
    pub needs_password: bool,
    /// What the fields were when the form was made.
    pub was: Option<Box<Self>>,
    /// Why it was not saved.
    pub faults: Vec<String>,
    /// The fields that somebody else has changed meanwhile: what they are called, what they are now, and what they would be.
    pub conflicts: Vec<(&'static str, String, String)>,
}

impl Profile {
    pub(super) fn of(user: &User) -> Self {
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        Self {
            version: user.version,
            email: user.email.clone(),
            email_verified: user.email_verified,
            name: text(&user.name),
            phone: text(&user.phone),
            avatar_url: text(&user.avatar_url),
            metadata: Some(pretty(&user.metadata)),
            ..Self::default()
        }
    }

    /// Takes over what is now in the fields that are as the form had them: nobody meant to change them.
    fn keep_unchanged(&mut self, form: &Params, now: &Self) {
        let was = |name: &str| form.get(name).unwrap_or_default().replace("\r\n", "\n");
        let keep = |name: &str, field: &mut String, now: &String| {
            if *field == was(name).trim() {
                field.clone_from(now);
            }
        };
        keep("email_was", &mut self.email, &now.email);
        keep("name_was", &mut self.name, &now.name);
        keep("phone_was", &mut self.phone, &now.phone);
        keep("avatar_url_was", &mut self.avatar_url, &now.avatar_url);
        if let (Some(field), Some(now)) = (&mut self.metadata, &now.metadata) {
            keep("metadata_was", field, now);
        }
        if self.email_verified == form.get("email_verified_was").is_some() {
            self.email_verified = now.email_verified;
        }
    }

    fn read(form: &mut Params) -> Result<Self, Rejection> {
        let version = version(form)?;
        let mut text = |name| form.take(name).unwrap_or_default().trim().to_owned();
        let (email, name, phone, avatar_url) = (text("email"), text("name"), text("phone"), text("avatar_url"));
        let metadata = text("metadata").replace("\r\n", "\n");
        // Of an empty field and one that is not there, only this tells.
        let metadata = form.get("asks_metadata").map(|_| metadata);
        let email_verified = form.get("email_verified").is_some();
        Ok(Self { version, email, email_verified, name, phone, avatar_url, metadata, ..Self::default() })
    }

    /// The fields that differ.
    fn differences(&self, now: &Self) -> Vec<(&'static str, String, String)> {
        let verified = |on: bool| if on { "verified" } else { "not verified" }.to_owned();
        [
            ("Address", now.email.clone(), self.email.clone()),
            ("Address is", verified(now.email_verified), verified(self.email_verified)),
            ("Name", now.name.clone(), self.name.clone()),
            ("Phone", now.phone.clone(), self.phone.clone()),
            ("Picture", now.avatar_url.clone(), self.avatar_url.clone()),
        ]
        .into_iter()
        .chain(now.metadata.clone().zip(self.metadata.clone()).map(|(now, wanted)| ("Metadata", now, wanted)))
        .filter(|(_, now, wanted)| now != wanted)
        .collect()
    }
}

pub(in crate::ui) async fn edit(
    step_up: StepUp,
    headers: HeaderMap,
    Path(UserPath { id }): Path<UserPath>,
    Form(mut form): Form,
) -> Result<Response, Rejection> {
    let staff = &step_up.staff;
    let mut wanted = Profile::read(&mut form)?;
    wanted.needs_password = staff.needs_password().await?;
    let now = Profile::of(&staff.admin.auth.get_user(id).await?);
    if form.get("has_was").is_some() {
        wanted.keep_unchanged(&form, &now);
    }
    let metadata = match wanted.metadata.as_deref().filter(|text| Some(*text) != now.metadata.as_deref()) {
        // What is as it was is not judged.
        None => None,
        Some(text) => match object(text) {
            Ok(metadata) => Some(metadata),
            Err(fault) => {
                wanted.faults = vec![fault];
                return show_again(staff, id, &headers, wanted, StatusCode::UNPROCESSABLE_ENTITY).await;
            }
        },
    };
    if let Some(metadata) = &metadata {
        // Written as the stored one is, so that the two can be compared.
        wanted.metadata = Some(pretty(metadata));
    }
    // Whoever has the address can have the account.
    let is_other = wanted.email != now.email || wanted.email_verified != now.email_verified;
    let (auth, cookies) =
        if is_other { step_up.confirm(&mut form).await? } else { (staff.admin.auth.clone(), HeaderMap::new()) };
    let mut call = auth.update_user(id).if_version(wanted.version);
    // Only what differs is sent: the address of who keeps it is not proven again.
    if wanted.email != now.email {
        call = call.email(&wanted.email);
    }
    if wanted.email_verified != now.email_verified || wanted.email != now.email {
        call = call.email_verified(wanted.email_verified);
    }
    if wanted.name != now.name {
        call = if wanted.name.is_empty() { call.clear_name() } else { call.name(&wanted.name) };
    }
    if wanted.phone != now.phone {
        call = if wanted.phone.is_empty() { call.clear_phone() } else { call.phone(&wanted.phone) };
    }
    if wanted.avatar_url != now.avatar_url {
        call = if wanted.avatar_url.is_empty() { call.clear_avatar_url() } else { call.avatar_url(&wanted.avatar_url) };
    }
    if let Some(metadata) = metadata.filter(|_| wanted.metadata != now.metadata) {
        call = call.metadata(metadata);
    }
    let status = match call.await {
        Ok(_) => {
            let address = staff.frame.path(&format!("/ui/users/{id}?done=user_updated"));
            return Ok((cookies, Redirect::to(&address)).into_response());
        }
        Err(Error::PreconditionFailed) => {
            let now = Profile::of(&auth.get_user(id).await?);
            wanted.conflicts = wanted.differences(&now);
            if wanted.conflicts.is_empty() {
                // Whatever was to be changed is so already.
                let address = staff.frame.path(&format!("/ui/users/{id}"));
                return Ok((cookies, Redirect::to(&address)).into_response());
            }
            wanted.version = now.version;
            StatusCode::PRECONDITION_FAILED
        }
        Err(Error::Validation(faults)) => {
            wanted.faults =
                faults.iter().map(|fault| format!("{} {}.", words::field(&fault.field), fault.message)).collect();
            StatusCode::UNPROCESSABLE_ENTITY
        }
        Err(error @ Error::UserExists) => {
            wanted.faults = vec![error.to_string()];
            StatusCode::CONFLICT
        }
        Err(error) => return Ok((cookies, Rejection::from(error)).into_response()),
    };
    let shown = show_again(staff, id, &headers, wanted, status).await;
    Ok((cookies, shown).into_response())
}

/// Shows the form with what was typed.
async fn show_again(
    staff: &Staff,
    id: UserId,
    headers: &HeaderMap,
    form: Profile,
    status: StatusCode,
) -> Result<Response, Rejection> {
    let mut person = Person::read(staff, id, headers, None).await?;
    let was = Some(Box::new(Profile::of(&person.user)));
    person.form = Some(Profile { was, ..form });
    page(status, &person)
}

/// Reads the metadata of the form. Nothing is an empty object.
fn object(text: &str) -> Result<Map<String, Value>, String> {
    if text.is_empty() {
        return Ok(Map::new());
    }
    let why = match read_json(text) {
        Ok(Value::Object(members)) => return Ok(members),
        Ok(_) => "it is JSON of another kind".to_owned(),
        Err((fault, line, column)) => {
            let what = match fault {
                JsonFault::Malformed => "it is no JSON",
                JsonFault::Twice => "a name occurs twice",
                JsonFault::Reserved => "a name is reserved",
            };
            format!("{what} (line {line}, column {column})")
        }
    };
    Err(format!("The metadata must be a JSON object, such as {{\"plan\": \"team\"}}: {why}."))
}

/// Writes metadata for people, on several lines unless that takes too much room.
pub(super) fn pretty(metadata: &Map<String, Value>) -> String {
    let lines = serde_json::to_string_pretty(metadata).unwrap_or_default();
    if lines.len() > MOST_PRETTY { serde_json::to_string(metadata).unwrap_or_default() } else { lines }
}
