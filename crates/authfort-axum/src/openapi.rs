//! The OpenAPI 3.1 document, made from the handlers.

use std::sync::Arc;

use axum::Json;
use axum::routing::{MethodRouter, get};
use serde::Serialize;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi, ToSchema};

/// The shape of every refusal.
#[derive(Serialize, ToSchema)]
#[schema(as = Error)]
pub(crate) struct ErrorBody {
    /// The stable code.
    error: String,
    /// One sentence for a person.
    message: String,
    /// What is wrong with which field, where the code is `validation_failed`.
    fields: Option<Vec<authfort::FieldError>>,
}

#[derive(OpenApi)]
#[openapi(modifiers(&Security))]
pub(crate) struct Document;

struct Security;

impl Modify for Security {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        let bearer = |text: &str| {
            SecurityScheme::Http(Http::builder().scheme(HttpAuthScheme::Bearer).description(Some(text)).build())
        };
        components.add_security_scheme("bearer", bearer("An access token; in cookie mode the cookie serves as well."));
        components.add_security_scheme("introspection", bearer("The configured introspection secret."));
    }
}

pub(crate) fn describe(mut document: utoipa::openapi::OpenApi, title: &str) -> utoipa::openapi::OpenApi {
    title.clone_into(&mut document.info.title);
    env!("CARGO_PKG_VERSION").clone_into(&mut document.info.version);
    document
}

/// `GET /openapi.json`
pub(crate) fn serve<S: Clone + Send + Sync + 'static>(document: &utoipa::openapi::OpenApi) -> MethodRouter<S> {
    let document = Arc::new(serde_json::to_value(document).unwrap_or_default());
    get(async move || Json((*document).clone()))
}
