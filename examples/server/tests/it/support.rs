//! Runs a process of the server in a folder of its own.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use authfort_testkit::{Engine, TestDatabase};

/// Longer than any test step takes on any machine; only a failing test waits this long.
pub const TIMEOUT: Duration = Duration::from_mins(2);

/// A folder that is removed on drop.
pub struct Folder(TestDatabase);

impl Folder {
    pub async fn new() -> Self {
        Self(TestDatabase::create(Engine::Sqlite).await)
    }

    pub fn path(&self) -> PathBuf {
        let path = self.0.url().trim_start_matches("sqlite://").split('?').next().unwrap().to_owned();
        PathBuf::from(path).parent().unwrap().to_owned()
    }

    /// Writes a file that only its owner can read.
    pub fn file(&self, name: &str, content: &str) -> String {
        let path = self.path().join(name);
        fs::write(&path, content).unwrap();
        #[cfg(unix)]
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(self.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Returns the command that starts the server in this folder, on a free port by default.
    pub fn server(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_example-server"));
        self.prepare(&mut command);
        command
    }

    /// Returns the command that starts the server after a shell has set limits, such as `ulimit -n 128`.
    pub fn server_after(&self, shell: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{shell}; exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_example-server")]);
        self.prepare(&mut command);
        command
    }

    fn prepare(&self, command: &mut Command) {
        command.env_clear().env("AUTHFORT_LISTEN", "127.0.0.1:0").current_dir(self.path()).stdin(Stdio::null());
    }
}

/// A running server. It is killed on drop.
pub struct Server {
    child: Child,
    lines: Receiver<String>,
    pub log: Vec<String>,
    pub address: String,
}

impl Server {
    /// Starts the server and waits until it listens.
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = channel();
        let both: [Box<dyn std::io::Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for output in both {
            let sender = sender.clone();
            thread::spawn(move || {
                BufReader::new(output).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
            });
        }
        drop(sender);
        let mut server = Self { child, lines, log: Vec::new(), address: String::new() };
        let line = server.wait_for("listening address=");
        server.address = line.rsplit('=').next().unwrap().trim().to_owned();
        server
    }

    /// Waits for a line of the log or of the standard output.
    pub fn wait_for(&mut self, text: &str) -> String {
        if let Some(line) = self.log.iter().find(|line| line.contains(text)) {
            return line.clone();
        }
        loop {
            let Ok(line) = self.lines.recv_timeout(TIMEOUT) else { panic!("no `{text}` in {:#?}", self.log) };
            self.log.push(line.clone());
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Returns the output so far.
    pub fn output(&mut self) -> String {
        self.log.extend(self.lines.try_iter());
        self.log.join("\n")
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Stops the server, and returns whether it exited successfully.
    pub fn stop(&mut self) -> bool {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        self.child.wait().unwrap().success()
    }

    /// Stops the server and returns its whole output.
    pub fn stop_and_read(&mut self) -> String {
        assert!(self.stop());
        self.log.extend(self.lines.iter());
        self.log.join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a server that fails to start, and returns its output.
pub fn refusal(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(!output.status.success(), "it started: {text}");
    text
}

/// Returns whether this administrator can sign in.
pub async fn signs_in(server: &Server, email: &str, password: &str) -> bool {
    let body = serde_json::json!({ "email": email, "password": password });
    let answer = reqwest::Client::new().post(server.url("/auth/login")).json(&body).send().await.unwrap();
    answer.status().is_success()
}
