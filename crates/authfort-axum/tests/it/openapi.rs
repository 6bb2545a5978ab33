//! The document and what is really answered.

use authfort_axum::{admin_openapi, auth_openapi, jwks_openapi};
use authfort_testkit::{TestDatabase, both_engines};
use serde_json::{Map, Value, json};

use crate::support::{App, PASSWORD, UNKNOWN_ID};

struct Document(Value);

impl Document {
    fn resolve<'d>(&'d self, schema: &'d Value) -> &'d Value {
        match schema["$ref"].as_str() {
            Some(reference) => self.0.pointer(reference.trim_start_matches('#')).unwrap(),
            None => schema,
        }
    }

    /// The members that a schema knows, and those it demands.
    fn members(&self, schema: &Value) -> (Map<String, Value>, Vec<String>) {
        let schema = self.resolve(schema);
        let mut known = schema["properties"].as_object().cloned().unwrap_or_default();
        let list = schema["required"].as_array().into_iter().flatten();
        let mut required: Vec<String> = list.map(|name| name.as_str().unwrap().to_owned()).collect();
        for part in schema["allOf"].as_array().into_iter().flatten() {
            let (more, needed) = self.members(part);
            known.extend(more);
            required.extend(needed);
        }
        (known, required)
    }

    /// What is wrong with a value, by its schema: types, members that are missing, members that nobody described.
    fn fault(&self, schema: &Value, value: &Value) -> Option<String> {
        let schema = self.resolve(schema);
        for kind in ["oneOf", "anyOf"] {
            if let Some(choices) = schema[kind].as_array() {
                let faults: Vec<String> = choices.iter().map_while(|choice| self.fault(choice, value)).collect();
                return (faults.len() == choices.len()).then(|| faults.join("; "));
            }
        }
        if let Some(allowed) = schema["enum"].as_array()
            && !allowed.contains(value)
        {
            return Some(format!("{value} is none of {allowed:?}"));
        }
        let name = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(_) => "integer",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        let allowed = match &schema["type"] {
            Value::String(one) => one == name,
            Value::Array(several) => several.iter().any(|one| one == name),
            _ => true,
        };
        if !allowed {
            return Some(format!("{value} is no {}", schema["type"]));
        }
        match value {
            Value::Array(items) => items.iter().find_map(|item| self.fault(&schema["items"], item)),
            Value::Object(members) => {
                let (known, required) = self.members(schema);
                if known.is_empty() {
                    return None;
                }
                if let Some(missing) = required.iter().find(|name| !members.contains_key(*name)) {
                    return Some(format!("{missing} is missing"));
                }
                members.iter().find_map(|(name, value)| match known.get(name) {
                    Some(schema) => self.fault(schema, value).map(|fault| format!("{name}: {fault}")),
                    None => Some(format!("{name} is not described")),
                })
            }
            _ => None,
        }
    }
}

/// Every value below, with the path that leads to it.
fn walk<'v>(value: &'v Value, path: &str, visit: &mut impl FnMut(&str, &'v Value)) {
    visit(path, value);
    match value {
        Value::Array(items) => items.iter().for_each(|item| walk(item, path, visit)),
        Value::Object(members) => {
            members.iter().for_each(|(name, value)| walk(value, &format!("{path}/{name}"), visit));
        }
        _ => {}
    }
}

#[test]
fn a_description_is_one_plain_paragraph_and_every_response_has_one() {
    for document in [admin_openapi(), auth_openapi(), jwks_openapi()] {
        let mut described = 0;
        walk(&document, "", &mut |path, value| {
            let Some(text) = value.as_str().filter(|_| path.ends_with("/description") || path.ends_with("/summary"))
            else {
                return;
            };
            described += 1;
            assert!(!text.trim().is_empty(), "{path}");
            for code in ["\n", "```", "](", "# ", "::new", "authfort_axum", "tokio"] {
                assert!(!text.contains(code), "{path}: {text}");
            }
        });
        assert!(described > 2, "{described}");
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                assert!(operation["summary"].is_string(), "{method} {path}");
                for (status, response) in operation["responses"].as_object().unwrap() {
                    assert!(response["description"].is_string(), "{method} {path} {status}");
                }
            }
        }
    }
}

#[test]
fn what_is_one_of_a_few_words_says_which() {
    let document = admin_openapi();
    let parameter = |path: &str, method: &str, name: &str| {
        let parameters = document["paths"][path][method]["parameters"].as_array().unwrap();
        let found = parameters.iter().find(|one| one["name"] == name).unwrap();
        let schema = Document(document.clone()).resolve(&found["schema"]).clone();
        if schema["type"] == "array" || schema["items"].is_object() {
            Document(document.clone()).resolve(&schema["items"])["enum"].clone()
        } else {
            schema["enum"].clone()
        }
    };
    assert_eq!(parameter("/users", "get", "sort_by"), json!(["created_at", "email", "name"]));
    assert_eq!(parameter("/users", "get", "sort_order"), json!(["asc", "desc"]));
    assert_eq!(parameter("/users", "get", "total"), json!(["exact", "capped", "none"]));
    assert_eq!(parameter("/users/count", "get", "deleted"), json!(["false", "true", "only"]));
    assert_eq!(parameter("/users/{id}", "delete", "mode"), json!(["delete", "anonymize"]));
    assert_eq!(parameter("/events", "get", "order"), json!(["asc", "desc"]));
    let schemas = &document["components"]["schemas"];
    let types = schemas["Event"]["properties"]["type"]["enum"].clone();
    assert!(types.as_array().unwrap().contains(&json!("user_deleted")));
    assert_eq!(parameter("/events", "get", "type"), types);
    assert_eq!(schemas["KeyInfo"]["properties"]["algorithm"]["enum"], json!(["RS256", "ES256", "EdDSA"]));
}

#[test]
fn an_object_of_the_applications_own_may_have_any_member() {
    let document = admin_openapi();
    for (schema, member) in
        [("User", "metadata"), ("CreateUser", "metadata"), ("UpdateUser", "metadata"), ("Event", "data")]
    {
        let object = &document["components"]["schemas"][schema]["properties"][member];
        assert!(!object["additionalProperties"].is_null(), "{schema} {member}: {object}");
    }
}

both_engines! {
    async fn what_is_answered_is_what_the_document_says(db: TestDatabase) {
        let app = App::with(&db, |options| options, |layer| layer.introspection_secret("s3cret")).await;
        let admin = app.admin().await;
        let jane = app.user("jane@example.com").await;
        app.auth.link_account(jane.id, "github", "1").await.unwrap();
        let session = app.login("jane@example.com").await;
        let session_id = session["user"]["session_id"].as_str().unwrap();
        let id = jane.id.to_string();
        let read = async |path: &str| Document(app.get(path).by(&admin).send().await.json());
        let documents = [
            ("/admin", read("/admin/openapi.json").await),
            ("/auth", read("/auth/openapi.json").await),
            ("/.well-known", Document(jwks_openapi())),
        ];
        let credentials = json!({"email": "jane@example.com", "password": PASSWORD});

        let sample = [
            ("GET /admin/users", Value::Null, 200),
            ("GET /admin/users?limit=0", Value::Null, 422),
            ("GET /admin/users?limit=x", Value::Null, 400),
            ("GET /admin/users/count", Value::Null, 200),
            ("POST /admin/users", json!({"email": "joe@example.com", "metadata": {"a": 1}}), 201),
            ("POST /admin/users", json!({"email": "joe@example.com"}), 409),
            ("POST /admin/users", json!({"email": "joe"}), 422),
            ("POST /admin/users", Value::Null, 415),
            ("GET /admin/users/{id}", Value::Null, 200),
            ("GET /admin/users/{unknown}", Value::Null, 404),
            ("PATCH /admin/users/{id}", json!({"name": "Jane"}), 200),
            ("GET /admin/users/{id}/roles", Value::Null, 200),
            ("PUT /admin/users/{id}/roles/editor", Value::Null, 200),
            ("DELETE /admin/users/{id}/roles/editor", Value::Null, 200),
            ("GET /admin/users/{id}/sessions", Value::Null, 200),
            ("GET /admin/users/{id}/accounts", Value::Null, 200),
            ("PUT /admin/users/{id}/accounts/gitlab", json!({"provider_account_id": "1"}), 200),
            ("DELETE /admin/users/{id}/accounts/gitlab", Value::Null, 200),
            ("GET /admin/keys", Value::Null, 200),
            ("POST /admin/keys/rotate", Value::Null, 200),
            ("GET /admin/events", Value::Null, 200),
            ("GET /.well-known/jwks.json", Value::Null, 200),
            ("POST /auth/signup", json!({"email": "new@example.com", "password": PASSWORD, "name": "New"}), 201),
            ("POST /auth/signup", credentials.clone(), 409),
            ("POST /auth/login", credentials.clone(), 200),
            ("POST /auth/login", json!({"email": "jane@example.com", "password": "wrong"}), 401),
            ("POST /auth/refresh", json!({"refresh_token": session["tokens"]["refresh_token"]}), 200),
            ("POST /auth/refresh", Value::Null, 401),
            ("POST /auth/logout", json!({"refresh_token": "x"}), 204),
            ("GET /auth/me", Value::Null, 200),
            ("POST /auth/verify-email", json!({"token": "x"}), 422),
            ("POST /auth/introspect", json!({"token": session["tokens"]["access_token"]}), 200),
            ("POST /auth/introspect", json!({"token": "x"}), 200),
            ("POST /auth/change-password", json!({"current_password": "x", "new_password": PASSWORD}), 401),
            ("DELETE /admin/users/{id}/sessions/{session_id}", Value::Null, 200),
            ("DELETE /admin/users/{id}/sessions", Value::Null, 200),
            ("PUT /admin/users/{id}/password", json!({"password": PASSWORD}), 204),
            ("POST /admin/users/{id}/ban", json!({"reason": "spam"}), 200),
            ("POST /admin/users/{id}/unban", Value::Null, 200),
            ("DELETE /admin/users/{id}", Value::Null, 200),
        ];
        for (route, body, status) in sample {
            let (method, pattern) = route.split_once(' ').unwrap();
            let path =
                pattern.replace("{id}", &id).replace("{session_id}", session_id).replace("{unknown}", UNKNOWN_ID);
            let mut call = app.call(method, &path);
            call = if path == "/auth/introspect" { call.bearer("s3cret") } else { call.by(&admin) };
            if !body.is_null() {
                call = call.json(&body);
            }
            let answer = call.send().await;
            assert_eq!(answer.status, status, "{route}: {}", answer.text);

            let (mount, document) = documents.iter().find(|(mount, _)| pattern.starts_with(mount)).unwrap();
            let within = if *mount == "/.well-known" { pattern } else { &pattern[mount.len()..] };
            let pattern = within
                .split('?')
                .next()
                .unwrap()
                .replace("{unknown}", "{id}")
                .replace("/editor", "/{role}")
                .replace("/gitlab", "/{provider}");
            let operation = &document.0["paths"][&pattern][method.to_lowercase()];
            assert!(operation.is_object(), "{pattern}");
            let responses = &operation["responses"];
            let response = responses.get(status.to_string()).unwrap_or(&responses["default"]);
            assert!(status >= 400 || responses.get(status.to_string()).is_some(), "{route}: {status} is not described");
            let schema = &response["content"]["application/json"]["schema"];
            if answer.text.is_empty() {
                assert!(schema.is_null(), "{route}");
                continue;
            }
            assert!(schema.is_object(), "{route} {status}: {response}");
            assert_eq!(document.fault(schema, &answer.json()), None, "{route} {status}: {}", answer.text);
            let mut more = answer.json();
            more.as_object_mut().unwrap().insert("undescribed".into(), json!(1));
            assert!(document.fault(schema, &more).is_some(), "{route} {status}: anything would do");
            for header in response["headers"].as_object().into_iter().flatten().map(|(name, _)| name) {
                assert!(answer.header(header).is_some(), "{route} {header}");
            }

            // And what was asked is described as well.
            if !body.is_null() && status < 400 {
                let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
                assert_eq!(document.fault(schema, &body), None, "{route}: {body}");
            }
        }
    }
}
