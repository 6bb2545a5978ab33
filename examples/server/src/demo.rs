//! Users to look at. They have no passwords: nobody can sign in as one of them.

use authfort::sqlx::{PgPool, SqlitePool};
use authfort::{AuthFort, Conn, Error, Result};
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
/// Each batch is one transaction.
const BATCH: u32 = 500;

/// Adds users until there are as many as asked for.
pub async fn fill(auth: &AuthFort, url: &str, wanted: u32) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let mut next = u32::try_from(auth.get_user_count().await?)?;
    if next >= wanted {
        return Ok(());
    }
    tracing::info!(from = next, to = wanted, "filling in users");
    if url.starts_with("sqlite") {
        let pool = SqlitePool::connect(url).await?;
        while next < wanted {
            let mut tx = pool.begin_with("BEGIN IMMEDIATE").await?;
            for number in next..wanted.min(next + BATCH) {
                add(auth, number, &mut tx).await?;
            }
            tx.commit().await?;
            next += BATCH;
        }
        pool.close().await;
    } else {
        let pool = PgPool::connect(url).await?;
        while next < wanted {
            let mut tx = pool.begin().await?;
            for number in next..wanted.min(next + BATCH) {
                add(auth, number, &mut tx).await?;
            }
            tx.commit().await?;
            next += BATCH;
        }
        pool.close().await;
    }
    Ok(())
}

async fn add<'c>(auth: &AuthFort, number: u32, tx: impl Into<Conn<'c>>) -> Result<()> {
    // Steps that share no factor with the lengths: names come in every combination, and the same ones at every start.
    let pick = |list: &[&'static str], step: u32| {
        let length = u32::try_from(list.len()).unwrap_or(1).max(1);
        list.get(usize::try_from(number.wrapping_mul(step) % length).unwrap_or(0)).copied().unwrap_or_default()
    };
    let (first, last) = (pick(FIRST, 7), pick(LAST, 11));
    let plain = |name: &str| name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    let email = format!("{}.{}{number}@{}", plain(first), plain(last), pick(DOMAINS, 3));
    let mut metadata = Map::new();
    metadata.insert("plan".into(), json!(if number.is_multiple_of(9) { "team" } else { "free" }));
    let mut call = auth
        .create_user(email)
        .name(format!("{first} {last}"))
        .email_verified(!number.is_multiple_of(4))
        .metadata(metadata);
    if number.is_multiple_of(3) {
        call = call.role("member");
    }
    if number.is_multiple_of(20) {
        call = call.role("editor");
    }
    match call.in_tx(tx).await {
        // One of them was there already; the transaction goes on.
        Ok(_) | Err(Error::UserExists) => Ok(()),
        Err(error) => Err(error),
    }
}
