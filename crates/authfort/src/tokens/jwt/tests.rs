//! Rows 1 to 9 of the security requirements: tokens that must be refused, each with every algorithm.

use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

use aws_lc_rs::hmac;
use serde_json::json;

use super::*;
use crate::crypto::hmac_sha256;

static KEYS: LazyLock<[SigningKey; 3]> = LazyLock::new(|| {
    [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa].map(|algorithm| SigningKey::generate(algorithm).unwrap())
});

const NOW: i64 = 1_800_000_000;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap()
}

fn rules() -> Rules {
    Rules::new("authfort", None, Duration::ZERO).unwrap()
}

fn claims() -> Claims {
    Claims {
        sub: Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_00ab),
        email: "ada@example.com".to_owned(),
        name: Some("Ada \"Countess\" Lovelace".to_owned()),
        roles: vec!["admin".to_owned(), "editor".to_owned()],
        ver: 7,
        sid: Uuid::from_u128(2),
        iat: NOW - 60,
        exp: NOW + 840,
        iss: "authfort".to_owned(),
        jti: Uuid::from_u128(3),
        aud: None,
    }
}

fn check_with(token: &str, rules: &Rules, now: i64) -> Result<Claims, VerifyError> {
    let lookup = |kid: &str| {
        let key = KEYS.iter().find(|key| key.kid() == kid)?;
        Some(Arc::new(VerifyingKey::from_public_jwk(&key.public_jwk()).unwrap()))
    };
    verify(token, lookup, rules, at(now))
}

fn check(token: &str) -> Result<Claims, VerifyError> {
    check_with(token, &rules(), NOW)
}

/// A token of any header and payload, with a valid signature.
fn signed(key: &SigningKey, header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
    let message = format!("{}.{}", base64url_encode(header), base64url_encode(payload));
    let signature = key.sign(message.as_bytes()).unwrap();
    format!("{message}.{}", base64url_encode(signature))
}

fn header(key: &SigningKey) -> Value {
    json!({"typ": "at+jwt", "alg": key.algorithm().as_str(), "kid": key.kid()})
}

fn payload() -> Value {
    serde_json::to_value(claims()).unwrap()
}

/// A validly signed token with one header member replaced, or removed.
fn with_header(key: &SigningKey, member: &str, value: Option<Value>) -> String {
    let mut header = header(key);
    match value {
        Some(value) => header[member] = value,
        None => drop(header.as_object_mut().unwrap().remove(member)),
    }
    signed(key, header.to_string(), payload().to_string())
}

/// A validly signed token with one claim replaced, or removed.
fn with_claim(key: &SigningKey, claim: &str, value: Option<Value>) -> String {
    let mut payload = payload();
    match value {
        Some(value) => payload[claim] = value,
        None => drop(payload.as_object_mut().unwrap().remove(claim)),
    }
    signed(key, header(key).to_string(), payload.to_string())
}

fn parts(token: &str) -> [String; 3] {
    token.split('.').map(str::to_owned).collect::<Vec<_>>().try_into().unwrap()
}

#[test]
fn a_signed_token_says_what_was_signed() {
    for key in KEYS.iter() {
        let token = sign(key, &claims()).unwrap();
        assert_eq!(check(&token), Ok(claims()));
        assert_eq!(check(&signed(key, header(key).to_string(), payload().to_string())), Ok(claims()));
        let nameless = Claims { name: None, roles: vec![], ..claims() };
        assert_eq!(check(&sign(key, &nameless).unwrap()), Ok(nameless));
        self_test(key).unwrap();
    }
}

#[test]
fn the_claims_on_the_wire_are_those_of_the_contract() {
    let [header, payload, _] = parts(&sign(&KEYS[0], &claims()).unwrap());
    let text = |segment: &str| String::from_utf8(base64url_decode(segment).unwrap()).unwrap();
    assert_eq!(text(&header), format!(r#"{{"typ":"at+jwt","alg":"RS256","kid":"{}"}}"#, KEYS[0].kid()));
    assert_eq!(
        serde_json::from_str::<Value>(&text(&payload)).unwrap(),
        json!({
            "sub": "01900000-0000-7000-8000-0000000000ab", "email": "ada@example.com",
            "name": "Ada \"Countess\" Lovelace", "roles": ["admin", "editor"], "ver": 7,
            "sid": "00000000-0000-0000-0000-000000000002", "iat": NOW - 60, "exp": NOW + 840, "iss": "authfort",
            "jti": "00000000-0000-0000-0000-000000000003",
        })
    );
}

#[test]
fn another_implementation_reads_ours_and_we_read_its() {
    use jsonwebtoken as jwt;
    for key in KEYS.iter() {
        let algorithm: jwt::Algorithm = key.algorithm().as_str().parse().unwrap();
        let jwk: jwt::jwk::Jwk = serde_json::from_value(key.public_jwk()).unwrap();
        let mut validation = jwt::Validation::new(algorithm);
        validation.validate_exp = false;
        let token = sign(key, &claims()).unwrap();
        let theirs = jwt::decode::<Claims>(&token, &jwt::DecodingKey::from_jwk(&jwk).unwrap(), &validation).unwrap();
        assert_eq!(theirs.claims, claims());

        let pkcs8 = key.pkcs8();
        let encoding = match key.algorithm() {
            // It requires PKCS#1, which a PKCS#8 of an RSA key wraps in 26 bytes.
            Algorithm::Rs256 => jwt::EncodingKey::from_rsa_der(&pkcs8[26..]),
            Algorithm::Es256 => jwt::EncodingKey::from_ec_der(pkcs8),
            Algorithm::EdDsa => jwt::EncodingKey::from_ed_der(pkcs8),
        };
        let mut header = jwt::Header::new(algorithm);
        header.typ = Some("at+jwt".to_owned());
        header.kid = Some(key.kid().to_owned());
        assert_eq!(check(&jwt::encode(&header, &claims(), &encoding).unwrap()), Ok(claims()));
    }
}

#[test]
fn alg_none_is_refused() {
    for key in KEYS.iter() {
        for alg in
            ["none", "None", "NONE", "nOnE", "", " ", "RS256 ", "rs256", "EDDSA", "RS512", "PS256", "ES384", "Ed25519"]
        {
            let token = with_header(key, "alg", Some(json!(alg)));
            assert_eq!(check(&token), Err(VerifyError::Invalid), "{alg}");
            let (unsigned, _) = token.rsplit_once('.').unwrap();
            assert_eq!(check(&format!("{unsigned}.")), Err(VerifyError::Invalid), "{alg}");
            assert_eq!(check(unsigned), Err(VerifyError::Invalid), "{alg}");
        }
    }
}

#[test]
fn alg_absent_or_no_string_is_refused() {
    for key in KEYS.iter() {
        for alg in
            [None, Some(json!(null)), Some(json!(256)), Some(json!(true)), Some(json!(["RS256"])), Some(json!({}))]
        {
            assert_eq!(check(&with_header(key, "alg", alg)), Err(VerifyError::Invalid));
        }
    }
}

#[test]
fn the_algorithm_is_the_keys_and_not_the_headers() {
    for key in KEYS.iter() {
        for other in KEYS.iter().filter(|other| other.kid() != key.kid()) {
            // The signature of one key, claimed for another: by kid, by alg, by both.
            assert_eq!(
                check(&with_header(key, "alg", Some(json!(other.algorithm().as_str())))),
                Err(VerifyError::Invalid)
            );
            assert_eq!(check(&with_header(key, "kid", Some(json!(other.kid())))), Err(VerifyError::Invalid));
            let both = signed(key, header(other).to_string(), payload().to_string());
            assert_eq!(check(&both), Err(VerifyError::Invalid));
        }
    }
}

#[test]
fn hmac_keyed_with_the_public_key_is_refused() {
    use base64::{Engine, engine::general_purpose::STANDARD};
    for key in KEYS.iter() {
        let jwk = key.public_jwk();
        let member = |name: &str| base64url_decode(jwk[name].as_str().unwrap_or_default()).unwrap();
        let raw = [member("n"), member("x"), member("y"), member("e")].concat();
        let der = spki(key);
        let pem = |label: &str| {
            let lines: Vec<_> = STANDARD.encode(&der).into_bytes().chunks(64).map(<[u8]>::to_vec).collect();
            let body = String::from_utf8(lines.join(&b'\n')).unwrap();
            format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n").into_bytes()
        };
        let secrets = [
            pem("PUBLIC KEY"),
            pem("PUBLIC KEY").trim_ascii_end().to_vec(),
            pem("RSA PUBLIC KEY"),
            pem("CERTIFICATE"),
            STANDARD.encode(&der).into_bytes(),
            der.clone(),
            raw,
            member("n"),
            member("x"),
            jwk["n"].as_str().unwrap_or_default().as_bytes().to_vec(),
            jwk["x"].as_str().unwrap_or_default().as_bytes().to_vec(),
            jwk.to_string().into_bytes(),
            serde_json::to_vec_pretty(&jwk).unwrap(),
            json!({"keys": [jwk]}).to_string().into_bytes(),
            key.kid().as_bytes().to_vec(),
            vec![],
        ];
        for secret in secrets {
            for (alg, hash) in
                [("HS256", hmac::HMAC_SHA256), ("HS384", hmac::HMAC_SHA384), ("HS512", hmac::HMAC_SHA512)]
            {
                let tag = |header: &Value| {
                    let message =
                        format!("{}.{}", base64url_encode(header.to_string()), base64url_encode(payload().to_string()));
                    let tag = hmac::sign(&hmac::Key::new(hash, &secret), message.as_bytes());
                    format!("{message}.{}", base64url_encode(tag.as_ref()))
                };
                let mut forged = header(key);
                assert_eq!(check(&tag(&forged)), Err(VerifyError::Invalid), "{alg} as its own");
                forged["alg"] = json!(alg);
                assert_eq!(check(&tag(&forged)), Err(VerifyError::Invalid), "{alg}");
            }
        }
    }
}

/// The public key as a `SubjectPublicKeyInfo`, as OpenSSL would write it.
fn spki(key: &SigningKey) -> Vec<u8> {
    use aws_lc_rs::{
        encoding::{AsDer, PublicKeyX509Der},
        signature::{ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RsaPublicKeyComponents},
    };
    let jwk = key.public_jwk();
    let member = |name: &str| base64url_decode(jwk[name].as_str().unwrap()).unwrap();
    let der: PublicKeyX509Der<'_> = match key.algorithm() {
        Algorithm::Rs256 => RsaPublicKeyComponents { n: member("n"), e: member("e") }.as_der().unwrap(),
        Algorithm::Es256 => {
            let point = [vec![4], member("x"), member("y")].concat();
            ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).unwrap().as_der().unwrap()
        }
        Algorithm::EdDsa => ParsedPublicKey::new(&ED25519, member("x")).unwrap().as_der().unwrap(),
    };
    der.as_ref().to_vec()
}

#[test]
fn a_kid_is_a_known_thumbprint_or_nothing_is_looked_up() {
    for key in KEYS.iter() {
        let strange = [
            None,
            Some(json!(null)),
            Some(json!(1)),
            Some(json!([key.kid()])),
            Some(json!("")),
            Some(json!("k".repeat(4096))),
            Some(json!(format!("{}\0", key.kid()))),
            Some(json!(format!(" {}", key.kid()))),
            Some(json!("' OR 1=1 --")),
            Some(json!("../../../../../../../../../../../dev/null0")),
            Some(json!("https://attacker.example/jwks.json?aaaaaaaa")),
            Some(json!("é".repeat(43))),
        ];
        for kid in strange {
            let token = with_header(key, "kid", kid.clone());
            let unreached = |_: &str| -> Option<Arc<VerifyingKey>> { panic!("looked up {kid:?}") };
            assert_eq!(verify(&token, unreached, &rules(), at(NOW)), Err(VerifyError::Invalid), "{kid:?}");
        }
        let unknown = with_header(key, "kid", Some(json!("A".repeat(43))));
        assert_eq!(check(&unknown), Err(VerifyError::UnknownKey));
        assert_eq!(Error::from(VerifyError::UnknownKey).code(), "token_invalid");
        let twice =
            format!(r#"{{"typ":"at+jwt","alg":"{}","kid":"{}","kid":"{}"}}"#, key.algorithm(), key.kid(), key.kid());
        assert_eq!(check(&signed(key, twice, payload().to_string())), Err(VerifyError::Invalid));
    }
}

#[test]
fn a_lookup_that_answers_with_another_key_does_not_help() {
    let other = Arc::new(VerifyingKey::from_public_jwk(&KEYS[2].public_jwk()).unwrap());
    let mut lying = header(&KEYS[2]);
    lying["kid"] = json!("A".repeat(43));
    let token = signed(&KEYS[2], lying.to_string(), payload().to_string());
    assert_eq!(verify(&token, |_| Some(other), &rules(), at(NOW)), Err(VerifyError::Invalid));
}

#[test]
fn keys_in_the_header_are_refused_even_on_our_own_signature() {
    for key in KEYS.iter() {
        for (member, value) in [
            ("jku", json!("https://attacker.example/jwks.json")),
            ("x5u", json!("https://attacker.example/cert.pem")),
            ("jwk", key.public_jwk()),
            ("x5c", json!(["MIIB"])),
            ("x5t", json!("AAAA")),
        ] {
            assert_eq!(check(&with_header(key, member, Some(value))), Err(VerifyError::Invalid), "{member}");
        }
        // Self-signed, with the attacker's key included.
        let attacker = SigningKey::generate(Algorithm::EdDsa).unwrap();
        let mut header = header(&attacker);
        header["jwk"] = attacker.public_jwk();
        assert_eq!(check(&signed(&attacker, header.to_string(), payload().to_string())), Err(VerifyError::Invalid));
    }
}

#[test]
fn a_claim_that_is_absent_null_or_of_another_type_is_refused() {
    let wrong = [
        ("sub", vec![json!(1), json!("ada"), json!(""), json!(["x"]), json!("01900000000070008000000000000000ab")]),
        ("sid", vec![json!(1), json!("{00000000-0000-0000-0000-000000000002}"), json!("0-0")]),
        (
            "jti",
            vec![
                json!(1),
                json!("urn:uuid:00000000-0000-0000-0000-000000000003"),
                json!("0000000000000000000000000000000A"),
            ],
        ),
        ("email", vec![json!(1), json!({}), json!(["ada@example.com"])]),
        ("roles", vec![json!("admin"), json!([1]), json!({"admin": true}), json!([["admin"]])]),
        ("ver", vec![json!("7"), json!(7.5), json!(true), json!(7.0), json!(1e300), json!(u64::MAX)]),
        ("iat", vec![json!("1"), json!(1.5), json!(false)]),
        ("exp", vec![json!("never"), json!(true), json!([]), json!({})]),
        (
            "iss",
            vec![
                json!(1),
                json!(["authfort"]),
                json!({"iss": "authfort"}),
                json!("authfort "),
                json!("Authfort"),
                json!(""),
            ],
        ),
    ];
    for key in KEYS.iter() {
        for (claim, values) in &wrong {
            assert_eq!(check(&with_claim(key, claim, None)), Err(VerifyError::Invalid), "no {claim}");
            for value in values.iter().chain([&json!(null)]) {
                let outcome = check(&with_claim(key, claim, Some(value.clone())));
                assert_eq!(outcome, Err(VerifyError::Invalid), "{claim}: {value}");
            }
        }
        assert_eq!(check(&with_claim(key, "name", Some(json!(1)))), Err(VerifyError::Invalid));
        for whole in ["[]", "null", "\"\"", "", "{}", "1", "{\"sub\":"] {
            assert_eq!(check(&signed(key, header(key).to_string(), whole)), Err(VerifyError::Invalid), "{whole}");
        }
    }
}

#[test]
fn a_positional_array_is_no_set_of_claims() {
    for key in KEYS.iter() {
        let values: Vec<Value> = ["sub", "email", "name", "roles", "ver", "sid", "iat", "exp", "iss", "jti"]
            .map(|claim| payload()[claim].clone())
            .into();
        let token = signed(key, header(key).to_string(), Value::from(values).to_string());
        assert_eq!(check(&token), Err(VerifyError::Invalid));
        let header = json!(["at+jwt", key.algorithm().as_str(), key.kid()]);
        assert_eq!(check(&signed(key, header.to_string(), payload().to_string())), Err(VerifyError::Invalid));
    }
}

#[test]
fn the_audience_must_be_the_configured_one_or_none() {
    let with_audience = Rules::new("authfort", Some("api".to_owned()), Duration::ZERO).unwrap();
    for key in KEYS.iter() {
        let ours = sign(key, &Claims { aud: Some("api".to_owned()), ..claims() }).unwrap();
        assert!(check_with(&ours, &with_audience, NOW).is_ok());
        assert_eq!(check(&ours), Err(VerifyError::Invalid));
        assert_eq!(check_with(&sign(key, &claims()).unwrap(), &with_audience, NOW), Err(VerifyError::Invalid));
        for aud in
            [json!(null), json!(["api"]), json!(["api", "other"]), json!("API"), json!("api "), json!(""), json!(1)]
        {
            let token = with_claim(key, "aud", Some(aud.clone()));
            assert_eq!(check_with(&token, &with_audience, NOW), Err(VerifyError::Invalid), "{aud}");
            assert_eq!(check(&token), Err(VerifyError::Invalid), "{aud}");
        }
    }
}

#[test]
fn expiry_is_exact_at_both_edges_of_the_leeway() {
    for leeway in [0, 5, 30] {
        let rules = Rules::new("authfort", None, Duration::from_secs(leeway)).unwrap();
        let edge = claims().exp + i64::try_from(leeway).unwrap();
        for key in KEYS.iter() {
            let token = sign(key, &claims()).unwrap();
            assert!(check_with(&token, &rules, edge - 1).is_ok());
            assert_eq!(check_with(&token, &rules, edge), Err(VerifyError::Expired));
            assert_eq!(check_with(&token, &rules, edge + 1), Err(VerifyError::Expired));
        }
        let token = sign(&KEYS[2], &claims()).unwrap();
        let last = DateTime::from_timestamp(edge - 1, 999_999_999).unwrap();
        let public = Arc::new(VerifyingKey::from_public_jwk(&KEYS[2].public_jwk()).unwrap());
        assert!(verify(&token, |_| Some(public), &rules, last).is_ok());
    }
}

#[test]
fn not_before_is_exact_at_both_edges_of_the_leeway() {
    for leeway in [0_i64, 5, 30] {
        let rules = Rules::new("authfort", None, Duration::from_secs(leeway.unsigned_abs())).unwrap();
        for key in KEYS.iter() {
            let from = |nbf: i64| check_with(&with_claim(key, "nbf", Some(json!(nbf))), &rules, NOW);
            assert!(from(NOW - 1).is_ok());
            assert!(from(NOW + leeway).is_ok());
            assert_eq!(from(NOW + leeway + 1), Err(VerifyError::Invalid));
            assert_eq!(from(i64::MAX), Err(VerifyError::Invalid));
        }
    }
    for nbf in [json!(null), json!("0"), json!(0.5), json!(true), json!([0])] {
        assert_eq!(check(&with_claim(&KEYS[2], "nbf", Some(nbf.clone()))), Err(VerifyError::Invalid), "{nbf}");
    }
}

#[test]
fn an_expiry_that_is_no_whole_second_is_refused() {
    for key in KEYS.iter() {
        for exp in [
            "1e300",
            "1e10",
            "18e8",
            "1800000840.0",
            "-1.5",
            "true",
            "\"never\"",
            "null",
            "99999999999999999999",
            "NaN",
        ] {
            let text = payload().to_string().replace(&(NOW + 840).to_string(), exp);
            let outcome = check(&signed(key, header(key).to_string(), text));
            assert_eq!(outcome, Err(VerifyError::Invalid), "{exp}");
        }
        for exp in [0, -1, i64::MIN] {
            assert_eq!(check(&with_claim(key, "exp", Some(json!(exp)))), Err(VerifyError::Expired));
        }
        assert!(check(&with_claim(key, "exp", Some(json!(i64::MAX)))).is_ok());
    }
}

#[test]
fn only_a_token_of_ours_is_called_expired() {
    for key in KEYS.iter() {
        let later = NOW + 10_000;
        let token = sign(key, &claims()).unwrap();
        assert_eq!(check_with(&token, &rules(), later), Err(VerifyError::Expired));
        let [header, payload, signature] = parts(&token);
        let mut bytes = base64url_decode(&signature).unwrap();
        bytes[40] ^= 1;
        let forged = format!("{header}.{payload}.{}", base64url_encode(bytes));
        assert_eq!(check_with(&forged, &rules(), later), Err(VerifyError::Invalid));
        let foreign = with_claim(key, "iss", Some(json!("another")));
        assert_eq!(check_with(&foreign, &rules(), later), Err(VerifyError::Invalid));
    }
}

#[test]
fn a_leeway_above_thirty_seconds_is_a_mistake() {
    let leeway = |leeway| Rules::new("authfort", None, leeway);
    assert!(leeway(Duration::from_secs(30)).is_ok());
    assert!(matches!(leeway(Duration::from_millis(30_001)), Err(Error::Config { field: "leeway", .. })));
    assert!(matches!(Rules::new("", None, Duration::ZERO), Err(Error::Config { field: "issuer", .. })));
    let empty = Rules::new("authfort", Some(String::new()), Duration::ZERO);
    assert!(matches!(empty, Err(Error::Config { field: "audience", .. })));
}

#[test]
fn extensions_and_other_types_are_refused() {
    for key in KEYS.iter() {
        for (member, value) in [
            ("crit", json!(["exp"])),
            ("crit", json!(["b64"])),
            ("crit", json!([])),
            ("crit", json!(null)),
            ("b64", json!(false)),
            ("b64", json!(true)),
            ("zip", json!("DEF")),
            ("cty", json!("JWT")),
            ("enc", json!("A256GCM")),
            ("unknown", json!(1)),
        ] {
            assert_eq!(check(&with_header(key, member, Some(value))), Err(VerifyError::Invalid), "{member}");
        }
        for typ in ["JWT", "jwt", "", "AT+JWT", "application/at+jwt", "at+jwt ", "refresh+jwt", "reset", "dpop+jwt"] {
            assert_eq!(check(&with_header(key, "typ", Some(json!(typ)))), Err(VerifyError::Invalid), "{typ}");
        }
        for typ in [None, Some(json!(null)), Some(json!(1)), Some(json!(["at+jwt"]))] {
            assert_eq!(check(&with_header(key, "typ", typ)), Err(VerifyError::Invalid));
        }
    }
}

#[test]
fn an_unencoded_payload_is_refused() {
    for key in KEYS.iter() {
        let mut header = header(key);
        header["b64"] = json!(false);
        header["crit"] = json!(["b64"]);
        let signing_input = format!("{}.{}", base64url_encode(header.to_string()), payload());
        let signature = base64url_encode(key.sign(signing_input.as_bytes()).unwrap());
        assert_eq!(check(&format!("{signing_input}.{signature}")), Err(VerifyError::Invalid));
    }
}

#[test]
fn eight_kibibytes_is_the_limit() {
    for key in KEYS.iter() {
        let sized = |bytes: usize| with_claim(key, "padding", Some(json!("x".repeat(bytes))));
        let base = sized(0).len();
        // Three bytes are four characters, so some lengths are impossible.
        let mut fitting = (8 * 1024 - base) * 3 / 4 + 3;
        while sized(fitting).len() > 8 * 1024 {
            fitting -= 1;
        }
        assert!(sized(fitting).len() > 8 * 1024 - 3);
        assert!(check(&sized(fitting)).is_ok());
        let mut over = fitting;
        while sized(over).len() <= 8 * 1024 {
            over += 1;
        }
        let unreached = |_: &str| -> Option<Arc<VerifyingKey>> { panic!("looked up a key") };
        assert_eq!(verify(&sized(over), unreached, &rules(), at(NOW)), Err(VerifyError::Invalid));
    }
    let roles = (0..2_000).map(|number| format!("role-{number}")).collect();
    assert!(matches!(sign(&KEYS[2], &Claims { roles, ..claims() }), Err(Error::Internal(_))));
}

#[test]
fn hostile_sizes_and_shapes_cost_nothing() {
    let deep = |depth: usize| format!(r#"{{"a":{}"#, "[".repeat(depth));
    let e = |text: &str| base64url_encode(text);
    let many = format!("{{{}}}", (0..500).map(|n| format!(r#""{n}":1"#)).collect::<Vec<_>>().join(","));
    let hostile = [
        "a".repeat(1 << 20),
        ".".repeat(8 * 1024),
        format!("{}.{}.{}", e(&deep(5_000)), e("{}"), e("x")),
        format!("{}.{}.{}", e(&deep(500_000)), e("{}"), e("x")),
        format!("{}.{}.{}", e(&many), e("{}"), e("x")),
        format!("{}.AA.AA.AA.AA", e(r#"{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2c":2147483648,"p2s":"AAAA"}"#)),
        format!("{}.AA.AA", e(r#"{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2c":2147483648,"p2s":"AAAA"}"#)),
        format!("{}.AA.AA.AA.AA", e(r#"{"alg":"dir","enc":"A256GCM"}"#)),
    ];
    let start = Instant::now();
    for token in &hostile {
        assert_eq!(check(token), Err(VerifyError::Invalid), "{token:.80}");
    }
    assert!(start.elapsed() < Duration::from_millis(200), "{:?}", start.elapsed());
    for key in KEYS.iter() {
        let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(2_000), "]".repeat(2_000));
        assert_eq!(check(&signed(key, header(key).to_string(), deep)), Err(VerifyError::Invalid));
    }
}

#[test]
fn only_the_canonical_spelling_is_read() {
    for key in KEYS.iter() {
        let token = sign(key, &claims()).unwrap();
        let [header, payload, signature] = parts(&token);
        for other in [
            format!(" {token}"),
            format!("{token} "),
            format!("{token}\n"),
            format!("{token}\0"),
            format!("{token}="),
            format!("{token}."),
            format!(".{token}"),
            format!("{header}.{payload}"),
            format!("{header}.{payload}.{signature}.{signature}"),
            format!("{header}..{payload}.{signature}"),
            format!("{header}.{payload}.{signature}.AA.AA"),
            format!("{header}.{payload}."),
            format!("{header}..{signature}"),
            format!(".{payload}.{signature}"),
            format!("{header}=.{payload}.{signature}"),
            format!("{header}.{payload}=.{signature}"),
            format!("{header}.{payload}.{signature}=="),
            format!("{header}.{payload} .{signature}"),
            format!("{header}\n.{payload}.{signature}"),
            format!("{header}.{payload}.{}", signature.replace('-', "+").replace('_', "/") + "+"),
            String::new(),
            ".".to_owned(),
            "..".to_owned(),
            "é.é.é".to_owned(),
        ] {
            assert_eq!(check(&other), Err(VerifyError::Invalid), "{other:?}");
        }
    }
}

#[test]
fn stray_trailing_bits_are_refused() {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for key in KEYS.iter() {
        let token = sign(key, &claims()).unwrap();
        // 64 and 256 bytes both leave spare bits in the last character.
        let (stem, last) = token.split_at(token.len() - 1);
        let accepted: Vec<_> =
            ALPHABET.iter().filter(|&&letter| check(&format!("{stem}{}", char::from(letter))).is_ok()).collect();
        assert_eq!(accepted, [&last.as_bytes()[0]]);
    }
}

#[test]
fn no_single_changed_character_passes() {
    for key in KEYS.iter() {
        let token = sign(key, &claims()).unwrap();
        for place in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
            assert!(check(&String::from_utf8(bytes).unwrap()).is_err(), "character {place}");
        }
    }
}

#[test]
fn members_that_occur_twice_are_refused() {
    for key in KEYS.iter() {
        let (head, body) = (header(key).to_string(), payload().to_string());
        assert!(check(&signed(key, &head, &body)).is_ok());
        for member in ["typ", "alg", "kid"] {
            let value = &header(key)[member];
            for spelling in [member.to_owned(), format!("\\u{:04x}{}", u32::from(member.as_bytes()[0]), &member[1..])] {
                let twice = head.replacen('{', &format!(r#"{{"{spelling}":{value},"#), 1);
                assert_eq!(check(&signed(key, twice, &body)), Err(VerifyError::Invalid), "{member}");
            }
        }
        for (member, value) in
            [("sub", "\"x\""), ("exp", "99999999999"), ("iss", "\"authfort\""), ("other", "1,\"other\":1")]
        {
            let twice = body.replacen('{', &format!(r#"{{"{member}":{value},"#), 1);
            assert_eq!(check(&signed(key, &head, twice)), Err(VerifyError::Invalid), "{member}");
        }
        assert_eq!(check(&signed(key, format!("{head}{head}"), &body)), Err(VerifyError::Invalid));
        assert_eq!(check(&signed(key, &head, format!("{body} x"))), Err(VerifyError::Invalid));
    }
}

/// Replaces the signature of a valid token.
fn resigned(token: &str, signature: &[u8]) -> Result<Claims, VerifyError> {
    let (message, _) = token.rsplit_once('.').unwrap();
    check(&format!("{message}.{}", base64url_encode(signature)))
}

fn signature_of(token: &str) -> Vec<u8> {
    base64url_decode(token.rsplit_once('.').unwrap().1).unwrap()
}

#[test]
fn signatures_of_other_lengths_and_constants_are_refused() {
    for key in KEYS.iter() {
        let token = sign(key, &claims()).unwrap();
        let good = signature_of(&token);
        assert!(resigned(&token, &good).is_ok());
        let length = good.len();
        for other in [
            vec![],
            vec![0],
            vec![0; length],
            vec![1; length],
            vec![0xff; length],
            good[1..].to_vec(),
            good[..length - 1].to_vec(),
            [&[0], &*good].concat(),
            [&*good, &[0]].concat(),
            [&*good, &*good].concat(),
            good.iter().rev().copied().collect(),
            hmac_sha256(b"", token.as_bytes()).to_vec(),
        ] {
            assert_eq!(resigned(&token, &other), Err(VerifyError::Invalid), "{} bytes", other.len());
        }
    }
}

#[test]
fn ed25519_with_the_group_order_added_is_refused() {
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let token = sign(&KEYS[2], &claims()).unwrap();
    let mut signature = signature_of(&token);
    let mut carry = 0;
    for (byte, add) in signature[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = (sum & 0xff) as u8;
        carry = sum >> 8;
    }
    assert_eq!(carry, 0);
    assert_eq!(resigned(&token, &signature), Err(VerifyError::Invalid));
    // The identity and other points of small order, with S = 0.
    for r in [[0; 32], {
        let mut one = [0; 32];
        one[0] = 1;
        one
    }] {
        assert_eq!(resigned(&token, &[r, [0; 32]].concat()), Err(VerifyError::Invalid));
    }
}

#[test]
fn ecdsa_zero_order_and_der_are_refused() {
    const ORDER: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad,
        0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let token = sign(&KEYS[1], &claims()).unwrap();
    let good = signature_of(&token);
    let (r, s) = good.split_at(32);
    let zero = [0; 32];
    for (r, s) in [(&zero[..], &zero[..]), (&zero, s), (r, &zero), (&ORDER, &ORDER), (r, &ORDER), (&ORDER, s)] {
        assert_eq!(resigned(&token, &[r, s].concat()), Err(VerifyError::Invalid));
    }
    let integer = |bytes: &[u8]| {
        let start = bytes.iter().position(|&byte| byte != 0).unwrap();
        let sign: &[u8] = if bytes[start] >= 0x80 { &[0] } else { &[] };
        let body = [sign, &bytes[start..]].concat();
        [&[2, u8::try_from(body.len()).unwrap()], &*body].concat()
    };
    let body = [integer(r), integer(s)].concat();
    let der = [&[0x30, u8::try_from(body.len()).unwrap()], &*body].concat();
    assert_eq!(resigned(&token, &der), Err(VerifyError::Invalid));
}
