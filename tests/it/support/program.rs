//! The real program in a process of its own.

use std::io::{BufRead, BufReader, Lines};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use protoclip_studio::studio::RunId;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::client::{EventStream, request};

/// A server that is killed when the test ends.
pub(crate) struct Program {
    pub(crate) child: Child,
    pub(crate) address: SocketAddr,
}

/// A run so small that a step takes some hundredths of a second.
pub(crate) fn tiny_run() -> Value {
    json!({
        "preset": "protoclip", "episodes": 400, "episode_size": 48, "batch_size": 16,
        "prototypes": {"count": 6, "iterations": 3, "restarts": 1},
        "checkpoints": {"every_episodes": 2, "keep_last": 2},
        "evaluation": {"every_episodes": 0},
    })
}

/// The program with arguments; its output is kept from the test's own.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_protoclip-studio"));
    command
        .args(arguments)
        .env_remove("PROTOCLIP_STUDIO_DATA_DIR")
        .env_remove("PROTOCLIP_STUDIO_PORT")
        .env(
            "PROTOCLIP_STUDIO_CACHE_DIR",
            std::env::temp_dir().join("protoclip-studio-tests"),
        )
        .stdin(Stdio::null());
    command
}

impl Program {
    /// Serves a data directory on a free port.
    pub(crate) fn serve(data_dir: &Path) -> Self {
        Self::start(serve_command(data_dir))
    }

    /// The same on one core, where training has one thread and the same result each time.
    pub(crate) fn serve_on_one_core(data_dir: &Path) -> Self {
        let mut serve = Command::new("taskset");
        serve
            .args(["-c", "0", env!("CARGO_BIN_EXE_protoclip-studio"), "serve"])
            .arg(data_dir)
            .args(["--port", "0", "--device", "cpu"])
            .stdin(Stdio::null());
        Self::start(serve)
    }

    pub(crate) fn has_one_core_launcher() -> bool {
        let asked = Command::new("taskset").arg("--version").output();
        asked.is_ok_and(|output| output.status.success())
    }

    fn start(mut serve: Command) -> Self {
        let mut child = serve.stdout(Stdio::piped()).spawn().expect("starts");
        let (address, lines) = read_address(&mut child);
        // The rest of its output must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address }
    }

    /// As [`Program::serve`], in a terminal that closes once the address was read: nobody reads what
    /// the program writes after that.
    pub(crate) fn serve_without_a_reader(data_dir: &Path) -> Self {
        let mut child = serve_command(data_dir)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("starts");
        let (address, lines) = read_address(&mut child);
        drop((lines, child.stderr.take()));
        Self { child, address }
    }

    pub(crate) fn create(&self, settings: &Value) -> RunId {
        let (status, body) = request(self.address, "POST", "/api/runs", &settings.to_string());
        assert_eq!(status, 201, "{body}");
        RunId::from(body["id"].as_str().expect("an id"))
    }

    pub(crate) fn post(&self, path: &str) -> u16 {
        request(self.address, "POST", path, "").0
    }

    pub(crate) fn run(&self, id: &RunId) -> Value {
        request(self.address, "GET", &format!("/api/runs/{id}"), "").1
    }

    /// Waits for an event that shows the run as wished.
    pub(crate) fn wait_for(&self, id: &RunId, wished: impl Fn(&Value) -> bool) -> Value {
        let mut stream = EventStream::open(self.address, None);
        let now = self.run(id);
        if wished(&now) {
            return now;
        }
        loop {
            let run = stream.next_named("run").data;
            if run["id"] == id.as_str() && wished(&run) {
                return run;
            }
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).expect("small");
        kill_process(Pid::from_raw(id).expect("not zero"), signal).expect("sends");
    }

    /// Waits for the program to end by itself.
    pub(crate) fn ended_within(&mut self, limit: Duration) -> ExitStatus {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("asks") {
                return status;
            }
            assert!(begin.elapsed() < limit, "still running after {limit:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _status = self.child.wait();
    }
}

/// Serves a data directory on a free port, on the CPU.
fn serve_command(data_dir: &Path) -> Command {
    let data_dir = data_dir.to_str().expect("text");
    command(&["serve", data_dir, "--port", "0", "--device", "cpu"])
}

/// The address that a server prints, and what follows.
fn read_address(child: &mut Child) -> (SocketAddr, Lines<BufReader<ChildStdout>>) {
    let output = child.stdout.take().expect("piped");
    let mut lines = BufReader::new(output).lines();
    let address = lines.find_map(|line| {
        let line = line.expect("reads");
        let (_, address) = line.split_once("http://")?;
        address.trim().parse().ok()
    });
    (address.expect("prints its address"), lines)
}
