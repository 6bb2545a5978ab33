//! How webhooks are sent.

use std::time::Duration;

use crate::{Error, Result};

/// How webhooks are sent, for [`Builder::webhooks`](crate::Builder::webhooks). All processes of a service should agree.
///
/// | option | default | |
/// |---|---|---|
/// | `allow_private_targets(…)` | off | whether events may be sent to private, loopback and link-local addresses, and without TLS |
/// | `timeout(…)` | 15 seconds | how long the receiver may take for its answer, a millisecond to 5 minutes |
/// | `attempts(…)` | 30 | after how many failures an event is given up, 1 to 100 |
/// | `backoff(…)` | 5 seconds, 12 hours | the pause after the first failure, which doubles each time, and the longest one |
/// | `concurrency(…)` | 16 | how many requests run at once for one webhook, 1 to 1,000 |
/// | `switch_off_after(…)` | 3 days | for how long everything must fail until a webhook is switched off, a second to 30 days |
/// | `send(…)` | on | whether this process sends anything |
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
/// use authfort::WebhookOptions;
/// let options = WebhookOptions::new().timeout(std::time::Duration::from_secs(5));
/// # let builder = authfort::AuthFort::builder().algorithm(authfort::Algorithm::EdDsa);
/// let auth = builder.webhooks(options).connect("sqlite::memory:").await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct WebhookOptions {
    pub(crate) allow_private_targets: bool,
    pub(crate) timeout: Duration,
    pub(crate) attempts: u32,
    pub(crate) backoff: (Duration, Duration),
    pub(crate) concurrency: usize,
    pub(crate) switch_off_after: Duration,
    pub(crate) send: bool,
}

impl Default for WebhookOptions {
    fn default() -> Self {
        Self {
            allow_private_targets: false,
            timeout: Duration::from_secs(15),
            attempts: 30,
            backoff: (Duration::from_secs(5), Duration::from_hours(12)),
            concurrency: 16,
            switch_off_after: Duration::from_hours(72),
            send: true,
        }
    }
}

impl WebhookOptions {
    /// Returns the default options.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets whether events may be sent to private, loopback and link-local addresses, and to `http` URLs. Switch it on only if
    /// every administrator may reach whatever this process can reach.
    pub fn allow_private_targets(mut self, on: bool) -> Self {
        self.allow_private_targets = on;
        self
    }

    /// Sets how long the receiver may take for its answer.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets after how many failures an event is given up. It is a [dead letter](crate::AuthFort::list_dead_letters) then.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// Sets the pause after the first failure, and the longest one.
    pub fn backoff(mut self, first: Duration, longest: Duration) -> Self {
        self.backoff = (first, longest);
        self
    }

    /// Sets how many requests run at once for one webhook.
    pub fn concurrency(mut self, requests: usize) -> Self {
        self.concurrency = requests;
        self
    }

    /// Sets for how long everything must fail until a webhook is switched off.
    pub fn switch_off_after(mut self, time: Duration) -> Self {
        self.switch_off_after = time;
        self
    }

    /// Sets whether this process sends anything. Webhooks can be managed in any process.
    pub fn send(mut self, on: bool) -> Self {
        self.send = on;
        self
    }

    pub(crate) fn check(&self) -> Result<()> {
        let second = Duration::from_secs(1);
        let (first, longest) = self.backoff;
        for (is_valid, rule) in [
            (
                (second / 1_000..=second * 300).contains(&self.timeout),
                "timeout must be between a millisecond and 5 minutes",
            ),
            ((1..=100).contains(&self.attempts), "attempts must be between 1 and 100"),
            ((1..=1_000).contains(&self.concurrency), "concurrency must be between 1 and 1,000"),
            (
                (second..=second * 86_400 * 30).contains(&self.switch_off_after),
                "switch_off_after must be between a second and 30 days",
            ),
            (
                first <= longest && longest <= second * 86_400 * 7,
                "backoff must be at most a week, and the first pause not longer than the longest",
            ),
        ] {
            if !is_valid {
                return Err(Error::config("webhooks", rule));
            }
        }
        Ok(())
    }
}
