//! The notes of a user, as the admin page shows them.

use authfort::User;
use authfort_axum::{Panel, PanelContent};
use axum::BoxError;

use crate::db::Db;

pub struct Notes(pub Db);

impl Panel for Notes {
    fn title(&self) -> &'static str {
        "Notes"
    }

    async fn content(&self, user: User) -> Result<PanelContent, BoxError> {
        let (written, shared) = self.0.count_notes(user.id).await?;
        let content = PanelContent::new().fact("Written", written.to_string()).fact("Shared", shared.to_string());
        Ok(if user.banned { content.text("While they are banned, nobody else sees their notes.") } else { content })
    }
}
