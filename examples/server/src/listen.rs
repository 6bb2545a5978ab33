//! Serves connections within bounds, for which `axum::serve` has no settings.
//!
//! | bound | what it keeps off |
//! |---|---|
//! | time for a head | a client that sends its request byte by byte, or none at all: it holds its place no longer than that |
//! | bytes of a head | memory that a client fills before anybody has asked who it is |
//! | time without progress of an answer | a client that asks and never reads |
//! | connections at once | the descriptors: the database needs some of them too |
//!
//! Whoever finds no place waits in the system's queue until one is free.

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

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 1024;
/// How long to wait where the system gives no connection, as when all descriptors are in use.
const PAUSE: Duration = Duration::from_millis(100);
/// Descriptors that are not for connections: those of the database (SQLite: up to 13 times 3), and the process's own.
const OTHER_DESCRIPTORS: usize = 64;

/// What one client may take of the server.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// For the head of a request, from its first moment on; so long also may a connection be idle, or take nothing of
    /// an answer.
    pub head_timeout: Duration,
    /// For the head of a request, in bytes.
    pub head_bytes: usize,
    /// Of all clients at once.
    pub connections: usize,
}

/// The least that hyper takes for `head_bytes`.
pub const LEAST_HEAD_BYTES: usize = 8192;

/// Claims an address without listening on it yet: nobody can connect.
pub fn bind(address: SocketAddr) -> Result<TcpSocket, String> {
    let bound = || -> io::Result<TcpSocket> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        #[cfg(unix)]
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok(socket)
    };
    bound().map_err(|error| explain(address, &error))
}

/// Begins to listen.
pub fn listen(socket: TcpSocket, address: SocketAddr) -> Result<TcpListener, String> {
    socket.listen(BACKLOG).map_err(|error| explain(address, &error))
}

fn explain(address: SocketAddr, error: &io::Error) -> String {
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
    format!("AUTHFORT_LISTEN: {address}: {cause}")
}

impl Bounds {
    /// As many connections as the descriptors of the process allow, of which it takes all that it may.
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

/// Serves until `stop`, then finishes what is running.
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
            // A router is always ready.
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

/// The next connection, however long the system gives none.
async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // Answers are small and whole: there is nothing to wait for.
                let _ = stream.set_nodelay(true);
                return (stream, peer);
            }
            // The client went while it waited.
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
        let said = |kind: io::ErrorKind| explain(SocketAddr::from(([127, 0, 0, 1], 80)), &io::Error::from(kind));
        assert!(said(io::ErrorKind::AddrInUse).starts_with("AUTHFORT_LISTEN: 127.0.0.1:80: another program"));
        assert!(said(io::ErrorKind::PermissionDenied).contains("may not use the port; choose one above 1023"));
    }
}
