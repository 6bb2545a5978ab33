//! Which migrations a kept database was made by. One that was edited since does not run again, so the database would
//! have another schema than the build that is measured.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;

use crate::Outcome;
use crate::database::{Engine, Link};

/// The migrations of this working tree, each with a hash of its text.
fn present(engine: Engine) -> Outcome<BTreeMap<String, String>> {
    let engine = if engine == Engine::Sqlite { "sqlite" } else { "postgres" };
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations").join(engine))? {
        let path = entry?.path();
        let mut hasher = DefaultHasher::new();
        fs::read_to_string(&path)?.hash(&mut hasher);
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        found.insert(name.to_owned(), format!("{:016x}", hasher.finish()));
    }
    Ok(found)
}

macro_rules! on {
    ($link:expr, $conn:ident => $work:expr) => {
        match $link {
            Link::Sqlite($conn) => $work,
            Link::Postgres($conn) => $work,
        }
    };
}

/// Notes what the database was made by.
pub async fn note(link: &mut Link, engine: Engine) -> Outcome<()> {
    const TABLE: &str =
        "CREATE TABLE IF NOT EXISTS authfort_bench_migrations (name text PRIMARY KEY, hash text NOT NULL)";
    const ROW: &str = "INSERT INTO authfort_bench_migrations (name, hash) VALUES ($1, $2)";
    on!(link, conn => { sqlx::raw_sql(TABLE).execute(&mut *conn).await?; });
    for (name, hash) in present(engine)? {
        on!(link, conn => { sqlx::query(ROW).bind(name).bind(hash).execute(&mut *conn).await?; });
    }
    Ok(())
}

/// Refuses a kept database whose migrations are others now. Later ones are run by the library as on any database.
pub async fn check(link: &mut Link, engine: Engine) -> Outcome<()> {
    const ROWS: &str = "SELECT name, hash FROM authfort_bench_migrations ORDER BY name";
    let noted = on!(link, conn => sqlx::query_as::<_, (String, String)>(ROWS).fetch_all(&mut *conn).await);
    let noted = noted.map_err(|_| "the kept database was not filled to its end; remove it")?;
    let present = present(engine)?;
    match noted.into_iter().find(|(name, hash)| present.get(name) != Some(hash)) {
        Some((name, _)) => Err(format!("the kept database was made by another text of {name}; remove it").into()),
        None => Ok(()),
    }
}
