//! What a deletion leaves.

use serde::{Deserialize, Serialize};

/// What happened to a deleted user's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum DeleteMode {
    /// The row was deleted.
    Delete,
    /// The row and its id remain; the personal data was removed.
    Anonymize,
}
