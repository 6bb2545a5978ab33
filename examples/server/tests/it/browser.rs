//! A real browser without a window: Debian's `chromium`, driven by its `chromium-driver`.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use fantoccini::actions::{Actions, InputSource, KeyAction, KeyActions};
use fantoccini::elements::Element;
use fantoccini::key::Key;
use fantoccini::wd::{Capabilities, WebDriverCompatibleCommand};
use fantoccini::{Client, ClientBuilder, Locator};
use http::Method;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, SemaphorePermit};
use url::{ParseError, Url};

use crate::support::{Folder, TIMEOUT};

/// A browser takes a processor to itself.
static PLACES: Semaphore = Semaphore::const_new(2);

/// A browser, which is closed on drop.
pub struct Browser {
    pub client: Client,
    driver: Child,
    _profile: Folder,
    _place: SemaphorePermit<'static>,
}

impl Browser {
    pub async fn start() -> Self {
        Self::of(true).await
    }

    /// Starts a browser that runs no script.
    pub async fn start_without_script() -> Self {
        Self::of(false).await
    }

    async fn of(runs_script: bool) -> Self {
        let place = PLACES.acquire().await.unwrap();
        let profile = Folder::new().await;
        let mut driver = Command::new("chromedriver");
        driver.arg("--port=0").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut driver = driver.spawn().unwrap_or_else(|error| {
            panic!("chromedriver cannot be started ({error}); on Debian or Ubuntu: apt-get install chromium chromium-driver")
        });
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines().map_while(Result::ok);
        let started = lines.find(|line| line.contains("started successfully on port")).expect("chromedriver starts");
        thread::spawn(move || lines.for_each(drop));
        let port = started.trim_end_matches('.').rsplit(' ').next().unwrap().to_owned();
        let mut args = vec![format!("--user-data-dir={}", profile.path().join("profile").display())];
        // The sandbox cannot be had as root. Nothing but the page's own server is asked.
        let quiet = "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --disable-quic --no-first-run \
             --disable-background-networking --disable-component-update --disable-sync --lang=en --window-size=1280,900";
        args.extend(quiet.split_whitespace().map(str::to_owned));
        let scripts = if runs_script { 1 } else { 2 };
        let options = json!({
            "args": args,
            "prefs": { "profile.managed_default_content_settings.javascript": scripts },
        });
        let mut capabilities = Capabilities::new();
        capabilities.insert("goog:chromeOptions".into(), options);
        capabilities.insert("goog:loggingPrefs".into(), json!({ "browser": "ALL" }));
        // A dialog is left open, so that a test sees it.
        capabilities.insert("unhandledPromptBehavior".into(), json!("ignore"));
        let mut builder = ClientBuilder::new(HttpConnector::new());
        let client = builder.capabilities(capabilities).connect(&format!("http://127.0.0.1:{port}")).await;
        Self { client: client.expect("a browser"), driver, _profile: profile, _place: place }
    }

    /// Opens a page.
    pub async fn go(&self, url: &str) {
        self.client.goto(url).await.unwrap();
    }

    /// Waits for an element.
    pub async fn find(&self, css: &str) -> Element {
        let found = self.client.wait().at_most(TIMEOUT).for_element(Locator::Css(css)).await;
        match found {
            Ok(found) => found,
            Err(error) => panic!("no {css} ({error}) at {} in {}", self.url().await, self.text().await),
        }
    }

    pub async fn has(&self, css: &str) -> bool {
        !self.client.find_all(Locator::Css(css)).await.unwrap().is_empty()
    }

    pub async fn click(&self, css: &str) {
        self.find(css).await.click().await.unwrap();
    }

    /// Types into a field, which is emptied before.
    pub async fn fill(&self, css: &str, text: &str) {
        let field = self.find(css).await;
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// Chooses an option of a select by its value.
    pub async fn choose(&self, css: &str, value: &str) {
        self.find(css).await.select_by_value(value).await.unwrap();
    }

    /// Presses keys wherever the focus is.
    pub async fn press(&self, keys: &[char]) {
        let mut actions = KeyActions::new("keyboard".into());
        for key in keys {
            actions = actions.then(KeyAction::Down { value: *key }).then(KeyAction::Up { value: *key });
        }
        self.client.perform_actions(Actions::from(actions)).await.unwrap();
    }

    pub async fn press_key(&self, key: Key) {
        self.press(&[char::from(key)]).await;
    }

    /// The whole text of the page, as it is shown.
    pub async fn text(&self) -> String {
        self.run("return document.body.innerText").await.as_str().unwrap_or_default().to_owned()
    }

    pub async fn url(&self) -> String {
        self.client.current_url().await.unwrap().to_string()
    }

    pub async fn run(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.unwrap()
    }

    /// Waits until the page shows a text.
    pub async fn see(&self, text: &str) {
        self.until(&format!("`{text}`"), async || self.text().await.contains(text)).await;
    }

    /// Waits until something holds.
    pub async fn until(&self, what: &str, holds: impl AsyncFn() -> bool) {
        let began = Instant::now();
        while !holds().await {
            assert!(began.elapsed() < TIMEOUT, "no {what} at {}: {}", self.url().await, self.text().await);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Shows the page in another theme and size, in CSS pixels.
    pub async fn emulate(&self, theme: &str, (width, height): (u32, u32)) {
        let theme = json!({ "features": [{ "name": "prefers-color-scheme", "value": theme }] });
        self.client.issue_cmd(Extra::Devtools("Emulation.setEmulatedMedia", theme)).await.unwrap();
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.client.issue_cmd(Extra::Devtools("Emulation.setDeviceMetricsOverride", size)).await.unwrap();
    }

    /// What the browser has complained of: errors of scripts, and what the policy of the page forbids.
    pub async fn complaints(&self) -> Vec<String> {
        let entries = self.client.issue_cmd(Extra::Log).await.unwrap();
        let entries = entries.as_array().unwrap().iter().map(|entry| entry["message"].as_str().unwrap().to_owned());
        // A refusal is an answer like others.
        entries
            .filter(|entry| !entry.contains("Failed to load resource: the server responded with a status of 4"))
            .collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver ends its browsers when it is told to end, and leaves them when it is killed.
        let told = Command::new("kill").args(["-TERM", &self.driver.id().to_string()]).status();
        if told.is_err() {
            drop(self.driver.kill());
        }
        drop(self.driver.wait());
    }
}

/// Commands of Chromium's own.
#[derive(Debug)]
enum Extra {
    /// The log of the page's console.
    Log,
    /// A command of the developer tools, with its parameters.
    Devtools(&'static str, Value),
}

impl WebDriverCompatibleCommand for Extra {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        let path = match self {
            Self::Log => "se/log",
            Self::Devtools(..) => "goog/cdp/execute",
        };
        base.join(&format!("session/{}/{path}", session.unwrap()))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        let body = match self {
            Self::Log => json!({ "type": "browser" }),
            Self::Devtools(command, parameters) => json!({ "cmd": command, "params": parameters }),
        };
        (Method::POST, Some(body.to_string()))
    }
}
