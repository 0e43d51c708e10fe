//! A studio with a scripted runner behind the real router, without a socket.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use axum::response::Response;
use http_body_util::BodyExt;
use protoclip_studio::server::{Access, AllowedHosts, AppState, site};
use protoclip_studio::studio::{
    DataDir, DataSets, RunId, RunState, RunView, Studio, StudioOptions,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::time::timeout;
use tower::ServiceExt;

use super::scripted_runner::{PATIENCE, ScriptedRunner};

pub(crate) struct TestSite {
    pub(crate) studio: Arc<Studio>,
    pub(crate) runner: Arc<ScriptedRunner>,
    pub(crate) end: watch::Sender<bool>,
    pub(crate) folder: TempDir,
    router: Router,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// The only `Host` that these tests use, as a browser on this machine would.
pub(crate) const HOST: &str = "localhost:7878";

impl TestSite {
    pub(crate) fn new() -> Self {
        Self::over(tempfile::tempdir().expect("temporary folder"))
    }

    /// A studio over a directory that may hold runs already.
    pub(crate) fn over(folder: TempDir) -> Self {
        Self::with_access(folder, Access::open())
    }

    /// The same with rules about who may do what.
    pub(crate) fn with_access(folder: TempDir, access: Access) -> Self {
        let runner = Arc::new(ScriptedRunner::new());
        let studio = Studio::start(StudioOptions {
            data_dir: DataDir::open(folder.path()).expect("opens"),
            data_sets: Arc::new(DataSets::default()),
            runner: Arc::clone(&runner) as _,
            default_device: "cpu".into(),
        })
        .expect("starts");
        let (end, ending) = watch::channel(false);
        let hosts = AllowedHosts::of(([127, 0, 0, 1], 7878).into());
        let state = AppState::new(Arc::clone(&studio), hosts, ending).with_access(access);
        Self {
            router: site(state),
            studio,
            runner,
            end,
            folder,
        }
    }

    /// The head of an answer and its body unread, which may have no end.
    pub(crate) async fn begin(&self, request: Request<Body>) -> Response {
        let response = self.router.clone().oneshot(request).await;
        response.expect("never fails")
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let (parts, body) = self.begin(request).await.into_parts();
        let body = body.collect().await.expect("a whole body").to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: body.to_vec(),
        }
    }

    pub(crate) async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", HOST)
            .header("content-type", "application/json")
            .body(body.map_or_else(Body::empty, |json| Body::from(json.to_string())))
            .expect("a request");
        self.send(request).await
    }

    /// Sends a form as a browser without script does.
    pub(crate) async fn submit(&self, path: &str, body: &str) -> Answer {
        let request = Request::post(path)
            .header("host", HOST)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from(body.to_owned()))
            .expect("a request");
        self.send(request).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, None).await
    }

    pub(crate) async fn post(&self, path: &str) -> Answer {
        self.ask(Method::POST, path, None).await
    }

    /// Creates a run and returns its id; it is queued.
    pub(crate) async fn create(&self) -> RunId {
        let answer = self.ask(Method::POST, "/api/runs", Some(json!({}))).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
        RunId::from(answer.json()["id"].as_str().expect("an id"))
    }

    /// Creates a run and waits until it trains.
    pub(crate) async fn running(&self) -> RunId {
        let id = self.create().await;
        self.wait_for(&id, |run| run.device == "script").await;
        id
    }

    /// Waits until a run is as wished; hears of each change, so it needs no sleep.
    pub(crate) async fn wait_for(&self, id: &RunId, wished: impl Fn(&RunView) -> bool) -> RunView {
        let waiting = async {
            loop {
                let mut changes = self.studio.subscribe(None).receiver;
                loop {
                    let run = self.studio.run(id).expect("the run exists");
                    if wished(&run) {
                        return run;
                    }
                    if changes.recv().await.is_err() {
                        break;
                    }
                }
            }
        };
        let Ok(run) = timeout(PATIENCE, waiting).await else {
            panic!("never as wished: {:?}", self.studio.run(id));
        };
        run
    }

    pub(crate) async fn wait_for_state(&self, id: &RunId, state: RunState) -> RunView {
        self.wait_for(id, |run| run.state == state).await
    }

    /// Ends the studio and gives its directory to a next one.
    pub(crate) fn end(self) -> TempDir {
        assert!(self.studio.shutdown(PATIENCE), "the trainer ends");
        let last = Arc::downgrade(&self.studio);
        let Self {
            folder,
            studio,
            router,
            ..
        } = self;
        drop((studio, router));
        // The trainer thread says that it ends a moment before it lets go.
        let begin = std::time::Instant::now();
        while last.strong_count() > 0 {
            assert!(begin.elapsed() < PATIENCE, "somebody keeps the studio");
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        folder
    }

    /// Steps of all points of the total loss.
    pub(crate) fn steps(&self, id: &RunId) -> Vec<u64> {
        let points = self.studio.points(id, "train/loss_total").expect("reads");
        points.into_iter().map(|(step, _)| step).collect()
    }
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().expect("text"))
    }
}
