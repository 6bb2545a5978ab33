//! `/ui/users/new`

use askama::Template;
use authfort::secrecy::SecretString;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};

use crate::Rejection;
use crate::ui::frame::{Frame, Staff, page};
use crate::ui::params::Form;

#[derive(Template)]
#[template(path = "ui/create.html")]
struct Create {
    frame: Frame,
}

pub(in crate::ui) async fn form(staff: Staff) -> Result<Response, Rejection> {
    page(StatusCode::OK, &Create { frame: staff.frame })
}

pub(in crate::ui) async fn create(staff: Staff, Form(mut form): Form) -> Result<Response, Rejection> {
    let mut call = staff.admin.auth.create_user(form.take("email").unwrap_or_default());
    if let Some(name) = form.take("name").filter(|name| !name.trim().is_empty()) {
        call = call.name(name);
    }
    if let Some(password) = form.take("password") {
        call = call.password(SecretString::from(password));
    }
    call = call.email_verified(form.get("email_verified").is_some());
    let id = call.await?.id;
    Ok(Redirect::to(&staff.frame.path(&format!("/ui/users/{id}?done=user_created"))).into_response())
}
