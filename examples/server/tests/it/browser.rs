//! A real browser without a window: Debian's `chromium`, driven by its `chromium-driver`.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
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

/// How often a test looks whether something has come.
const PERIOD: Duration = Duration::from_millis(20);

/// A browser, which is closed on drop.
pub struct Browser {
    pub client: Client,
    driver: Child,
    port: u16,
    session: String,
    _profile: Folder,
    _place: SemaphorePermit<'static>,
}

impl Browser {
    pub async fn start() -> Self {
        Self::of(PLACES.acquire().await.unwrap(), true).await
    }

    /// Starts two browsers. Two tests that each held one place and waited for another would wait for good.
    pub async fn start_two() -> (Self, Self) {
        let mut places = PLACES.acquire_many(2).await.unwrap();
        let second = places.split(1).unwrap();
        (Self::of(places, true).await, Self::of(second, true).await)
    }

    /// Starts a browser that runs no script.
    pub async fn start_without_script() -> Self {
        Self::of(PLACES.acquire().await.unwrap(), false).await
    }

    async fn of(place: SemaphorePermit<'static>, runs_script: bool) -> Self {
        let profile = Folder::new().await;
        let (driver, port) = driver();
        let mut args = vec![format!("--user-data-dir={}", profile.path().join("profile").display())];
        // The sandbox cannot be had as root. Nothing but the page's own server is asked.
        let quiet = "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --disable-quic --no-first-run \
             --disable-background-networking --disable-component-update --disable-sync --disable-extensions --disable-default-apps --no-default-browser-check --lang=en --window-size=1280,900";
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
        let client = client.expect("a browser");
        let session = client.session_id().await.unwrap().expect("a session");
        Self { client, driver, port, session, _profile: profile, _place: place }
    }

    /// Opens a page.
    pub async fn go(&self, url: &str) {
        self.client.goto(url).await.unwrap();
    }

    /// Waits for an element.
    pub async fn find(&self, css: &str) -> Element {
        let found = self.client.wait().at_most(TIMEOUT).every(PERIOD).for_element(Locator::Css(css)).await;
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
            tokio::time::sleep(PERIOD).await;
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
        let entries = entries.as_array().unwrap().iter().filter(|entry| entry["level"] == "SEVERE");
        let entries = entries.map(|entry| entry["message"].as_str().unwrap().to_owned());
        // A refusal is an answer like others.
        entries
            .filter(|entry| !entry.contains("Failed to load resource: the server responded with a status of"))
            .collect()
    }
}

impl Browser {
    /// Ends the browser, which outlives its driver otherwise.
    fn quit(&self) -> io::Result<()> {
        let mut driver = TcpStream::connect(("127.0.0.1", self.port))?;
        let head = "HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
        write!(driver, "DELETE /session/{} {head}", self.session)?;
        // It answers when the browser has ended, and may leave the connection open.
        driver.set_read_timeout(Some(TIMEOUT))?;
        driver.read(&mut [0; 512]).map(drop)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let ended = self.quit();
        drop(self.driver.kill());
        drop(self.driver.wait());
        if !thread::panicking() {
            ended.expect("the browser ends");
        }
    }
}

/// Starts a driver, and returns it with its port. It takes a port that is free for one version of IP, and gives up if another
/// program has it for the other version.
fn driver() -> (Child, u16) {
    for _ in 0..5 {
        let mut driver = Command::new("chromedriver");
        driver.arg("--port=0").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut driver = driver.spawn().unwrap_or_else(|error| {
            panic!(
                "chromedriver cannot be started ({error}); on Debian or Ubuntu: apt-get install chromium chromium-driver"
            )
        });
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines().map_while(Result::ok);
        if let Some(line) = lines.find(|line| line.contains("started successfully on port")) {
            thread::spawn(move || lines.for_each(drop));
            return (driver, line.trim_end_matches('.').rsplit(' ').next().unwrap().parse().unwrap());
        }
        driver.wait().unwrap();
    }
    panic!("chromedriver does not start");
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
