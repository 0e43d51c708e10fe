//! A small S3-compatible server: listings by pages, stamps and ranges, and trouble on demand.
//!
//! Only what the program asks for: signed or not, `GET` and `HEAD`, path-style addresses.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

use protoclip_studio::s3::{S3Reader, S3Settings};

/// What only the server and the program know.
pub(crate) const SECRET: &str = "a-secret-that-nobody-may-read";
const KEY_ID: &str = "KEYOFTESTS";
/// Keys of one page of a listing.
const PAGE: usize = 3;

#[derive(Debug, Clone)]
pub(crate) struct S3Server {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// `bucket/key` with bytes and number of the version.
    objects: BTreeMap<String, (Vec<u8>, u32)>,
    /// Paths that begin so are answered with this status and code, so often.
    trouble: Vec<(String, u16, &'static str, usize)>,
    /// Method, path and range of each request.
    log: Vec<String>,
}

struct Request {
    method: String,
    path: String,
    query: BTreeMap<String, String>,
    headers: BTreeMap<String, String>,
}

struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

/// The server that this process itself reads objects from.
pub(crate) fn shared() -> &'static S3Server {
    static SHARED: OnceLock<S3Server> = OnceLock::new();
    SHARED.get_or_init(|| {
        let server = S3Server::start();
        let reader = S3Reader::new(S3Settings::from_pairs(server.settings()));
        protoclip::data::read_objects_with(Arc::new(reader));
        server
    })
}

impl S3Server {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let server = Self {
            address: listener.local_addr().expect("bound"),
            state: Arc::default(),
        };
        let serving = server.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = serving.clone();
                std::thread::spawn(move || server.serve(stream));
            }
        });
        server
    }

    /// The variables with which the program finds it.
    pub(crate) fn settings(&self) -> Vec<(String, String)> {
        let pairs = [
            ("AWS_ENDPOINT_URL", format!("http://{}", self.address)),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
            ("AWS_REGION", "eu-north-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", KEY_ID.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET.to_owned()),
        ];
        pairs.map(|(name, value)| (name.to_owned(), value)).into()
    }

    pub(crate) fn put(&self, name: &str, bytes: &[u8]) {
        let mut state = self.state.lock().expect("no panic");
        let entry = state.objects.entry(name.to_owned()).or_default();
        *entry = (bytes.to_vec(), entry.1 + 1);
    }

    /// Puts all files of a folder into a bucket.
    pub(crate) fn put_folder(&self, bucket: &str, folder: &Path) {
        for entry in std::fs::read_dir(folder).expect("lists") {
            let path = entry.expect("reads").path();
            let name = path.file_name().expect("a name").to_string_lossy();
            let name = format!("{bucket}/{name}");
            match path.is_dir() {
                true => self.put_folder(&name, &path),
                false => self.put(&name, &std::fs::read(&path).expect("reads")),
            }
        }
    }

    /// Answers the next `times` requests of paths that begin so with an error.
    pub(crate) fn trouble(&self, path: &str, status: u16, code: &'static str, times: usize) {
        let mut state = self.state.lock().expect("no panic");
        state.trouble.push((path.to_owned(), status, code, times));
    }

    /// What was asked since the last call about paths that begin so.
    pub(crate) fn take_log(&self, path: &str) -> Vec<String> {
        let mut state = self.state.lock().expect("no panic");
        let all = std::mem::take(&mut state.log).into_iter();
        let asked = |line: &String| line.split(' ').nth(1).is_some_and(|p| p.starts_with(path));
        let (these, others) = all.partition(asked);
        state.log = others;
        these
    }

    fn serve(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().expect("clones"));
        let mut stream = stream;
        while let Some(request) = Request::read(&mut reader) {
            let answer = self.answer(&request);
            let mut head = format!("HTTP/1.1 {} X\r\n", answer.status);
            for (name, value) in &answer.headers {
                head += &format!("{name}: {value}\r\n");
            }
            head += &format!("Content-Length: {}\r\n", answer.body.len());
            let sent = stream.write_all(format!("{head}\r\n").as_bytes());
            let body: &[u8] = match request.method.as_str() {
                "HEAD" => &[],
                _ => &answer.body,
            };
            if sent.and_then(|()| stream.write_all(body)).is_err() {
                return;
            }
        }
    }

    fn answer(&self, request: &Request) -> Answer {
        let mut state = self.state.lock().expect("no panic");
        let range = request.headers.get("range").map_or("", String::as_str);
        let line = format!("{} {} {range}", request.method, request.path);
        state.log.push(line);
        let mut trouble = state.trouble.iter_mut();
        let begins = |path: &str| request.path.starts_with(path);
        if let Some(found) = trouble.find(|(path, .., left)| *left > 0 && begins(path)) {
            found.3 -= 1;
            return error(found.1, found.2);
        }
        let signed = request.headers.get("authorization");
        let known = signed.is_some_and(|by| by.contains(&format!("Credential={KEY_ID}/")));
        let name = request.path.trim_start_matches('/');
        if !known && !name.starts_with("public") {
            return error(403, "AccessDenied");
        }
        if request.query.contains_key("list-type") {
            return listing(&state, name.trim_end_matches('/'), &request.query);
        }
        match state.objects.get(name) {
            None => error(404, "NoSuchKey"),
            Some((bytes, version)) => object(bytes, *version, &request.headers),
        }
    }
}

impl Request {
    fn read(reader: &mut BufReader<TcpStream>) -> Option<Self> {
        let mut line = String::new();
        reader
            .read_line(&mut line)
            .ok()
            .filter(|&count| count > 0)?;
        let mut words = line.split(' ');
        let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            let Some((name, value)) = line.trim_end().split_once(": ") else {
                break;
            };
            headers.insert(name.to_ascii_lowercase(), value.to_owned());
        }
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let query = query.split('&').filter_map(|pair| pair.split_once('='));
        Some(Self {
            method,
            path: decoded(path),
            query: query.map(|(k, v)| (decoded(k), decoded(v))).collect(),
            headers,
        })
    }
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = match (first, tail) {
            (b'%', [high, low, ..]) => {
                let digits = [*high, *low];
                let digits = std::str::from_utf8(&digits).ok();
                digits.and_then(|digits| u8::from_str_radix(digits, 16).ok())
            }
            _ => None,
        };
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn error(status: u16, code: &str) -> Answer {
    let body = format!(
        "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>signed with {SECRET}</Message></Error>"
    );
    Answer {
        status,
        headers: vec![("Content-Type", "application/xml".into())],
        body: body.into_bytes(),
    }
}

fn listing(state: &State, bucket: &str, query: &BTreeMap<String, String>) -> Answer {
    let asked = |name: &str| query.get(name).map_or("", String::as_str);
    let beginning = format!("{bucket}/{}", asked("prefix"));
    let after = format!("{bucket}/{}", asked("continuation-token"));
    let matching = state.objects.iter().filter(|(name, _)| {
        let rest = name.strip_prefix(&beginning);
        let here = rest.is_some_and(|rest| asked("delimiter").is_empty() || !rest.contains('/'));
        here && (asked("continuation-token").is_empty() || **name > after)
    });
    let page: Vec<_> = matching.take(PAGE + 1).collect();
    let mut body = "<?xml version=\"1.0\"?><ListBucketResult>".to_owned();
    for (name, (bytes, version)) in page.iter().take(PAGE) {
        let key = &name[bucket.len() + 1..];
        body += &format!(
            "<Contents><Key>{key}</Key><Size>{}</Size><ETag>&quot;v{version}&quot;</ETag><LastModified>2026-01-02T03:04:05.000Z</LastModified></Contents>",
            bytes.len()
        );
    }
    if page.len() > PAGE {
        let last = &page[PAGE - 1].0[bucket.len() + 1..];
        body += &format!("<NextContinuationToken>{last}</NextContinuationToken>");
    }
    body += "</ListBucketResult>";
    Answer {
        status: 200,
        headers: vec![("Content-Type", "application/xml".into())],
        body: body.into_bytes(),
    }
}

fn object(bytes: &[u8], version: u32, headers: &BTreeMap<String, String>) -> Answer {
    let tag = format!("\"v{version}\"");
    if headers.get("if-match").is_some_and(|wanted| *wanted != tag) {
        return error(412, "PreconditionFailed");
    }
    let mut answer = Answer {
        status: 200,
        headers: vec![
            ("ETag", tag),
            ("Last-Modified", "Fri, 02 Jan 2026 03:04:05 GMT".into()),
        ],
        body: bytes.to_vec(),
    };
    let range = headers.get("range").and_then(|range| {
        let (start, end) = range.strip_prefix("bytes=")?.split_once('-')?;
        Some((start.parse::<usize>().ok()?, end.parse::<usize>().ok()?))
    });
    if let Some((start, end)) = range {
        if start >= bytes.len() {
            return error(416, "InvalidRange");
        }
        let end = end.min(bytes.len() - 1);
        let said = format!("bytes {start}-{end}/{}", bytes.len());
        answer.status = 206;
        answer.headers.push(("Content-Range", said));
        answer.body = bytes[start..=end].to_vec();
    }
    answer
}
