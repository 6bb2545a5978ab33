//! Sends one event to one URL, signed as the Standard Webhooks specification says.

mod options;
mod signature;
mod target;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::redirect::Policy;
use tokio::net::lookup_host;
use tokio::sync::Notify;
use tokio::time::Instant;

pub use options::WebhookOptions;
pub(crate) use signature::Secret;
pub(crate) use target::{check, origin};

use crate::model::events::Event;

/// How much of an answer is read, so that its connection can be used again. What it says is of no interest.
const ANSWER_BYTES: usize = 64 * 1024;
/// The longest time that a receiver can ask to be left alone.
const LONGEST_PAUSE: Duration = Duration::from_hours(24);

/// What came of an attempt to send an event.
#[derive(Debug)]
pub(crate) struct Answer {
    /// What the receiver answered; none if it did not.
    pub status: Option<u16>,
    /// Why it failed; none if the receiver took the event.
    pub error: Option<String>,
    /// How long the receiver wants to be left alone.
    pub retry_after: Option<Duration>,
    pub duration: Duration,
}

pub(crate) struct WebhookClient {
    /// Or why there is none: what each request fails with. A machine without certificates of authorities has none.
    client: std::result::Result<reqwest::Client, String>,
    options: WebhookOptions,
    /// Says that this process has created or changed a webhook.
    pub changed: Notify,
}

impl WebhookClient {
    pub(crate) fn new(options: WebhookOptions) -> Self {
        let client = reqwest::Client::builder()
            .user_agent(concat!("authfort/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            // A proxy would resolve names itself, to whatever address.
            .no_proxy()
            .referer(false)
            .http1_only()
            .timeout(options.timeout)
            .dns_resolver(Arc::new(Resolver { allow_private: options.allow_private_targets }))
            .build()
            .map_err(|error| causes(&error));
        Self { client, options, changed: Notify::new() }
    }

    pub(crate) fn options(&self) -> &WebhookOptions {
        &self.options
    }

    /// Sends an event, signed with each of the secrets. An attempt that fails is an answer, not an error.
    pub(crate) async fn send(&self, url: &str, secrets: &[Secret], event: &Event, now: DateTime<Utc>) -> Answer {
        let begin = Instant::now();
        let mut answer = Answer { status: None, error: None, retry_after: None, duration: Duration::ZERO };
        match self.post(url, secrets, event, now).await {
            Ok((status, retry_after)) => {
                answer.status = Some(status.as_u16());
                answer.retry_after = retry_after;
                if status.is_redirection() {
                    answer.error = Some(format!("the receiver answered {status}; redirects are not followed"));
                } else if !status.is_success() {
                    answer.error = Some(format!("the receiver answered {status}"));
                }
            }
            Err(error) => answer.error = Some(error),
        }
        answer.duration = begin.elapsed();
        answer
    }

    async fn post(
        &self,
        url: &str,
        secrets: &[Secret],
        event: &Event,
        now: DateTime<Utc>,
    ) -> std::result::Result<(reqwest::StatusCode, Option<Duration>), String> {
        // The options may have changed since it was created, and an address that is no name is not resolved.
        let url = target::parse(url, self.options.allow_private_targets).map_err(|fault| format!("the URL {fault}"))?;
        let body = serde_json::to_string(event).map_err(|error| error.to_string())?;
        let (id, timestamp) = (event.id.to_string(), now.timestamp());
        let signatures: Vec<String> = secrets.iter().map(|secret| secret.sign(&id, timestamp, &body)).collect();
        let request = self
            .client
            .as_ref()
            .map_err(Clone::clone)?
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp.to_string())
            .header("webhook-signature", signatures.join(" "))
            .body(body);
        let mut response = request.send().await.map_err(|error| causes(&error.without_url()))?;
        let mut read = 0;
        while let Ok(Some(part)) = response.chunk().await {
            read += part.len();
            if read > ANSWER_BYTES {
                break;
            }
        }
        Ok((response.status(), retry_after(response.headers(), now)))
    }
}

/// Reads `Retry-After` (RFC 9110, section 10.2.3): seconds, or a date.
fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let pause = match value.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => (DateTime::<Utc>::from(httpdate::parse_http_date(value).ok()?) - now).to_std().ok()?,
    };
    Some(pause.min(LONGEST_PAUSE))
}

/// An error with what caused it: the cause says what is wrong.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}

/// Resolves names to addresses that may be connected to. The connection goes to what was checked: another answer a moment
/// later changes nothing.
struct Resolver {
    allow_private: bool,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let allow_private = self.allow_private;
        Box::pin(async move {
            let found = lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<_> = found.filter(|found| allow_private || target::is_public(found.ip())).collect();
            if allowed.is_empty() {
                return Err("the name does not resolve to a public address".into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;

    use super::*;

    #[test]
    fn a_receiver_asks_for_a_pause_in_seconds_or_by_a_date() {
        let now = Utc.with_ymd_and_hms(2030, 1, 1, 12, 0, 0).unwrap();
        let pause = |value: &str| {
            retry_after(&HeaderMap::from_iter([(RETRY_AFTER, value.parse().unwrap())]), now)
                .map(|pause| pause.as_secs())
        };
        assert_eq!(pause("120"), Some(120));
        assert_eq!(pause("0"), Some(0));
        assert_eq!(pause("Tue, 01 Jan 2030 12:00:30 GMT"), Some(30));
        assert_eq!(pause("99999999999"), Some(86_400), "at most a day");
        for nothing in ["Tue, 01 Jan 2030 11:59:59 GMT", "soon", "-1", "1.5", ""] {
            assert_eq!(pause(nothing), None, "{nothing:?}");
        }
    }
}
