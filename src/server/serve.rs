//! Accepting connections until told to end, within limits: how many, how long a request's head may
//! take, how long a client may leave unread what is sent to it.

use std::io::{self, Write};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use super::stalled_write::StalledWrite;
use super::{AppState, site};

/// What one client can take from the others.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionLimits {
    /// Connections open at the same time; one more is answered 503 and closed.
    pub connections: usize,
    /// Time from the end of one request to the whole head of the next, so that neither a slow nor an
    /// idle client keeps its connection.
    pub head: Duration,
    /// Time within which a client must read some of what waits for it.
    pub unread: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            connections: 2048,
            head: Duration::from_secs(10),
            unread: Duration::from_secs(60),
        }
    }
}

/// Bytes of a request's head, and of an answer kept for a client that does not read.
const LARGEST_BUFFER: usize = 64 << 10;
/// Rest after a failure to accept, such as too many open files.
const AFTER_FAILURE: Duration = Duration::from_millis(200);
const TURNED_AWAY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n\
    Connection: close\r\nContent-Length: 0\r\n\r\n";

/// Serves the site until `ending` turns true; then takes no new requests, lets event streams end
/// and waits for the answers under way.
///
/// # Errors
/// None at present: failures to accept are logged and tried again.
pub async fn serve(
    listener: TcpListener,
    state: AppState,
    ending: watch::Receiver<bool>,
) -> io::Result<()> {
    serve_within(listener, state, ending, ConnectionLimits::default()).await
}

/// As [`serve`], with other limits.
///
/// # Errors
/// As [`serve`].
pub async fn serve_within(
    listener: TcpListener,
    state: AppState,
    ending: watch::Receiver<bool>,
    limits: ConnectionLimits,
) -> io::Result<()> {
    let site = site(state);
    let permits = Arc::new(Semaphore::new(limits.connections));
    let mut open = JoinSet::new();
    let mut told_to_end = pin!(turned_true(ending.clone()));
    loop {
        tokio::select! {
            biased;
            () = &mut told_to_end => break,
            Some(_ended) = open.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => match Arc::clone(&permits).try_acquire_owned() {
                    Ok(permit) => {
                        open.spawn(converse(stream, site.clone(), ending.clone(), limits, permit));
                    }
                    Err(_all_taken) => turn_away(stream),
                },
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(AFTER_FAILURE).await;
                }
            }
        }
    }
    drop(listener);
    while open.join_next().await.is_some() {}
    Ok(())
}

/// Answers the requests of one connection.
async fn converse(
    stream: TcpStream,
    site: Router,
    ending: watch::Receiver<bool>,
    limits: ConnectionLimits,
    _permit: OwnedSemaphorePermit,
) {
    // Events are small and must not wait for one another.
    let _unsupported = stream.set_nodelay(true);
    let io = TokioIo::new(StalledWrite::new(stream, limits.unread));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(LARGEST_BUFFER)
        .serve_connection(io, TowerToHyperService::new(site));
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = turned_true(ending) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke off");
    }
}

/// Tells a client that there is no room, as well as that goes without waiting for it.
fn turn_away(stream: TcpStream) {
    let told = stream
        .into_std()
        .and_then(|mut stream| stream.write_all(TURNED_AWAY));
    tracing::warn!(told = told.is_ok(), "too many connections");
}

/// Ends when the value is true or its sender is gone.
async fn turned_true(mut value: watch::Receiver<bool>) {
    let _gone = value.wait_for(|ending| *ending).await;
}
