//! Data sets on S3-compatible storage, through the real client and a small server: the same pairs as
//! from files, trouble told by its kind, and no secret anywhere.

use std::path::Path;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use protoclip::data::{Depth, ObjectError, ObjectReader, ObjectStamp, Patience, Wanted};
use protoclip_studio::s3::{S3Reader, S3Settings};
use serde_json::Value;

use crate::data_sets::added;
use crate::support::data_files::{KINDS, PAIRS, has_labels, write_all};
use crate::support::program::command;
use crate::support::s3_server::{S3Server, SECRET, shared};
use crate::support::test_site::TestSite;

fn reader(server: &S3Server) -> S3Reader {
    S3Reader::new(S3Settings::from_pairs(server.settings()))
}

fn read(reader: &S3Reader, url: &str, stamp: Option<&ObjectStamp>) -> Result<Vec<u8>, ObjectError> {
    reader.read(&Wanted {
        url,
        stamp,
        range: 2..6,
    })
}

#[test]
fn listings_stamps_and_ranges_come_from_the_server() {
    let server = S3Server::start();
    for number in 0..8 {
        server.put(&format!("lists/d/x-{number}.tar"), b"0123456789");
    }
    server.put("lists/d/below/x-9 é+%.tar", b"01");
    let reader = reader(&server);
    let list = |prefix, depth| {
        let found = reader.list(prefix, depth, Patience::Short).expect("lists");
        let mut urls: Vec<String> = found.into_iter().map(|object| object.url).collect();
        urls.sort();
        urls
    };
    let found = list("s3://lists/d/x-", Depth::Here);
    assert_eq!(
        (found.len(), found[7].as_str()),
        (8, "s3://lists/d/x-7.tar")
    );
    assert_eq!(list("s3://lists/d/", Depth::Below).len(), 9);
    assert_eq!(list("s3://lists/d/", Depth::Here).len(), 8);
    let url = "s3://lists/d/x-3.tar";
    let stamp = reader.stamp(url, Patience::Short).expect("there");
    assert_eq!((stamp.bytes, stamp.tag.as_deref()), (10, Some("v1")));
    assert_eq!(read(&reader, url, Some(&stamp)), Ok(b"2345".to_vec()));
    let odd = "s3://lists/d/below/x-9 é+%.tar";
    assert_eq!(reader.stamp(odd, Patience::Short).expect("there").bytes, 2);
    assert_eq!(read(&reader, odd, None), Ok(Vec::new()), "behind its end");
    server.put("lists/d/x-3.tar", b"abcdefghij");
    assert_eq!(read(&reader, url, Some(&stamp)), Err(ObjectError::Changed));
    assert_eq!(read(&reader, url, None), Ok(b"cdef".to_vec()));
}

#[test]
fn trouble_is_told_by_its_kind_and_passing_trouble_is_overcome() {
    let server = S3Server::start();
    server.put("b/x", b"0123456789");
    let reader = reader(&server);
    let url = "s3://b/x";
    let stamp = |reader: &S3Reader, url| reader.stamp(url, Patience::Short);
    assert!(matches!(
        stamp(&reader, "s3://b/y"),
        Err(ObjectError::Absent(_))
    ));
    assert!(matches!(
        read(&reader, "s3://b/y", None),
        Err(ObjectError::Absent(_))
    ));
    server.trouble("/b/x", 503, "SlowDown", 3);
    assert_eq!(
        read(&reader, url, None),
        Ok(b"2345".to_vec()),
        "tried again"
    );
    assert_eq!(server.take_log("/b/x").len(), 4);
    server.trouble("/b/x", 500, "InternalError", 1);
    let away = stamp(&reader, url).expect_err("no second try");
    assert!(matches!(away, ObjectError::Unreachable(_)), "{away}");
    server.trouble("/b/x", 403, "SignatureDoesNotMatch", 1);
    let denied = read(&reader, url, None).expect_err("denied");
    assert!(matches!(denied, ObjectError::Denied(_)), "{denied}");
    for part in [
        "403 (SignatureDoesNotMatch)",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SKIP_SIGNATURE",
    ] {
        assert!(denied.to_string().contains(part), "{denied}");
    }
    assert!(!format!("{denied:?} {away:?} {reader:?}").contains(SECRET));
    let public: Vec<_> = server.settings().into_iter().take(3).collect();
    let unsigned = [("AWS_SKIP_SIGNATURE".to_owned(), "true".to_owned())];
    let public = S3Settings::from_pairs(public.into_iter().chain(unsigned));
    server.put("public/x", b"0123456789");
    let public = S3Reader::new(public);
    assert_eq!(read(&public, "s3://public/x", None), Ok(b"2345".to_vec()));
    assert!(matches!(
        read(&public, url, None),
        Err(ObjectError::Denied(_))
    ));
}

/// A reader of a server that is gone.
fn gone() -> S3Reader {
    let server = S3Server::start();
    let mut settings = server.settings();
    let unused = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    let address = unused.local_addr().expect("bound");
    drop(unused);
    settings[0].1 = format!("http://{address}");
    S3Reader::new(S3Settings::from_pairs(settings))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_block_on_any_thread_and_pages_are_not_kept_waiting() {
    let server = S3Server::start();
    server.put("b/x", b"0123456789");
    let here = reader(&server);
    assert_eq!(
        read(&here, "s3://b/x", None),
        Ok(b"2345".to_vec()),
        "a worker"
    );
    let there = tokio::task::spawn_blocking(move || read(&here, "s3://b/x", None));
    assert_eq!(there.await.expect("ends"), Ok(b"2345".to_vec()));
    let gone = gone();
    let begin = Instant::now();
    let error = gone.list("s3://b/", Depth::Here, Patience::Short);
    let error = error.expect_err("nobody answers").to_string();
    assert!(error.contains("cannot be reached now"), "{error}");
    assert!(error.contains("AWS_ENDPOINT_URL"), "{error}");
    assert!(begin.elapsed() < Duration::from_secs(6));
}

fn run(server: &S3Server, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = command(arguments);
    let output = command.envs(server.settings()).output().expect("runs");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

fn line(server: &S3Server, arguments: &[&str]) -> Value {
    let (code, output, error) = run(server, arguments);
    assert_eq!(code, Some(0), "{arguments:?}: {error}");
    serde_json::from_str(&output).expect("JSON")
}

#[test]
fn the_program_makes_the_same_batches_of_objects_as_of_files() {
    let server = S3Server::start();
    let folder = tempfile::tempdir().expect("folder");
    write_all(folder.path());
    server.put_folder("kinds", folder.path());
    for (source, name) in KINDS {
        let local = folder.path().join(name).display().to_string();
        let remote = format!("s3://kinds/{name}");
        let images = |data: &str| {
            let arguments = ["bench", "images", "--data", data, "--batch", "10"];
            line(&server, &[&arguments[..], &["--threads", "2"]].concat())
        };
        let (of_files, of_objects) = (images(&local), images(&remote));
        for figure in ["images", "broken", "mean", "deviation"] {
            // A broken picture beside a table is found when it is decoded, not before.
            if source == "csv" || source == "coco" {
                continue;
            }
            assert_eq!(of_files[figure], of_objects[figure], "{source}: {figure}");
        }
        let index = |data: &str| line(&server, &["bench", "index", "--data", data]);
        let (of_files, of_objects) = (index(&local), index(&remote));
        if source == "webdataset" || source == "parquet" {
            assert_eq!(
                of_files["fingerprint"], of_objects["fingerprint"],
                "{source}"
            );
            assert_eq!(of_files["pairs"], of_objects["pairs"], "{source}");
        }
    }
    let (code, _, error) = run(
        &server,
        &["bench", "index", "--data", "s3://kinds/gone.tar"],
    );
    assert_eq!(code, Some(2), "{error}");
    assert!(
        error.contains("s3://kinds/gone.tar: there is no such object"),
        "{error}"
    );
}

/// All text in the files below a folder.
fn all_bytes(folder: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).expect("lists") {
        let path = entry.expect("reads").path();
        match path.is_dir() {
            true => all.extend(all_bytes(&path)),
            false => all.extend(std::fs::read(&path).expect("reads")),
        }
    }
    all
}

#[test]
fn a_run_trains_on_objects_and_writes_no_secret() {
    let server = S3Server::start();
    let folder = tempfile::tempdir().expect("folder");
    write_all(folder.path());
    server.put_folder("train", folder.path());
    let settings = folder.path().join("run.toml");
    let toml = "preset = \"protoclip\"\nepisodes = 2\nbatch_size = 10\n\
                [data]\nsource = \"webdataset\"\npath = \"s3://train/shards/*.tar\"\n\
                [prototypes]\ncount = 4\nrestarts = 1\n";
    std::fs::write(&settings, toml).expect("writes");
    let data_dir = folder.path().join("data");
    let arguments = [
        "train",
        settings.to_str().expect("text"),
        "--data-dir",
        data_dir.to_str().expect("text"),
    ];
    server.trouble("/train/shards/1.tar", 500, "InternalError", 2);
    let (code, output, error) = run(&server, &arguments);
    assert_eq!(code, Some(0), "{error}");
    let written = all_bytes(&data_dir);
    let holds = |text: &str| {
        let text = text.as_bytes();
        written.windows(text.len()).any(|part| part == text)
    };
    assert!(holds("s3://train/shards/*.tar"));
    assert!(!holds(SECRET) && !output.contains(SECRET) && !error.contains(SECRET));
}

#[tokio::test]
async fn pages_add_show_and_refuse_objects() {
    let server = shared();
    let folder = tempfile::tempdir().expect("folder");
    write_all(folder.path());
    server.put_folder("pages", folder.path());
    let site = TestSite::new();
    for (form, message) in [
        (
            "source=webdataset&path=s3://pages/gone.tar",
            "there is no such object",
        ),
        (
            "source=csv&path=s3://pages/gone.csv",
            "there is no such object",
        ),
        (
            "source=folder&path=s3://pages/shards",
            "on S3 can be WebDataset shards",
        ),
        ("source=webdataset&path=s3:/pages", "or with s3://"),
    ] {
        let answer = site.submit("/datasets/add", form).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{form}");
        assert!(answer.text().contains(message), "{form}: {}", answer.text());
    }
    for (source, name) in KINDS {
        let labels = if has_labels(source) { "colour" } else { "" };
        let form = format!("source={source}&path=s3://pages/{name}&label_columns={labels}");
        let address = added(&site, &form).await;
        let page = site.get(&address).await.text();
        assert!(page.contains("a red square, number 0"), "{source}: {page}");
        let api = format!("/api{address}");
        let found = site
            .get(&format!("{api}/pairs?q=blue&limit=1"))
            .await
            .json();
        let image = found["pairs"][0]["image_url"].as_str().expect("an address");
        assert_eq!(site.get(image).await.status, StatusCode::OK, "{source}");
        let set = site.get(&api).await.json();
        // The picture that is broken is found when it is decoded.
        let beside = usize::from(source == "csv" || source == "coco");
        assert_eq!(set["pairs"], PAIRS + beside, "{source}");
    }
    let list = site.get("/datasets").await.text();
    assert!(!list.contains("not where it was"), "{list}");
    assert!(!list.contains(SECRET));
}
