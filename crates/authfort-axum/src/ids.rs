//! The ids of the core, as segments of a path.

use authfort::{EventId, SessionId, UserId};
use uuid::Uuid;

use crate::extract::FromSegment;

macro_rules! segments {
    ($($id:ty),*) => {
        $(impl FromSegment for $id {
            const WANTED: &'static str = <Uuid as FromSegment>::WANTED;

            fn from_segment(segment: &str) -> Option<Self> {
                Uuid::from_segment(segment).map(Into::into)
            }
        })*
    };
}
segments!(UserId, SessionId, EventId);
