//! Access tokens and the keys that sign them: what the guard says, what cuts, rotation, keys at rest, other verifiers.

use std::time::Duration;

use authfort::secrecy::ExposeSecret;
use authfort::{Algorithm, AuthFort, Error, Introspection, SignedIn, UserId};
use authfort_testkit::{Engine, TestDatabase, both_engines, run};
use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::support::{PASSWORD, admin, builder, clock, service, user};
use crate::tools::{Raw, access, code, guard, refresh};

const EMAIL: &str = "jane@example.com";
pub const SECRET: &str = "a configured secret of enough bytes";
pub const OTHER_SECRET: &str = "another configured secret, as long";

pub async fn is_active(auth: &AuthFort, token: &str) -> bool {
    matches!(auth.introspect(token).await.unwrap(), Introspection::Active(_))
}

/// The header and the claims of a token, unverified.
pub fn parts(token: &str) -> [Value; 2] {
    use base64::Engine as _;
    let read = |segment: &str| {
        let json = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(segment).unwrap();
        serde_json::from_slice(&json).unwrap()
    };
    let mut segments = token.split('.');
    [read(segments.next().unwrap()), read(segments.next().unwrap())]
}

pub fn kid(token: &str) -> String {
    parts(token)[0]["kid"].as_str().unwrap().to_owned()
}

/// The token under a `kid` that no key has.
pub fn with_kid(token: &str, kid: &str) -> String {
    use base64::Engine as _;
    let header = json!({"typ": "at+jwt", "alg": "EdDSA", "kid": kid}).to_string();
    let header = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(header);
    format!("{header}.{}", token.split_once('.').unwrap().1)
}

pub fn kids(jwks: &Value) -> Vec<String> {
    jwks["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

/// Reads a token by another implementation, with nothing but our JWKS.
fn decode(token: &str, jwks: &Value, validate: impl FnOnce(&mut jsonwebtoken::Validation)) -> Option<Value> {
    let set: jsonwebtoken::jwk::JwkSet = serde_json::from_value(jwks.clone()).unwrap();
    let jwk = set.find(&kid(token))?;
    let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::decode_header(token).unwrap().alg);
    // The clock of the tests stands still, years from now.
    validation.validate_exp = false;
    validate(&mut validation);
    let key = jsonwebtoken::DecodingKey::from_jwk(jwk).unwrap();
    jsonwebtoken::decode::<Value>(token, &key, &validation).ok().map(|data| data.claims)
}

pub async fn config_error(builder: authfort::Builder, db: &TestDatabase) -> (&'static str, String) {
    match builder.connect(db.url()).await {
        Err(Error::Config { field, message }) => (field, message),
        other => panic!("{other:?}"),
    }
}

both_engines! {
    async fn defect_18_an_access_token_says_what_verifiers_need(db: TestDatabase) {
        let clock = clock();
        let auth = builder(&clock).issuer("https://id.example.com").audience("shop").connect(db.url()).await.unwrap();
        let jane = auth.create_user(EMAIL).name("Jane").role("editor").role("author").await.unwrap();
        let (one, two) = (auth.create_session(jane.id).await.unwrap(), auth.create_session(jane.id).await.unwrap());
        let [header, mut claims] = parts(access(&one));
        assert_eq!(header, json!({"typ": "at+jwt", "alg": "EdDSA", "kid": auth.list_keys().await.unwrap()[0].kid}));
        let jti = claims.as_object_mut().unwrap().remove("jti").unwrap();
        assert_ne!(jti, parts(access(&two))[1]["jti"]);
        let now = clock.now().timestamp();
        let expected = json!({
            "sub": jane.id, "email": EMAIL, "name": "Jane", "roles": ["author", "editor"], "ver": 0,
            "sid": one.session_id, "iat": now, "exp": now + 900, "iss": "https://id.example.com", "aud": "shop",
        });
        assert_eq!(claims, expected);
    }

    async fn defect_02_guard_and_introspection_never_differ(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let mut cases: Vec<(String, &'static str)> = Vec::new();
        let fresh = async |email: &str| {
            let id = user(&auth, email).await.id;
            (id, auth.create_session(id).await.unwrap())
        };

        let (_, expired) = fresh("expired@example.com").await;
        clock.advance(TimeDelta::minutes(15));
        cases.push((access(&expired).to_owned(), "token_expired"));

        let (_, live) = fresh("live@example.com").await;
        cases.push((access(&live).to_owned(), "ok"));
        let (_, refreshed) = fresh("refreshed@example.com").await;
        cases.push((access(&refreshed).to_owned(), "ok"));
        cases.push((access(&auth.refresh(refresh(&refreshed)).await.unwrap()).to_owned(), "ok"));
        let (_, out) = fresh("out@example.com").await;
        auth.logout(refresh(&out)).await.unwrap();
        cases.push((access(&out).to_owned(), "session_revoked"));
        let (id, banned) = fresh("banned@example.com").await;
        auth.ban_user(id).await.unwrap();
        cases.push((access(&banned).to_owned(), "user_banned"));
        let (id, unbanned) = fresh("unbanned@example.com").await;
        auth.ban_user(id).expires_at(clock.now() + TimeDelta::seconds(1)).await.unwrap();
        cases.push((access(&unbanned).to_owned(), "user_banned"));
        let (id, deleted) = fresh("deleted@example.com").await;
        auth.delete_user(id).await.unwrap();
        cases.push((access(&deleted).to_owned(), "user_not_found"));
        let (id, erased) = fresh("erased@example.com").await;
        auth.delete_user(id).anonymize().await.unwrap();
        cases.push((access(&erased).to_owned(), "user_not_found"));
        let (id, promoted) = fresh("promoted@example.com").await;
        auth.add_role(id, "editor").await.unwrap();
        cases.push((access(&promoted).to_owned(), "token_version_mismatch"));
        for text in ["", ".", "..", "no token", refresh(&live), &with_kid(access(&live), &"A".repeat(43)), "\0"] {
            cases.push((text.to_owned(), "token_invalid"));
        }

        for (token, expected) in &cases {
            assert_eq!(guard(&auth, token).await, *expected, "{token}");
            assert_eq!(is_active(&auth, token).await, *expected == "ok", "{token}");
        }
        // The ban runs out by itself; what it cut stays cut.
        clock.advance(TimeDelta::seconds(1));
        assert_eq!(guard(&auth, access(&unbanned)).await, "session_revoked");
        // A key that does not count any more.
        auth.rotate_keys().revoke_old_tokens().await.unwrap();
        for (token, expected) in &cases {
            let expected = if *expected == "token_expired" { "token_expired" } else { "token_invalid" };
            assert!([expected, "token_invalid"].contains(&guard(&auth, token).await), "{token}");
            assert!(!is_active(&auth, token).await, "{token}");
        }
    }

    async fn introspection_answers_what_the_contract_says(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let jane = auth.create_user(EMAIL).name("Jane").role("editor").await.unwrap();
        auth.add_role(jane.id, "author").await.unwrap();
        let signed_in = auth.create_session(jane.id).await.unwrap();
        let answer = auth.introspect(access(&signed_in)).await.unwrap();
        let now = clock.now().timestamp();
        let expected = json!({
            "active": true, "sub": jane.id, "email": EMAIL, "name": "Jane", "roles": ["author", "editor"],
            "token_version": 1, "exp": now + 900, "iat": now, "iss": "authfort",
        });
        assert_eq!(serde_json::to_value(&answer).unwrap(), expected);
        let principal = auth.authenticate(access(&signed_in)).await.unwrap();
        assert_eq!((principal.email.as_str(), principal.name.as_deref()), (EMAIL, Some("Jane")));
        assert_eq!(principal.roles, ["author", "editor"]);
    }

    async fn each_of_these_changes_cuts_what_was_handed_out(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        admin(&auth, "root@example.com").await;
        // The change, what the guard says after it, and what a refresh says.
        let changes = [
            ("ban", "user_banned", "refresh_token_invalid"),
            ("delete", "user_not_found", "refresh_token_invalid"),
            ("anonymize", "user_not_found", "refresh_token_invalid"),
            ("set password", "session_revoked", "refresh_token_invalid"),
            ("change password", "session_revoked", "refresh_token_invalid"),
            ("reset password", "session_revoked", "refresh_token_invalid"),
            ("email", "session_revoked", "refresh_token_invalid"),
            ("demotion", "token_version_mismatch", "ok"),
        ];
        for (change, guarded, refreshed) in changes {
            let email = format!("{}@example.com", change.replace(' ', "-"));
            let id = admin(&auth, &email).await.id;
            let signed_in = auth.create_session(id).await.unwrap();
            let verification = auth.request_email_verification(&email).await.unwrap().unwrap().token;
            let reset = auth.request_password_reset(&email).await.unwrap().unwrap().token;
            let version = format!("SELECT token_version FROM authfort_users WHERE email = '{email}'");
            let before = Raw::open(&db).await.count(version.as_str()).await;
            assert_eq!(guard(&auth, access(&signed_in)).await, "ok");

            match change {
                "ban" => drop(auth.ban_user(id).await.unwrap()),
                "delete" => drop(auth.delete_user(id).await.unwrap()),
                "anonymize" => drop(auth.delete_user(id).anonymize().await.unwrap()),
                "set password" => auth.set_password(id, "another password").await.unwrap(),
                "change password" => auth.change_password(id, PASSWORD, "another password").await.unwrap(),
                "reset password" => {
                    assert_eq!(auth.reset_password(reset.clone(), "another password").await.unwrap(), id);
                }
                "email" => drop(auth.update_user(id).email("new@example.com").await.unwrap()),
                "demotion" => drop(auth.remove_role(id, "admin").await.unwrap()),
                other => panic!("{other}"),
            }

            assert_eq!(guard(&auth, access(&signed_in)).await, guarded, "{change}");
            assert_eq!(code(&auth.refresh(refresh(&signed_in)).await), refreshed, "{change}");
            if change == "demotion" {
                // Another role is another token; address and password are what they were.
                assert!(auth.verify_email(verification).await.is_ok());
                assert!(auth.reset_password(reset, "another password").await.is_ok());
            } else {
                assert_eq!(code(&auth.verify_email(verification).await), "validation_failed", "{change}");
                assert_eq!(code(&auth.reset_password(reset, "a third password").await), "validation_failed", "{change}");
            }
            if matches!(change, "ban" | "set password" | "change password" | "reset password") {
                assert_eq!(Raw::open(&db).await.count(version).await, before + 1, "{change}");
            }
        }
    }

    async fn the_session_that_is_kept_goes_on_after_a_refresh(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let jane = user(&auth, EMAIL).await;
        let (here, there) = (auth.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap(), auth.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap());
        auth.change_password(jane.id, PASSWORD, "another password").keep_session(here.session_id).await.unwrap();
        assert_eq!(guard(&auth, access(&here)).await, "token_version_mismatch");
        assert_eq!(guard(&auth, access(&there)).await, "session_revoked");
        assert_eq!(code(&auth.refresh(refresh(&there)).await), "refresh_token_invalid");
        let here = auth.refresh(refresh(&here)).await.unwrap();
        assert_eq!(guard(&auth, access(&here)).await, "ok");
    }

    async fn a_flood_of_unknown_key_ids_asks_the_database_once(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let jane = user(&auth, EMAIL).await;
        let signed_in = auth.create_session(jane.id).await.unwrap();
        let unknown = |n: u32| with_kid(access(&signed_in), &format!("{n:043}"));
        assert_eq!(guard(&auth, &unknown(0)).await, "token_invalid");
        // From here on, whoever reads the keys fails.
        let mut raw = Raw::open(&db).await;
        raw.execute("ALTER TABLE authfort_signing_keys RENAME TO hidden").await;
        for n in 0..1000 {
            assert_eq!(guard(&auth, &unknown(n)).await, "token_invalid");
        }
        clock.advance(TimeDelta::seconds(1));
        // It is not known whether there is such a key: for who asks, and for the next who do within the second.
        for n in 0..1000 {
            assert_eq!(guard(&auth, &unknown(n)).await, "internal");
        }
        raw.execute("ALTER TABLE hidden RENAME TO authfort_signing_keys").await;
        assert_eq!(guard(&auth, access(&signed_in)).await, "ok");
    }

    async fn tokens_of_other_issuers_and_audiences_are_refused(db: TestDatabase) {
        let clock = clock();
        let auth = builder(&clock).audience("shop").connect(db.url()).await.unwrap();
        let jane = user(&auth, EMAIL).await;
        let signed_in = auth.create_session(jane.id).await.unwrap();
        assert_eq!(guard(&auth, access(&signed_in)).await, "ok");
        for other in [
            builder(&clock),
            builder(&clock).audience("blog"),
            builder(&clock).audience("shop").issuer("https://id.example.com"),
        ] {
            let other = other.connect(db.url()).await.unwrap();
            assert_eq!(guard(&other, access(&signed_in)).await, "token_invalid");
            assert!(!is_active(&other, access(&signed_in)).await);
            let theirs = other.create_session(jane.id).await.unwrap();
            assert_eq!(guard(&other, access(&theirs)).await, "ok");
            assert_eq!(guard(&auth, access(&theirs)).await, "token_invalid");
        }
        let jwks = auth.jwks().await;
        assert!(decode(access(&signed_in), &jwks, |v| v.set_audience(&["shop"])).is_some());
        assert!(decode(access(&signed_in), &jwks, |v| v.set_audience(&["blog"])).is_none());
    }

    async fn leeway_counts_at_the_end_of_a_token(db: TestDatabase) {
        let clock = clock();
        let auth = builder(&clock).leeway(Duration::from_secs(30)).connect(db.url()).await.unwrap();
        let jane = user(&auth, EMAIL).await;
        let signed_in = auth.create_session(jane.id).await.unwrap();
        clock.advance(TimeDelta::seconds(929));
        assert_eq!(guard(&auth, access(&signed_in)).await, "ok");
        clock.advance(TimeDelta::seconds(1));
        assert_eq!(guard(&auth, access(&signed_in)).await, "token_expired");
    }

    async fn a_token_of_another_services_database_is_refused(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let other_db = TestDatabase::create(db.engine()).await;
        let other = builder(&clock).connect(other_db.url()).await.unwrap();
        let theirs: SignedIn = other.create_session(user(&other, EMAIL).await.id).await.unwrap();
        assert_eq!(guard(&auth, access(&theirs)).await, "token_invalid");
        // Even under a key that both know, nobody of that name is here.
        let mut raw = Raw::open(&db).await;
        let ours = Raw::open(&other_db).await.texts("SELECT public_jwk FROM authfort_signing_keys").await.remove(0);
        let kid = kid(access(&theirs));
        raw.execute(format!(
            "INSERT INTO authfort_signing_keys (kid, algorithm, public_jwk, private_key, created_at, signs_from, expires_at)
             SELECT '{kid}', algorithm, '{ours}', '', created_at, created_at, '2031-01-01T00:00:00+00:00'
             FROM authfort_signing_keys"
        ))
        .await;
        clock.advance(TimeDelta::seconds(6));
        assert_eq!(guard(&auth, access(&theirs)).await, "user_not_found");
    }
}

/// Each algorithm with and without a secret, on one engine: nothing of this depends on it.
#[test]
fn the_jwks_never_holds_a_private_member_and_others_verify_by_it() {
    run(Engine::Sqlite, async |db| {
        drop(db);
        let clock = clock();
        for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa] {
            for secret in [None, Some(SECRET)] {
                let mut options = builder(&clock).algorithm(algorithm);
                if let Some(secret) = secret {
                    options = options.secret(secret);
                }
                let auth = options.connect("sqlite::memory:").await.unwrap();
                auth.rotate_keys().await.unwrap();
                let id: UserId = user(&auth, EMAIL).await.id;
                let signed_in = auth.create_session(id).await.unwrap();
                let jwks = auth.jwks().await;
                assert_eq!(jwks.as_object().unwrap().keys().collect::<Vec<_>>(), ["keys"]);
                assert_eq!(jwks["keys"].as_array().unwrap().len(), 2);
                for jwk in jwks["keys"].as_array().unwrap() {
                    for member in jwk.as_object().unwrap().keys() {
                        let public = ["alg", "crv", "e", "kid", "kty", "n", "use", "x", "y"];
                        assert!(public.contains(&member.as_str()), "{algorithm}: {member}");
                    }
                }
                let claims = decode(access(&signed_in), &jwks, |v| v.set_issuer(&["authfort"])).unwrap();
                assert_eq!(claims, parts(access(&signed_in))[1]);
                let (rest, signature) = access(&signed_in).rsplit_once('.').unwrap();
                let forged = format!("{rest}.{}", signature.chars().rev().collect::<String>());
                assert_eq!(decode(&forged, &jwks, |_| {}), None);
                assert_eq!(signed_in.tokens.access_token.expose_secret(), access(&signed_in));
            }
        }
    });
}
