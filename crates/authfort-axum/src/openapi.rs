//! The OpenAPI 3.1 documents, generated from the handlers.
//!
//! This module adds, for all operations and schemas, what the derives cannot express: a description is the first
//! paragraph of the documentation, without code and links; each response has a description; every operation may return
//! an error; and all members of a response are required, null if there is no value.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::OriginalUri;
use axum::http::StatusCode;
use axum::routing::{MethodRouter, get};
use axum::{Json, Router};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi, ToSchema};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

/// The body of every error response.
#[derive(Serialize, ToSchema)]
#[schema(as = Error)]
pub(crate) struct ErrorBody {
    /// A stable code that identifies the error.
    error: String,
    /// One sentence for people; it may change.
    message: String,
    /// The invalid fields, if the code is `validation_failed`.
    #[schema(nullable = false)]
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

/// The members that a response has only in some cases.
const SOMETIMES: &[(&str, &str)] = &[
    ("Error", "fields"),
    ("UserPage", "total_is_capped"),
    ("Jwk", "n"),
    ("Jwk", "e"),
    ("Jwk", "crv"),
    ("Jwk", "x"),
    ("Jwk", "y"),
];

/// The operations whose body is optional.
const OPTIONAL_BODIES: &[&str] = &["ban_user", "logout", "refresh"];

/// The schema that the error response of every operation refers to.
#[derive(OpenApi)]
#[openapi(components(schemas(ErrorBody)))]
struct Refusals;

/// Returns the finished document.
pub(crate) fn describe(document: &utoipa::openapi::OpenApi, title: &str) -> Value {
    let document = document.clone().merge_from(Refusals::openapi());
    // Serialization cannot fail: the document contains only what JSON can represent.
    let mut document = serde_json::to_value(&document).unwrap_or_default();
    set(&mut document, "info", json!({"title": title, "version": env!("CARGO_PKG_VERSION")}));
    let paths = document.get_mut("paths").and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut);
    for operation in paths.filter_map(Value::as_object_mut).flat_map(Map::values_mut) {
        let optional =
            operation.get("operationId").and_then(Value::as_str).is_some_and(|id| OPTIONAL_BODIES.contains(&id));
        if let Some(body) = operation.get_mut("requestBody").filter(|_| optional) {
            set(body, "required", json!(false));
        }
        if let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) {
            describe_responses(responses);
        }
    }
    let answered = answered(&document);
    let schemas = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut);
    for (name, schema) in schemas.into_iter().flatten().filter(|(name, _)| answered.contains(*name)) {
        require_all(name, schema);
    }
    shorten(&mut document);
    document
}

fn set(object: &mut Value, member: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(member.to_owned(), value);
    }
}

fn describe_responses(responses: &mut Map<String, Value>) {
    for (status, response) in responses.iter_mut() {
        if response["description"].as_str().is_none_or(str::is_empty) {
            let reason = status.parse::<u16>().ok().and_then(|status| StatusCode::from_u16(status).ok());
            let reason = reason.and_then(|status| status.canonical_reason()).unwrap_or("An answer");
            response["description"] = json!(format!("{reason}."));
        }
    }
    let error = json!({"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}});
    responses.insert("default".to_owned(), json!({"description": "Every other refusal.", "content": error}));
}

/// Returns the names of the schemas that responses refer to.
fn answered(document: &Value) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let operations = document["paths"].as_object().into_iter().flat_map(Map::values);
    let operations = operations.filter_map(Value::as_object).flat_map(Map::values);
    let mut open: Vec<&Value> = operations.map(|operation| &operation["responses"]).collect();
    while let Some(value) = open.pop() {
        match value {
            Value::Array(items) => open.extend(items),
            Value::Object(members) => {
                let name = members.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next());
                if let Some(name) = name
                    && names.insert(name.to_owned())
                {
                    open.extend(document.pointer("/components/schemas").and_then(|schemas| schemas.get(name)));
                }
                open.extend(members.values());
            }
            _ => {}
        }
    }
    names
}

/// Marks all members of a schema as required, also in its combined parts.
fn require_all(name: &str, schema: &mut Value) {
    if let Some(members) = schema["properties"].as_object() {
        let always = members.keys().filter(|member| !SOMETIMES.contains(&(name, member.as_str())));
        schema["required"] = always.map(String::as_str).collect();
    }
    for combined in ["allOf", "oneOf", "anyOf"] {
        for part in schema.get_mut(combined).and_then(Value::as_array_mut).into_iter().flatten() {
            require_all(name, part);
        }
    }
}

/// Shortens each description to what is useful to a reader of the document.
fn shorten(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(shorten),
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::String(text) if name == "description" || name == "summary" => *text = first_paragraph(text),
                    value => shorten(value),
                }
            }
        }
        _ => {}
    }
}

fn first_paragraph(text: &str) -> String {
    let paragraph = text.trim().split("\n\n").next().unwrap_or_default().split("```").next().unwrap_or_default();
    let mut plain = String::new();
    let mut rest = paragraph;
    while let Some((before, after)) = rest.split_once('[') {
        plain.push_str(before);
        if let Some((text, after)) = link(after) {
            plain.push_str(text);
            rest = after;
        } else {
            plain.push('[');
            rest = after;
        }
    }
    plain.push_str(rest);
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Parses a link after its opening bracket, `text](place)` or "`place`]", and returns its text and what follows it. The
/// places are those of the Rust documentation.
fn link(after: &str) -> Option<(&str, &str)> {
    let (text, after) = after.split_once(']')?;
    match after.strip_prefix('(') {
        Some(place) => place.split_once(')').map(|(_, after)| (text, after)),
        None => (text.starts_with('`') && text.ends_with('`')).then_some((text, after)),
    }
}

/// Returns the document of these routes.
pub(crate) fn document(routes: Vec<UtoipaMethodRouter>, title: &str) -> Value {
    describe(&gather(routes).into_openapi(), title)
}

/// Returns a router with these routes and their document, without the paths that the application replaces.
#[track_caller]
pub(crate) fn router(routes: Vec<UtoipaMethodRouter>, title: &str, without: &[String]) -> Router {
    let paths = |route: &UtoipaMethodRouter| route.1.paths.keys().cloned().collect::<Vec<_>>();
    let all: Vec<String> = routes.iter().flat_map(paths).chain([PATH.to_owned()]).collect();
    for path in without {
        assert!(all.contains(path), "`{path}` is no path of this router; it has {}", all.join(", "));
    }
    let (left_out, kept): (Vec<_>, Vec<_>) =
        routes.into_iter().partition(|route| paths(route).iter().any(|path| without.contains(path)));
    // Schemas that the kept routes use may be defined by a route that is left out.
    let schemas: Vec<_> = left_out.iter().flat_map(|(schemas, ..)| schemas.clone()).collect();
    let (mounted, mut openapi) = gather(kept).split_for_parts();
    openapi.components.get_or_insert_default().schemas.extend(schemas);
    if without.iter().any(|path| path == PATH) {
        return mounted;
    }
    let (path, handler) = route(describe(&openapi, title));
    mounted.route(path, handler)
}

fn gather(routes: Vec<UtoipaMethodRouter>) -> OpenApiRouter {
    routes.into_iter().fold(OpenApiRouter::with_openapi(Document::openapi()), OpenApiRouter::routes)
}

pub(crate) fn texts(paths: impl IntoIterator<Item = impl Into<String>>) -> Vec<String> {
    paths.into_iter().map(Into::into).collect()
}

const PATH: &str = "/openapi.json";

/// Returns the route `GET /openapi.json`. The document names the path where the router is mounted, which is known only
/// from a request.
pub(crate) fn route<S: Clone + Send + Sync + 'static>(document: Value) -> (&'static str, MethodRouter<S>) {
    let document = Arc::new(document);
    let handler = async move |OriginalUri(uri): OriginalUri| {
        let mount = uri.path().strip_suffix(PATH).filter(|mount| !mount.is_empty()).unwrap_or("/");
        let mut document = (*document).clone();
        set(&mut document, "servers", json!([{"url": mount}]));
        Json(document)
    };
    (PATH, get(handler))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_is_the_first_paragraph_without_code_and_links() {
        for (text, short) in [
            ("One line.", "One line."),
            ("Two\nlines.\n\nAnother paragraph.", "Two lines."),
            ("Before.\n```\n# hidden\n```", "Before."),
            ("See [`User::version`](User::version), or [this](x).", "See `User::version`, or this."),
            ("See [`User`]: an [a] of [b](c)", "See `User`: an [a] of b"),
            ("An array [of] things", "An array [of] things"),
            ("", ""),
        ] {
            assert_eq!(first_paragraph(text), short);
        }
    }
}
