use std::time::{Duration, Instant};

use argon2::PasswordHasher as _;

use super::*;

fn secret(text: &str) -> SecretString {
    SecretString::from(text)
}

fn normalized(text: &str) -> NormalizedPassword {
    NormalizedPassword::of(&secret(text)).unwrap()
}

fn fast() -> PasswordHasher {
    PasswordHasher::new(&Hashing::insecure_fast_for_tests()).unwrap()
}

/// A hash as another configuration or library would have stored it.
fn stored(algorithm: Algorithm, version: Version, (m, t, p): (u32, u32, u32), length: usize) -> String {
    Argon2::new(algorithm, version, Params::new(m, t, p, Some(length)).unwrap())
        .hash_password_with_salt(b"correct horse", b"sixteen bytes ok")
        .unwrap()
        .to_string()
}

#[tokio::test]
async fn a_new_hash_is_argon2id_with_the_default_parameters() {
    let hasher = PasswordHasher::new(&Hashing::default()).unwrap();
    let one = hasher.hash(&normalized("correct horse")).await.unwrap();
    let two = hasher.hash(&normalized("correct horse")).await.unwrap();
    assert!(one.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{one}");
    assert_ne!(one, two);
    let salt = PasswordHash::new(&one).unwrap().salt.unwrap();
    assert_eq!(salt.as_ref().len(), 16);
    assert_eq!(hasher.verify(&secret("correct horse"), Some(&one)).await.unwrap(), PasswordMatch::Right);
    assert_eq!(hasher.verify(&secret("correct horsE"), Some(&one)).await.unwrap(), PasswordMatch::Wrong);
}

#[tokio::test]
async fn weaker_hashes_verify_and_are_reported() {
    let hasher = PasswordHasher::new(&Hashing { insecure: true, ..Hashing::default().memory_kib(64) }).unwrap();
    let current = stored(Algorithm::Argon2id, Version::V0x13, (64, 2, 1), 32);
    assert_eq!(hasher.verify(&secret("correct horse"), Some(&current)).await.unwrap(), PasswordMatch::Right);
    let stronger = stored(Algorithm::Argon2id, Version::V0x13, (256, 3, 4), 64);
    assert_eq!(hasher.verify(&secret("correct horse"), Some(&stronger)).await.unwrap(), PasswordMatch::Right);
    for weaker in [
        stored(Algorithm::Argon2id, Version::V0x13, (63, 2, 1), 32),
        stored(Algorithm::Argon2id, Version::V0x13, (64, 1, 1), 32),
        stored(Algorithm::Argon2id, Version::V0x10, (64, 2, 1), 32),
        stored(Algorithm::Argon2id, Version::V0x10, (64, 2, 1), 32).replace("v=16$", ""),
        stored(Algorithm::Argon2i, Version::V0x13, (64, 2, 1), 32),
        stored(Algorithm::Argon2d, Version::V0x13, (64, 2, 1), 32),
        stored(Algorithm::Argon2id, Version::V0x13, (64, 2, 1), 16),
    ] {
        let right = hasher.verify(&secret("correct horse"), Some(&weaker)).await.unwrap();
        assert_eq!(right, PasswordMatch::RightButWeaker, "{weaker}");
        assert_eq!(hasher.verify(&secret("wrong"), Some(&weaker)).await.unwrap(), PasswordMatch::Wrong, "{weaker}");
    }
}

#[tokio::test]
async fn a_hash_of_another_implementation_verifies() {
    // RFC 9106's reference implementation: `echo -n password | argon2 somesalt -id -t 2 -m 16 -p 1 -e`.
    let reference = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
    let hasher = PasswordHasher::new(&Hashing::default()).unwrap();
    assert_ne!(hasher.verify(&secret("password"), Some(reference)).await.unwrap(), PasswordMatch::Wrong);
    assert_eq!(hasher.verify(&secret("passwore"), Some(reference)).await.unwrap(), PasswordMatch::Wrong);
}

#[tokio::test]
async fn both_spellings_of_a_password_verify() {
    let hasher = fast();
    let hash = hasher.hash(&normalized("caf\u{e9} au lait")).await.unwrap();
    for spelling in ["cafe\u{301} au lait", "caf\u{e9} au lait"] {
        assert_eq!(hasher.verify(&secret(spelling), Some(&hash)).await.unwrap(), PasswordMatch::Right);
    }
}

#[tokio::test]
async fn nothing_is_truncated() {
    let hasher = fast();
    let long = "a".repeat(1024);
    let hash = hasher.hash(&normalized(&long)).await.unwrap();
    assert_eq!(hasher.verify(&secret(&long), Some(&hash)).await.unwrap(), PasswordMatch::Right);
    for other in [&long[1..], &format!("{}b", &long[1..]), &format!("{long}a")] {
        assert_eq!(hasher.verify(&secret(other), Some(&hash)).await.unwrap(), PasswordMatch::Wrong);
    }
}

#[tokio::test]
async fn a_malformed_or_foreign_hash_is_a_wrong_password() {
    let hasher = fast();
    let good = hasher.hash(&normalized("correct horse")).await.unwrap();
    let (without_hash, _) = good.rsplit_once('$').unwrap();
    for unusable in [
        "",
        "$",
        "correct horse",
        "$2b$12$EixZaYVK1fsbw1ZfbX3OXePaWxn96p36WQoeG6Lruj3vjPGga31lW",
        "$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E",
        "$argon2id$v=19$m=19456,t=2,p=1$",
        "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$",
        "$argon2id$v=20$m=64,t=2,p=1$c2l4dGVlbiBieXRlcyBvaw$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "$argon2id$v=19$m=64,t=0,p=1$c2l4dGVlbiBieXRlcyBvaw$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "$argon2id$v=19$m=-1,t=1,p=1$c2l4dGVlbiBieXRlcyBvaw$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "$argon2id$v=19$m=64,t=1,p=16777215$c2l4dGVlbiBieXRlcyBvaw$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "\0\u{7f}$argon2id",
        without_hash,
        &good[..good.len() - 40],
        &format!("{good}\n"),
        &format!(" {good}"),
        &good.repeat(1000),
    ] {
        assert_eq!(hasher.verify(&secret("correct horse"), Some(unusable)).await.unwrap(), PasswordMatch::Wrong);
    }
}

#[tokio::test]
async fn absurd_parameters_are_not_computed() {
    let hasher = fast();
    let start = Instant::now();
    for (m, t) in [(u32::MAX, 1), (4 << 20, 1), ((256 << 10) + 1, 1), (8, u32::MAX), (64 << 10, 33)] {
        let text = format!(
            "$argon2id$v=19$m={m},t={t},p=1$c2l4dGVlbiBieXRlcyBvaw$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        );
        assert!(matches!(Stored::parse(&text, &hasher.params), Err("parameters beyond what is tolerated")));
        assert_eq!(hasher.verify(&secret("correct horse"), Some(&text)).await.unwrap(), PasswordMatch::Wrong);
    }
    assert!(start.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn nothing_to_compare_with_costs_as_much_as_a_wrong_password() {
    let hasher = PasswordHasher::new(&Hashing::default()).unwrap();
    let good = hasher.hash(&normalized("correct horse")).await.unwrap();
    let megabyte = "x".repeat(1 << 20);
    let cases = [("wrong", Some(&*good)), ("wrong", None), (&*megabyte, Some(&*good)), ("wrong", Some("garbage"))];
    let mut times = [const { Vec::new() }; 4];
    for _ in 0..15 {
        for ((password, stored), times) in cases.iter().zip(&mut times) {
            let password = secret(password);
            let start = Instant::now();
            assert_eq!(hasher.verify(&password, *stored).await.unwrap(), PasswordMatch::Wrong);
            times.push(start.elapsed());
        }
    }
    let medians = times.map(|mut times| {
        times.sort();
        times[times.len() / 2].as_secs_f64()
    });
    for median in medians {
        // A wide range, because the machine is shared; a missing hash would be off by a factor of a thousand.
        assert!((0.5..2.0).contains(&(median / medians[0])), "{medians:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_may_wait_are_refused_at_once() {
    let hasher = PasswordHasher::new(&Hashing::default().permits(1).queue(3)).unwrap();
    let attempts: Vec<_> = (0..20)
        .map(|_| {
            let hasher = hasher.clone();
            tokio::spawn(async move { hasher.verify(&secret("wrong"), None).await })
        })
        .collect();
    let mut refused = 0;
    for attempt in attempts {
        match attempt.await.unwrap() {
            Ok(verdict) => assert_eq!(verdict, PasswordMatch::Wrong),
            Err(Error::Overloaded) => refused += 1,
            Err(other) => panic!("{other:?}"),
        }
    }
    // One runs and three wait; how many more get a place depends on when the first finishes.
    assert!((1..=16).contains(&refused), "{refused}");
    assert_eq!((hasher.running.available_permits(), hasher.places.available_permits()), (1, 4));
}

#[tokio::test]
async fn who_goes_away_gives_the_place_back() {
    let hasher = PasswordHasher::new(&Hashing::default().permits(1).queue(1)).unwrap();
    for _ in 0..5 {
        let (password, other) = (secret("wrong"), secret("other"));
        let both = async { tokio::join!(hasher.verify(&password, None), hasher.verify(&other, None)) };
        tokio::select! {
            biased;
            _ = both => panic!("no hash is done at once"),
            () = std::future::ready(()) => {}
        }
        assert_eq!(hasher.running.available_permits(), 0);
        // A hash that has begun runs to its end and only then releases its permit.
        let end = Instant::now() + Duration::from_secs(10);
        while hasher.places.available_permits() < 2 {
            assert!(Instant::now() < end);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    assert_eq!(hasher.running.available_permits(), 1);
}

#[tokio::test]
async fn the_runtime_stays_free_while_hashing() {
    let hasher = PasswordHasher::new(&Hashing::default().permits(1)).unwrap();
    let (password, busy) = (secret("wrong"), Instant::now());
    let ticks = async {
        let mut ticks = 0;
        while busy.elapsed() < Duration::from_millis(10) {
            tokio::task::yield_now().await;
            ticks += 1;
        }
        ticks
    };
    let (verdict, ticks) = tokio::join!(hasher.verify(&password, None), ticks);
    assert_eq!(verdict.unwrap(), PasswordMatch::Wrong);
    assert!(ticks > 10, "{ticks}");
}

#[test]
fn an_option_out_of_range_is_named() {
    let field = |hashing: Hashing| match PasswordHasher::new(&hashing) {
        Err(Error::Config { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    assert_eq!(field(Hashing::default().memory_kib(19_455)), "hashing.memory_kib");
    assert_eq!(field(Hashing::default().memory_kib(u32::MAX)), "hashing.memory_kib");
    assert_eq!(field(Hashing::default().iterations(1)), "hashing.iterations");
    assert_eq!(field(Hashing::default().iterations(65)), "hashing.iterations");
    assert_eq!(field(Hashing::default().parallelism(0)), "hashing.parallelism");
    assert_eq!(field(Hashing::default().parallelism(17)), "hashing.parallelism");
    assert_eq!(field(Hashing::default().permits(0)), "hashing.permits");
    assert_eq!(field(Hashing::default().permits(usize::MAX)), "hashing.permits");
    assert_eq!(field(Hashing::default().queue(usize::MAX)), "hashing.queue");
    assert_eq!(field(Hashing::insecure_fast_for_tests().parallelism(16)), "hashing.memory_kib");
    assert!(PasswordHasher::new(&Hashing::default()).is_ok());
}
