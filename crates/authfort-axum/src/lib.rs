//! authfort-axum
