//! Webhooks, with a real receiver.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use authfort::secrecy::{ExposeSecret, SecretString};
use authfort::{AuthFort, Clock, DeliveryStatus, Event, EventId, UserId, WebhookId, WebhookOptions};
use authfort_testkit::{TestDatabase, both_engines};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::TimeDelta;
use serde_json::Value;
use standardwebhooks::Webhook as Verifier;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::raw::Raw;
use crate::support::{builder, clock, until};

/// A request that is late by this much never comes.
const TIMEOUT: Duration = Duration::from_secs(30);
const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);

/// A request that came in.
#[derive(Debug, Clone)]
struct Request {
    headers: HeaderMap,
    body: Bytes,
    at: Instant,
}

impl Request {
    fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    fn id(&self) -> EventId {
        self.header("webhook-id").parse().unwrap()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn kind(&self) -> String {
        self.json()["type"].as_str().unwrap().to_owned()
    }

    /// Whether one of its signatures is of this secret, as the library of the specification computes it.
    fn is_signed_with(&self, secret: &SecretString) -> bool {
        let timestamp = self.header("webhook-timestamp").parse().unwrap();
        let verifier = Verifier::new(secret.expose_secret()).unwrap();
        let expected = verifier.sign(self.header("webhook-id"), timestamp, &self.body).unwrap();
        self.header("webhook-signature").split(' ').any(|signature| signature == expected)
    }
}

type Answers = Arc<Mutex<Box<dyn Fn(&Request) -> Response + Send>>>;

/// A receiver on a port of this machine.
struct Receiver {
    url: String,
    requests: Arc<watch::Sender<Vec<Request>>>,
    answers: Answers,
    server: JoinHandle<()>,
}

impl Receiver {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hooks?token=of-the-url", listener.local_addr().unwrap());
        let requests = Arc::new(watch::Sender::new(Vec::new()));
        let answers: Answers = Arc::new(Mutex::new(Box::new(|_| StatusCode::NO_CONTENT.into_response())));
        let app = Router::new().fallback(take).with_state((Arc::clone(&requests), Arc::clone(&answers)));
        let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, requests, answers, server }
    }

    fn answer<R: IntoResponse>(&self, answer: impl Fn(&Request) -> R + Send + 'static) {
        *self.answers.lock().unwrap() = Box::new(move |request| answer(request).into_response());
    }

    /// The requests so far, as soon as there are so many.
    async fn requests(&self, count: usize) -> Vec<Request> {
        let mut requests = self.requests.subscribe();
        let requests = timeout(TIMEOUT, requests.wait_for(|requests| requests.len() >= count)).await;
        requests.unwrap_or_else(|_| panic!("{} of {count}", self.requests.borrow().len())).unwrap().clone()
    }

    /// The first request about a user who was just created.
    async fn about(&self, name: &str) -> Request {
        let is_about = |request: &Request| request.json()["data"]["email"] == format!("{name}@example.com");
        let mut requests = self.requests.subscribe();
        let found = timeout(TIMEOUT, requests.wait_for(|requests| requests.iter().any(is_about)));
        found.await.unwrap().unwrap().iter().find(|request| is_about(request)).unwrap().clone()
    }

    async fn last_test(&self) -> Request {
        self.requests(0).await.into_iter().rfind(|request| request.kind() == "webhook_test").unwrap()
    }

    async fn kinds(&self, count: usize) -> Vec<String> {
        self.requests(count).await.iter().map(Request::kind).collect()
    }

    fn len(&self) -> usize {
        self.requests.borrow().len()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn take(
    State((requests, answers)): State<(Arc<watch::Sender<Vec<Request>>>, Answers)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let request = Request { headers, body, at: Instant::now() };
    let answer = answers.lock().unwrap()(&request);
    requests.send_modify(|requests| requests.push(request));
    answer
}

/// Options with which events are sent to this machine, and again soon.
fn options() -> WebhookOptions {
    WebhookOptions::new().allow_private_targets(true).backoff(MILLISECOND, 500 * MILLISECOND).attempts(100)
}

async fn service(db: &TestDatabase, clock: &Clock, options: WebhookOptions) -> AuthFort {
    builder(clock).webhooks(options).connect(db.url()).await.unwrap()
}

async fn create(auth: &AuthFort, name: &str) -> UserId {
    auth.create_user(format!("{name}@example.com")).await.unwrap().id
}

/// A webhook for what happens to users.
async fn webhook(auth: &AuthFort, receiver: &Receiver) -> WebhookId {
    let call = auth.create_webhook(&receiver.url).r#type("user_created").r#type("user_banned").r#type("user_deleted");
    call.await.unwrap().webhook.id
}

async fn events(auth: &AuthFort, kind: &str) -> Vec<Event> {
    auth.list_events().r#type(kind).await.unwrap().events
}

both_engines! {
    async fn events_are_sent_signed_as_the_log_has_them(db: TestDatabase) {
        // The library of the specification asks the system for the time.
        let auth = service(&db, &Clock::system(), options()).await;
        let receiver = Receiver::start().await;
        let new = auth.create_webhook(&receiver.url).r#type("user_created").await.unwrap();
        let jane = auth.create_user("jane@example.com").name("Jané \u{1f600}").await.unwrap().id;
        auth.ban_user(jane).await.unwrap();
        create(&auth, "john").await;

        let requests = receiver.requests(2).await;
        let request = &receiver.about("jane").await;
        let verifier = Verifier::new(new.secret.expose_secret()).unwrap();
        verifier.verify(&request.body, &request.headers).unwrap();
        assert!(verifier.verify(&request.body[1..], &request.headers).is_err());
        let event = events(&auth, "user_created").await.pop().unwrap();
        assert_eq!(request.id(), event.id);
        assert_eq!(request.json(), serde_json::to_value(&event).unwrap());
        assert_eq!(request.header("content-type"), "application/json");
        assert_eq!(requests.iter().map(Request::kind).collect::<Vec<_>>(), ["user_created", "user_created"]);

        let id = new.webhook.id;
        until("both are noted", async || auth.list_webhook_deliveries(id).await.unwrap().deliveries.len() == 2).await;
        let first = auth.list_webhook_deliveries(id).limit(1).await.unwrap();
        let second = auth.list_webhook_deliveries(id).before(first.next_cursor.unwrap()).await.unwrap();
        assert_eq!(second.next_cursor, None);
        let delivery = &second.deliveries[0];
        assert_eq!((delivery.event_id, delivery.r#type.as_str()), (event.id, "user_created"));
        assert_eq!((delivery.status, delivery.attempts), (DeliveryStatus::Delivered, 1));
        assert_eq!((delivery.response_status, delivery.error.as_deref()), (Some(204), None));
        auth.close().await;
    }

    async fn what_failed_comes_again_with_the_same_id_and_in_order(db: TestDatabase) {
        let auth = service(&db, &clock(), options()).await;
        let receiver = Receiver::start().await;
        receiver.answer(|_| StatusCode::INTERNAL_SERVER_ERROR);
        let id = webhook(&auth, &receiver).await;
        for name in ["anna", "bert", "carl"] {
            let user = create(&auth, name).await;
            auth.ban_user(user).await.unwrap();
            auth.delete_user(user).await.unwrap();
        }
        // It is down for a while.
        receiver.requests(20).await;
        let webhook = auth.get_webhook(id).await.unwrap();
        assert!(webhook.failing_since.is_some() && webhook.enabled);
        let down = receiver.len();
        receiver.answer(|_| StatusCode::OK);
        until("everything is delivered", async || {
            let page = auth.list_webhook_deliveries(id).await.unwrap();
            page.deliveries.len() == 9 && page.deliveries.iter().all(|one| one.status == DeliveryStatus::Delivered)
        }).await;
        assert_eq!(auth.get_webhook(id).await.unwrap().failing_since, None);
        let requests = receiver.requests(0).await;
        let mut users: BTreeMap<String, Vec<(EventId, String)>> = BTreeMap::new();
        for request in &requests {
            let events = users.entry(request.json()["user_id"].as_str().unwrap().to_owned()).or_default();
            if events.iter().all(|(known, _)| *known != request.id()) {
                events.push((request.id(), request.kind()));
            }
        }
        assert!(requests.len() > down && users.len() == 3);
        for (user, events) in users {
            let kinds: Vec<_> = events.iter().map(|(_, kind)| kind.as_str()).collect();
            assert_eq!(kinds, ["user_created", "user_banned", "user_deleted"], "{user}");
        }
        let deliveries = auth.list_webhook_deliveries(id).await.unwrap().deliveries;
        assert!(deliveries.iter().any(|delivery| delivery.attempts > 1));
        auth.close().await;
    }

    async fn one_user_s_failure_holds_up_nobody_else(db: TestDatabase) {
        let auth = service(&db, &clock(), options()).await;
        let receiver = Receiver::start().await;
        let id = webhook(&auth, &receiver).await;
        receiver.answer(|request| {
            if request.json()["data"]["email"] == "anna@example.com" { StatusCode::BAD_REQUEST } else { StatusCode::OK }
        });
        create(&auth, "anna").await;
        let bert = create(&auth, "bert").await;
        auth.delete_user(bert).await.unwrap();
        until("the others are delivered", async || {
            let page = auth.list_webhook_deliveries(id).await.unwrap();
            page.deliveries.iter().filter(|one| one.status == DeliveryStatus::Delivered).count() == 2
        }).await;
        let page = auth.list_webhook_deliveries(id).await.unwrap();
        let anna = page.deliveries.last().unwrap();
        assert_eq!((anna.status, anna.response_status), (DeliveryStatus::Pending, Some(400)));
        assert_eq!(anna.error.as_deref(), Some("the receiver answered 400 Bad Request"));
        auth.close().await;
    }

    async fn a_receiver_that_is_gone_switches_its_webhook_off(db: TestDatabase) {
        let auth = service(&db, &clock(), options()).await;
        let receiver = Receiver::start().await;
        receiver.answer(|_| StatusCode::GONE);
        let id = webhook(&auth, &receiver).await;
        create(&auth, "anna").await;
        until("it is off", async || !auth.get_webhook(id).await.unwrap().enabled).await;
        assert_eq!(auth.get_webhook(id).await.unwrap().disabled_reason.as_deref(), Some("gone"));
        let event = events(&auth, "webhook_disabled").await.pop().unwrap();
        assert_eq!((event.data["webhook_id"].as_str(), event.data["reason"].as_str()), (Some(&*id.to_string()), Some("gone")));
        create(&auth, "bert").await;

        // It keeps its place.
        receiver.answer(|_| StatusCode::OK);
        let webhook = auth.update_webhook(id).enabled(true).await.unwrap();
        assert_eq!((webhook.enabled, webhook.disabled_reason), (true, None));
        until("both are delivered", async || {
            let page = auth.list_webhook_deliveries(id).await.unwrap();
            page.deliveries.len() == 2 && page.deliveries.iter().all(|one| one.status == DeliveryStatus::Delivered)
        }).await;
        auth.close().await;
    }

    async fn a_webhook_that_fails_for_days_is_switched_off(db: TestDatabase) {
        let clock = clock();
        let auth = service(&db, &clock, options()).await;
        let receiver = Receiver::start().await;
        receiver.answer(|_| StatusCode::BAD_GATEWAY);
        let id = webhook(&auth, &receiver).await;
        create(&auth, "anna").await;
        until("it fails", async || auth.get_webhook(id).await.unwrap().failing_since.is_some()).await;
        clock.advance(TimeDelta::hours(71));
        let many = receiver.len();
        receiver.requests(many + 3).await;
        assert!(auth.get_webhook(id).await.unwrap().enabled);
        clock.advance(TimeDelta::hours(1));
        until("it is off", async || !auth.get_webhook(id).await.unwrap().enabled).await;
        assert_eq!(auth.get_webhook(id).await.unwrap().disabled_reason.as_deref(), Some("failing"));
        assert_eq!(events(&auth, "webhook_disabled").await.len(), 1);
        auth.close().await;
    }

    async fn a_receiver_that_wants_a_pause_gets_it_for_all_events(db: TestDatabase) {
        let auth = service(&db, &clock(), options()).await;
        let receiver = Receiver::start().await;
        receiver.answer(|_| (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "2")]));
        let id = webhook(&auth, &receiver).await;
        create(&auth, "anna").await;
        receiver.requests(1).await;
        receiver.answer(|_| StatusCode::OK);
        until("it is noted", async || !auth.list_webhook_deliveries(id).await.unwrap().deliveries.is_empty()).await;
        create(&auth, "bert").await;
        let requests = receiver.requests(3).await;
        for later in &requests[1..] {
            assert!(later.at - requests[0].at >= 2 * SECOND, "{:?}", later.at - requests[0].at);
        }
        auth.close().await;
    }

    async fn both_secrets_are_valid_for_a_day(db: TestDatabase) {
        let clock = clock();
        let auth = service(&db, &clock, options()).await;
        let receiver = Receiver::start().await;
        let new = auth.create_webhook(&receiver.url).r#type("user_created").await.unwrap();
        let (id, first) = (new.webhook.id, new.secret);
        create(&auth, "anna").await;
        let request = receiver.requests(1).await.pop().unwrap();
        assert!(request.is_signed_with(&first));

        let second = auth.rotate_webhook_secret(id).await.unwrap();
        let expires_at = auth.get_webhook(id).await.unwrap().previous_secret_expires_at;
        assert_eq!(expires_at, Some(clock.now() + TimeDelta::hours(24)));
        assert_eq!(events(&auth, "webhook_updated").await[0].data["fields"], serde_json::json!(["secret"]));
        let attempt = auth.test_webhook(id).await.unwrap();
        assert!(attempt.succeeded, "{attempt:?}");
        let request = receiver.last_test().await;
        assert!(request.is_signed_with(&first) && request.is_signed_with(&second));
        // The subscriber learns of it too.
        let mut users = 0;
        loop {
            users += 1;
            let name = format!("user{users}");
            create(&auth, &name).await;
            if receiver.about(&name).await.is_signed_with(&second) {
                break;
            }
        }

        clock.advance(TimeDelta::hours(24));
        create(&auth, "later").await;
        let request = receiver.about("later").await;
        assert!(!request.is_signed_with(&first) && request.is_signed_with(&second));
        assert_eq!(auth.get_webhook(id).await.unwrap().previous_secret_expires_at, None);

        let third = auth.rotate_webhook_secret(id).await.unwrap();
        let fourth = auth.rotate_webhook_secret(id).await.unwrap();
        auth.test_webhook(id).await.unwrap();
        let request = receiver.last_test().await;
        assert!(!request.is_signed_with(&second) && request.is_signed_with(&third) && request.is_signed_with(&fourth));
        auth.close().await;
    }

    async fn an_event_can_be_sent_again(db: TestDatabase) {
        let auth = service(&db, &clock(), options().attempts(1)).await;
        let receiver = Receiver::start().await;
        let id = webhook(&auth, &receiver).await;
        let anna = create(&auth, "anna").await;
        let sent = receiver.requests(1).await[0].id();
        until("it is noted", async || !auth.list_webhook_deliveries(id).await.unwrap().deliveries.is_empty()).await;
        auth.redeliver_webhook(id, sent).await.unwrap();
        assert_eq!(receiver.requests(2).await[1].id(), sent);

        // One that was given up; the later ones were sent without it.
        receiver.answer(|request| if request.kind() == "user_banned" { StatusCode::BAD_REQUEST } else { StatusCode::OK });
        auth.ban_user(anna).await.unwrap();
        auth.delete_user(anna).await.unwrap();
        assert_eq!(receiver.kinds(4).await, ["user_created", "user_created", "user_banned", "user_deleted"]);
        let status = async |kind: &str| {
            let page = auth.list_webhook_deliveries(id).await.unwrap();
            page.deliveries.into_iter().find(|one| one.r#type == kind).map(|one| (one.status, one.event_id))
        };
        until("it is given up", async || status("user_banned").await.is_some_and(|(status, _)| status == DeliveryStatus::Failed)).await;
        assert_eq!(auth.get_webhook(id).await.unwrap().dead, 1);
        receiver.answer(|_| StatusCode::OK);
        let (_, banned) = status("user_banned").await.unwrap();
        auth.redeliver_webhook(id, banned).await.unwrap();
        assert_eq!(receiver.requests(5).await[4].id(), banned);
        until("it is delivered", async || status("user_banned").await == Some((DeliveryStatus::Delivered, banned))).await;
        assert_eq!(auth.get_webhook(id).await.unwrap().dead, 0);

        let unknown: EventId = "0198c0de-0000-7000-8000-000000000001".parse().unwrap();
        assert_eq!(auth.redeliver_webhook(id, unknown).await.unwrap_err().code(), "event_not_found");
        let missing = WebhookId(unknown.0);
        assert_eq!(auth.redeliver_webhook(missing, banned).await.unwrap_err().code(), "webhook_not_found");
        auth.close().await;
    }

    async fn a_webhook_is_read_changed_and_deleted(db: TestDatabase) {
        let auth = service(&db, &clock(), options()).await;
        let (one, other) = (Receiver::start().await, Receiver::start().await);
        let id = webhook(&auth, &one).await;
        let same = auth.update_webhook(id).url(&one.url).enabled(true).await.unwrap();
        assert_eq!(same.updated_at, same.created_at);
        assert!(events(&auth, "webhook_updated").await.is_empty(), "nothing has changed");
        let webhook = auth.update_webhook(id).url(&other.url).types(["user_deleted"]).description("CRM").await.unwrap();
        assert_eq!((webhook.url.as_str(), webhook.description.as_deref()), (other.url.as_str(), Some("CRM")));
        assert_eq!(webhook.types, ["user_deleted"]);
        let event = events(&auth, "webhook_updated").await.pop().unwrap();
        assert_eq!(event.data["fields"], serde_json::json!(["url", "description", "types"]));
        assert!(!event.data["origin"].as_str().unwrap().contains("token"), "{event:?}");
        until("the change arrives", async || {
            let user = create(&auth, "anna").await;
            auth.delete_user(user).await.unwrap();
            sleep(20 * MILLISECOND).await;
            other.len() > 0
        }).await;
        assert!(other.kinds(1).await.iter().all(|kind| kind == "user_deleted"));
        assert_eq!(auth.update_webhook(id).clear_description().await.unwrap().description, None);

        assert_eq!(auth.delete_subscription(webhook.subscription.as_str()).await.unwrap_err().code(), "validation_failed");
        auth.delete_webhook(id).await.unwrap();
        assert_eq!(auth.list_webhooks().await.unwrap(), []);
        assert_eq!(auth.list_subscriptions().await.unwrap(), []);
        assert_eq!(events(&auth, "webhook_deleted").await.len(), 1);
        for error in [
            auth.get_webhook(id).await.unwrap_err(),
            auth.update_webhook(id).await.unwrap_err(),
            auth.delete_webhook(id).await.unwrap_err(),
            auth.rotate_webhook_secret(id).await.unwrap_err(),
            auth.test_webhook(id).await.unwrap_err(),
            auth.list_webhook_deliveries(id).await.unwrap_err(),
        ] {
            assert_eq!(error.code(), "webhook_not_found");
        }
        auth.close().await;
    }

    async fn no_event_of_a_type_that_was_added_is_missed(db: TestDatabase) {
        let auth = service(&db, &clock(), options()).await;
        let receiver = Receiver::start().await;
        let id = auth.create_webhook(&receiver.url).r#type("user_banned").await.unwrap().webhook.id;
        let mut wanted = Vec::new();
        for n in 0..10 {
            auth.update_webhook(id).types(["user_banned", "user_created"]).await.unwrap();
            wanted.push(create(&auth, &format!("user{n}")).await.to_string());
            let got = async || {
                let requests = receiver.requests(0).await;
                wanted.iter().all(|user| requests.iter().any(|request| request.json()["user_id"] == *user))
            };
            until("it arrives", got).await;
            auth.update_webhook(id).types(["user_banned"]).await.unwrap();
        }
        auth.close().await;
    }

    async fn input_that_is_not_acceptable_is_refused(db: TestDatabase) {
        let auth = service(&db, &clock(), options()).await;
        let url = "https://example.com/hooks";
        for (call, field) in [
            (auth.create_webhook("example.com"), "url"),
            (auth.create_webhook("https://user:password@example.com/"), "url"),
            (auth.create_webhook(url).r#type("user_exploded"), "types"),
            (auth.create_webhook(url).description("a\0b"), "description"),
            (auth.create_webhook(url).description(""), "description"),
        ] {
            let error = call.await.unwrap_err();
            assert!(error.to_string().contains(&format!("{field}:")), "{error}");
        }
        for n in 0..100 {
            auth.create_webhook(format!("https://example.com/{n}")).enabled(false).await.unwrap();
        }
        assert_eq!(auth.create_webhook(url).await.unwrap_err().code(), "validation_failed");
        assert_eq!(auth.list_webhooks().await.unwrap().len(), 100);
        auth.close().await;
    }

    async fn another_process_goes_on(db: TestDatabase) {
        let (first, second) = (service(&db, &clock(), options()).await, service(&db, &clock(), options()).await);
        let receiver = Receiver::start().await;
        let id = webhook(&first, &receiver).await;
        let mut wanted = Vec::new();
        for n in 0..10 {
            create(&first, &format!("user{n}")).await;
        }
        receiver.requests(10).await;
        first.close().await;
        for n in 10..20 {
            create(&second, &format!("user{n}")).await;
        }
        for event in second.list_events().r#type("user_created").limit(200).await.unwrap().events {
            wanted.push(event.id);
        }
        until("everything arrives", async || {
            let got = receiver.requests(0).await;
            wanted.iter().all(|id| got.iter().any(|request| request.id() == *id))
        }).await;
        assert_eq!(second.get_webhook(id).await.unwrap().dead, 0);
        second.close().await;
    }

    async fn a_secret_that_comes_later_encrypts_those_of_webhooks_at_the_next_start(db: TestDatabase) {
        let auth = service(&db, &clock(), options()).await;
        let receiver = Receiver::start().await;
        let new = auth.create_webhook(&receiver.url).enabled(false).await.unwrap();
        let second = auth.rotate_webhook_secret(new.webhook.id).await.unwrap();
        auth.close().await;
        let raw = Raw::open(&db, 1).await;
        let sealed = "SELECT count(*) FROM authfort_webhooks WHERE secret LIKE 'v1.%' AND previous_secret LIKE 'v1.%'";
        assert_eq!(raw.number(sealed).await, 0);
        let secret = "an application secret of 40 bytes length";
        let auth = builder(&clock()).secret(secret).webhooks(options()).connect(db.url()).await.unwrap();
        assert_eq!(raw.number(sealed).await, 1);
        assert!(auth.test_webhook(new.webhook.id).await.unwrap().succeeded);
        let request = receiver.requests(1).await.pop().unwrap();
        assert!(request.is_signed_with(&new.secret) && request.is_signed_with(&second));
        auth.close().await;
    }

    async fn secrets_are_encrypted_and_nowhere_else(db: TestDatabase) {
        let clock = clock();
        let secret = "an application secret of 40 bytes length";
        let auth = builder(&clock).secret(secret).webhooks(options()).connect(db.url()).await.unwrap();
        let receiver = Receiver::start().await;
        let new = auth.create_webhook(&receiver.url).await.unwrap();
        let id = new.webhook.id;
        let text = new.secret.expose_secret().trim_start_matches("whsec_").to_owned();
        assert!(!format!("{new:?}").contains(&text) && !format!("{new:?}").contains("of-the-url"));
        let raw = Raw::open(&db, 1).await;
        let clear = format!("SELECT count(*) FROM authfort_webhooks WHERE secret LIKE '%{text}%' OR secret NOT LIKE 'v1.%'");
        assert_eq!(raw.number(clear).await, 0);
        assert_eq!(raw.number("SELECT count(*) FROM authfort_webhooks").await, 1);
        for event in auth.list_events().await.unwrap().events {
            let event = serde_json::to_string(&event).unwrap();
            assert!(!event.contains(&text) && !event.contains("of-the-url"), "{event}");
        }
        auth.close().await;
        // Another process has it, but not one with another secret.
        let other = builder(&clock).secret(secret).webhooks(options()).connect(db.url()).await.unwrap();
        let many = receiver.len();
        assert!(other.test_webhook(id).await.unwrap().succeeded);
        assert!(receiver.requests(many + 1).await[many].is_signed_with(&new.secret));
        other.close().await;
    }
}

#[tokio::test]
async fn nothing_is_sent_into_the_own_network() {
    let receiver = Receiver::start().await;
    let auth = builder(&clock()).connect("sqlite::memory:").await.unwrap();
    let port = receiver.url.split([':', '/']).nth(4).unwrap().to_owned();
    let error = auth.create_webhook(format!("https://127.0.0.1:{port}/")).await.unwrap_err();
    assert!(error.to_string().contains("loopback"), "{error}");
    assert_eq!(auth.create_webhook(&receiver.url).await.unwrap_err().code(), "validation_failed", "no TLS");
    // A name, whatever it resolves to, and whenever.
    let id = auth.create_webhook(format!("https://localhost:{port}/")).await.unwrap().webhook.id;
    let attempt = auth.test_webhook(id).await.unwrap();
    assert!(!attempt.succeeded && attempt.response_status.is_none());
    assert!(attempt.error.as_ref().unwrap().contains("does not resolve to a public address"), "{attempt:?}");
    auth.close().await;
}

#[tokio::test]
async fn what_is_allowed_can_be_forbidden_later() {
    let directory = authfort_testkit::TestDatabase::create(authfort_testkit::Engine::Sqlite).await;
    let receiver = Receiver::start().await;
    let auth = service(&directory, &clock(), options()).await;
    let id = webhook(&auth, &receiver).await;
    auth.close().await;
    let auth = builder(&clock()).connect(directory.url()).await.unwrap();
    let attempt = auth.test_webhook(id).await.unwrap();
    assert_eq!(attempt.error.as_deref(), Some("the URL must be an https URL"));
    assert_eq!(receiver.len(), 0);
    auth.close().await;
}

#[tokio::test]
async fn a_receiver_that_misbehaves_is_a_failure() {
    let auth = builder(&clock()).webhooks(options()).connect("sqlite::memory:").await.unwrap();
    let (receiver, elsewhere) = (Receiver::start().await, Receiver::start().await);
    let id = webhook(&auth, &receiver).await;
    let url = elsewhere.url.clone();
    receiver.answer(move |_| (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, url.clone())]));
    let attempt = auth.test_webhook(id).await.unwrap();
    assert_eq!(attempt.response_status, Some(307));
    assert!(attempt.error.unwrap().contains("redirects are not followed"));
    assert_eq!(elsewhere.len(), 0);

    // No TLS where it is expected, and nobody there: the port is taken, but nobody listens.
    let nobody = TcpSocket::new_v4().unwrap();
    nobody.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    for url in [receiver.url.replace("http:", "https:"), format!("http://{}/", nobody.local_addr().unwrap())] {
        auth.update_webhook(id).url(&url).await.unwrap();
        let attempt = auth.test_webhook(id).await.unwrap();
        assert!(!attempt.succeeded && attempt.response_status.is_none(), "{url}: {attempt:?}");
        let error = attempt.error.unwrap();
        assert!(!error.is_empty() && !error.contains("token"), "{error}");
    }
    auth.close().await;
}

#[tokio::test]
async fn a_receiver_that_never_answers_is_a_failure() {
    let options = options().timeout(200 * MILLISECOND);
    let auth = builder(&clock()).webhooks(options).connect("sqlite::memory:").await.unwrap();
    // The system takes connections for it.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let id = auth.create_webhook(url).enabled(false).await.unwrap().webhook.id;
    let attempt = auth.test_webhook(id).await.unwrap();
    assert!(!attempt.succeeded && attempt.response_status.is_none() && attempt.duration_ms >= 200, "{attempt:?}");
    auth.close().await;
}

#[tokio::test]
async fn requests_do_not_keep_the_service_alive() {
    let auth = builder(&clock()).webhooks(options()).connect("sqlite::memory:").await.unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    auth.create_webhook(format!("http://{}/", silent.local_addr().unwrap())).await.unwrap();
    let alive = Arc::new(());
    let weak = Arc::downgrade(&alive);
    auth.on(move |_: authfort::events::UserBanned| {
        let _alive = Arc::clone(&alive);
        async {}
    });
    // The request is under way, and has no end.
    let _connection = timeout(TIMEOUT, silent.accept()).await.unwrap().unwrap();
    drop(auth);
    until("the service is dropped", async || weak.upgrade().is_none()).await;
}

#[tokio::test]
async fn options_are_checked_at_the_start() {
    for (options, says) in [
        (WebhookOptions::new().timeout(Duration::ZERO), "timeout"),
        (WebhookOptions::new().attempts(0), "attempts"),
        (WebhookOptions::new().concurrency(1_001), "concurrency"),
        (WebhookOptions::new().switch_off_after(Duration::ZERO), "switch_off_after"),
        (WebhookOptions::new().backoff(2 * SECOND, SECOND), "backoff"),
    ] {
        let error = AuthFort::builder().webhooks(options).check().unwrap_err();
        assert!(error.to_string().starts_with("webhooks") && error.to_string().contains(says), "{error}");
    }
}
