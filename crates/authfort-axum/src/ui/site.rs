//! The options of the page, and the page as it is mounted.

use std::sync::Arc;

use axum::extract::{FromRequestParts, OriginalUri, Request};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Uri};

use super::assets::Asset;
use super::panel::{Panel, TitledPanel};
use crate::Rejection;

/// Nothing but this site's own styles, scripts and images; no inline script, no evaluated text, no frame around it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'self'; \
     base-uri 'none'; frame-ancestors 'none'; img-src 'self'";

/// The options of the [`admin_page`](crate::admin_page).
///
/// ```
/// use authfort_axum::AdminPage;
/// let page = AdminPage::new()
///     .title("Acme users")
///     .logo("/static/acme.svg")
///     .style(":root { --accent: light-dark(#0a6b4d, #6fdcb4); }")
///     .link("Grafana", "https://grafana.example.com/");
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct AdminPage {
    pub(super) title: String,
    pub(super) links: Vec<(String, String)>,
    pub(super) logo: Option<String>,
    /// The application's own styles.
    pub(super) theme: Option<Arc<Asset>>,
    pub(super) panels: Vec<TitledPanel>,
    pub(super) policy: HeaderValue,
    public_path: Option<String>,
}

impl Default for AdminPage {
    fn default() -> Self {
        Self {
            title: "AuthFort".into(),
            links: Vec::new(),
            logo: None,
            theme: None,
            panels: Vec::new(),
            policy: HeaderValue::from_static(POLICY),
            public_path: None,
        }
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

    /// Sets the picture beside the title: a path of this site, or an address with `https:` or `http:`, whose host the policy of
    /// the pages then allows for images. It is shown 24 pixels high.
    ///
    /// # Panics
    /// If it is neither.
    #[track_caller]
    pub fn logo(mut self, url: impl Into<String>) -> Self {
        let url = url.into();
        let origin = origin(&url);
        assert!(
            origin.is_some(),
            "the logo must be a path of this site, such as `/logo.svg`, or an address with https: or http:, not `{url}`"
        );
        let policy = HeaderValue::from_str(format!("{POLICY} {}", origin.unwrap_or_default()).trim_end());
        self.policy = policy.unwrap_or(HeaderValue::from_static(POLICY));
        self.logo = Some(url);
        self
    }

    /// Adds styles of the application's own, after those of the pages. The colours are custom properties of `:root`, such as
    /// `--accent`; the guide lists them.
    pub fn style(mut self, css: impl Into<String>) -> Self {
        let before = self.theme.map(|theme| format!("{}\n", theme.text())).unwrap_or_default();
        self.theme = Some(Arc::new(Asset::theme(before + &css.into())));
        self
    }

    /// Adds a panel of the application's own to each person's page, such as their orders.
    pub fn panel(mut self, panel: impl Panel) -> Self {
        self.panels.push((panel.title().to_owned(), Arc::new(panel)));
        self
    }

    /// Sets the path at which a browser finds the router, such as `/tools/admin`. The path at which the router is nested
    /// unless set; a proxy that removes a part of the path makes the two differ.
    pub fn public_path(mut self, path: impl Into<String>) -> Self {
        self.public_path = Some(path.into());
        self
    }
}

/// Returns the site that an image comes from, as a policy names it: empty for this site. None if no page may load it.
fn origin(url: &str) -> Option<String> {
    if url.starts_with('/') && !url.starts_with("//") {
        return Some(String::new());
    }
    let uri: Uri = url.parse().ok()?;
    let (scheme, host) = (uri.scheme_str()?, uri.authority()?.as_str());
    // What ends a source or a directive of a policy is no part of a host.
    let is_plain = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte));
    (matches!(scheme, "http" | "https") && is_plain).then(|| format!("{scheme}://{host}"))
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
    fn the_policy_allows_the_host_of_the_logo_and_nothing_else() {
        let of = |url: &str| origin(url);
        assert_eq!(of("/logo.svg").as_deref(), Some(""));
        assert_eq!(of("https://cdn.example:8443/logo.svg?x=1").as_deref(), Some("https://cdn.example:8443"));
        for other in
            ["", "logo.svg", "//cdn.example/x", "data:image/png;base64,", "https://a;script-src/x", "ftp://a/x"]
        {
            assert_eq!(of(other), None, "{other}");
        }
        let policy = |page: AdminPage| page.policy.to_str().unwrap().to_owned();
        assert_eq!(policy(AdminPage::new().logo("/logo.svg")), POLICY);
        assert_eq!(policy(AdminPage::new().logo("http://cdn.example/x")), format!("{POLICY} http://cdn.example"));
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
