//! A bare HTTP client over a socket, for streams and for programs in another process.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use super::scripted_runner::PATIENCE;

/// One server-sent event.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct SentEvent {
    pub(crate) name: String,
    pub(crate) id: Option<u64>,
    pub(crate) data: Value,
}

/// An open event stream.
pub(crate) struct EventStream {
    reader: BufReader<TcpStream>,
}

fn connect(address: SocketAddr, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("connects");
    stream.set_read_timeout(Some(PATIENCE)).expect("sets");
    stream.write_all(request.as_bytes()).expect("writes");
    stream
}

/// Sends a request and reads status and JSON body (null when there is none).
pub(crate) fn request(address: SocketAddr, method: &str, path: &str, body: &str) -> (u16, Value) {
    let length = body.len();
    let mut stream = connect(
        address,
        &format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        ),
    );
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("reads");
    let text = String::from_utf8_lossy(&answer);
    let status = text.split(' ').nth(1).and_then(|s| s.parse().ok());
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let json = body
        .find(['{', '['])
        .and_then(|start| {
            serde_json::Deserializer::from_str(&body[start..])
                .into_iter()
                .next()
        })
        .and_then(Result::ok);
    (status.expect("a status"), json.unwrap_or(Value::Null))
}

impl EventStream {
    pub(crate) fn open(address: SocketAddr, last_event_id: Option<u64>) -> Self {
        let after = last_event_id.map_or_else(String::new, |id| format!("Last-Event-ID: {id}\r\n"));
        let stream = connect(
            address,
            &format!("GET /events HTTP/1.1\r\nHost: {address}\r\n{after}\r\n"),
        );
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).expect("reads");
        assert!(line.contains("200"), "{line}");
        while line != "\r\n" {
            line.clear();
            reader.read_line(&mut line).expect("reads");
        }
        Self { reader }
    }

    /// The next event; `None` when the stream has ended.
    pub(crate) fn next(&mut self) -> Option<SentEvent> {
        let mut event = SentEvent::default();
        loop {
            let mut line = String::new();
            if self.reader.read_line(&mut line).expect("reads in time") == 0 {
                return None;
            }
            let line = line.trim_end();
            if line.is_empty() && !event.name.is_empty() {
                return Some(event);
            }
            // Chunk sizes and comments have no colon-separated field that we know.
            match line
                .split_once(':')
                .map(|(field, value)| (field, value.trim_start()))
            {
                Some(("event", name)) => event.name = name.into(),
                Some(("id", id)) => event.id = id.parse().ok(),
                Some(("data", data)) => event.data = serde_json::from_str(data).expect("JSON"),
                _ => {}
            }
        }
    }

    /// The next event with this name.
    pub(crate) fn next_named(&mut self, name: &str) -> SentEvent {
        loop {
            let event = self.next().expect("the stream goes on");
            if event.name == name {
                return event;
            }
        }
    }
}
