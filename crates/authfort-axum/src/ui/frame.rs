//! What each page shows around its content.

use askama::Template;
use authfort::{Principal, User, UserId};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::assets::{self, Asset};
use super::panel::Panels;
use super::site::Site;
use crate::Rejection;
use crate::admin::Admin;

/// What a template extends `ui/base.html` with.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    site: Site,
    pub(super) me: Option<Me>,
}

/// Who is signed in.
#[derive(Debug, Clone)]
pub(super) struct Me {
    pub id: UserId,
    pub email: String,
}

impl Frame {
    pub(super) fn new(site: Site, me: Option<&Principal>) -> Self {
        Self { site, me: me.map(|principal| Me { id: principal.user_id, email: principal.email.clone() }) }
    }

    /// Returns the address of who is signed in.
    pub(super) fn my_email(&self) -> &str {
        self.me.as_ref().map_or("", |me| &me.email)
    }

    pub(super) fn path(&self, page: &str) -> String {
        self.site.path(page)
    }

    pub(super) fn title(&self) -> &str {
        &self.site.page.title
    }

    pub(super) fn links(&self) -> &[(String, String)] {
        &self.site.page.links
    }

    /// Returns the address of the picture beside the title.
    pub(super) fn logo(&self) -> String {
        self.site.page.logo.clone().unwrap_or_else(|| self.asset("icon.svg"))
    }

    /// Returns the address of the application's own styles.
    pub(super) fn theme(&self) -> Option<String> {
        self.site.page.theme.as_ref().map(|theme| self.site.path(&format!("/ui/assets/{}", theme.address())))
    }

    /// Begins to read the application's own panels of a person.
    pub(super) fn panels(&self, user: &User) -> Panels {
        Panels::of(&self.site.page.panels, user)
    }

    pub(super) fn asset(&self, name: &str) -> String {
        self.site.path(&format!("/ui/assets/{}", assets::find(name).map_or(name, Asset::address)))
    }
}

/// The administrator who asks for a page.
pub(super) struct Staff {
    pub admin: Admin,
    pub frame: Frame,
}

impl<S: Send + Sync> FromRequestParts<S> for Staff {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Rejection> {
        let admin = Admin::from_request_parts(parts, state).await?;
        let site = Site::from_request_parts(parts, state).await?;
        Ok(Self { frame: Frame::new(site, Some(&admin.user)), admin })
    }
}

/// Renders a page.
pub(super) fn page(status: StatusCode, template: &impl Template) -> Result<Response, Rejection> {
    let text = template.render().map_err(|error| {
        tracing::error!(%error, "a page was not rendered");
        Rejection::internal()
    })?;
    Ok((status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], text).into_response())
}
