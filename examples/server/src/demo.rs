//! Generates demo users: with and without names, verified or not, banned for a while or for good, and with every role.
//! They have no passwords, so no client can sign in as one of them.

use std::io::IsTerminal;
use std::ops::Range;

use authfort::sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use authfort::sqlx::{PgPool, Postgres, Sqlite, SqlitePool, Transaction};
use authfort::{AuthFort, Conn, Error, Result};
use chrono::TimeDelta;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Map, json};

const FIRST: &[&str] = &[
    "Ada", "Amara", "Anna", "Björn", "Carlos", "Chiara", "Chloé", "Daniel", "Elif", "Emma", "Fatima", "Felix", "Grace",
    "Hana", "Hiroshi", "Ines", "Ivan", "Jack", "Jürgen", "Kofi", "Lars", "Leila", "Liam", "Lucía", "Maja", "Marek",
    "Mei", "Mohammed", "Nina", "Noah", "Olga", "Oscar", "Priya", "Rafael", "Sara", "Søren", "Tomás", "Yara", "Yuki",
    "Zoë",
];
const LAST: &[&str] = &[
    "Andersson",
    "Bianchi",
    "Brown",
    "Chen",
    "Costa",
    "Dubois",
    "Fischer",
    "García",
    "Haddad",
    "Hansen",
    "Ito",
    "Jansen",
    "Kaya",
    "Keller",
    "Kowalski",
    "Kumar",
    "Larsen",
    "López",
    "Mensah",
    "Meyer",
    "Müller",
    "Nakamura",
    "Novák",
    "O'Neill",
    "Okafor",
    "Petrov",
    "Rossi",
    "Santos",
    "Schmidt",
    "Silva",
    "Smith",
    "Tanaka",
    "Virtanen",
    "Wang",
    "Weber",
    "Yılmaz",
];
const DOMAINS: &[&str] = &["example.com", "example.net", "example.org", "mail.example.com"];
/// The number of users in a transaction. Other writers wait for it.
const BATCH: u32 = 5_000;
/// The SQLite page cache while users are added, in KiB: the inserts touch pages all over the indexes.
const CACHE_KIB: i32 = 256 * 1024;

/// Adds users until there are `wanted` users.
pub async fn fill(auth: &AuthFort, url: &str, wanted: u32) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let mut next = u32::try_from(auth.get_user_count().await?)?;
    if next >= wanted {
        return Ok(());
    }
    let progress = Progress::new(next, wanted);
    let pool = Pool::open(url).await?;
    while next < wanted {
        let batch = next..wanted.min(next + BATCH);
        next = batch.end;
        let mut tx = pool.begin().await?;
        add_all(auth, batch, &mut tx).await?;
        tx.commit().await?;
        progress.reach(next);
    }
    pool.close().await;
    Ok(())
}

async fn add_all(auth: &AuthFort, batch: Range<u32>, tx: &mut Tx) -> Result<()> {
    for number in batch {
        match add(auth, number, tx).await {
            // This user already exists; the transaction continues.
            Ok(()) | Err(Error::UserExists) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn add(auth: &AuthFort, number: u32, tx: &mut Tx) -> Result<()> {
    // The steps share no factor with the lengths of the lists, so names come in every combination, and the same at
    // every start.
    let pick = |list: &[&'static str], step: u32| {
        let length = u32::try_from(list.len()).unwrap_or(1).max(1);
        list.get(usize::try_from(number.wrapping_mul(step) % length).unwrap_or(0)).copied().unwrap_or_default()
    };
    let (first, last) = (pick(FIRST, 7), pick(LAST, 11));
    let plain = |name: &str| name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    let email = format!("{}.{}{number}@{}", plain(first), plain(last), pick(DOMAINS, 3));
    let mut metadata = Map::new();
    metadata.insert("plan".into(), json!(if number.is_multiple_of(9) { "team" } else { "free" }));
    let mut call = auth.create_user(email).email_verified(!number.is_multiple_of(4)).metadata(metadata);
    if !number.is_multiple_of(13) {
        call = call.name(format!("{first} {last}"));
    }
    for (every, rest, role) in [(3, 0, "member"), (20, 0, "editor"), (3_000, 999, auth.admin_role())] {
        if number % every == rest {
            call = call.role(role);
        }
    }
    let user = call.in_tx(tx.conn()).await?;
    if number % 50 == 7 {
        let ban = auth.ban_user(user.id);
        let ban = match number % 3 {
            0 => ban,
            1 => ban.reason("Spam"),
            _ => ban.reason("Abuse").expires_at(auth.now() + TimeDelta::days(1 + i64::from(number % 365))),
        };
        ban.in_tx(tx.conn()).await?;
    }
    Ok(())
}

/// Shows a progress bar on a terminal, and logs one line per tenth otherwise.
struct Progress {
    bar: ProgressBar,
    from: u32,
    to: u32,
}

impl Progress {
    fn new(from: u32, to: u32) -> Self {
        tracing::info!(from, to, "filling in users");
        let bar = ProgressBar::with_draw_target(Some(u64::from(to)), ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{wide_bar} {human_pos} of {human_len} users, {eta} left") {
            bar.set_style(style);
        }
        bar.set_position(u64::from(from));
        bar.reset_eta();
        Self { bar, from, to }
    }

    fn reach(&self, number: u32) {
        let before = self.bar.position();
        self.bar.set_position(u64::from(number));
        let tenth = |number: u64| number.saturating_sub(u64::from(self.from)) * 10 / u64::from(self.to - self.from);
        if !std::io::stderr().is_terminal() && tenth(before) < tenth(u64::from(number)) {
            tracing::info!(users = number, of = self.to, "filling in users");
        }
        if number >= self.to {
            self.bar.finish_and_clear();
        }
    }
}

/// Connections apart from the library's: a transaction of many calls belongs to the application.
enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

enum Tx {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

impl Pool {
    async fn open(url: &str) -> authfort::sqlx::Result<Self> {
        if !url.starts_with("sqlite") {
            return PgPool::connect(url).await.map(Self::Postgres);
        }
        let options: SqliteConnectOptions = url.parse()?;
        let options = options.pragma("cache_size", format!("-{CACHE_KIB}"));
        SqlitePoolOptions::new().max_connections(1).connect_with(options).await.map(Self::Sqlite)
    }

    async fn begin(&self) -> authfort::sqlx::Result<Tx> {
        match self {
            Self::Sqlite(pool) => pool.begin_with("BEGIN IMMEDIATE").await.map(Tx::Sqlite),
            Self::Postgres(pool) => pool.begin().await.map(Tx::Postgres),
        }
    }

    async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

impl Tx {
    fn conn(&mut self) -> Conn<'_> {
        match self {
            Self::Sqlite(tx) => tx.into(),
            Self::Postgres(tx) => tx.into(),
        }
    }

    async fn commit(self) -> authfort::sqlx::Result<()> {
        match self {
            Self::Sqlite(tx) => tx.commit().await,
            Self::Postgres(tx) => tx.commit().await,
        }
    }
}
