//! A network that can fall silent.

use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use url::Url;

/// Passes connections on to a server, and can stop doing so without a word: what was sent is kept back, nothing is
/// closed, and new connections are taken and not answered.
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
}

impl Relay {
    /// Listens on the loopback for connections to the server of this URL. It ends with the runtime.
    ///
    /// # Panics
    /// When it cannot listen, or the URL names no server.
    pub async fn to(url: &str) -> Self {
        let mut url = Url::parse(url).expect("a URL");
        let server = format!("{}:{}", url.host_str().expect("a host"), url.port().unwrap_or(5432));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address: SocketAddr = listener.local_addr().expect("an address");
        url.set_ip_host(address.ip()).expect("a URL with a host");
        url.set_port(Some(address.port())).expect("a URL with a port");
        let (silent, heard) = watch::channel(false);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(join(client, server.clone(), heard.clone()));
            }
        });
        Self { url: url.into(), silent }
    }

    /// Where to connect.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Passes nothing on any more.
    pub fn fall_silent(&self) {
        self.silent.send_replace(true);
    }

    /// Passes everything on again, also what was kept back.
    pub fn go_on(&self) {
        self.silent.send_replace(false);
    }
}

async fn join(client: TcpStream, server: String, silent: watch::Receiver<bool>) {
    if audible(&silent).await
        && let Ok(server) = TcpStream::connect(server).await
    {
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        tokio::join!(pass(from_client, to_server, silent.clone()), pass(from_server, to_client, silent));
    }
}

/// Whether there is still somebody to pass things on for.
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
    // The end is news as well.
    if audible(&silent).await {
        drop(to.shutdown().await);
    }
}
