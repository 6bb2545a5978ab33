//! What a deletion leaves.

use serde::{Deserialize, Serialize};

/// What became of a deleted user's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum DeleteMode {
    /// It is gone.
    Delete,
    /// Row and id are there, the person is not.
    Anonymize,
}
