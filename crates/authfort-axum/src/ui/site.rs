//! The options of the page, and the page as it is mounted.

use std::sync::Arc;

use axum::extract::{FromRequestParts, OriginalUri, Request};
use axum::http::request::Parts;

use crate::Rejection;

/// The options of the [`admin_page`](crate::admin_page).
///
/// ```
/// use authfort_axum::AdminPage;
/// let page = AdminPage::new().title("Acme users").link("Grafana", "https://grafana.example.com/");
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct AdminPage {
    pub(super) title: String,
    pub(super) links: Vec<(String, String)>,
    public_path: Option<String>,
}

impl Default for AdminPage {
    fn default() -> Self {
        Self { title: "AuthFort".into(), links: Vec::new(), public_path: None }
    }
}

impl AdminPage {
    /// Returns the page with its default options.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the title, which stands at the top of each page and in the browser's tab; `AuthFort` unless set.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// Adds a link of the application's own at the top of each page, such as to its dashboard.
    pub fn link(mut self, text: impl Into<String>, url: impl Into<String>) -> Self {
        self.links.push((text.into(), url.into()));
        self
    }

    /// Sets the path at which a browser finds the router, such as `/tools/admin`. The path at which the router is nested
    /// unless set; a proxy that removes a part of the path makes the two differ.
    pub fn public_path(mut self, path: impl Into<String>) -> Self {
        self.public_path = Some(path.into());
        self
    }
}

/// The page as it is mounted, for one request.
#[derive(Debug, Clone)]
pub(super) struct Site {
    pub page: Arc<AdminPage>,
    /// The path of the mount, without a slash at its end.
    base: String,
}

impl Site {
    pub(super) fn of(page: Arc<AdminPage>, request: &Request) -> Self {
        let (whole, own) = (request.extensions().get::<OriginalUri>(), request.uri().path());
        let whole = whole.map_or(request.uri(), |OriginalUri(whole)| whole).path();
        let mount = whole.strip_suffix(own).unwrap_or(whole);
        let base = page.public_path.as_deref().unwrap_or(mount).trim_end_matches('/').to_owned();
        Self { page, base }
    }

    /// Returns the path of a page, such as `/ui/users`, or of a person's.
    pub(super) fn path(&self, page: &str) -> String {
        format!("{}{page}", self.base)
    }

    /// Returns where to go after a sign-in: a page of this site, or the first one.
    pub(super) fn next(&self, wanted: Option<&str>) -> String {
        let home = self.path("/ui/");
        // A browser takes `//host` and `/\host` for another site, and skips control characters.
        let own = |path: &&str| {
            let page = path.split(['?', '#']).next().unwrap_or_default().to_ascii_lowercase();
            let is_plain = path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
            // A segment of dots leads out of the folder.
            is_plain && path.starts_with(&home) && !["/.", "//", "%2e", "%2f"].iter().any(|odd| page.contains(odd))
        };
        wanted.filter(own).map_or(home.clone(), str::to_owned)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Site {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        parts.extensions.get::<Self>().cloned().ok_or_else(Rejection::internal)
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn site(whole: &str, inner: &str, page: AdminPage) -> Site {
        let request = Request::builder().uri(inner).extension(OriginalUri(whole.parse().unwrap()));
        Site::of(Arc::new(page), &request.body(Body::empty()).unwrap())
    }

    #[test]
    fn the_mount_is_what_stands_before_the_path_of_the_page() {
        for (whole, inner, base) in [
            ("/ui/users", "/ui/users", ""),
            ("/admin/ui/users?query=a", "/ui/users?query=a", "/admin"),
            ("/a/b/ui/users/1", "/ui/users/1", "/a/b"),
            ("/admin", "/", "/admin"),
            ("/admin/", "/", "/admin"),
        ] {
            assert_eq!(site(whole, inner, AdminPage::new()).path("/x"), format!("{base}/x"), "{whole}");
        }
        assert_eq!(site("/ui/users", "/ui/users", AdminPage::new().public_path("/tools/")).path("/x"), "/tools/x");
    }

    #[test]
    fn a_sign_in_leads_to_pages_of_this_site_alone() {
        let site = site("/admin/ui/sign-in", "/ui/sign-in", AdminPage::new());
        assert_eq!(site.next(Some("/admin/ui/users?query=a%20b")), "/admin/ui/users?query=a%20b");
        for other in [
            "",
            "//evil.example",
            "https://evil.example",
            "/admin/ui",
            "/\\evil",
            "/admin/ui/\\x",
            "/admin/ui/\r\nx: y",
            "/admin/ui/../users",
            "/admin/ui/%2E%2e/x",
            "/admin/ui//x",
        ] {
            assert_eq!(site.next(Some(other)), "/admin/ui/", "{other}");
        }
        assert_eq!(site.next(None), "/admin/ui/");
    }
}
