//! PostgreSQL servers of a test's own, for tests that stop them or need a replica.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use uuid::Uuid;

/// How long a server may take to start.
const PATIENCE: Duration = Duration::from_mins(1);

/// A PostgreSQL server with data of its own, removed on drop. It listens on the loopback interface and lets everybody in.
///
/// The programs come from `PATH` or from Debian's directories. Root starts them as the user `postgres`, or `nobody`:
/// PostgreSQL refuses to run as root.
///
/// ```
/// use authfort_testkit::Cluster;
///
/// let primary = Cluster::primary();
/// let mut replica = primary.replica();
/// assert_ne!(primary.url(), replica.url());
/// replica.stop();
/// replica.start();
/// ```
#[derive(Debug)]
pub struct Cluster {
    directory: PathBuf,
    port: u16,
    server: Option<Child>,
}

impl Cluster {
    /// Creates a server.
    ///
    /// # Panics
    /// If PostgreSQL's programs are missing, or do not succeed.
    pub fn primary() -> Self {
        let cluster = Self::at_new_directory();
        let data = cluster.data();
        let arguments = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"];
        done(program("initdb").arg("-D").arg(&data).args(arguments).output(), "initdb");
        cluster.started()
    }

    /// Creates a streaming replica of this server.
    ///
    /// # Panics
    /// As [`primary`](Self::primary).
    #[must_use = "it stops when it is dropped"]
    pub fn replica(&self) -> Self {
        let replica = Self::at_new_directory();
        let source = format!("host=127.0.0.1 port={} user=postgres", self.port);
        let mut copy = program("pg_basebackup");
        copy.arg("-D").arg(replica.data()).args(["-d", &source, "-R", "-X", "stream", "-c", "fast", "--no-sync"]);
        done(copy.output(), "pg_basebackup");
        replica.started()
    }

    /// Returns the URL of the database `postgres`.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// Stops the server at once, as if it had crashed. (SIGQUIT, so that it ends its processes and removes its shared memory.)
    pub fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            drop(Command::new("kill").args(["-QUIT", &server.id().to_string()]).status());
            drop(server.wait());
        }
    }

    /// Starts the server again, on the same port.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start(&mut self) {
        self.server = self.run();
        assert!(self.server.is_some(), "the PostgreSQL server did not start again: {}", self.log());
    }

    /// Makes a primary of a replica.
    ///
    /// # Panics
    /// If it is none.
    pub fn promote(&self) {
        done(
            program("pg_ctl").arg("-D").arg(self.data()).args(["promote", "-w", "-t", "60"]).output(),
            "pg_ctl promote",
        );
    }

    fn at_new_directory() -> Self {
        #[expect(clippy::disallowed_methods, reason = "tests that run at once must not meet; no test sees the name")]
        let directory = env::temp_dir().join(format!("authfort-cluster-{}", Uuid::now_v7().simple()));
        fs::create_dir(&directory).expect("a directory for a PostgreSQL server");
        if let Some(user) = server_user() {
            done(Command::new("chown").arg(user).arg(&directory).output(), "chown");
        }
        Self { directory, port: 0, server: None }
    }

    fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// Starts on a port that is free. A port that is asked for and let go can be lost again, so ports are tried until the
    /// server holds one. They lie below the range that outgoing connections are given.
    fn started(mut self) -> Self {
        for _ in 0..16 {
            #[expect(
                clippy::disallowed_methods,
                reason = "tests that run at once must not meet; no test sees the number"
            )]
            let [.., high, low] = Uuid::now_v7().into_bytes();
            self.port = 20_000 + u16::from_be_bytes([high, low]) % 12_000;
            self.server = self.run();
            if self.server.is_some() {
                return self;
            }
        }
        panic!("a PostgreSQL server did not start: {}", self.log());
    }

    fn run(&self) -> Option<Child> {
        let data = self.data();
        let log = fs::File::create(self.directory.join("log")).expect("a log");
        let mut server = program("postgres")
            .arg("-D")
            .arg(&data)
            .args(["-p", &self.port.to_string(), "-k", "", "-h", "127.0.0.1"])
            .args(["-c", "fsync=off", "-c", "max_connections=50", "-c", "shared_buffers=16MB"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("a server");
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE && matches!(server.try_wait(), Ok(None)) {
            // The eighth line is the state. The file of a server that crashed is replaced.
            let state = fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
            let is_its_own = state.lines().next() == Some(&server.id().to_string());
            if is_its_own && state.lines().nth(7).is_some_and(|state| state.trim() == "ready") {
                return Some(server);
            }
            thread::sleep(Duration::from_millis(20));
        }
        drop(server.kill());
        drop(server.wait());
        None
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop();
        drop(fs::remove_dir_all(&self.directory));
    }
}

/// The user who runs the servers if the tests are run by root.
fn server_user() -> Option<&'static str> {
    let is_root = fs::metadata("/proc/self").is_ok_and(|of| of.uid() == 0);
    let exists = |user: &&str| Command::new("id").arg(user).output().is_ok_and(|found| found.status.success());
    is_root.then(|| ["postgres", "nobody"].into_iter().find(exists)).flatten()
}

/// Returns the command of one of PostgreSQL's programs.
fn program(name: &str) -> Command {
    let path = find(name).unwrap_or_else(|| {
        panic!("{name} is missing; on Debian or Ubuntu: apt-get install postgresql");
    });
    let Some(user) = server_user() else { return Command::new(path) };
    let mut command = Command::new("setpriv");
    command.args(["--reuid", user, "--regid", &group(user), "--init-groups", "--"]).arg(path);
    // The current directory need not be readable for that user.
    command.current_dir("/");
    command
}

fn group(user: &str) -> String {
    let found = done(Command::new("id").args(["-g", user]).output(), "id");
    String::from_utf8_lossy(&found.stdout).trim().to_owned()
}

fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = env::split_paths(&path).collect();
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut debian: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    debian.sort();
    // The newest one, and all programs of the same: `PATH` of Debian has only those of the client.
    places.splice(0..0, debian.into_iter().rev());
    places.into_iter().map(|place| place.join(name)).find(|path| Path::is_file(path))
}

fn done(output: std::io::Result<Output>, what: &str) -> Output {
    let output = output.unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
    output
}
