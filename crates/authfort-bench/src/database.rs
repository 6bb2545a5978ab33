//! Where the measured database is: a file, a server of our own, or a server that was named.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr as _;
use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, PgConnection, SqliteConnection};

use crate::Outcome;

/// The database's name on a server.
const NAME: &str = "authfort_bench";

/// The schema, or the end of the file's name, of the database without totals, orders and log.
pub const BARE: &str = "authfort_bench_bare";

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    Sqlite,
    Postgres,
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        })
    }
}

/// A connection outside of every pool.
pub enum Link {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

pub struct Database {
    engine: Engine,
    url: String,
    /// Stopped on drop.
    server: Option<Server>,
}

/// What the server is given beside its defaults. A commit waits for the disk, as in production.
const SETTINGS: &str = "
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 200
effective_cache_size = 4GB
maintenance_work_mem = 512MB
max_wal_size = 4GB
";

impl Database {
    /// A file in the directory; a new one where it holds another number of users.
    pub fn sqlite(directory: &Path, users: u64) -> Outcome<Self> {
        let file = directory.join(format!("users-{users}.db"));
        fs::create_dir_all(directory)?;
        Ok(Self { engine: Engine::Sqlite, url: format!("sqlite://{}", file.display()), server: None })
    }

    /// A server of our own whose files are in the directory.
    pub async fn postgres(directory: &Path, users: u64, programs: &Path, memory: &str) -> Outcome<Self> {
        let server = Server::start(directory, programs, memory).await?;
        let url = server.url(&create(&server.url("postgres"), users).await?);
        Ok(Self { engine: Engine::Postgres, url, server: Some(server) })
    }

    /// A database that is there already, and stays there.
    pub fn named(url: &str) -> Self {
        Self { engine: Engine::Postgres, url: url.to_owned(), server: None }
    }

    /// A second database beside this one: another file, or another schema of the same database.
    pub fn beside(&self) -> Self {
        let url = match self.engine {
            Engine::Sqlite => format!("{}.{BARE}?mode=rwc", self.url),
            Engine::Postgres => {
                let sign = if self.url.contains('?') { '&' } else { '?' };
                format!("{}{sign}options=-c%20search_path%3D{BARE},public", self.url)
            }
        };
        Self { engine: self.engine, url, server: None }
    }

    pub fn engine(&self) -> Engine {
        self.engine
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// What was set beside the defaults.
    pub fn settings(&self) -> Option<String> {
        self.server.as_ref().map(|server| server.settings.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    pub async fn link(&self) -> Outcome<Link> {
        Ok(match self.engine {
            Engine::Sqlite => {
                let options = SqliteConnectOptions::from_str(&self.url)?;
                Link::Sqlite(options.busy_timeout(Duration::from_secs(10)).foreign_keys(true).connect().await?)
            }
            Engine::Postgres => Link::Postgres(PgConnectOptions::from_str(&self.url)?.connect().await?),
        })
    }

    /// The version of the engine.
    pub async fn version(&self) -> Outcome<String> {
        Ok(match self.link().await? {
            Link::Sqlite(mut conn) => sqlx::query_scalar("SELECT sqlite_version()").fetch_one(&mut conn).await?,
            Link::Postgres(mut conn) => sqlx::query_scalar("SHOW server_version").fetch_one(&mut conn).await?,
        })
    }
}

/// Creates the database unless it is there.
async fn create(url: &str, users: u64) -> Outcome<String> {
    let name = format!("{NAME}_{users}");
    let mut conn = PgConnectOptions::from_str(url)?.connect().await?;
    let sql = "SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = $1)";
    if !sqlx::query_scalar::<_, bool>(sql).bind(&name).fetch_one(&mut conn).await? {
        sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut conn).await?;
    }
    Ok(name)
}

/// A PostgreSQL server that this process started.
struct Server {
    programs: PathBuf,
    data: PathBuf,
    port: u16,
    settings: String,
}

impl Server {
    async fn start(directory: &Path, programs: &Path, memory: &str) -> Outcome<Self> {
        let data = directory.join("data");
        let settings = format!("{SETTINGS}shared_buffers = {memory}\n");
        let server = Self { programs: programs.to_owned(), data, port: free_port().await?, settings };
        fs::create_dir_all(directory)?;
        if is_root() {
            // PostgreSQL refuses to be root: its user must own the files and reach them.
            run(Command::new("chown").arg(owner()).arg(directory))?;
        }
        if !server.data.join("PG_VERSION").exists() {
            let mut initdb = server.program("initdb");
            initdb.args([
                "--username=postgres",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "--no-sync",
                "--pgdata",
            ]);
            run(initdb.arg(&server.data))?;
        }
        fs::write(server.data.join("bench.conf"), &server.settings)?;
        let conf = server.data.join("postgresql.conf");
        let text = fs::read_to_string(&conf)?;
        if !text.contains("include 'bench.conf'") {
            fs::write(&conf, format!("{text}\ninclude 'bench.conf'\n"))?;
        }
        if is_root() {
            run(Command::new("chown").arg("-R").arg(owner()).arg(&server.data))?;
        }
        let mut start = server.program("pg_ctl");
        start.args(["start", "--wait", "--silent", "--pgdata"]).arg(&server.data);
        start.arg("--log").arg(server.data.join("bench.log")).arg("--options").arg(format!("-p {}", server.port));
        run(&mut start)?;
        Ok(server)
    }

    fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// One of PostgreSQL's programs, as somebody who may run it.
    fn program(&self, name: &str) -> Command {
        let path = self.programs.join(name);
        if !is_root() {
            return Command::new(path);
        }
        let mut command = Command::new("setpriv");
        let owner = owner();
        command.args([format!("--reuid={owner}"), format!("--regid={owner}"), "--init-groups".into(), "--".into()]);
        command.arg(path);
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let mut stop = self.program("pg_ctl");
        stop.args(["stop", "--mode=fast", "--wait", "--silent", "--pgdata"]).arg(&self.data);
        if let Err(error) = run(&mut stop) {
            crate::say(&format!("PostgreSQL was not stopped: {error}"));
        }
    }
}

fn run(command: &mut Command) -> Outcome<()> {
    // A directory that any user can be in, and no output to wait for: the server would inherit it.
    let status = command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err(format!("{} failed: {status}", command.get_program().display()).into()) }
}

pub fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// Who the server runs as where this process is root.
fn owner() -> &'static str {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    if users.lines().any(|line| line.starts_with("postgres:")) { "postgres" } else { "nobody" }
}

/// Where PostgreSQL's programs are: the newest of Debian's directories, unless they are named.
pub fn programs(named: Option<PathBuf>) -> Outcome<PathBuf> {
    if let Some(named) = named {
        return Ok(named);
    }
    let number =
        |path: &PathBuf| path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse::<u32>().ok());
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|entry| entry.path());
    if let Some(newest) = debian.max_by_key(number) {
        return Ok(newest.join("bin"));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).find(|directory| directory.join("initdb").exists());
    found.ok_or_else(|| "PostgreSQL's programs were not found; name their directory with --postgres-bin".into())
}

/// A port that is free now.
pub async fn free_port() -> Outcome<u16> {
    Ok(tokio::net::TcpListener::bind("127.0.0.1:0").await?.local_addr()?.port())
}
