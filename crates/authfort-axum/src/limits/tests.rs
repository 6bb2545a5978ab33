use super::*;

fn address(text: &str) -> Option<IpAddr> {
    text.parse().ok()
}

fn allowed(mut attempt: impl FnMut() -> Result<()>) -> usize {
    (0..1_000).filter(|_| attempt().is_ok()).count()
}

/// A limit that does not refill while a test runs.
fn slow(burst: u32) -> Rate {
    Rate::per_hour(1).burst(burst)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_attempts_at_once_are_no_more_than_fifty_in_a_row() {
    let limits = RateLimits::off().account(Action::Login, slow(5)).client(Action::Login, slow(7));
    let barrier = Arc::new(tokio::sync::Barrier::new(50));
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let (limits, barrier) = (limits.clone(), Arc::clone(&barrier));
            tokio::spawn(async move {
                barrier.wait().await;
                let client = limits.check_client(Action::Login, address("203.0.113.7")).is_ok();
                let account = limits.check_account(Action::Login, None, "victim@example.com").is_ok();
                (usize::from(client), usize::from(account))
            })
        })
        .collect();
    let (mut clients, mut accounts) = (0, 0);
    for task in tasks {
        let (client, account) = task.await.unwrap();
        clients += client;
        accounts += account;
    }
    assert_eq!((clients, accounts), (7, 5));
}

#[test]
fn an_account_is_one_account_in_every_spelling() {
    let limits = RateLimits::off().account(Action::Login, slow(1));
    limits.check_account(Action::Login, None, "Jürgen@example.com").unwrap();
    for spelling in ["jürgen@example.com", " JÜRGEN@EXAMPLE.COM\n", "ju\u{308}rgen@example.com", "jürgen＠ｅxample.com"]
    {
        assert!(limits.check_account(Action::Login, None, spelling).is_err(), "{spelling}");
    }
    limits.check_account(Action::Login, None, "jurgen@example.com").unwrap();
    let limits = RateLimits::off().account(Action::Login, Rate::per_hour(1));
    limits.check_account(Action::Login, None, "x@münchen.de").unwrap();
    assert!(limits.check_account(Action::Login, None, "X@xn--mnchen-3ya.de").is_err());
}

#[test]
fn actions_clients_and_accounts_are_counted_apart() {
    let limits = RateLimits::off().client(Action::Login, slow(1)).client(Action::Refresh, slow(1));
    let client = address("203.0.113.7");
    limits.check_client(Action::Login, client).unwrap();
    assert!(limits.check_client(Action::Login, client).is_err());
    limits.check_client(Action::Refresh, client).unwrap();
    limits.check_client(Action::Login, address("203.0.113.8")).unwrap();
    assert_eq!(allowed(|| limits.check_account(Action::Login, None, "a@b.c")), 1_000);
    assert_eq!(allowed(|| limits.check_client(Action::SignUp, client)), 1_000);
}

#[test]
fn one_64_and_one_mapped_address_are_one_client_and_the_unknown_are_limited_too() {
    let limits = RateLimits::off().client(Action::Login, slow(1));
    limits.check_client(Action::Login, address("2001:db8::1")).unwrap();
    assert!(limits.check_client(Action::Login, address("2001:DB8::2")).is_err());
    limits.check_client(Action::Login, address("203.0.113.7")).unwrap();
    assert!(limits.check_client(Action::Login, address("::ffff:203.0.113.7")).is_err());
    limits.check_client(Action::Login, None).unwrap();
    assert!(limits.check_client(Action::Login, None).is_err());
}

#[test]
fn the_defaults_are_those_of_the_table() {
    let limits = RateLimits::default();
    let client = address("203.0.113.7");
    // At sixty a minute one attempt refills each second, so a slow machine may see one more.
    assert!((60..=62).contains(&allowed(|| limits.check_client(Action::Login, client))));
    assert!((10..=11).contains(&allowed(|| limits.check_account(Action::Login, client, "a@b.c"))));
    let crowd = (0..100_u8).filter(|n| {
        let client = Some([198, 51, 100, *n].into());
        limits.check_account(Action::Login, client, "a@b.c").is_ok()
    });
    assert!((50..=52).contains(&crowd.count()), "60 an account, of which the first client took 10");
    assert_eq!(allowed(|| limits.check_client(Action::SignUp, client)), 20);
    assert_eq!(allowed(|| limits.check_account(Action::SignUp, None, "a@b.c")), 5);
    assert!((120..=124).contains(&allowed(|| limits.check_client(Action::Refresh, client))));
    assert_eq!(allowed(|| limits.check_account(Action::Refresh, None, "a@b.c")), 20);
    assert_eq!(allowed(|| limits.check_account(Action::Refresh, client, "a@b.c")), 10);
    assert_eq!(allowed(|| RateLimits::off().check_client(Action::Login, client)), 1_000);
}

#[test]
fn one_client_cannot_take_all_that_an_account_has() {
    let limits = RateLimits::off().account(Action::Login, slow(6)).account_from_client(Action::Login, slow(2));
    let (attacker, owner) = (address("203.0.113.7"), address("198.51.100.1"));
    assert_eq!(allowed(|| limits.check_account(Action::Login, attacker, "Victim@example.com")), 2);
    assert_eq!(allowed(|| limits.check_account(Action::Login, owner, "victim@example.com")), 2);
    assert_eq!(allowed(|| limits.check_account(Action::Login, attacker, "another@example.com")), 2);
    assert_eq!(allowed(|| limits.check_account(Action::Login, None, "victim@example.com")), 2);
    assert_eq!(allowed(|| limits.check_account(Action::Login, address("::1"), "victim@example.com")), 0);
}

#[test]
fn clones_share_their_counters() {
    let limits = RateLimits::off().client(Action::Login, slow(1));
    let clone = limits.clone();
    limits.check_client(Action::Login, None).unwrap();
    assert!(clone.check_client(Action::Login, None).is_err());
}

#[test]
fn a_48_has_sixteen_times_the_rate_of_a_64_and_a_32_sixteen_times_that() {
    let limits = RateLimits::off().client(Action::SignUp, slow(2));
    let tried = |address: String| limits.check_client(Action::SignUp, address.parse().ok()).is_ok();
    assert_eq!((0..100).filter(|n| tried(format!("2001:db8:1:{n:x}::1"))).count(), 32);
    assert_eq!((0..100).filter(|_| tried("2001:db8:2:1::1".into())).count(), 2, "the client's own rate stays");
    assert_eq!((2..100).filter(|n| tried(format!("2001:db8:2:{n:x}::1"))).count(), 30, "and took two of its site's");
    assert_eq!((3..9_000).filter(|n| tried(format!("2001:db8:{n:x}:1::1"))).count(), 512 - 64);
    assert!(!tried("2001:db8:ffff::1".into()) && tried("2001:db9::1".into()));
    // An IPv4 address is one client and belongs to no wider network.
    assert_eq!((0..=255_u8).filter(|n| tried(format!("192.0.2.{n}"))).count(), 256);
}

#[test]
fn a_flood_from_one_provider_leaves_room_for_everybody_else() {
    let limits = RateLimits::default();
    let flood = |site: u16, client: u16| Some(std::net::Ipv6Addr::new(0x2001, 0xdb8, site, client, 0, 0, 0, 1).into());
    // Every /64 of two neighbouring /48 networks (which are one /47), and one client in each /48 of the /32.
    for site in [0, 1] {
        (0..=u16::MAX).for_each(|client| drop(limits.check_client(Action::SignUp, flood(site, client))));
    }
    (0..=u16::MAX).for_each(|site| drop(limits.check_client(Action::SignUp, flood(site, 0))));
    let held =
        [&limits.clients, &limits.sites, &limits.providers].map(|table| table.get(Action::SignUp).unwrap().len());
    assert!(held.iter().all(|held| *held < MAX_KEYS / 2), "{held:?}");
    for newcomer in ["2001:db9::1", "2a00::1", "192.0.2.1"] {
        assert_eq!(allowed(|| limits.check_client(Action::SignUp, address(newcomer))), 20, "{newcomer}");
    }
}

#[test]
fn an_attempt_that_is_refused_takes_nothing_anywhere() {
    let limits = RateLimits::off().account(Action::Login, slow(1)).account_from_client(Action::Login, slow(2));
    let (first, second) = (address("203.0.113.7"), address("203.0.113.8"));
    limits.check_account(Action::Login, first, "a@b.c").unwrap();
    // The account has no attempts left, and the attempts that it refuses do not count against the client.
    for _ in 0..10 {
        assert!(limits.check_account(Action::Login, second, "a@b.c").is_err());
    }
    let from_client = limits.hash((ClientKey::from(second).bits(), "a@b.c"));
    assert_eq!(allowed(|| limits.accounts_from_client.get(Action::Login).unwrap().take(from_client)), 2);
    assert_eq!(Rate::per_minute(u32::MAX).wider().wider().quota().replenish_interval(), Duration::from_nanos(1));
}
