//! Slow, numerous or oversized clients do not block other clients.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use authfort_testkit::{TestDatabase, both_engines};

use crate::support::{Folder, Server, TIMEOUT};

async fn is_well(server: &Server) -> bool {
    let client = reqwest::Client::builder().timeout(TIMEOUT).build().unwrap();
    client.get(server.url("/healthz")).send().await.unwrap().status().is_success()
}

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(&server.address).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    stream
}

/// Returns what the server sends until it closes the connection.
fn read_all(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("it was not closed: {error}"),
        _ => String::from_utf8_lossy(&answer).into_owned(),
    }
}

both_engines! {
    async fn clients_that_hold_back_their_heads_shut_nobody_out(db: TestDatabase) {
        let folder = Folder::new().await;
        let mut command = folder.server_after("ulimit -n 128");
        command.env("DATABASE_URL", db.url()).env("AUTHFORT_HEAD_TIMEOUT", "1");
        let mut server = Server::start(&mut command);
        assert!(server.output().contains("fewer connections than configured"));
        let held: Vec<TcpStream> = (0..130)
            .map(|number| {
                let mut stream = connect(&server);
                // Some send a byte, some most of a head, some nothing at all.
                let sent: &[u8] = [&b"G"[..], b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ", b""][number % 3];
                stream.write_all(sent).unwrap();
                stream
            })
            .collect();
        assert!(is_well(&server).await);
        for mut stream in held {
            read_all(&mut stream);
        }
        assert!(is_well(&server).await);
        assert!(server.stop());
    }
}

#[tokio::test]
async fn an_idle_connection_gives_its_place_up() {
    let folder = Folder::new().await;
    let mut command = folder.server();
    let server = Server::start(command.env("AUTHFORT_HEAD_TIMEOUT", "1").env("AUTHFORT_MAX_CONNECTIONS", "1"));
    let mut stream = connect(&server);
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert!(is_well(&server).await, "the other connection waits for the only place");
    assert!(read_all(&mut stream).starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_client_that_takes_no_answer_gives_its_place_up() {
    let folder = Folder::new().await;
    let mut command = folder.server();
    let server = Server::start(command.env("AUTHFORT_HEAD_TIMEOUT", "1").env("AUTHFORT_MAX_CONNECTIONS", "1"));
    let mut stream = connect(&server);
    stream.set_nonblocking(true).unwrap();
    let requests = "GET /auth/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1000);
    // Writes until the responses, none of which is read, have filled every buffer on the way.
    let mut blocked = 0;
    while blocked < 20 {
        match stream.write(requests.as_bytes()) {
            Ok(_) => blocked = 0,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                blocked += 1;
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
            Err(_) => break,
        }
    }
    assert!(is_well(&server).await);
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let folder = Folder::new().await;
    let mut command = folder.server();
    let server = Server::start(command.env("AUTHFORT_HEAD_BYTES", "8192"));
    let mut stream = connect(&server);
    let head = format!("GET /healthz HTTP/1.1\r\nHost: x\r\nX-Large: {}\r\n\r\n", "x".repeat(9000));
    stream.write_all(head.as_bytes()).unwrap();
    let answer = read_all(&mut stream);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    assert!(is_well(&server).await);
}

#[cfg(unix)]
#[tokio::test]
async fn the_server_stops_in_good_order_whatever_its_clients_do() {
    let folder = Folder::new().await;
    let mut command = folder.server();
    let mut server = Server::start(command.env("AUTHFORT_MAX_CONNECTIONS", "2").env("AUTHFORT_HEAD_TIMEOUT", "3600"));
    let held: Vec<TcpStream> = (0..4).map(|_| connect(&server)).collect();
    for mut stream in &held {
        stream.write_all(b"G").unwrap();
    }
    assert!(server.stop());
}
