//! The lightest client that checks its answers: requests are bytes made beforehand, answers are read up to their length.
//! Client and server share the machine, so what the client costs, the server lacks.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::Outcome;

/// A request, and what its answer must be.
#[derive(Debug, Clone)]
pub struct Request {
    pub bytes: Vec<u8>,
    pub status: u16,
    /// How the body begins.
    pub begins: &'static str,
    /// How long the body is, where that is known.
    pub length: Option<usize>,
}

impl Request {
    pub fn new(method: &str, path: &str, token: Option<&str>, body: Option<&str>) -> Self {
        let mut text = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/json\r\n");
        if let Some(token) = token {
            text.extend(["Authorization: Bearer ", token, "\r\n"]);
        }
        if let Some(body) = body {
            let length = body.len().to_string();
            text.extend(["Content-Type: application/json\r\nContent-Length: ", &length, "\r\n"]);
        }
        text.push_str("\r\n");
        text.push_str(body.unwrap_or_default());
        Self { bytes: text.into_bytes(), status: 200, begins: "{", length: None }
    }

    pub fn get(path: &str, token: &str) -> Self {
        Self::new("GET", path, Some(token), None)
    }

    pub fn with_cookie(path: &str, cookie: &str) -> Self {
        let mut request = Self::new("GET", path, None, None);
        request.bytes.truncate(request.bytes.len() - 2);
        request.bytes.extend(format!("Cookie: {cookie}\r\n\r\n").as_bytes());
        request
    }

    pub fn begins(self, begins: &'static str) -> Self {
        Self { begins, ..self }
    }

    pub fn status(self, status: u16) -> Self {
        Self { status, ..self }
    }
}

/// A connection that is kept open.
pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    pub async fn connect(address: SocketAddr) -> Outcome<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(64 * 1024) })
    }

    /// Sends, reads the whole answer, and says its status and its body.
    pub async fn ask(&mut self, request: &[u8]) -> Outcome<(u16, &[u8])> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let (status, start, end) = loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err("the server closed the connection".into());
            }
            if let Some(head) = head(&self.buffer)? {
                break head;
            }
        };
        while self.buffer.len() < end {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err("the server closed the connection inside an answer".into());
            }
        }
        let body = self.buffer.get(start..end).ok_or("an answer shorter than its length")?;
        Ok((status, body))
    }

    /// Sends, and refuses any other answer than the expected one.
    pub async fn check(&mut self, request: &Request) -> Outcome<&[u8]> {
        let (status, body) = self.ask(&request.bytes).await?;
        let right = status == request.status
            && body.starts_with(request.begins.as_bytes())
            && request.length.is_none_or(|length| length == body.len());
        if right {
            return Ok(body);
        }
        let line = request.bytes.split(|byte| *byte == b'\r').next().unwrap_or_default();
        let shown = body.get(..body.len().min(300)).unwrap_or_default();
        Err(format!(
            "{} was answered {status}, {} bytes (expected {}, {:?} bytes): {}",
            String::from_utf8_lossy(line),
            body.len(),
            request.status,
            request.length,
            String::from_utf8_lossy(shown)
        )
        .into())
    }
}

/// Status, begin and end of the body, once the head is there.
fn head(bytes: &[u8]) -> Outcome<Option<(u16, usize, usize)>> {
    let Some(length) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(bytes.get(..length).unwrap_or_default())?;
    let status: u16 = head.get(9..12).unwrap_or_default().parse()?;
    let mut body = 0;
    for line in head.split("\r\n").skip(1) {
        let (name, value) = line.split_once(':').unwrap_or_default();
        if name.eq_ignore_ascii_case("content-length") {
            body = value.trim().parse()?;
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            return Err("an answer in chunks".into());
        }
    }
    Ok(Some((status, length + 4, length + 4 + body)))
}
