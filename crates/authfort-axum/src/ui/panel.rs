//! Panels of the application's own on a person's page.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use authfort::User;
use axum::BoxError;
use axum::response::Html;
use tracing::Instrument;

/// How long a page waits for a panel.
const PATIENCE: Duration = Duration::from_secs(3);

/// A panel of the application's own on a person's page, such as their orders. [`AdminPage::panel`](crate::AdminPage::panel)
/// adds it.
///
/// ```
/// use authfort::User;
/// use authfort_axum::{AdminPage, Panel, PanelContent};
/// # struct Shop;
/// # impl Shop { async fn orders_of(&self, _: authfort::UserId) -> std::io::Result<u64> { Ok(3) } }
///
/// struct Orders(Shop);
///
/// impl Panel for Orders {
///     fn title(&self) -> &'static str {
///         "Orders"
///     }
///
///     async fn content(&self, user: User) -> Result<PanelContent, axum::BoxError> {
///         let orders = self.0.orders_of(user.id).await?;
///         let shop = format!("https://shop.example.com/customers/{}", user.id);
///         Ok(PanelContent::new().fact("Orders", orders.to_string()).link("Open in the shop", shop))
///     }
/// }
/// # let shop = Shop;
/// let page = AdminPage::new().panel(Orders(shop));
/// ```
pub trait Panel: Send + Sync + 'static {
    /// Returns the heading; it is asked once, when the panel is added.
    fn title(&self) -> &str;

    /// Returns what the panel shows of a user. The user may be anonymized ([`User::is_deleted`]).
    ///
    /// It is called each time an administrator opens the page, beside the other panels. The page waits three seconds for it. An
    /// error, a panic and a panel that takes longer are logged; the page then says that the panel cannot be shown, and has
    /// everything else.
    ///
    /// # Errors
    /// Any error of the application's own; the page does not show it.
    fn content(&self, user: User) -> impl Future<Output = Result<PanelContent, BoxError>> + Send;
}

/// What a [`Panel`] shows: text, facts, markup and links, in this order.
///
/// Everything but [`html`](Self::html) is escaped.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct PanelContent {
    pub(super) texts: Vec<String>,
    pub(super) facts: Vec<(String, String)>,
    pub(super) html: Vec<String>,
    pub(super) links: Vec<Link>,
}

/// A link, or text where the address is none that a page may lead to.
#[derive(Debug, Clone)]
pub(super) struct Link {
    pub text: String,
    pub url: Option<String>,
}

impl PanelContent {
    /// Returns an empty panel.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a paragraph.
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.texts.push(text.into());
        self
    }

    /// Adds a line with a name and a value.
    pub fn fact(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.facts.push((name.into(), value.into()));
        self
    }

    /// Adds a link to a path of this site, or to an address with `https:`, `http:`, `mailto:` or `tel:`. Of another address only
    /// the text is shown.
    pub fn link(mut self, text: impl Into<String>, url: impl Into<String>) -> Self {
        let url = url.into();
        let begins = |scheme: &&str| url.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
        let leads = url.starts_with('/') || ["https:", "http:", "mailto:", "tel:"].iter().any(begins);
        self.links.push(Link { text: text.into(), url: leads.then_some(url) });
        self
    }

    /// Adds markup, which is **not escaped**: what comes from users must be escaped in it. It can use the classes of the page's own
    /// styles and images of this site. The policy of the page forbids scripts and `style` attributes in it, and `hx-` attributes
    /// do nothing.
    pub fn html(mut self, markup: Html<String>) -> Self {
        self.html.push(markup.0);
        self
    }
}

type ContentFuture<'a> = Pin<Box<dyn Future<Output = Result<PanelContent, BoxError>> + Send + 'a>>;

/// A [`Panel`] behind a pointer.
pub(super) trait AnyPanel: Send + Sync {
    fn content(&self, user: User) -> ContentFuture<'_>;
}

impl<P: Panel> AnyPanel for P {
    fn content(&self, user: User) -> ContentFuture<'_> {
        Box::pin(Panel::content(self, user))
    }
}

impl fmt::Debug for dyn AnyPanel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Panel")
    }
}

/// A panel, as a page shows it.
pub(super) struct RenderedPanel {
    pub title: String,
    /// None if it cannot be shown.
    pub content: Option<PanelContent>,
}

/// A panel and its title, which does not change.
pub(super) type TitledPanel = (String, Arc<dyn AnyPanel>);

/// The panels of a person, while they are read.
pub(super) struct Panels(Vec<(String, tokio::task::JoinHandle<Option<PanelContent>>)>);

impl Panels {
    /// Begins to read all of them. Each runs in a task of its own, so that one that panics is one that fails.
    pub(super) fn of(panels: &[TitledPanel], user: &User) -> Self {
        let begin = |(title, panel): &TitledPanel| {
            let (panel, user, title) = (Arc::clone(panel), user.clone(), title.clone());
            let name = title.clone();
            let read = async move {
                match tokio::time::timeout(PATIENCE, panel.content(user)).await {
                    Ok(Ok(content)) => Some(content),
                    Ok(Err(error)) => {
                        tracing::error!(panel = name, %error, "a panel of the admin page failed");
                        None
                    }
                    Err(_) => {
                        tracing::error!(panel = name, "a panel of the admin page takes longer than three seconds");
                        None
                    }
                }
            };
            (title, tokio::spawn(read.in_current_span()))
        };
        Self(panels.iter().map(begin).collect())
    }

    pub(super) async fn shown(self) -> Vec<RenderedPanel> {
        let mut shown = Vec::with_capacity(self.0.len());
        for (title, task) in self.0 {
            let content = task.await.unwrap_or_else(|error| {
                tracing::error!(panel = title, %error, "a panel of the admin page panicked");
                None
            });
            shown.push(RenderedPanel { title, content });
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_to_plain_addresses_alone() {
        for (url, leads) in [
            ("/orders/1", true),
            ("https://shop.example", true),
            ("HTTPS://shop.example", true),
            ("mailto:a@example.com", true),
            ("tel:+1", true),
            ("javascript:alert(1)", false),
            (" javascript:alert(1)", false),
            ("data:text/html,x", false),
            ("", false),
        ] {
            assert_eq!(PanelContent::new().link("x", url).links[0].url.is_some(), leads, "{url}");
        }
    }
}
