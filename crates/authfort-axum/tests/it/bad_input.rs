//! What cannot be read or is not acceptable is refused by every route.

use std::time::Duration;

use authfort_testkit::{TestDatabase, both_engines};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{App, Caller, PASSWORD, Raw};

/// Routes that read a JSON object: method, path, who may call, and a body that is accepted.
pub fn bodies(id: &str) -> Vec<(&'static str, String, bool, Value)> {
    vec![
        ("POST", "/auth/signup".into(), false, json!({"email": "new@example.com", "password": PASSWORD})),
        ("POST", "/auth/login".into(), false, json!({"email": "jane@example.com", "password": PASSWORD})),
        ("POST", "/auth/refresh".into(), false, json!({"refresh_token": "afr_x"})),
        ("POST", "/auth/logout".into(), false, json!({"refresh_token": "afr_x"})),
        ("POST", "/auth/verify-email".into(), false, json!({"token": "afv_x"})),
        ("POST", "/auth/change-password".into(), true, json!({"current_password": "x", "new_password": PASSWORD})),
        ("POST", "/admin/users".into(), true, json!({"email": "new@example.com", "name": "New"})),
        ("PATCH", format!("/admin/users/{id}"), true, json!({"name": "New"})),
        ("POST", format!("/admin/users/{id}/ban"), true, json!({"reason": "spam"})),
        ("PUT", format!("/admin/users/{id}/password"), true, json!({"password": PASSWORD})),
        ("PUT", format!("/admin/users/{id}/accounts/github"), true, json!({"provider_account_id": "1"})),
    ]
}

/// An application with one user, and what is in its database.
pub async fn set_up(db: &TestDatabase) -> (App, Caller, String, Raw, Vec<String>) {
    let app = App::new(db).await;
    let admin = app.admin().await;
    let jane = app.user("jane@example.com").await;
    let raw = Raw::open(db).await;
    let dump = raw.dump().await;
    (app, admin, jane.id.to_string(), raw, dump)
}

pub async fn send(
    app: &App,
    admin: &Caller,
    (method, path): (&str, &str),
    content_type: &str,
    body: impl Into<Vec<u8>>,
) -> (u16, String) {
    let mut call = app.call(method, path).by(admin).body(body.into());
    if !content_type.is_empty() {
        call = call.header("content-type", content_type);
    }
    call.send().await.refusal()
}

/// As many of them as a request may hold.
fn fill(separator: &str, limit: usize, piece: impl Fn(usize) -> String) -> String {
    let mut text = String::new();
    for n in 0.. {
        let piece = piece(n);
        if text.len() + separator.len() + piece.len() > limit {
            break;
        }
        text.push_str(separator);
        text.push_str(&piece);
    }
    text[separator.len()..].to_owned()
}

fn query_floods(operation: &Value) -> Vec<String> {
    let mut names: Vec<&str> = vec!["é\"\\"];
    let declared = operation["parameters"].as_array().into_iter().flatten();
    names.extend(declared.filter(|one| one["in"] == "query").map(|one| one["name"].as_str().unwrap()));
    let mut floods = vec![
        fill("&", 64_000, |n| n.to_string()),
        fill("&", 64_000, |n| format!("{n}{:%>97}", "").replace('%', "%22")),
    ];
    for name in names {
        let name = name.replace('é', "%C3%A9").replace('"', "%22").replace('\\', "%5C");
        floods.push(fill("&", 64_000, |_| format!("{name}=A")));
        floods.push(fill("&", 64_000, |n| format!("{name}=a{n}")));
    }
    floods
}

/// Bodies as large as may be, of nothing but faults: unknown members, forbidden characters, and each member of the
/// route's own filled with what it cannot be.
fn body_floods(document: &Value, operation: &Value) -> Vec<(&'static str, String)> {
    let Some(content) = operation["requestBody"]["content"].as_object() else { return Vec::new() };
    let mut floods = Vec::new();
    for (content_type, described) in content {
        if content_type == "application/x-www-form-urlencoded" {
            floods.push(("application/x-www-form-urlencoded", fill("&", 65_000, |n| format!("token={n}"))));
            floods.push(("application/x-www-form-urlencoded", fill("&", 65_000, |n| format!("token{n}=%zz"))));
            continue;
        }
        let object = |limit, value: &str| format!("{{{}}}", fill(",", limit, |n| format!("\"m{n}\":{value}")));
        let mut push = |text: String| floods.push(("application/json", text));
        push(object(65_000, "1"));
        push(object(65_000, "\"\\u0000\""));
        push(format!("{{{}}}", fill(",", 65_000, |n| format!("\"{n}{:\\>128}\":\"\\u0000\"", ""))));
        let reference = described["schema"]["$ref"].as_str().unwrap().trim_start_matches('#');
        for member in document.pointer(reference).unwrap()["properties"].as_object().unwrap().keys() {
            push(format!("{{\"{member}\":[{}]}}", fill(",", 64_000, |_| "\"A\"".into())));
            push(format!("{{\"email\":\"a\",\"{member}\":[{}]}}", fill(",", 64_000, |n| format!("\"A{n}\""))));
            push(format!("{{\"{member}\":{}}}", object(64_000, "\"\\u0000\"")));
            push(format!("{{\"{member}\":\"{}\"}}", "\\n".repeat(30_000)));
        }
    }
    floods
}

#[track_caller]
fn small(answer: &crate::support::Answer, context: &str) {
    assert!(answer.text.len() < 8_000, "{context}: {} bytes: {:.300}", answer.text.len(), answer.text);
    // A text that is no token ends no session and is told to be none, and whether anybody has an address is not told.
    if [200, 202, 204].contains(&answer.status) {
        return assert!(["", "{\"active\":false}"].contains(&&*answer.text), "{context}: {}", answer.text);
    }
    let (status, _) = answer.refusal();
    assert!([400, 401, 422].contains(&status), "{context}: {}", answer.text);
    let fields = answer.json()["fields"].as_array().map_or(0, Vec::len);
    assert!(fields <= 16, "{context}: {fields}");
}

both_engines! {
    async fn a_body_that_cannot_be_read_is_refused_by_every_route(db: TestDatabase) {
        let (app, admin, id, raw, before) = set_up(&db).await;
        let json = "application/json";
        for (method, path, _, good) in bodies(&id) {
            let (text, route) = (good.to_string(), (method, path.as_str()));
            let members: Vec<Value> = good.as_object().unwrap().values().cloned().collect();
            let (name, value) = good.as_object().unwrap().iter().next().unwrap();
            let twice = format!("{{\"{name}\": {value}, {}", &text[1..]);
            let lone = text.replacen(": \"", ":\"", 1).replacen(":\"", ":\"\\ud800", 1);
            let overlong = [&b"{\"\xc0\x80\": 1, "[..], &text.as_bytes()[1..]].concat();
            let malformed: Vec<(&str, Vec<u8>)> = vec![
                ("trailing bytes", format!("{text}x").into()),
                ("two documents", format!("{text}{text}").into()),
                ("a member twice", twice.into()),
                ("a lone surrogate", lone.into()),
                ("invalid UTF-8", [text.as_bytes(), b"\xff"].concat()),
                ("overlong NUL", overlong),
                ("cut off", text[..text.len() - 1].into()),
                ("a byte order mark", format!("\u{feff}{text}").into()),
                ("depth", format!("{}{}", "[".repeat(30_000), "]".repeat(30_000)).into()),
                (
                    "depth in a member",
                    format!("{{\"{name}\": {}{}}}", "{\"a\":".repeat(200), "1".to_owned() + &"}".repeat(200)).into(),
                ),
                ("NaN", format!("{{\"{name}\": NaN}}").into()),
                ("single quotes", text.replace('"', "'").into()),
                ("comments", format!("/* */{text}").into()),
            ];
            for (what, body) in malformed {
                assert_eq!(
                    send(&app, &admin, route, json, body).await,
                    (400, "invalid_request".into()),
                    "{what} {path}"
                );
            }
            let mut unacceptable = vec![
                ("positional", Value::from(members).to_string()),
                ("array", "[]".into()),
                ("null", "null".into()),
                ("text", "\"x\"".into()),
                ("number", "1".into()),
                ("nested", format!("[{text}]")),
            ];
            for member in [
                "id",
                "password_hash",
                "token_version",
                "created_at",
                "is_admin",
                "__proto__",
                "constructor",
                "roles\u{0}",
            ] {
                let mut body = good.clone();
                body.as_object_mut().unwrap().insert(member.into(), json!(1));
                unacceptable.push((member, body.to_string()));
            }
            for wrong in [json!(1), json!([]), json!({}), json!(true), json!("a\u{0}b")] {
                let mut body = good.clone();
                body.as_object_mut().unwrap().insert(name.clone(), wrong);
                unacceptable.push(("wrong type", body.to_string()));
            }
            for (what, body) in unacceptable {
                let answer = send(&app, &admin, route, json, body.clone()).await;
                assert_eq!(answer, (422, "validation_failed".into()), "{what} {path} {body}");
            }
            for kind in [
                "",
                "text/plain",
                "text/plain; x=application/json",
                "application/x-www-form-urlencoded",
                "multipart/form-data; boundary=x",
                "application/jsonx",
                "text/json",
                "json",
            ] {
                let answer = send(&app, &admin, route, kind, text.clone()).await;
                assert_eq!(answer, (415, "unsupported_media_type".into()), "{kind} {path}");
            }
            let large = format!("{}{}", " ".repeat(70_000), text);
            for body in [large, "[".repeat(100_000)] {
                assert_eq!(send(&app, &admin, route, json, body).await, (413, "payload_too_large".into()), "{path}");
            }
            let gzip = app.call(method, &path).by(&admin).header("content-encoding", "gzip").json(&good).send().await;
            gzip.refused(415, "unsupported_media_type");
            let two = app.call(method, &path).by(&admin).header("content-type", json).json(&good).send().await;
            two.refused(415, "unsupported_media_type");
        }
        assert_eq!(raw.dump().await, before);
    }

    async fn a_flood_of_faults_is_answered_by_a_few_lines(db: TestDatabase) {
        let app = App::with(&db, |options| options, |layer| layer.introspection_secret("s3cret")).await;
        let admin = app.admin().await;
        let id = app.user("jane@example.com").await.id.to_string();
        let raw = Raw::open(&db).await;
        let before = raw.dump().await;
        let (mut queries, mut bodies) = (0, 0);
        for mount in ["/admin", "/auth"] {
            let document = app.get(&format!("{mount}/openapi.json")).by(&admin).send().await.json();
            for (path, item) in document["paths"].as_object().unwrap() {
                let route = format!("{mount}{}", path.replace("{id}", &id).replace(['{', '}'], ""));
                for (method, operation) in item.as_object().unwrap() {
                    let method = method.to_uppercase();
                    let token = if path == "/introspect" { "s3cret" } else { &admin.token };
                    let call = |query: &str| app.call(&method, &format!("{route}?{query}")).bearer(token);
                    for query in query_floods(operation) {
                        small(&call(&query).send().await, &format!("{method} {route} {query:.40}"));
                        queries += 1;
                    }
                    for (content_type, body) in body_floods(&document, operation) {
                        let answer = call("").header("content-type", content_type).body(body.clone()).send().await;
                        small(&answer, &format!("{method} {route} {body:.60}"));
                        bodies += 1;
                    }
                }
            }
        }
        assert!(queries > 80 && bodies > 80, "{queries} {bodies}");
        let now = raw.dump().await;
        assert_eq!(now, before);
    }

    async fn a_form_of_another_site_cannot_pass_for_json(db: TestDatabase) {
        let app = App::with_cookies(&db).await;
        let admin = app.admin().await;
        let raw = Raw::open(&db).await;
        let before = raw.dump().await;
        for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""] {
            let mut call = app.post("/admin/users").header("cookie", format!("__Host-access_token={}", admin.token));
            if !kind.is_empty() {
                call = call.header("content-type", kind);
            }
            call.body(r#"{"email": "new@example.com"}"#).send().await.refused(415, "unsupported_media_type");
        }
        assert_eq!(raw.dump().await, before);
    }

    async fn what_only_the_service_may_say_is_refused(db: TestDatabase) {
        let (app, admin, id, raw, before) = set_up(&db).await;
        for member in [
            "id",
            "password_hash",
            "token_version",
            "version",
            "created_at",
            "updated_at",
            "deleted_at",
            "is_admin",
            "is_deleted",
            "banned",
            "ban_reason",
            "last_login_at",
            "__proto__",
            "constructor",
            "Email",
            "email ",
        ] {
            for (method, path) in [("POST", "/admin/users".to_owned()), ("PATCH", format!("/admin/users/{id}"))] {
                let body = json!({"email": "new@example.com", member: "x"});
                let answer = app.call(method, &path).by(&admin).json(&body).send().await;
                answer.refused(422, "validation_failed");
                let fault = &answer.json()["fields"][0];
                assert_eq!((&fault["field"], &fault["code"]), (&json!(member), &json!("unknown_field")));
            }
        }
        for member in ["roles", "password"] {
            let body = json!({member: ["admin"]});
            let call = app.call("PATCH", &format!("/admin/users/{id}")).by(&admin).json(&body);
            call.send().await.refused(422, "validation_failed");
        }
        let body = json!({"email": "new@example.com", "password": PASSWORD, "roles": ["admin"]});
        app.post("/auth/signup").json(&body).send().await.refused(422, "validation_failed");
        assert_eq!(raw.dump().await, before);
    }

    async fn ten_megabytes_are_not_kept_in_memory(db: TestDatabase) {
        let app = App::new(&db).await;
        let admin = app.admin().await;
        let address = app.serve().await;
        let _alone = crate::heavy::alone().await;
        let before = resident_kib();
        // Forty megabytes a client, if anybody kept them.
        let uploads = (0..32).map(|n| {
            let (token, chunked) = (admin.token.clone(), n % 2 == 0);
            tokio::spawn(async move {
                let mut socket = TcpStream::connect(address).await.unwrap();
                let length = if chunked { "transfer-encoding: chunked".to_owned() } else { format!("content-length: {}", 10 << 20) };
                let head = format!(
                    "POST /admin/users HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n{length}\r\n\r\n"
                );
                socket.write_all(head.as_bytes()).await.unwrap();
                let (mut reader, mut writer) = socket.into_split();
                let sender = tokio::spawn(async move {
                    let chunk = vec![b'['; 64 << 10];
                    for _ in 0..160 {
                        // The server may have answered and hung up.
                        let sent = if chunked {
                            let framed = [b"10000\r\n".as_slice(), &chunk, b"\r\n"].concat();
                            writer.write_all(&framed).await
                        } else {
                            writer.write_all(&chunk).await
                        };
                        if sent.is_err() {
                            return;
                        }
                    }
                });
                let mut head = [0; 12];
                let answered = tokio::time::timeout(Duration::from_secs(20), reader.read_exact(&mut head)).await;
                sender.abort();
                answered.unwrap().unwrap();
                String::from_utf8(head.to_vec()).unwrap()
            })
        });
        for upload in uploads.collect::<Vec<_>>() {
            assert_eq!(upload.await.unwrap(), "HTTP/1.1 413");
        }
        let grown = resident_kib().saturating_sub(before);
        assert!(grown < 50 * 1024, "{grown} KiB for 320 MiB");
        assert_eq!(app.auth.get_user_count().await.unwrap(), 1);
    }

    async fn bytes_that_no_http_library_would_send_are_4xx(db: TestDatabase) {
        let app = App::new(&db).await;
        let admin = app.admin().await;
        let address = app.serve().await;
        let ask = async |line: &[u8]| {
            let mut socket = TcpStream::connect(address).await.unwrap();
            let rest =
                format!(" HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\nconnection: close\r\n\r\n", admin.token);
            socket.write_all(&[line, rest.as_bytes()].concat()).await.unwrap();
            let mut answer = Vec::new();
            // An early close is an answer of its own; what came before it counts.
            let _ = tokio::time::timeout(Duration::from_secs(10), socket.read_to_end(&mut answer)).await.unwrap();
            String::from_utf8_lossy(&answer).into_owned()
        };
        for line in [
            &b"GET /admin/users/\xff"[..],
            b"GET /admin/users?query=\xff",
            b"GET /admin/users/\0",
            b"GET /admin/users/\xc3\x28",
            b"GET /admin/users/a b",
            b"GET admin/users",
        ] {
            let answer = ask(line).await;
            assert!(answer.starts_with("HTTP/1.1 4"), "{line:?}: {answer}");
        }
        assert!(ask(b"GET /admin/users").await.starts_with("HTTP/1.1 200"));
    }
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
