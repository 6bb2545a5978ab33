//! A process that changes users and has two subscribers is killed (`SIGKILL`) over and over. Every acknowledged change is
//! delivered to both in the end, nothing else is, and each user's events are in order.
//!
//! The test run kills ten times on each engine, `just soak` two hundred times.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use authfort::{AuthFort, Clock, Event, SortOrder, Start, Subscription};
use authfort_testkit::{Engine, TestDatabase, run};
use tokio::time::{sleep, timeout};

use crate::support::builder;
use crate::tools::Killed;

/// The process is this very program, told so by its environment.
const URL: &str = "AUTHFORT_TEST_KILLED_URL";
const FOLDER: &str = "AUTHFORT_TEST_KILLED_FOLDER";
const SUBSCRIBERS: [&str; 2] = ["billing-sync", "audit"];
/// Whoever takes longer has stopped.
const TIMEOUT: Duration = Duration::from_mins(3);

/// Another number each time.
fn random() -> u64 {
    RandomState::new().hash_one(std::process::id())
}

fn dice(bound: u64) -> u64 {
    random() % bound
}

/// Events that concern nobody are treated like those of one user.
fn user_of(event: &Event) -> String {
    event.user_id.map_or_else(|| "nobody".to_owned(), |id| id.to_string())
}

/// A file to which whole lines are added, which outlive the process.
fn appended(folder: &Path, name: &str) -> Arc<File> {
    Arc::new(OpenOptions::new().create(true).append(true).open(folder.join(name)).unwrap())
}

fn lines(folder: &Path, name: &str) -> Vec<Vec<String>> {
    let mut text = String::new();
    let Ok(mut file) = File::open(folder.join(name)) else { return Vec::new() };
    file.read_to_string(&mut text).unwrap();
    text.lines().map(|line| line.split(' ').map(str::to_owned).collect()).collect()
}

async fn subscribe(auth: &AuthFort, folder: &Path) -> Vec<Subscription> {
    let mut subscriptions = Vec::new();
    for name in SUBSCRIBERS {
        let file = appended(folder, name);
        let call = auth.subscribe(name, move |event: Event| {
            let file = Arc::clone(&file);
            async move {
                if dice(10) == 0 {
                    return Err("it fails now and then");
                }
                let user = user_of(&event);
                (&*file).write_all(format!("{} {user} {}\n", event.id, event.r#type).as_bytes()).unwrap();
                Ok(())
            }
        });
        let call = call.lease(Duration::from_secs(1)).attempts(100).start(Start::Beginning);
        subscriptions.push(call.backoff(Duration::from_millis(1), Duration::from_millis(20)).await.unwrap());
    }
    subscriptions
}

/// Four writers; each notes what was acknowledged.
async fn change_for_ever(url: &str, folder: &Path) {
    let auth = builder(&Clock::system()).connect(url).await.unwrap();
    subscribe(&auth, folder).await;
    let writers = (0..4).map(|_| {
        let (auth, file) = (auth.clone(), appended(folder, "acknowledged"));
        tokio::spawn(async move {
            let note =
                |user: authfort::UserId, what: &str| (&*file).write_all(format!("{user} {what}\n").as_bytes()).unwrap();
            loop {
                let user = auth.create_user(format!("{:x}.{:x}@example.com", random(), random())).await.unwrap().id;
                note(user, "user_created");
                auth.ban_user(user).await.unwrap();
                note(user, "user_banned");
                auth.delete_user(user).await.unwrap();
                note(user, "user_deleted");
                sleep(Duration::from_millis(dice(10))).await;
            }
        })
    });
    futures_util::future::join_all(writers).await;
}

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

async fn kill(db: &TestDatabase, rounds: u64) {
    let folder = Folder(std::env::temp_dir().join(format!("authfort-kills-{:x}", random())));
    std::fs::create_dir(&folder.0).unwrap();
    let folder = folder.0.as_path();
    let mut delivered_meanwhile = 0;
    for _ in 0..rounds {
        let before = lines(folder, "acknowledged").len();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "subscriptions_kills::ten_kills_lose_nothing"]).env(URL, db.url()).env(FOLDER, folder);
        let process = Killed(command.stdout(Stdio::null()).spawn().unwrap());
        let begun = async {
            while lines(folder, "acknowledged").len() < before + 10 {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(TIMEOUT, begun).await.expect("it changes something");
        // Its leases begin when those of the one before have ended, a second after that was killed.
        sleep(Duration::from_millis(dice(2_500))).await;
        drop(process);
        delivered_meanwhile = lines(folder, SUBSCRIBERS[0]).len();
    }
    assert!(delivered_meanwhile > 0, "it was always killed before it delivered anything");

    let auth = builder(&Clock::system()).connect(db.url()).await.unwrap();
    for subscription in subscribe(&auth, folder).await {
        let caught_up = async {
            loop {
                let status = subscription.status().await.unwrap();
                if status.lag == 0 && status.waiting == 0 {
                    return assert_eq!(status.dead, 0);
                }
                sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(TIMEOUT, caught_up).await.expect("everything is delivered");
    }
    let log = log(&auth).await;
    auth.close().await;

    let places: BTreeMap<&str, usize> =
        log.iter().enumerate().map(|(place, event)| (event.0.as_str(), place)).collect();
    let changes: BTreeSet<(&str, &str)> = log.iter().map(|(_, user, name)| (user.as_str(), name.as_str())).collect();
    let acknowledged = lines(folder, "acknowledged");
    for line in &acknowledged {
        assert!(
            changes.contains(&(line[0].as_str(), line[1].as_str())),
            "{line:?} was acknowledged and is not in the log"
        );
    }
    for name in SUBSCRIBERS {
        let received = lines(folder, name);
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        let mut users: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for line in &received {
            let place = places.get(line[0].as_str()).unwrap_or_else(|| panic!("{name}: {line:?} is not in the log"));
            assert_eq!((&line[1], &line[2]), (&log[*place].1, &log[*place].2), "{name}");
            if seen.insert(&line[0]) {
                users.entry(&line[1]).or_default().push(*place);
            }
        }
        assert_eq!(seen.len(), log.len(), "{name}: each event of the log");
        assert!(users.values().all(|places| places.is_sorted()), "{name}: in the order of the log");
    }
    println!(
        "{}: {rounds} kills, {} changes acknowledged, {} events, {} and {} deliveries",
        db.engine(),
        acknowledged.len(),
        log.len(),
        lines(folder, SUBSCRIBERS[0]).len(),
        lines(folder, SUBSCRIBERS[1]).len()
    );
}

/// Id, user and type of each event, in the order of commits.
async fn log(auth: &AuthFort) -> Vec<(String, String, String)> {
    let last = auth.list_events().limit(1).await.unwrap().events[0].id;
    let mut events = auth.list_events().order(SortOrder::Asc).limit(1).await.unwrap().events;
    let mut stream = auth.follow_events().after(events[0].id).await.unwrap();
    // Ids are nearly in the order of commits, so the rest is read as long as there is some.
    while let Ok(event) = timeout(Duration::from_secs(1), stream.next()).await {
        events.push(event.unwrap().unwrap());
    }
    assert!(events.iter().any(|event| event.id == last));
    let line = |event: Event| (event.id.to_string(), user_of(&event), event.r#type);
    events.into_iter().map(line).collect()
}

#[test]
fn ten_kills_lose_nothing() {
    if let (Ok(url), Ok(folder)) = (std::env::var(URL), std::env::var(FOLDER)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        return runtime.block_on(change_for_ever(&url, Path::new(&folder)));
    }
    for engine in [Engine::Sqlite, Engine::Postgres] {
        run(engine, async |db| kill(&db, 10).await);
    }
}

#[test]
#[ignore = "takes ten minutes; `just soak` runs it"]
fn two_hundred_kills_lose_nothing() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        run(engine, async |db| kill(&db, 200).await);
    }
}
