//! Serves connections within limits for which `axum::serve` has no settings.
//!
//! | limit | protects against |
//! |---|---|
//! | time for a head | a client that sends its request byte by byte, or not at all: its connection is closed after this time |
//! | bytes of a head | memory that a client fills before it is authenticated |
//! | time without progress of a response | a client that sends requests and never reads the responses |
//! | connections at once | running out of descriptors: the database needs some of them too |
//!
//! A client beyond the limit waits in the system's queue until a connection ends.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio_io_timeout::TimeoutStream;
use tower::Service;

/// The maximum number of connections that wait to be accepted.
const BACKLOG: u32 = 1024;
/// The time to wait before the next attempt if no connection can be accepted, as when all descriptors are in use.
const PAUSE: Duration = Duration::from_millis(100);
/// Descriptors reserved for other uses: the database (SQLite: up to 13 times 3) and the process itself.
const OTHER_DESCRIPTORS: usize = 64;

/// Limits on what clients may use of the server.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// The time to receive the head of a request, from its first moment on. Also the time that a connection may be
    /// idle, or that a client may read nothing of a response.
    pub head_timeout: Duration,
    /// The maximum size of the head of a request, in bytes.
    pub head_bytes: usize,
    /// The maximum number of connections of all clients together.
    pub connections: usize,
}

/// The minimum that hyper accepts for `head_bytes`.
pub const LEAST_HEAD_BYTES: usize = 8192;

/// Binds an address without listening on it yet, so no client can connect.
pub fn bind(variable: &str, address: SocketAddr) -> Result<TcpSocket, String> {
    let bound = || -> io::Result<TcpSocket> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        #[cfg(unix)]
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok(socket)
    };
    bound().map_err(|error| explain(variable, address, &error))
}

/// Starts listening.
pub fn listen(variable: &str, socket: TcpSocket, address: SocketAddr) -> Result<TcpListener, String> {
    socket.listen(BACKLOG).map_err(|error| explain(variable, address, &error))
}

fn explain(variable: &str, address: SocketAddr, error: &io::Error) -> String {
    let cause = match error.kind() {
        io::ErrorKind::AddrInUse => "another program listens there; stop it, or choose another port".into(),
        io::ErrorKind::AddrNotAvailable => {
            "this machine does not have this address; 0.0.0.0 stands for all that it has".into()
        }
        io::ErrorKind::PermissionDenied => {
            "this user may not use the port; choose one above 1023, or give the program CAP_NET_BIND_SERVICE".into()
        }
        _ => error.to_string(),
    };
    format!("{variable}: {address}: {cause}")
}

impl Bounds {
    /// Limits the connections to what the process's descriptor limit allows, after raising that limit as far as
    /// possible.
    pub fn within_descriptors(mut self) -> Self {
        let Ok(descriptors) = rlimit::increase_nofile_limit(rlimit::INFINITY) else { return self };
        let room = usize::try_from(descriptors).unwrap_or(usize::MAX).saturating_sub(OTHER_DESCRIPTORS).max(1);
        if room < self.connections {
            tracing::warn!(connections = room, descriptors, "fewer connections than configured: raise `ulimit -n`");
            self.connections = room;
        }
        self
    }
}

/// Serves until `stop`, then finishes the running requests.
pub async fn serve(listener: TcpListener, app: Router, bounds: Bounds, stop: impl Future<Output = ()>) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(bounds.head_timeout).max_buf_size(bounds.head_bytes);
    let places = Arc::new(Semaphore::new(bounds.connections));
    let running = GracefulShutdown::new();
    let mut stop = pin!(stop);
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, accept(&listener).await)
        };
        let (place, (stream, peer)) = tokio::select! {
            () = &mut stop => break,
            next = next => next,
        };
        let app = app.clone();
        let service = service_fn(move |mut request: Request<hyper::body::Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            // A router is always ready, so `poll_ready` is not called.
            app.clone().call(request)
        });
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(bounds.head_timeout));
        let connection = running.watch(http.serve_connection(TokioIo::new(Box::pin(stream)), service));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%peer, %error, "a connection ended");
            }
            drop(place);
        });
    }
    drop(listener);
    running.shutdown().await;
}

/// Returns the next connection; retries until one is accepted.
async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // Responses are small and written whole, so there is nothing to gain from delaying packets.
                let _ = stream.set_nodelay(true);
                return (stream, peer);
            }
            // The client disconnected while it waited.
            Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) => {
            }
            Err(error) => {
                tracing::error!(%error, "no connection can be accepted; trying again");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_cannot_be_had_is_explained() {
        let address = SocketAddr::from(([127, 0, 0, 1], 80));
        let said = |kind: io::ErrorKind| explain("AUTHFORT_LISTEN", address, &io::Error::from(kind));
        assert!(said(io::ErrorKind::AddrInUse).starts_with("AUTHFORT_LISTEN: 127.0.0.1:80: another program"));
        assert!(said(io::ErrorKind::PermissionDenied).contains("may not use the port; choose one above 1023"));
    }
}
