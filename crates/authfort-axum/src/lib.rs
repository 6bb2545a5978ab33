//! authfort-axum

mod client;
mod cookie;
mod csrf;
mod extract;
mod layers;
mod limits;
mod rejection;

pub use client::{ClientKey, TrustedProxies};
pub use cookie::{CookieOptions, Cookies, SameSite};
pub use csrf::CrossSite;
pub use extract::{Field, FromParams, FromSegment, FromSegments, Json, OptionalJson, Params, Path, Query, rfc3339};
pub use layers::{BODY_LIMIT, harden};
pub use limits::{Action, Rate, RateLimits};
pub use rejection::Rejection;
