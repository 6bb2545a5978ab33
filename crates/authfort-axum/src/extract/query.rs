//! Extracts the query of a request.

use axum::{extract::FromRequestParts, http::request::Parts};
use serde::de::DeserializeOwned;

use super::parameters::Parameters;
use crate::Rejection;

/// The query as a struct or a tuple of structs. A parameter that none of them has a field for is refused; `()` accepts
/// no parameters.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        let mut parameters = Parameters::split("query", parts.uri.query().unwrap_or_default())?;
        let value = parameters.take()?;
        parameters.finish()?;
        Ok(Self(value))
    }
}
