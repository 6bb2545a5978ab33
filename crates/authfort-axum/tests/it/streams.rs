//! The stream of events.

use std::time::Duration;

use authfort::EventId;
use authfort_testkit::{Engine, TestDatabase, both_engines};
use axum::body::Body;
use axum::http::Response;
use chrono::TimeDelta;
use futures_util::future::join_all;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::{App, Call, Caller};

/// A stream that is late by this much has stopped.
const TIMEOUT: Duration = Duration::from_secs(40);

/// What comes from the server, message by message.
struct Stream {
    body: Body,
    text: String,
    /// After which event it goes on.
    begin: String,
}

impl Stream {
    async fn open(call: Call) -> Self {
        let response: Response<Body> = call.response().await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["x-accel-buffering"], "no");
        assert_eq!(response.headers()["cache-control"], "no-store");
        let mut stream = Self { body: response.into_body(), text: String::new(), begin: String::new() };
        let first = stream.message().await.unwrap();
        stream.begin = first.strip_prefix("id: ").unwrap().to_owned();
        stream
    }

    /// The lines until an empty one; none at the end.
    async fn message(&mut self) -> Option<String> {
        loop {
            if let Some((message, rest)) = self.text.split_once("\n\n") {
                let message = message.to_owned();
                self.text = rest.to_owned();
                return Some(message);
            }
            let frame = timeout(TIMEOUT, self.body.frame()).await.expect("in time")?;
            self.text.push_str(std::str::from_utf8(&frame.unwrap().into_data().unwrap()).unwrap());
        }
    }

    /// The next event, once its id was compared with that of the message; none at the end.
    async fn event(&mut self) -> Option<Value> {
        loop {
            let message = self.message().await?;
            if message.trim() == ":" {
                continue;
            }
            let mut lines = message.lines();
            let id = lines.next().unwrap().strip_prefix("id: ").unwrap().to_owned();
            let event: Value = serde_json::from_str(lines.next().unwrap().strip_prefix("data: ").unwrap()).unwrap();
            assert_eq!(lines.next(), None, "{message}");
            assert_eq!(event["id"], id);
            return Some(event);
        }
    }

    async fn events(&mut self, count: usize) -> Vec<Value> {
        let mut events = Vec::new();
        while events.len() < count {
            events.push(self.event().await.expect("the stream goes on"));
        }
        events
    }

    async fn ends(mut self) {
        assert_eq!(self.event().await, None);
    }
}

fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap()).collect()
}

both_engines! {
    async fn events_arrive_as_they_are_committed_and_go_on_after_the_last_one(db: TestDatabase) {
        let app = App::new(&db).await;
        let admin = app.admin().await;
        let mut stream = Stream::open(app.get("/admin/events/stream").by(&admin)).await;
        let jane = app.user("jane@example.com").await.id;
        let ban = app.post(&format!("/admin/users/{jane}/ban")).by(&admin).json(&json!({"reason": "spam"})).send().await;
        assert_eq!(ban.status, 200);
        let events = stream.events(2).await;
        assert_eq!(types(&events), ["user_created", "user_banned"]);
        // As they stand in the log.
        let log = app.get(&format!("/admin/events?order=asc&user_id={jane}")).by(&admin).send().await.json();
        assert_eq!(json!(events), log["events"]);

        // Before there was any message, too.
        let resumed = app.get("/admin/events/stream").by(&admin).header("last-event-id", &stream.begin);
        assert_eq!(Stream::open(resumed).await.events(2).await, events);
        drop(stream);
        app.auth.unban_user(jane).await.unwrap();
        let id = events[0]["id"].as_str().unwrap();
        let resumed = app.get("/admin/events/stream").by(&admin).header("last-event-id", id);
        assert_eq!(types(&Stream::open(resumed).await.events(2).await), ["user_banned", "user_unbanned"]);
        // What a browser sends when it connects again is newer than the address.
        let last = events[1]["id"].as_str().unwrap();
        let again = app.get(&format!("/admin/events/stream?after={id}")).by(&admin).header("last-event-id", last);
        assert_eq!(types(&Stream::open(again).await.events(1).await), ["user_unbanned"]);
        let begin = app.get(&format!("/admin/events/stream?after={id}")).by(&admin).header("last-event-id", "");
        assert_eq!(types(&Stream::open(begin).await.events(1).await), ["user_banned"]);

        let john = app.user("john@example.com").await.id;
        app.auth.ban_user(john).await.unwrap();
        let query = format!("/admin/events/stream?after={id}&user_id={john}&type=user_banned&type=user_unbanned");
        let some = Stream::open(app.get(&query).by(&admin)).await.events(1).await;
        assert_eq!((types(&some), &some[0]["user_id"]), (vec!["user_banned"], &json!(john)));
    }

    async fn whatever_is_lost_of_a_connection_nothing_is_lost_of_the_log(db: TestDatabase) {
        let app = App::new(&db).await;
        let admin = app.admin().await;
        let first = app.auth.list_events().limit(1).await.unwrap().events[0].id;
        let writers = (0..30).map(|n| {
            let auth = app.auth.clone();
            async move {
                let id = auth.create_user(format!("user{n}@example.com")).await.unwrap().id;
                auth.ban_user(id).await.unwrap();
                auth.delete_user(id).await.unwrap();
            }
        });
        let reader = async {
            let (mut last, mut read) = (first.to_string(), Vec::new());
            // A connection brings one event, the next one two, and so on.
            for count in 1.. {
                let call = app.get("/admin/events/stream").by(&admin).header("last-event-id", &last);
                let mut stream = Stream::open(call).await;
                read.extend(stream.events(count.min(90 - read.len())).await);
                last = read.last().unwrap()["id"].as_str().unwrap().to_owned();
                if read.len() == 90 {
                    break;
                }
            }
            read
        };
        let (_, read) = tokio::join!(join_all(writers), reader);
        let mut users = std::collections::BTreeMap::<&str, Vec<&str>>::new();
        for event in &read {
            users.entry(event["user_id"].as_str().unwrap()).or_default().push(event["type"].as_str().unwrap());
        }
        assert_eq!(users.len(), 30);
        assert!(users.values().all(|types| types == &["user_created", "user_banned", "user_deleted"]), "{users:?}");
    }

    async fn a_stream_ends_with_the_access_of_its_caller(db: TestDatabase) {
        let app = App::new(&db).await;
        let lose = async |admin: &Caller, how: &str| match how {
            "role" => drop(app.auth.remove_role(admin.id, "admin").await.unwrap()),
            "session" => drop(app.auth.logout(&admin.refresh).await.unwrap()),
            "ban" => drop(app.auth.ban_user(admin.id).await.unwrap()),
            _ => app.clock.advance(TimeDelta::hours(1)),
        };
        let _other = app.admin().await;
        for how in ["role", "session", "ban", "time"] {
            let admin = app.admin().await;
            let mut stream = Stream::open(app.get("/admin/events/stream").by(&admin)).await;
            app.user(&format!("{how}@example.com")).await;
            assert_eq!(types(&stream.events(1).await), ["user_created"]);
            lose(&admin, how).await;
            // Nothing is sent any more, not even what took it away.
            stream.ends().await;
            assert!([401, 403].contains(&app.get("/admin/events/stream").by(&admin).send().await.status));
        }
    }

    async fn a_stream_ends_with_the_service(db: TestDatabase) {
        let app = App::new(&db).await;
        let admin = app.admin().await;
        let streams = join_all((0..3).map(|_| Stream::open(app.get("/admin/events/stream").by(&admin)))).await;
        app.auth.end_streams();
        join_all(streams.into_iter().map(Stream::ends)).await;
        let open = Stream::open(app.get("/admin/events/stream").by(&admin)).await;
        app.auth.close().await;
        open.ends().await;
    }

    async fn streams_that_open_while_others_write_get_each_event_once(db: TestDatabase) {
        let app = App::new(&db).await;
        let mut stream = app.auth.follow_events().r#type("user_created").await.unwrap();
        let opens = (0..4).map(|_| async {
            for _ in 0..25 {
                app.auth.follow_events().await.unwrap();
            }
        });
        let (auth, count) = (app.auth.clone(), 40);
        let writer = tokio::spawn(async move {
            for n in 0..count {
                auth.create_user(format!("user{n}@example.com")).await.unwrap();
            }
        });
        let reader = async {
            let mut ids = Vec::new();
            while ids.len() < count {
                ids.push(stream.next().await.unwrap().unwrap().id);
            }
            ids
        };
        let (_, ids) = tokio::join!(join_all(opens), timeout(TIMEOUT, reader));
        writer.await.unwrap();
        let all = app.auth.list_events().r#type("user_created").order(authfort::SortOrder::Asc).limit(200).await.unwrap();
        assert_eq!(ids.unwrap(), all.events.iter().map(|event| event.id).collect::<Vec<_>>());
    }

    async fn a_place_in_the_log_that_does_not_exist_is_refused(db: TestDatabase) {
        let app = App::new(&db).await;
        let admin = app.admin().await;
        let stream = app.get("/admin/events/stream").by(&admin);
        let unknown = stream.header("last-event-id", crate::support::UNKNOWN_ID).send().await;
        unknown.refused(422, "validation_failed");
        assert_eq!(unknown.json()["fields"][0]["field"], "after");
        for odd in [b"1".as_slice(), b"\xff", b"0198c0de000070008000000000000001"] {
            app.get("/admin/events/stream").by(&admin).header("last-event-id", odd).send().await.refused(422, "validation_failed");
        }
        let get = async |query: &str| app.get(&format!("/admin/events/stream?{query}")).by(&admin).send().await;
        get("type=nonsense").await.refused(422, "validation_failed");
        get("after=1").await.refused(400, "invalid_request");
        get("limit=1").await.refused(422, "validation_failed");
        app.get("/admin/events/stream").send().await.refused(401, "token_missing");
    }

    async fn the_number_of_streams_is_bounded(db: TestDatabase) {
        let app = App::new(&db).await;
        let admin = app.admin().await;
        let mut streams = Vec::new();
        for _ in 0..256 {
            streams.push(app.auth.follow_events().await.unwrap());
        }
        app.get("/admin/events/stream").by(&admin).send().await.refused(503, "overloaded");
        streams.pop();
        drop(Stream::open(app.get("/admin/events/stream").by(&admin)).await);
        drop(Stream::open(app.get("/admin/events/stream").by(&admin)).await);
        // Whoever takes nothing keeps nobody waiting, and gets it all later.
        let ids: Vec<EventId> = {
            let mut ids = Vec::new();
            for n in 0..120 {
                app.auth.create_user(format!("user{n}@example.com")).await.unwrap();
                ids.push(streams[0].next().await.unwrap().unwrap().id);
            }
            ids
        };
        for id in ids {
            assert_eq!(streams[1].next().await.unwrap().unwrap().id, id);
        }
    }
}

// The heartbeat knows nothing of the database: one engine tells.
#[tokio::test]
async fn a_stream_without_events_has_a_heartbeat() {
    let db = TestDatabase::create(Engine::Sqlite).await;
    let app = App::new(&db).await;
    let admin = app.admin().await;
    let mut stream = Stream::open(app.get("/admin/events/stream").by(&admin)).await;
    assert_eq!(stream.message().await.unwrap().trim(), ":");
}
