//! Lists and counts: order, search, filters.

use std::collections::BTreeMap;

use authfort::{AuthFort, DeletedFilter, SortBy, SortOrder, User, UserFilter, UserId, UserPage};
use authfort_testkit::{TestDatabase, both_engines};
use chrono::{DateTime, NaiveDate, TimeDelta, TimeZone, Utc};

use crate::raw::Raw;
use crate::support::{PASSWORD, service};
use crate::users::faults;

pub const ORDERS: [SortOrder; 2] = [SortOrder::Asc, SortOrder::Desc];
pub const KEYS: [SortBy; 3] = [SortBy::CreatedAt, SortBy::Email, SortBy::Name];

pub fn emails(page: &UserPage) -> Vec<&str> {
    page.users.iter().map(|user| user.email.strip_suffix("@example.com").unwrap_or(&user.email)).collect()
}

/// Names that engines, collations and case tables disagree about, in the order in which they are created.
const AWKWARD: &[(&str, Option<&str>)] = &[
    ("zoe-upper", Some("ZOE")),
    ("zoe-lower", Some("zoe")),
    ("zoe-composed", Some("Zoë")),
    ("zoe-decomposed", Some("Zoe\u{308}")),
    ("emile", Some("Émile")),
    ("plain-e", Some("emile")),
    ("arger", Some("Ärger")),
    ("apfel", Some("äpfel")),
    ("dotted", Some("İstanbul")),
    ("dotless", Some("ısparta")),
    ("istanbul", Some("istanbul")),
    ("sharp", Some("Straße")),
    ("double-s", Some("STRASSE")),
    ("capital-sharp", Some("STRAẞE")),
    ("yana-upper", Some("ЯНА")),
    ("yana-lower", Some("яна")),
    ("emoji", Some("😀 smile")),
    ("ligature", Some("ﬁnn")),
    ("ohm", Some("\u{2126}mega")),
    ("sigma", Some("ΟΔΟΣ")),
    ("percent", Some("100% Jane")),
    ("underscore", Some("a_b")),
    ("axb", Some("axb")),
    ("backslash", Some("a\\b")),
    ("quote", Some("O'Neil \"Q\"")),
    ("han", Some("文子")),
    ("nameless-1", None),
    ("nameless-2", None),
    ("highest", Some("\u{10fffd}")),
    ("marks", Some("q\u{323}\u{307}x")),
    ("marks-2", Some("q\u{307}\u{323}X")),
    ("space", Some("a b")),
];

pub async fn awkward(auth: &AuthFort) {
    for (local, name) in AWKWARD {
        let mut call = auth.create_user(format!("{local}@example.com"));
        if let Some(name) = name {
            call = call.name(*name);
        }
        call.await.unwrap();
    }
}

/// Creates many users in one transaction of the application's: one commit, not a thousand.
pub async fn crowd(auth: &AuthFort, db: &TestDatabase, size: usize, name: Option<&str>) -> Vec<UserId> {
    let raw = Raw::open(db, 1).await;
    let mut tx = raw.begin().await;
    let mut ids = Vec::new();
    for n in 0..size {
        // Addresses that do not follow the order of creation.
        let mut call = auth.create_user(format!("user{:04}@example.com", n * 613 % 9973));
        if let Some(name) = name {
            call = call.name(name);
        }
        ids.push(call.in_tx(tx.conn()).await.unwrap().id);
    }
    tx.commit().await.unwrap();
    ids
}

/// Every combination of banned, verified and anonymized, with each of these sets of roles.
pub fn combinations(roles: &[&[&str]]) -> Vec<UserFilter> {
    let mut filters = Vec::new();
    for roles in roles {
        for banned in [None, Some(true), Some(false)] {
            for verified in [None, Some(true), Some(false)] {
                for deleted in [DeletedFilter::Without, DeletedFilter::With, DeletedFilter::Only] {
                    let mut filter = UserFilter::default();
                    filter.roles = roles.iter().map(|role| (*role).to_owned()).collect();
                    (filter.banned, filter.email_verified, filter.deleted) = (banned, verified, deleted);
                    filters.push(filter);
                }
            }
        }
    }
    filters
}

/// What a filter means, said once more and without SQL.
pub fn matches(user: &User, filter: &UserFilter) -> bool {
    let term = filter.query.as_deref().map(str::to_lowercase);
    let found = |term: &str| {
        let holds = |text: &str| if term.chars().count() < 3 { text.starts_with(term) } else { text.contains(term) };
        user.id.to_string() == term
            || holds(&user.email)
            || user.name.as_ref().is_some_and(|name| holds(&name.to_lowercase()))
    };
    (match filter.deleted {
        DeletedFilter::Without => !user.is_deleted,
        DeletedFilter::With => true,
        DeletedFilter::Only => user.is_deleted,
    }) && filter.banned.is_none_or(|banned| user.banned == banned)
        && filter.email_verified.is_none_or(|verified| user.email_verified == verified)
        && filter.created_after.is_none_or(|time| user.created_at >= time)
        && filter.created_before.is_none_or(|time| user.created_at < time)
        && (filter.roles.is_empty() || filter.roles.iter().any(|role| user.has_role(role)))
        && term.is_none_or(|term| !user.is_deleted && found(&term))
}

both_engines! {
    /// The expected orders were computed apart from this library: NFC, lower case by character, NFC, by code points,
    /// then by creation; a missing name last.
    async fn defect_25_every_engine_orders_the_awkward_names_alike(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        awkward(&auth).await;
        let by_name = [
            "percent", "space", "backslash", "underscore", "axb", "plain-e", "istanbul", "dotted", "quote", "marks",
            "marks-2", "double-s", "sharp", "capital-sharp", "zoe-upper", "zoe-lower", "zoe-composed", "zoe-decomposed",
            "apfel", "arger", "emile", "dotless", "sigma", "ohm", "yana-upper", "yana-lower", "han", "ligature", "emoji",
            "highest", "nameless-1", "nameless-2",
        ];
        let by_name_desc = [
            "highest", "emoji", "ligature", "han", "yana-lower", "yana-upper", "ohm", "sigma", "dotless", "emile",
            "arger", "apfel", "zoe-decomposed", "zoe-composed", "zoe-lower", "zoe-upper", "capital-sharp", "sharp",
            "double-s", "marks-2", "marks", "quote", "dotted", "istanbul", "plain-e", "axb", "underscore", "backslash",
            "space", "percent", "nameless-2", "nameless-1",
        ];
        let by_email = [
            "apfel", "arger", "axb", "backslash", "capital-sharp", "dotless", "dotted", "double-s", "emile", "emoji",
            "han", "highest", "istanbul", "ligature", "marks-2", "marks", "nameless-1", "nameless-2", "ohm", "percent",
            "plain-e", "quote", "sharp", "sigma", "space", "underscore", "yana-lower", "yana-upper", "zoe-composed",
            "zoe-decomposed", "zoe-lower", "zoe-upper",
        ];
        let by_creation: Vec<&str> = AWKWARD.iter().map(|(local, _)| *local).collect();
        let reversed = |list: &[&'static str]| list.iter().rev().copied().collect::<Vec<_>>();
        for (by, order, expected) in [
            (SortBy::Name, SortOrder::Asc, by_name.to_vec()),
            (SortBy::Name, SortOrder::Desc, by_name_desc.to_vec()),
            (SortBy::Email, SortOrder::Asc, by_email.to_vec()),
            (SortBy::Email, SortOrder::Desc, reversed(&by_email)),
            (SortBy::CreatedAt, SortOrder::Asc, by_creation.clone()),
            (SortBy::CreatedAt, SortOrder::Desc, reversed(&by_creation)),
        ] {
            let page = auth.list_users().sort_by(by).sort_order(order).await.unwrap();
            assert_eq!(emails(&page), expected, "{by:?} {order:?}");
            assert_eq!((page.total, page.next_cursor, page.prev_cursor), (Some(32), None, None));
            // The same by cursor, five at a time, across every border of equal and missing names.
            let mut walked = Vec::new();
            let mut call = auth.list_users().sort_by(by).sort_order(order).limit(5);
            loop {
                let page = call.clone().await.unwrap();
                walked.extend(emails(&page).into_iter().map(ToOwned::to_owned));
                let Some(next) = page.next_cursor else { break };
                call = call.cursor(next);
            }
            assert_eq!(walked, expected, "{by:?} {order:?} by cursor");
        }
    }

    async fn defect_25_every_engine_finds_the_awkward_names_alike(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        awkward(&auth).await;
        let zoe: &[&str] = &["zoe-upper", "zoe-lower", "zoe-composed", "zoe-decomposed"];
        for (term, expected) in [
            ("zoë", ["zoe-composed", "zoe-decomposed"].as_slice()),
            ("ZOE\u{308}", &["zoe-composed", "zoe-decomposed"]),
            ("Zoe", zoe),
            ("straße", &["sharp", "capital-sharp"]),
            ("STRASSE", &["double-s"]),
            ("ẞE", &[]),
            ("AẞE", &["sharp", "capital-sharp"]),
            ("яНа", &["yana-upper", "yana-lower"]),
            ("ЯН", &["yana-upper", "yana-lower"]),
            ("😀", &["emoji"]),
            ("😀 S", &["emoji"]),
            ("İst", &["dotted"]),
            ("IST", &["istanbul"]),
            ("ı", &["dotless"]),
            ("\u{2126}", &["ohm"]),
            ("ΟΔΟΣ", &["sigma"]),
            ("ΔΟΣ", &["sigma"]),
            ("文", &["han"]),
            ("文子", &["han"]),
            ("Q\u{307}\u{323}", &["marks", "marks-2"]),
            ("q\u{323}\u{307}X", &["marks", "marks-2"]),
            ("ﬁ", &["ligature"]),
            ("fi", &[]),
            ("e@e", &["emile", "plain-e", "ligature", "underscore", "quote", "space"]),
            ("smile\u{2003}", &["emoji"]),
            // No term spans address and name.
            ("com 100", &[]),
            ("zoe-lower@example.com", &["zoe-lower"]),
        ] {
            let page = auth.list_users().query(term).sort_order(SortOrder::Asc).await.unwrap();
            assert_eq!(emails(&page), expected, "{term:?}");
            let count = auth.get_user_count().query(term).await.unwrap();
            assert_eq!((page.total, count), (Some(count), expected.len().try_into().unwrap()), "{term:?}");
        }
    }

    async fn defect_22_wildcards_and_quotes_are_letters(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        awkward(&auth).await;
        for (term, expected) in [
            ("00%", ["percent"].as_slice()),
            ("%", &[]),
            ("_", &[]),
            ("\\", &[]),
            ("'", &[]),
            ("o'", &["quote"]),
            ("\"", &[]),
            ("a_b", &["underscore"]),
            ("a\\b", &["backslash"]),
            ("100%", &["percent"]),
            ("100% jane", &["percent"]),
            ("%%%", &[]),
            ("___", &[]),
            ("\\\\\\", &[]),
            ("o'neil", &["quote"]),
            ("\"q\"", &["quote"]),
            ("l \"q", &["quote"]),
            ("\"\"\"", &[]),
            ("zoe*", &[]),
            ("zoe OR emile", &[]),
            ("search_key:zoe", &[]),
            ("NEAR(zoe)", &[]),
            ("^zoe", &[]),
            ("' OR 1=1 --", &[]),
            ("$1", &[]),
            ("[a-z]", &[]),
        ] {
            let page = auth.list_users().query(term).sort_order(SortOrder::Asc).await.unwrap();
            assert_eq!((emails(&page), page.total), (expected.to_vec(), u64::try_from(expected.len()).ok()), "{term:?}");
        }
        // Blank is no filter, and what was pasted with a term is not part of it; what no name can hold, and what is too
        // long, is refused.
        for blank in ["", "  ", " \t\r\n", "\u{3000}\u{85}"] {
            assert_eq!(auth.get_user_count().query(blank).await.unwrap(), 32, "{blank:?}");
        }
        assert_eq!(auth.get_user_count().query("\n\to'neil\r\n").await.unwrap(), 1);
        assert_eq!(auth.get_user_count().query(format!("o'neil{}", "\n".repeat(300))).await.unwrap(), 1);
        let refused =
            [("a\0", "control_character"), ("a\nb", "control_character"), (&"x".repeat(257), "too_long")];
        for (bad, code) in refused {
            let fault = format!("query {code}");
            let error = auth.list_users().query(bad).await.unwrap_err();
            assert_eq!(faults(&error), [fault.as_str()]);
            assert_eq!(faults(&auth.get_user_count().query(bad).await.unwrap_err()), [fault.as_str()]);
        }
        assert_eq!(auth.get_user_count().query("ẞ".repeat(256)).await.unwrap(), 0);
    }

    async fn a_whole_id_finds_its_user(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        awkward(&auth).await;
        let jane = auth.create_user("jane@example.com").await.unwrap();
        let id = jane.id.to_string();
        // Somebody who is named after it is found as well.
        let john = auth.create_user("john@example.com").name(format!("See {id}")).await.unwrap();
        for term in [id.clone(), id.to_uppercase(), format!(" {id}\r\n")] {
            let page = auth.list_users().query(&term).sort_by(SortBy::Email).sort_order(SortOrder::Asc).await.unwrap();
            assert_eq!((page.users, page.total), (vec![jane.clone(), john.clone()], Some(2)), "{term:?}");
            assert_eq!(auth.get_user_count().query(&term).await.unwrap(), 2, "{term:?}");
            // Together with other filters, and walked by cursor.
            assert_eq!(auth.get_user_count().query(&term).banned(true).await.unwrap(), 0);
            let first = auth.list_users().query(&term).limit(1).await.unwrap();
            let second = auth.list_users().query(&term).limit(1).cursor(first.next_cursor.unwrap()).await.unwrap();
            assert_eq!((&second.users[..], second.next_cursor), (&[jane.clone()][..], None));
        }
        assert_eq!(auth.get_user_count().query(&id[..30]).await.unwrap(), 1, "a part of an id is text");
        let nobody = "0198c0de-0000-7000-8000-000000000001";
        assert_eq!(auth.get_user_count().query(nobody).await.unwrap(), 0);
    }

    async fn what_is_no_role_or_no_time_is_refused_and_no_sql(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        auth.create_user("jane@example.com").await.unwrap();
        for role in ["", "Admin", "a,b", "x'; DROP TABLE authfort_users; --", "\0"] {
            assert_eq!(faults(&auth.list_users().role(role).await.unwrap_err()), ["role invalid_role"], "{role:?}");
            assert_eq!(faults(&auth.get_user_count().role(role).await.unwrap_err()), ["role invalid_role"], "{role:?}");
        }
        let mut many = auth.list_users();
        for n in 0..21 {
            many = many.role(format!("role{n}"));
        }
        assert_eq!(faults(&many.await.unwrap_err()), ["role too_many"]);
        for time in [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC] {
            let error = auth.list_users().created_after(time).created_before(time).await.unwrap_err();
            assert_eq!(faults(&error), ["created_after out_of_range", "created_before out_of_range"]);
        }
        let far = Utc.with_ymd_and_hms(9999, 12, 31, 23, 59, 59).unwrap();
        let early = Utc.with_ymd_and_hms(0, 1, 1, 0, 0, 0).unwrap();
        assert_eq!(auth.get_user_count().created_after(early).created_before(far).await.unwrap(), 1);
        assert_eq!(auth.get_user_count().created_after(far).await.unwrap(), 0);
        assert_eq!(auth.get_user_count().created_before(early).await.unwrap(), 0);
    }

    async fn the_day_of_the_last_sign_in_is_a_filter(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let mut ids = Vec::new();
        for name in ["never", "first", "second"] {
            ids.push(auth.create_user(format!("{name}@example.com")).role("editor").await.unwrap().id);
        }
        let today = clock.now().date_naive();
        let tomorrow = today.succ_opt().unwrap();
        auth.create_session(ids[1]).await.unwrap();
        clock.advance(TimeDelta::days(1));
        auth.create_session(ids[2]).await.unwrap();
        let found = async |filter: UserFilter| {
            let page = auth.list_users().filter(filter.clone()).sort_by(SortBy::Email).sort_order(SortOrder::Asc).await.unwrap();
            assert_eq!(auth.get_user_count().filter(filter).await.unwrap(), page.users.len() as u64);
            page.users.into_iter().map(|user| user.email.replace("@example.com", "")).collect::<Vec<_>>()
        };
        let none = [""; 0];
        for (role, query) in [(None, None), (Some("editor"), None), (None, Some("example")), (Some("editor"), Some("example"))] {
            let with = |change: fn(&mut UserFilter, NaiveDate), day: NaiveDate| {
                let mut filter = UserFilter::default();
                filter.roles = role.map(str::to_owned).into_iter().collect();
                filter.query = query.map(str::to_owned);
                change(&mut filter, day);
                filter
            };
            assert_eq!(found(with(|f, _| f.signed_in = Some(false), today)).await, ["never"]);
            assert_eq!(found(with(|f, _| f.signed_in = Some(true), today)).await, ["first", "second"]);
            assert_eq!(found(with(|f, day| f.last_login_after = Some(day), today)).await, ["first", "second"]);
            assert_eq!(found(with(|f, day| f.last_login_after = Some(day), tomorrow)).await, ["second"]);
            assert_eq!(found(with(|f, day| f.last_login_before = Some(day), tomorrow)).await, ["first"]);
            assert_eq!(found(with(|f, day| f.last_login_before = Some(day), today)).await, none);
            let never = |f: &mut UserFilter, day: NaiveDate| (f.last_login_before, f.signed_in) = (Some(day), Some(false));
            assert_eq!(found(with(never, tomorrow)).await, none);
        }
        // Whatever writes the time, the day is that of it.
        let raw = Raw::open(&db, 1).await;
        raw.execute("UPDATE authfort_users SET last_login_at = '2031-05-06T23:30:00-05:00' WHERE email = 'never@example.com'").await.unwrap();
        let day = NaiveDate::from_ymd_opt(2031, 5, 7).unwrap();
        let from = |day| {
            let mut filter = UserFilter::default();
            filter.last_login_after = Some(day);
            filter
        };
        assert_eq!(found(from(day)).await, ["never"]);
        assert_eq!(found(from(day.succ_opt().unwrap())).await, none);
        auth.delete_user(ids[0]).anonymize().await.unwrap();
        assert_eq!(found(from(day)).await, none);
        for odd in [NaiveDate::MIN, NaiveDate::MAX] {
            let error = auth.list_users().last_login_after(odd).last_login_before(odd).await.unwrap_err();
            assert_eq!(faults(&error), ["last_login_after out_of_range", "last_login_before out_of_range"]);
        }
    }

    async fn defect_28_filters_alone_and_together_mean_the_same_for_list_and_count(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let start = clock.now();
        let mut all = Vec::new();
        for n in 0..24u32 {
            clock.advance(TimeDelta::minutes(1));
            let name = if n % 2 == 0 { "Ann" } else { "Bob" };
            let mut call = auth.create_user(format!("user{n}@example.com")).name(format!("{name} {n}"));
            call = call.email_verified(n % 3 == 0);
            for (role, every) in [("editor", 4), ("author", 5), ("member", 1)] {
                if n % every == 0 {
                    call = call.role(role);
                }
            }
            let id = call.await.unwrap().id;
            match n % 6 {
                1 | 2 => drop(auth.ban_user(id).await.unwrap()),
                // A ban that will have run out.
                3 => drop(auth.ban_user(id).expires_at(clock.now() + TimeDelta::seconds(1)).await.unwrap()),
                _ => {}
            }
            if n % 8 == 7 {
                auth.delete_user(id).anonymize().await.unwrap();
            }
            all.push(id);
        }
        clock.advance(TimeDelta::minutes(1));
        let mut users = Vec::new();
        for id in all {
            users.push(auth.get_user(id).deleted(true).await.unwrap());
        }
        let early = start + TimeDelta::minutes(6);
        let late = start + TimeDelta::minutes(19);
        let mut answers = BTreeMap::new();
        let options = [None, Some(true), Some(false)];
        for banned in options {
            for email_verified in options {
                for deleted in [DeletedFilter::Without, DeletedFilter::With, DeletedFilter::Only] {
                    for roles in [vec![], vec!["editor"], vec!["author", "editor"]] {
                        for query in [None, Some("aNN")] {
                            for (created_after, created_before) in
                                [(None, None), (Some(early), None), (None, Some(late)), (Some(early), Some(late))]
                            {
                                let mut filter = UserFilter::default();
                                filter.banned = banned;
                                filter.email_verified = email_verified;
                                filter.deleted = deleted;
                                filter.roles = roles.iter().map(|role| (*role).to_owned()).collect();
                                filter.query = query.map(ToOwned::to_owned);
                                filter.created_after = created_after;
                                filter.created_before = created_before;
                                let expected: Vec<&User> =
                                    users.iter().rev().filter(|user| matches(user, &filter)).collect();
                                let page = auth.list_users().filter(filter.clone()).await.unwrap();
                                let found: Vec<&User> = page.users.iter().collect();
                                assert_eq!(found, expected, "{filter:?}");
                                let size = u64::try_from(expected.len()).unwrap();
                                assert_eq!(page.total, Some(size), "{filter:?}");
                                assert_eq!(auth.get_user_count().filter(filter.clone()).await.unwrap(), size, "{filter:?}");
                                *answers.entry(expected.len()).or_insert(0) += 1;
                            }
                        }
                    }
                }
            }
        }
        // The data tells the filters apart: few of them find nobody or everybody.
        assert!(answers.len() > 10, "{answers:?}");

        // The documented calls, written as they are documented.
        let page = auth.list_users().query("ann").banned(false).role("editor").await.unwrap();
        assert_eq!(emails(&page), ["user16", "user12", "user4", "user0"]);
        assert_eq!(auth.get_user_count().banned(true).await.unwrap(), 7);
        let page = auth.list_users().limit(3).offset(3).sort_by(SortBy::Email).sort_order(SortOrder::Asc).await.unwrap();
        assert_eq!((emails(&page), page.total), (vec!["user12", "user13", "user14"], Some(21)));
    }

    /// Times are kept to the microsecond; a bound between two of them falls between them on both engines.
    async fn a_bound_finer_than_a_microsecond_is_exact(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        clock.advance(TimeDelta::microseconds(123_456));
        auth.create_user("jane@example.com").await.unwrap();
        let at = clock.now();
        for (offset, from_then_on, before_then) in [(-1, 1, 0), (0, 1, 0), (1, 0, 1), (999, 0, 1)] {
            let bound = at + TimeDelta::nanoseconds(offset);
            assert_eq!(auth.get_user_count().created_after(bound).await.unwrap(), from_then_on, "from {offset} ns");
            assert_eq!(auth.get_user_count().created_before(bound).await.unwrap(), before_then, "before {offset} ns");
        }
    }

    async fn search_follows_every_change_of_a_user(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let raw = Raw::open(&db, 1).await;
        let found = async |term: &str| auth.get_user_count().deleted(DeletedFilter::With).query(term).await.unwrap();
        let jane = auth.create_user("jane@example.com").name("Jane Doe").password(PASSWORD).await.unwrap();
        let john = auth.create_user("john@example.com").name("John Roe").await.unwrap();
        assert_eq!((found("jane").await, found("doe").await, found("example").await), (1, 1, 2));
        auth.update_user(jane.id).name("Judy").await.unwrap();
        assert_eq!((found("jane").await, found("doe").await, found("judy").await), (1, 0, 1));
        auth.update_user(jane.id).email("judith@example.org").clear_name().await.unwrap();
        assert_eq!((found("jane").await, found("judy").await, found("judith").await), (0, 0, 1));
        // Changes that leave the key alone.
        auth.ban_user(jane.id).await.unwrap();
        auth.add_role(jane.id, "editor").await.unwrap();
        auth.delete_user(jane.id).anonymize().await.unwrap();
        assert_eq!((found("judith").await, found("deleted user").await), (0, 1));
        auth.delete_user(john.id).await.unwrap();
        assert_eq!((found("john").await, found("example").await), (0, 0));
        auth.delete_user(jane.id).await.unwrap();
        auth.create_user("john@example.com").name("John Roe").await.unwrap();
        assert_eq!((found("john").await, found("roe").await), (1, 1));
        if matches!(raw, Raw::Sqlite(_)) {
            // Compares the index with the table; it complains about a row that the table does not have.
            let check = "INSERT INTO authfort_users_search (authfort_users_search, rank) VALUES ('integrity-check', 1)";
            raw.execute(check).await.unwrap();
            raw.execute("INSERT INTO authfort_users_search (rowid, search_key) VALUES (99, 'nobody')").await.unwrap();
            assert!(raw.execute(check).await.is_err());
        }
    }
}
