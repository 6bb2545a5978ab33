//! A network connection that can stop forwarding, or lead elsewhere.

use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use url::Url;

/// Forwards connections to a server, and can stop forwarding without an error: data is held back, no connection is
/// closed, and new connections are accepted but not served.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// use authfort_testkit::{Engine, Relay, TestDatabase};
///
/// let db = TestDatabase::create(Engine::Postgres).await;
/// let relay = Relay::to(db.url()).await;
/// assert_ne!(relay.url(), db.url());
/// relay.fall_silent();
/// relay.go_on();
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Relay {
    url: String,
    silent: watch::Sender<bool>,
    server: watch::Sender<String>,
}

impl Relay {
    /// Listens on the loopback interface for connections to the server of this URL. The relay ends with the runtime.
    ///
    /// # Panics
    /// If it cannot listen, or the URL names no server.
    pub async fn to(url: &str) -> Self {
        let mut url = Url::parse(url).expect("a URL");
        let (server, now) = watch::channel(server_of(&url));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address: SocketAddr = listener.local_addr().expect("an address");
        url.set_ip_host(address.ip()).expect("a URL with a host");
        url.set_port(Some(address.port())).expect("a URL with a port");
        let (silent, heard) = watch::channel(false);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(join(client, now.clone(), heard.clone()));
            }
        });
        Self { url: url.into(), silent, server }
    }

    /// Returns the URL to connect to.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Leads new connections to the server of another URL, and closes those to the old one, as when an address is given to
    /// another machine.
    ///
    /// # Panics
    /// If the URL names no server.
    pub fn turn_to(&self, url: &str) {
        self.server.send_replace(server_of(&Url::parse(url).expect("a URL")));
    }

    /// Stops forwarding.
    pub fn fall_silent(&self) {
        self.silent.send_replace(true);
    }

    /// Resumes forwarding, including data that was held back.
    pub fn go_on(&self) {
        self.silent.send_replace(false);
    }
}

fn server_of(url: &Url) -> String {
    format!("{}:{}", url.host_str().expect("a host"), url.port().unwrap_or(5432))
}

async fn join(client: TcpStream, mut server: watch::Receiver<String>, silent: watch::Receiver<bool>) {
    let address = server.borrow_and_update().clone();
    if audible(&silent).await
        && let Ok(stream) = TcpStream::connect(address).await
    {
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = stream.into_split();
        let both = async {
            tokio::join!(pass(from_client, to_server, silent.clone()), pass(from_server, to_client, silent.clone()));
        };
        tokio::select! {
            () = both => {}
            Ok(()) = server.changed() => {}
        }
    }
}

/// Waits until the relay forwards; returns false if the relay was dropped while it did not.
async fn audible(silent: &watch::Receiver<bool>) -> bool {
    silent.clone().wait_for(|silent| !*silent).await.is_ok()
}

async fn pass(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, silent: watch::Receiver<bool>) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let Some(bytes) = buffer.get(..read) else { break };
        if !audible(&silent).await || to.write_all(bytes).await.is_err() {
            break;
        }
    }
    // Forwards the end of the stream too.
    if audible(&silent).await {
        drop(to.shutdown().await);
    }
}
