//! authfort-axum

mod extract;
mod rejection;

pub use extract::{Field, FromParams, FromSegment, FromSegments, Json, OptionalJson, Params, Path, Query, rfc3339};
pub use rejection::Rejection;
