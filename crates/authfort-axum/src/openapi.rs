//! The OpenAPI 3.1 document, made from the handlers.

use std::sync::Arc;

use axum::Json;
use axum::extract::OriginalUri;
use axum::routing::{MethodRouter, get};
use serde::Serialize;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{ContentBuilder, PathItem, Ref, ResponseBuilder, Server};
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
    let error = ContentBuilder::new().schema(Some(Ref::from_schema_name("Error"))).build();
    let refusal = ResponseBuilder::new().description("Every other refusal.").content("application/json", error).build();
    for operation in document.paths.paths.values_mut().flat_map(operations) {
        operation.responses.responses.insert("default".to_owned(), refusal.clone().into());
    }
    document
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut utoipa::openapi::path::Operation> {
    [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete].into_iter().flatten()
}

const PATH: &str = "/openapi.json";

/// `GET /openapi.json`. The document names the place where its router is mounted, which only a request knows.
pub(crate) fn route<S: Clone + Send + Sync + 'static>(
    document: utoipa::openapi::OpenApi,
) -> (&'static str, MethodRouter<S>) {
    let document = Arc::new(document);
    let handler = async move |OriginalUri(uri): OriginalUri| {
        let mount = uri.path().strip_suffix(PATH).filter(|mount| !mount.is_empty()).unwrap_or("/");
        let mut document = (*document).clone();
        document.servers = Some(vec![Server::new(mount)]);
        Json(document)
    };
    (PATH, get(handler))
}
