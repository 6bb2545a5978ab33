//! What an application adds to the admin page: panels, a logo and styles.

use authfort::User;
use authfort_axum::{AdminPage, Panel, PanelContent, admin_page, admin_router};
use authfort_testkit::{TestDatabase, both_engines};
use axum::response::Html;
use axum::{BoxError, Router};

use crate::support::{App, call};

struct Orders;

impl Panel for Orders {
    fn title(&self) -> &'static str {
        "Orders & <more>"
    }

    async fn content(&self, user: User) -> Result<PanelContent, BoxError> {
        Ok(PanelContent::new()
            .text(format!("Of <b>{}</b>", user.email))
            .fact("<i>Total</i>", "1 < 2")
            .html(Html("<b class=\"tag\">own</b>".into()))
            .link("Shop", "https://shop.example.com/?a=1&b=\"2\"")
            .link("Nowhere", "javascript:alert(1)"))
    }
}

/// A panel that cannot be shown.
enum Bad {
    Fails,
    Panics,
    Hangs,
}

impl Panel for Bad {
    fn title(&self) -> &'static str {
        match self {
            Self::Fails => "Fails",
            Self::Panics => "Panics",
            Self::Hangs => "Hangs",
        }
    }

    async fn content(&self, _: User) -> Result<PanelContent, BoxError> {
        match self {
            Self::Fails => Err("the password is 1234".into()),
            Self::Panics => panic!("the password is 1234"),
            Self::Hangs => std::future::pending().await,
        }
    }
}

fn site(app: &App, page: AdminPage) -> Router {
    let admin = admin_router(&app.layer).merge(admin_page(&app.layer, page));
    Router::new().nest("/admin", admin).layer(app.layer.clone())
}

both_engines! {
    async fn a_panel_shows_text_as_text_and_its_own_markup_as_markup(db: TestDatabase) {
        let app = App::with_cookies(&db).await;
        let admin = app.admin().await;
        let jane = app.user("jane@example.com").await;
        let site = site(&app, AdminPage::new().panel(Orders));
        let shown = call(&site, "GET", &format!("/admin/ui/users/{}", jane.id)).by(&admin).send().await;
        assert_eq!(shown.status, 200);
        for part in [
            "Orders &#38; &#60;more&#62;</h2>",
            "Of &#60;b&#62;jane@example.com&#60;/b&#62;",
            "<dt>&#60;i&#62;Total&#60;/i&#62;</dt>",
            "1 &#60; 2",
            "<div hx-ignore><b class=\"tag\">own</b></div>",
            "href=\"https://shop.example.com/?a=1&#38;b=&#34;2&#34;\"",
            "<span>Nowhere</span>",
        ] {
            assert!(shown.text.contains(part), "{part}: {}", shown.text);
        }
        assert!(!shown.text.contains("javascript:"));
    }

    async fn a_panel_that_fails_panics_or_hangs_leaves_the_page_whole(db: TestDatabase) {
        let app = App::with_cookies(&db).await;
        let admin = app.admin().await;
        let jane = app.user("jane@example.com").await;
        let page = AdminPage::new().panel(Bad::Fails).panel(Bad::Panics).panel(Bad::Hangs).panel(Orders);
        let site = site(&app, page);
        let path = format!("/admin/ui/users/{}", jane.id);
        let shown = call(&site, "GET", &path).by(&admin).send().await;
        assert_eq!(shown.status, 200);
        assert_eq!(shown.text.matches("This cannot be shown now.").count(), 3);
        for part in ["Fails</h2>", "Panics</h2>", "Hangs</h2>", "1 &#60; 2", "Sessions</h2>", "History</h2>"] {
            assert!(shown.text.contains(part), "{part}");
        }
        assert!(!shown.text.contains("1234"), "an error is for the log");
    }

    async fn a_logo_and_styles_are_part_of_each_page(db: TestDatabase) {
        let app = App::with_cookies(&db).await;
        let page = AdminPage::new().title("Acme").logo("https://cdn.example/logo.svg").style(":root { --accent: #0a6b4d; }");
        let site = site(&app, page);
        let shown = call(&site, "GET", "/admin/ui/sign-in").send().await;
        assert!(shown.text.contains("<img src=\"https://cdn.example/logo.svg\""));
        let policy = shown.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.ends_with("img-src 'self' https://cdn.example"), "{policy}");
        let begin = shown.text.find("/admin/ui/assets/theme-").unwrap();
        let address = shown.text[begin..].split('"').next().unwrap();
        let theme = call(&site, "GET", address).send().await;
        assert_eq!((theme.status, theme.text.as_str()), (200, ":root { --accent: #0a6b4d; }"));
        assert_eq!(theme.headers["content-type"], "text/css; charset=utf-8");
        assert!(theme.headers["cache-control"].to_str().unwrap().contains("immutable"));
        assert_eq!(call(&site, "GET", &address.replace("theme-", "theme-0")).send().await.status, 404);
    }
}
