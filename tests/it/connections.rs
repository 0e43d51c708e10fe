//! What a raw socket can take from the server: little, and not for long.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use protoclip_studio::server::{AllowedHosts, AppState, ConnectionLimits, serve_within};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::support::client::{EventStream, request};
use crate::support::scripted_runner::PATIENCE;
use crate::support::test_site::TestSite;

/// Short enough for a test, long enough for a busy machine to answer in.
const HEAD: Duration = Duration::from_millis(1500);

struct Server {
    address: SocketAddr,
    end: watch::Sender<bool>,
    serving: JoinHandle<std::io::Result<()>>,
    _site: TestSite,
}

async fn listen(connections: usize) -> Server {
    let site = TestSite::new();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("binds");
    let address = listener.local_addr().expect("an address");
    let (end, ending) = watch::channel(false);
    let hosts = AllowedHosts::of(address);
    let state = AppState::new(site.studio.clone(), hosts, ending.clone());
    let limits = ConnectionLimits {
        connections,
        head: HEAD,
        ..ConnectionLimits::default()
    };
    Server {
        address,
        end,
        serving: tokio::spawn(serve_within(listener, state, ending, limits)),
        _site: site,
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("connects");
    stream.set_read_timeout(Some(PATIENCE)).expect("sets");
    stream
}

/// Reads until the server closes; a reset is a close as well.
fn read_to_end(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let mut bytes = [0; 4096];
    loop {
        match stream.read(&mut bytes) {
            Ok(0) => break,
            Ok(read) => answer.extend_from_slice(&bytes[..read]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) => panic!("neither data nor an end: {error}"),
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// Reads one whole answer to a GET of `/healthz`.
fn ask_on(stream: &mut TcpStream, address: SocketAddr) -> String {
    let head = format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("writes");
    let mut answer = String::new();
    let mut bytes = [0; 4096];
    while !answer.ends_with("ok\n") {
        let read = stream.read(&mut bytes).expect("reads");
        assert!(read > 0, "closed after {answer:?}");
        answer.push_str(&String::from_utf8_lossy(&bytes[..read]));
    }
    answer
}

#[test]
fn the_limits_of_the_program_are_those_that_were_promised() {
    let limits = ConnectionLimits::default();
    assert!(limits.head <= Duration::from_secs(10));
    assert!(limits.unread <= Duration::from_secs(60));
    assert!((1024..=4096).contains(&limits.connections));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_trickles_in_is_cut_off() {
    let server = listen(8).await;
    let mut stream = connect(server.address);
    let begin = Instant::now();
    let head = format!("GET / HTTP/1.1\r\nHost: {}\r\nX-Slow: ", server.address);
    let mut bytes = head.bytes().chain(std::iter::repeat(b'a'));
    // One byte after another keeps no timer from running out.
    while begin.elapsed() < HEAD * 8 {
        if stream.write_all(&[bytes.next().expect("endless")]).is_err() {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let lasted = begin.elapsed();
    assert!(lasted >= HEAD / 2, "cut off too soon: {lasted:?}");
    assert!(lasted < HEAD * 4, "cut off too late: {lasted:?}");
    assert_eq!(request(server.address, "GET", "/healthz", "").0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_says_nothing_is_closed_before_and_after_a_request() {
    let server = listen(8).await;
    let mut silent = connect(server.address);
    let begin = Instant::now();
    assert_eq!(read_to_end(&mut silent), "");
    assert!(begin.elapsed() < HEAD * 4);
    let mut kept = connect(server.address);
    for _ in 0..3 {
        assert!(ask_on(&mut kept, server.address).starts_with("HTTP/1.1 200"));
    }
    let begin = Instant::now();
    assert_eq!(read_to_end(&mut kept), "");
    let lasted = begin.elapsed();
    assert!(lasted >= HEAD / 2 && lasted < HEAD * 4, "{lasted:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_stream_is_not_idle() {
    let server = listen(8).await;
    let mut stream = EventStream::open(server.address, None);
    assert_eq!(stream.next().expect("greets").name, "hello");
    std::thread::sleep(HEAD * 2);
    server.end.send_replace(true);
    // An end, and no error before it.
    assert_eq!(stream.next(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_above_the_cap_are_turned_away_until_others_end() {
    let server = listen(3).await;
    let mut taken: Vec<TcpStream> = (0..3).map(|_| connect(server.address)).collect();
    for stream in &mut taken {
        ask_on(stream, server.address);
    }
    for _ in 0..20 {
        let answer = read_to_end(&mut connect(server.address));
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer:?}");
        assert!(answer.contains("Retry-After: 1\r\n"), "{answer:?}");
    }
    drop(taken.pop());
    let begin = Instant::now();
    let mut answer = String::new();
    while !answer.starts_with("HTTP/1.1 200") {
        assert!(begin.elapsed() < PATIENCE, "no room: {answer:?}");
        let mut stream = connect(server.address);
        let head = format!(
            "GET /healthz HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            server.address
        );
        let _refused = stream.write_all(head.as_bytes());
        answer = read_to_end(&mut stream);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn oversized_heads_and_nonsense_are_refused() {
    let server = listen(8).await;
    let long = format!(
        "GET /{} HTTP/1.1\r\nHost: {}\r\n\r\n",
        "a".repeat(1 << 20),
        server.address
    );
    for (sent, statuses) in [
        (long.as_str(), &["414", "431"][..]),
        ("\0\x01\x02\x03\r\n\r\n", &["400"]),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &["none", "400", "505"]),
        (
            "POST /api/runs HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
            &["400"],
        ),
    ] {
        let mut stream = connect(server.address);
        let _cut_off = stream.write_all(sent.as_bytes());
        let answer = read_to_end(&mut stream);
        let status = answer.split(' ').nth(1).unwrap_or("none");
        // A server that closes with bytes unread may reset the connection before its answer is read.
        assert!(
            statuses.contains(&status) || (status == "none" && sent.len() > 1000),
            "{:?} for {:?}",
            answer,
            &sent[..sent.len().min(40)]
        );
    }
    assert_eq!(request(server.address, "GET", "/healthz", "").0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_waits_for_nobody_who_is_idle() {
    let server = listen(8).await;
    let mut kept = connect(server.address);
    ask_on(&mut kept, server.address);
    let mut streams: Vec<EventStream> = (0..3)
        .map(|_| EventStream::open(server.address, None))
        .collect();
    server.end.send_replace(true);
    let ended = tokio::time::timeout(HEAD, server.serving).await;
    ended
        .expect("before the idle limit")
        .expect("no panic")
        .expect("no failure");
    assert_eq!(read_to_end(&mut kept), "");
    for stream in &mut streams {
        while stream.next().is_some() {}
    }
}
