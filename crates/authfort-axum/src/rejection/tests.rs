use std::io;

use super::*;

/// Returns the status, the relevant headers and the whole body.
async fn shown(rejection: impl Into<Rejection>) -> String {
    let response = rejection.into().into_response();
    let headers = response.headers();
    assert_eq!(headers[header::CONTENT_TYPE], "application/json");
    assert_eq!(headers[header::CACHE_CONTROL], "no-store");
    let mut text = response.status().as_u16().to_string();
    for name in [header::WWW_AUTHENTICATE, header::RETRY_AFTER] {
        if let Some(value) = headers.get(&name) {
            text = format!("{text} {name}: {}", value.to_str().unwrap());
        }
    }
    let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
    format!("{text} {}", std::str::from_utf8(&body).unwrap())
}

fn secret() -> io::Error {
    io::Error::other("SELECT password FROM /var/lib/secret")
}

#[tokio::test]
async fn every_error_of_the_core_has_its_answer() {
    let cases: Vec<(Error, &str)> = vec![
        (Error::UserNotFound, r#"404 {"error":"user_not_found","message":"No user has this id."}"#),
        (
            Error::UserExists,
            r#"409 {"error":"user_exists","message":"A user with this email address exists already."}"#,
        ),
        (Error::SessionNotFound, r#"404 {"error":"session_not_found","message":"No such session."}"#),
        (
            Error::SubscriptionNotFound,
            r#"404 {"error":"subscription_not_found","message":"There is no such subscription."}"#,
        ),
        (
            Error::DeadLetterNotFound,
            r#"404 {"error":"dead_letter_not_found","message":"There is no such dead letter."}"#,
        ),
        (Error::AccountNotFound, r#"404 {"error":"account_not_found","message":"No such account."}"#),
        (Error::KeyNotFound, r#"404 {"error":"not_found","message":"No such key."}"#),
        (Error::LastAdmin, r#"409 {"error":"last_admin","message":"This is the last usable administrator."}"#),
        (
            Error::AccountLinkedElsewhere,
            r#"409 {"error":"account_linked_elsewhere","message":"This account is linked to another user, or the user has another account at this provider."}"#,
        ),
        (
            Error::LastCredential,
            r#"409 {"error":"last_credential","message":"This is the user's only way to sign in."}"#,
        ),
        (
            Error::BlockedByReference { table: Some("orders".into()) },
            r#"409 {"error":"blocked_by_reference","message":"Rows of orders refer to this user."}"#,
        ),
        (
            Error::PreconditionFailed,
            r#"412 {"error":"precondition_failed","message":"The user was changed in the meantime; read it again."}"#,
        ),
        (
            Error::invalid("limit", "out_of_range", "must be between 1 and 200"),
            r#"422 {"error":"validation_failed","message":"Invalid input: limit: must be between 1 and 200.","fields":[{"field":"limit","code":"out_of_range","message":"must be between 1 and 200"}]}"#,
        ),
        (
            Error::InvalidCursor,
            r#"400 {"error":"invalid_request","message":"The cursor does not belong to this list; start again without it."}"#,
        ),
        (Error::InvalidCredentials, r#"401 {"error":"invalid_credentials","message":"Email or password is wrong."}"#),
        (Error::UserBanned, r#"403 {"error":"user_banned","message":"This user is banned."}"#),
        (
            Error::InsufficientRole { role: "admin".into() },
            r#"403 {"error":"insufficient_role","message":"This needs the role admin."}"#,
        ),
        (Error::SignupDisabled, r#"403 {"error":"signup_disabled","message":"Sign-up is switched off."}"#),
        (
            Error::TokenInvalid,
            r#"401 www-authenticate: Bearer error="invalid_token" {"error":"token_invalid","message":"The access token is not valid."}"#,
        ),
        (
            Error::TokenExpired,
            r#"401 www-authenticate: Bearer error="invalid_token" {"error":"token_expired","message":"The access token has expired."}"#,
        ),
        (
            Error::TokenVersionMismatch,
            r#"401 www-authenticate: Bearer error="invalid_token" {"error":"token_version_mismatch","message":"The access token is out of date."}"#,
        ),
        (
            Error::SessionRevoked,
            r#"401 www-authenticate: Bearer error="invalid_token" {"error":"session_revoked","message":"The session was ended."}"#,
        ),
        (
            Error::TokenUserNotFound,
            r#"401 www-authenticate: Bearer error="invalid_token" {"error":"user_not_found","message":"The user of this token is gone."}"#,
        ),
        (
            Error::RefreshTokenInvalid,
            r#"401 {"error":"refresh_token_invalid","message":"The refresh token is not valid."}"#,
        ),
        (
            Error::RefreshTokenReused,
            r#"401 {"error":"refresh_token_reused","message":"The refresh token was used before; the session was ended."}"#,
        ),
        (
            Error::VerificationTokenInvalid,
            r#"422 {"error":"validation_failed","message":"The token is not valid.","fields":[{"field":"token","code":"invalid","message":"is unknown, expired or used"}]}"#,
        ),
        (
            Error::RateLimited { retry_after: Duration::from_millis(5_200) },
            r#"429 retry-after: 6 {"error":"rate_limited","message":"Too many attempts."}"#,
        ),
        (
            Error::DatabaseUnavailable(sqlx::Error::Io(secret())),
            r#"503 retry-after: 1 {"error":"database_unavailable","message":"The database is not available."}"#,
        ),
        (Error::Overloaded, r#"503 retry-after: 1 {"error":"overloaded","message":"Too much work at once."}"#),
    ];
    for (error, expected) in cases {
        assert_eq!(shown(error).await, expected);
    }
}

#[tokio::test]
async fn a_fault_of_ours_says_nothing_about_itself() {
    let faults = [
        Error::Database(sqlx::Error::Protocol("SELECT password".into())),
        Error::Internal(Box::new(secret())),
        Error::Migration("schema 7 of /var/lib/secret".into()),
        Error::Config { field: "issuer", message: "secret".into() },
    ];
    for fault in faults {
        assert_eq!(shown(fault).await, r#"500 {"error":"internal","message":"An internal error occurred."}"#);
    }
}

#[tokio::test]
async fn every_refusal_of_the_edge_has_its_answer() {
    let cases = [
        (Rejection::invalid_request("No."), r#"400 {"error":"invalid_request","message":"No."}"#),
        (
            Rejection::token_missing(),
            r#"401 www-authenticate: Bearer {"error":"token_missing","message":"An access token is needed."}"#,
        ),
        (
            Rejection::refresh_token_missing(),
            r#"401 {"error":"refresh_token_missing","message":"A refresh token is needed."}"#,
        ),
        (
            Rejection::unauthorized(),
            r#"401 www-authenticate: Bearer {"error":"unauthorized","message":"This endpoint needs its secret as a bearer token."}"#,
        ),
        (
            Rejection::insufficient_role("admin"),
            r#"403 {"error":"insufficient_role","message":"This needs the role admin."}"#,
        ),
        (
            Rejection::cross_site(),
            r#"403 {"error":"cross_site_request","message":"This request came from another site."}"#,
        ),
        (Rejection::not_found(), r#"404 {"error":"not_found","message":"There is nothing here."}"#),
        (
            Rejection::method_not_allowed(),
            r#"405 {"error":"method_not_allowed","message":"This path does not answer to this method."}"#,
        ),
        (
            Rejection::cannot_act_on_self(),
            r#"409 {"error":"cannot_act_on_self","message":"You cannot do this to yourself."}"#,
        ),
        (Rejection::payload_too_large(), r#"413 {"error":"payload_too_large","message":"The body is too large."}"#),
        (
            Rejection::unsupported_media_type(),
            r#"415 {"error":"unsupported_media_type","message":"The body must be sent as Content-Type: application/json."}"#,
        ),
    ];
    for (rejection, expected) in cases {
        assert_eq!(shown(rejection).await, expected);
    }
}

#[test]
fn retry_after_is_whole_seconds_rounded_up_and_never_zero() {
    assert_eq!(whole_seconds(Duration::ZERO), 1);
    assert_eq!(whole_seconds(Duration::from_millis(1)), 1);
    assert_eq!(whole_seconds(Duration::from_secs(2)), 2);
    assert_eq!(whole_seconds(Duration::new(2, 1)), 3);
    assert_eq!(whole_seconds(Duration::MAX), u64::MAX);
}

#[test]
fn the_log_of_a_fault_stays_on_one_line() {
    let error = Error::Internal(Box::new(io::Error::other("a\nb\u{1b}[31m")));
    assert_eq!(Chain(&error).to_string(), "An internal error occurred.: a\\nb\\u{1b}[31m");
}
