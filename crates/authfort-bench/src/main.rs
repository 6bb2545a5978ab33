//! The load harness: fills a database with users, drives the example server over HTTP, drives the floor beside it, and
//! says how far apart they are. `docs/performance.md` tells how to run it and what the figures mean.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program that reports to whoever runs it")]

mod axum_login;
mod cases;
mod database;
mod fill;
mod floor;
mod http;
mod load;
mod machine;
mod measure;
mod pair;
mod people;
mod plot;
mod report;
mod server;
mod setup;
mod table;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use database::{Database, Engine};
use report::{EngineReport, Memories, Report};

/// Whatever went wrong; whoever runs the harness reads it.
pub type Fault = Box<dyn std::error::Error + Send + Sync>;
/// What a step of the harness answers.
pub type Outcome<T> = Result<T, Fault>;

/// The load harness of AuthFort.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Fills and measures.
    Run(Box<Run>),
    /// Sets two reports side by side: before and after, or a million and five.
    Compare {
        /// The JSON of the first.
        first: PathBuf,
        /// The JSON of the second.
        second: PathBuf,
    },
    /// Writes the tables of a report into a document, between its two marks, and the plot into `images` beside it.
    Document {
        /// The JSON of the report.
        report: PathBuf,
        /// The document.
        document: PathBuf,
    },
    /// The small application that one case is about.
    #[command(hide = true)]
    Pair {
        #[arg(long, env = "DATABASE_URL")]
        database_url: String,
        #[arg(long)]
        listen: SocketAddr,
    },
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Group {
    /// The guard, beside the same handler without it
    Guard,
    /// Pages, counts and one user
    Lists,
    /// Pages and counts of a search
    Search,
    /// The admin page
    Page,
    /// Changes
    Writes,
    /// The same SQL with the triggers and indexes of totals, orders and log, and without
    Price,
    /// What the log costs a change, and how fast subscribers are
    Events,
}

#[derive(Args)]
struct Run {
    /// What to measure; all of it unless given
    #[arg(value_enum)]
    groups: Vec<Group>,
    /// Which engines, one after the other
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["sqlite", "postgres"])]
    engine: Vec<Engine>,
    /// How many users are filled in
    #[arg(long, default_value_t = 1_000_000)]
    users: u64,
    /// How long each side of a case works
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Only the cases whose names hold this; may be repeated
    #[arg(long)]
    only: Vec<String>,
    /// Where the databases are kept for the next run; without it they are in a temporary directory and removed
    #[arg(long)]
    data: Option<PathBuf>,
    /// A PostgreSQL database to use instead of one on a throwaway server; it is filled where it holds no users
    #[arg(long, env = "AUTHFORT_BENCH_POSTGRES_URL", hide_env_values = true)]
    postgres_url: Option<String>,
    /// Where PostgreSQL's programs are
    #[arg(long)]
    postgres_bin: Option<PathBuf>,
    /// `shared_buffers` of the throwaway server
    #[arg(long, default_value = "1GB")]
    shared_buffers: String,
    /// Where the figures go, as JSON
    #[arg(long)]
    out: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match arguments.command {
        Command::Run(run) => on(false, async {
            tokio::select! {
                outcome = measure(&run) => outcome,
                () = stopped() => Err("stopped".into()),
            }
        }),
        Command::Compare { first, second } => compare(&first, &second),
        Command::Document { report, document } => document_tables(&report, &document),
        Command::Pair { database_url, listen } => on(true, async move { pair::serve(&database_url, listen).await }),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("authfort-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The load comes from one thread, so that the server has a core of its own; the pair serves as a server does.
fn on<T>(threads: bool, work: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    let mut builder = if threads {
        tokio::runtime::Builder::new_multi_thread()
    } else {
        tokio::runtime::Builder::new_current_thread()
    };
    builder.enable_all().build()?.block_on(work)
}

/// Told to stop: databases and servers are then put away as at the end.
async fn stopped() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! { _ = tokio::signal::ctrl_c() => {} _ = terminate.recv() => {} }
        }
        Err(_) => drop(tokio::signal::ctrl_c().await),
    }
}

async fn measure(run: &Run) -> Outcome<()> {
    let place = Place::new(run.data.clone())?;
    let mut report = Report {
        date: setup::today(),
        commit: machine::commit(),
        machine: machine::describe(),
        versions: vec![("rustc".into(), machine::rustc())],
        users: run.users,
        seconds_per_side: run.seconds,
        engines: Vec::new(),
    };
    for engine in &run.engine {
        let database = match (engine, &run.postgres_url) {
            (Engine::Sqlite, _) => Database::sqlite(&place.path.join("sqlite"), run.users)?,
            (Engine::Postgres, Some(url)) => Database::named(url),
            (Engine::Postgres, None) => {
                let programs = database::programs(run.postgres_bin.clone())?;
                Database::postgres(&place.path.join("postgres"), run.users, &programs, &run.shared_buffers).await?
            }
        };
        fill::fill(&database, run.users).await?;
        report.versions.push((engine.to_string(), database.version().await?));
        one_engine(run, database, &place.path.join("servers.log"), &mut report).await?;
    }
    println!("{}", table::tables(&report));
    Ok(())
}

/// Measures an engine. What was measured is written after each case: a run that is stopped has figures too.
async fn one_engine(run: &Run, database: Database, log: &Path, report: &mut Report) -> Outcome<()> {
    report.engines.push(EngineReport {
        engine: database.engine().to_string(),
        settings: database.settings(),
        cases: Vec::new(),
        memory: None,
        notes: Vec::new(),
        failures: Vec::new(),
    });
    let mut note = |add: &mut dyn FnMut(&mut EngineReport)| {
        report.engines.last_mut().into_iter().for_each(add);
        match &run.out {
            Some(out) => Ok::<_, Fault>(fs::write(out, serde_json::to_string_pretty(&report)?)?),
            None => Ok(()),
        }
    };
    let bench = setup::prepare(database, Duration::from_secs_f64(run.seconds), log).await?;
    let start = bench.server.memory()?;
    let asked = |group: Group, name: &str| {
        (run.groups.is_empty() || run.groups.contains(&group))
            && (run.only.is_empty() || run.only.iter().any(|part| name.contains(part.as_str())))
    };
    for case in cases::guard::cases(&bench, &|name| asked(Group::Guard, name)).await? {
        let found = case.run(&bench).await;
        note(&mut |engine| engine.take(&found))?;
    }
    let mut notes = Vec::new();
    let read = |name: &str| asked(if name.starts_with("search") { Group::Search } else { Group::Lists }, name);
    let lists = cases::lists::cases(&bench, &read, &mut notes).await?;
    note(&mut |engine| engine.notes.append(&mut notes))?;
    for case in lists {
        let found = case.run(&bench).await;
        note(&mut |engine| engine.take(&found))?;
    }
    for case in cases::page::cases(&bench, &|name| asked(Group::Page, name)).await? {
        let found = case.run(&bench).await;
        note(&mut |engine| engine.take(&found))?;
    }
    let after_reading = bench.server.memory()?;
    for case in cases::writes::cases(&bench, &|name| asked(Group::Writes, name)).await? {
        let found = case.run(&bench).await;
        note(&mut |engine| engine.take(&found))?;
    }
    let price = cases::price::cases(&bench, run.users, &|name| asked(Group::Price, name)).await?;
    for case in price {
        let found = case.run(&bench).await;
        note(&mut |engine| engine.take(&found))?;
    }
    for case in cases::events::cases(&bench, &|name| asked(Group::Events, name)).await? {
        let found = case.run(&bench).await;
        note(&mut |engine| engine.take(&found))?;
    }
    for found in cases::events::others(&bench, &|name| asked(Group::Events, name)).await {
        note(&mut |engine| engine.take(&found))?;
    }
    let memory = Memories::of(start, after_reading, bench.server.memory()?);
    say(&memory.line());
    note(&mut |engine| engine.memory = Some(memory.clone()))?;
    bench.auth.close().await;
    match report.engines.last() {
        Some(engine) if engine.cases.is_empty() && engine.failures.is_empty() => Err(format!(
            "no case has a name that holds {}; the table in docs/performance.md has them",
            run.only.join(" or ")
        )
        .into()),
        _ => Ok(()),
    }
}

fn compare(first: &Path, second: &Path) -> Outcome<()> {
    println!("{}", table::comparison(&read(first)?, &read(second)?));
    Ok(())
}

fn document_tables(report: &Path, document: &Path) -> Outcome<()> {
    let report = read(report)?;
    let text = table::replaced(&fs::read_to_string(document)?, &table::tables(&report))?;
    fs::write(document, text)?;
    let images = document.parent().unwrap_or(Path::new("")).join("images");
    fs::create_dir_all(&images)?;
    fs::write(images.join("performance.svg"), plot::svg(&report))?;
    Ok(())
}

fn read(path: &Path) -> Outcome<Report> {
    let fault = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let text = fs::read_to_string(path).map_err(|error| fault(&error))?;
    Ok(serde_json::from_str(&text).map_err(|error| fault(&error))?)
}

/// Where the databases are.
struct Place {
    path: PathBuf,
    /// Whether it goes at the end.
    temporary: bool,
}

impl Place {
    /// In memory where there is room, else in `/tmp`: PostgreSQL's user must be able to reach it.
    fn new(kept: Option<PathBuf>) -> Outcome<Self> {
        let temporary = kept.is_none();
        let base = if Path::new("/dev/shm").is_dir() { "/dev/shm" } else { "/tmp" };
        let path = kept.unwrap_or_else(|| PathBuf::from(base).join(format!("authfort-bench-{}", std::process::id())));
        fs::create_dir_all(&path)?;
        Ok(Self { path: path.canonicalize()?, temporary })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.temporary
            && let Err(error) = fs::remove_dir_all(&self.path)
        {
            say(&format!("{}: not removed: {error}", self.path.display()));
        }
    }
}

/// Tells how far it is.
pub fn say(text: &str) {
    eprintln!("{text}");
}

/// Bytes as text, for SQL.
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            text.extend(char::from_digit(u32::from(nibble), 16));
        }
    }
    text
}

/// The text of a member of a JSON answer, without reading the whole: a name occurs once.
pub fn member(body: &[u8], name: &str) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    let (_, rest) = text.split_once(&format!("\"{name}\":\""))?;
    rest.split_once('"').map(|(value, _)| value.to_owned())
}
