//! Which page of a list.

use super::cursor::Cursor;
use super::filter::{SortBy, SortOrder, Total, UserFilter};

#[derive(Debug, Clone)]
pub(crate) struct PageRequest {
    pub filter: UserFilter,
    pub sort_by: SortBy,
    pub sort_order: SortOrder,
    pub limit: i64,
    pub seek: Seek,
    pub total: Total,
}

#[derive(Debug, Clone)]
pub(crate) enum Seek {
    Offset(i64),
    Cursor(Cursor),
}
