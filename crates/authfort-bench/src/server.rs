//! Programs that are measured: children of this process, and what the kernel counts of them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde::Serialize;

use crate::Outcome;
use crate::database::free_port;
use crate::http::Client;

/// `sysconf(_SC_CLK_TCK)` on Linux, where `/proc` counts in it: in seconds.
const TICK: f64 = 0.01;

pub struct Server {
    pub address: SocketAddr,
    child: Child,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[derive(Debug, Clone, Copy, Serialize)]
pub struct Memory {
    pub resident_mb: f64,
    pub peak_mb: f64,
}

impl Server {
    /// The example server, of the same build as this program.
    pub async fn example(url: &str, log: &Path) -> Outcome<Self> {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port().await?));
        let mut command = Command::new(beside("example-server")?);
        command.args(["--listen", &address.to_string(), "--rate-limit", "off", "--access-ttl", "86400"]);
        command.env("DATABASE_URL", url);
        Self::start(command, address, log).await
    }

    /// The application with one handler twice, guarded and not.
    pub async fn pair(url: &str, log: &Path) -> Outcome<Self> {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port().await?));
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["pair", "--listen", &address.to_string()]);
        command.env("DATABASE_URL", url);
        Self::start(command, address, log).await
    }

    async fn start(mut command: Command, address: SocketAddr, log: &Path) -> Outcome<Self> {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(log)?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let mut child = command.spawn()?;
        for _ in 0..1200 {
            if Client::connect(address).await.is_ok() {
                return Ok(Self { address, child });
            }
            if let Some(status) = child.try_wait()? {
                return Err(format!("a server ended at its start: {status}").into());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Err("a server did not listen within two minutes".into())
    }

    /// Seconds of the processor, since its start.
    pub fn cpu(&self) -> Outcome<f64> {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let (_, fields) = text.rsplit_once(')').ok_or("no stat")?;
        let ticks: f64 = fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
        Ok(ticks * TICK)
    }

    pub fn memory(&self) -> Outcome<Memory> {
        memory_of(&self.child.id().to_string())
    }
}

/// The memory of a process: its number, or `self`.
pub fn memory_of(process: &str) -> Outcome<Memory> {
    let text = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let mb = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.split_whitespace().next().and_then(|kb| kb.parse::<f64>().ok()).unwrap_or_default() / 1024.0
    };
    Ok(Memory { resident_mb: mb("VmRSS:"), peak_mb: mb("VmHWM:") })
}

/// A program of this workspace, in the directory that this one is in.
fn beside(name: &str) -> Outcome<PathBuf> {
    let own = std::env::current_exe()?;
    let path = own.with_file_name(name);
    if path.exists() {
        return Ok(path);
    }
    Err(format!("{} is not there; build it with the same profile: cargo build --release -p {name}", path.display())
        .into())
}
