//! Behind `PgBouncer`, which gives each transaction whichever session of the server is free.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use authfort::secrecy::ExposeSecret;
use authfort::{AuthFort, Error, Result};
use authfort_testkit::{Engine, TestDatabase, run};
use url::Url;

use crate::callers::{is_refused_within, names_arrive, signed_in, warm};
use crate::support::{builder, clock};
use crate::tools::access;

struct Pooler {
    process: Child,
    folder: PathBuf,
    url: String,
}

impl Pooler {
    async fn before(db: &TestDatabase) -> Self {
        let mut url = Url::parse(db.url()).unwrap();
        let (host, port) = (url.host_str().unwrap().to_owned(), url.port().unwrap_or(5432));
        let own = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = std::env::temp_dir().join(format!("authfort-pooler-{own}"));
        fs::create_dir(&folder).unwrap();
        let settings = folder.join("pgbouncer.ini");
        // It changes to this user where it is started by root, and refuses to be root.
        let user = if fs::metadata("/proc/self").is_ok_and(|of| std::os::unix::fs::MetadataExt::uid(&of) == 0) {
            "user = nobody"
        } else {
            ""
        };
        fs::write(
            &settings,
            format!(
                "[databases]\n* = host={host} port={port} user={}{}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {own}\n\
                 unix_socket_dir =\nauth_type = any\npool_mode = transaction\nserver_round_robin = 1\n\
                 default_pool_size = 3\nignore_startup_parameters = extra_float_digits\n{user}\n",
                url.username(),
                url.password().map(|password| format!(" password={password}")).unwrap_or_default(),
            ),
        )
        .unwrap();
        let started = Command::new("pgbouncer").arg("-q").arg(&settings).spawn();
        let process = started.unwrap_or_else(|error| {
            panic!("PgBouncer cannot be started ({error}); on Debian or Ubuntu: apt-get install pgbouncer")
        });
        url.set_port(Some(own)).unwrap();
        for _ in 0..100 {
            if TcpStream::connect(("127.0.0.1", own)).is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Self { process, folder, url: url.into() }
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
        drop(fs::remove_dir_all(&self.folder));
    }
}

/// What a user goes through, with every kind of read and write.
async fn life(auth: AuthFort, n: usize) -> Result<()> {
    let (email, password) = (format!("user{n}@example.com"), "correct horse battery");
    let user = auth.create_user(&email).password(password).role("editor").await?;
    let signed_in = auth.login(&email, password).await?.signed_in().ok_or(Error::SessionRevoked)?;
    auth.authenticate(signed_in.tokens.access_token.expose_secret()).await?;
    auth.refresh(signed_in.tokens.refresh_token.expose_secret()).await?;
    auth.update_user(user.id).name("Jane").await?;
    assert_eq!(auth.list_users().query(&email).await?.users.len(), 1);
    auth.list_sessions(user.id).await?;
    auth.list_events().user_id(user.id).await?;
    auth.ban_user(user.id).await?;
    auth.delete_user(user.id).await?;
    assert!(auth.find_user(user.id).await?.is_none());
    Ok(())
}

async fn lives(auth: &AuthFort) -> Vec<Result<()>> {
    let running: Vec<_> = (0..40).map(|n| tokio::spawn(life(auth.clone(), n))).collect();
    let mut ended = Vec::new();
    for life in running {
        ended.push(life.await.unwrap());
    }
    ended
}

/// One that stays connected for what others do, each with its own transactions.
async fn node(pooler: &Pooler, staleness: Duration, listen_url: Option<&str>) -> AuthFort {
    let options = builder(&clock()).prepared_statements(false).guard_staleness(staleness);
    let options = match listen_url {
        Some(url) => options.listen_url(url),
        None => options,
    };
    options.connect(&pooler.url).await.unwrap()
}

#[test]
fn without_prepared_statements_a_pooler_of_transactions_makes_no_difference() {
    run(Engine::Postgres, async |db| {
        let pooler = Pooler::before(&db).await;
        let auth = node(&pooler, Duration::from_secs(1), Some(db.url())).await;
        for ended in lives(&auth).await {
            ended.unwrap();
        }
        assert_eq!(auth.get_user_count().await.unwrap(), 0);
        auth.close().await;
    });
}

/// The log is read every 15 seconds here. Without notifications, 20 changes one after the other would take minutes.
#[test]
fn notifications_arrive_beside_the_pooler() {
    const MINUTE: Duration = Duration::from_mins(1);
    run(Engine::Postgres, async |db| {
        let pooler = Pooler::before(&db).await;
        let here = node(&pooler, MINUTE, Some(db.url())).await;
        let there = node(&pooler, MINUTE, Some(db.url())).await;
        let jane = signed_in(&there, "jane@example.com").await;
        let began = Instant::now();
        names_arrive(&there, &here, &jane, 0..20).await;
        assert!(began.elapsed() < MINUTE, "{:?}", began.elapsed());
    });
}

#[test]
fn through_the_pooler_no_notification_arrives_and_the_bound_holds() {
    const BOUND: Duration = Duration::from_millis(300);
    run(Engine::Postgres, async |db| {
        let pooler = Pooler::before(&db).await;
        let (here, there) = (node(&pooler, BOUND, None).await, node(&pooler, BOUND, None).await);
        for n in 0..5 {
            let jane = signed_in(&there, &format!("jane{n}@example.com")).await;
            assert_eq!(warm(&here, access(&jane)).await, "ok");
            there.ban_user(jane.user.id).await.unwrap();
            is_refused_within(BOUND, Instant::now(), &here, access(&jane)).await;
        }
    });
}
