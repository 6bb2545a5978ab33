//! Searches among enough users that each step of a search is reached, against a model.

use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex};

use authfort::{AuthFort, DeletedFilter, SortBy, SortOrder, UserFilter};
use authfort_testkit::{Engine, TestDatabase, both_engines};

use tracing::field::Field;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Registry;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use crate::list::{KEYS, ORDERS};
use crate::orders::{agrees, everybody};
use crate::raw::Raw;
use crate::support::{builder, clock, service};

const USERS: usize = 3_000;

/// Names with terms of every frequency, spread and in one place.
const NAME: &str = "CASE WHEN n % 500 = 7 THEN 'rare one' WHEN n <= 200 THEN 'old one' WHEN n > 2900 THEN 'new one' \
     WHEN n % 60 = 0 THEN 'some of them' WHEN n % 300 = 1 THEN '\u{738b}\u{4f1f}' WHEN n % 5 > 0 THEN 'name ' || (n % 13) END";

/// Users by plain SQL, with these names.
async fn filled(db: &TestDatabase, users: usize, name: &str) -> AuthFort {
    let (auth, _) = service(db).await;
    let raw = Raw::open(db, 1).await;
    let (id, time, fold) = match db.engine() {
        Engine::Sqlite => (
            "unhex(printf('%032x', (n * 7919 % 104729)))",
            "strftime('%Y-%m-%dT%H:%M:%S+00:00', 1890000000 + n / 2, 'unixepoch')",
            "char(10)",
        ),
        Engine::Postgres => {
            ("CAST(lpad(to_hex((n * 7919 % 104729)), 32, '0') AS uuid)", "to_timestamp(1890000000 + n / 2)", "chr(10)")
        }
    };
    let email = "CASE WHEN n % 100 = 1 THEN 'z' ELSE 'user' END || (n * 613 % 99991) || \
         CASE WHEN n % 10 = 0 THEN '@tenth.org' ELSE '@example.com' END";
    raw.execute(format!(
        "INSERT INTO authfort_users (id, email, email_key, name, name_key, search_key, email_verified, banned, created_at, updated_at)
         WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < {users})
         SELECT {id}, {email}, {email}, {name}, {name}, {email} || coalesce({fold} || {name}, ''), n % 3 = 0, n % 7 = 0, {time}, {time}
         FROM number"
    ))
    .await
    .unwrap();
    for (role, among) in [("member", "LIKE 'user%2@%'"), ("admin", "LIKE 'user%77@%'")] {
        raw.execute(format!(
            "INSERT INTO authfort_user_roles (user_id, role, created_at) SELECT id, '{role}', created_at FROM authfort_users
             WHERE email_key {among}"
        ))
        .await
        .unwrap();
    }
    auth
}

fn filters() -> Vec<UserFilter> {
    let filter = |change: &dyn Fn(&mut UserFilter)| {
        let mut filter = UserFilter::default();
        change(&mut filter);
        filter
    };
    vec![
        UserFilter::default(),
        filter(&|filter| filter.banned = Some(true)),
        filter(&|filter| filter.email_verified = Some(false)),
        filter(&|filter| filter.roles = vec!["member".into()]),
        filter(&|filter| filter.roles = vec!["admin".into()]),
        filter(&|filter| filter.roles = vec!["admin".into(), "member".into()]),
        filter(&|filter| (filter.deleted, filter.banned) = (DeletedFilter::With, Some(false))),
    ]
}

/// The warnings of one thread.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl<S: Subscriber> Layer<S> for Warnings {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() == Level::WARN {
            let mut text = String::new();
            event.record(&mut |_: &Field, value: &dyn Debug| write!(text, "{value:?}").unwrap());
            self.0.lock().unwrap().push(text);
        }
    }
}

#[tokio::test]
async fn without_its_index_a_search_finds_the_same_and_the_start_says_so() {
    let db = TestDatabase::create(Engine::Postgres).await;
    let auth = filled(&db, USERS, NAME).await;
    let users = everybody(&auth).await;
    let warnings = Warnings::default();
    let _default = tracing::subscriber::set_default(Registry::default().with(warnings.clone()));
    let said = |warnings: &Warnings| warnings.0.lock().unwrap().iter().filter(|text| text.contains("pg_trgm")).count();
    builder(&clock()).connect(db.url()).await.unwrap();
    assert_eq!(said(&warnings), 0);
    Raw::open(&db, 1).await.execute("DROP INDEX authfort_users_search").await.unwrap();
    let auth = builder(&clock()).connect(db.url()).await.unwrap();
    assert_eq!(said(&warnings), 1);
    for term in ["@exa", "rare", "old one", "nobody", "z"] {
        let mut filter = UserFilter::default();
        filter.query = Some(term.to_owned());
        agrees(&auth, &users, &filter, SortBy::CreatedAt, SortOrder::Desc).await;
    }
}

both_engines! {
    async fn every_term_finds_the_same_by_every_order_and_filter(db: TestDatabase) {
        let auth = filled(&db, USERS, NAME).await;
        assert!(auth.check_totals().await.unwrap().is_consistent());
        let users = everybody(&auth).await;
        assert_eq!(users.len(), USERS);
        let orders: Vec<_> = KEYS.iter().flat_map(|by| ORDERS.map(|order| (*by, order))).collect();
        let id = users[2_000].id.to_string();
        let mut sizes = std::collections::BTreeSet::new();
        let terms =
            ["@exa", ".org", "rare", "old one", "new one", "some of", "nobody", "me 1", "u", "z", "z1", "ra", "\u{738b}", "q", &id];
        for (round, term) in terms.into_iter().enumerate() {
            for (at, mut filter) in filters().into_iter().enumerate() {
                filter.query = Some(term.to_owned());
                // Without a filter in every order, else in two.
                for (by, order) in orders.iter().skip((round + at) % 3).step_by(if at == 0 { 1 } else { 3 }).copied() {
                    sizes.insert(agrees(&auth, &users, &filter, by, order).await);
                }
            }
        }
        assert!(sizes.len() > 20 && sizes.contains(&0) && sizes.last() > Some(&2_500), "{sizes:?}");
    }

    /// So many users that the first thousand are few, and that many are more than are sorted without a look further.
    async fn a_term_that_many_match_far_from_the_first_ones_is_found(db: TestDatabase) {
        let name = "CASE WHEN n <= 5500 THEN 'early bird' WHEN n > 8000 AND n <= 14000 THEN 'middle one' WHEN n % 400 = 0 THEN 'rare one' END";
        let auth = filled(&db, 24_000, name).await;
        let users = everybody(&auth).await;
        for (term, size) in [("early", 5_500), ("middle", 6_000), ("rare", 32)] {
            let mut filter = UserFilter::default();
            filter.query = Some(term.to_owned());
            for (by, order) in [(SortBy::CreatedAt, SortOrder::Desc), (SortBy::CreatedAt, SortOrder::Asc), (SortBy::Email, SortOrder::Asc)] {
                assert_eq!(agrees(&auth, &users, &filter, by, order).await, size, "{term} {by:?} {order:?}");
            }
        }
    }

    async fn a_term_of_one_or_two_characters_finds_what_begins_with_it(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        for (email, name) in [("jo@example.com", "Ann"), ("ann@example.com", "Jo"), ("major@example.com", "Banjo"), ("a%@example.com", "%jo")] {
            auth.create_user(email).name(name).await.unwrap();
        }
        for (term, expected) in [("JO", 2), ("j", 2), ("%", 1), ("%j", 1), ("a%", 1), ("_", 0), ("ba", 1), ("njo", 1), ("ajo", 1)] {
            let page = auth.list_users().query(term).await.unwrap();
            assert_eq!((page.users.len(), page.total), (usize::try_from(expected).unwrap(), Some(expected)), "{term}");
            assert_eq!(auth.get_user_count().query(term).await.unwrap(), expected, "{term}");
        }
        let page = auth.list_users().query("jo").sort_by(SortBy::Email).sort_order(SortOrder::Asc).await.unwrap();
        assert_eq!(page.users.iter().map(|user| user.email.as_str()).collect::<Vec<_>>(), ["ann@example.com", "jo@example.com"]);
    }
}
