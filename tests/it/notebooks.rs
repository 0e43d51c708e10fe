//! `notebook` as a program: a notebook that starts a run, looks at it in every way, and is verified
//! and exported.

use std::path::{Path, PathBuf};

use image::{Rgb, RgbImage};
use serde_json::Value;

use crate::support::program::command;

const NOTEBOOK: &str = r#"---
protoclip: 1
title: A small finding
---

# A small finding

<script>alert(1)</script> and prose.

```yaml protoclip id=count type=control
label: Prototypes
min: 2
max: 12
step: 1
value: 6
```

```yaml protoclip id=shift type=control
min: -0.5
max: 0.5
value: 0.1
```

```yaml protoclip id=start type=run
preset: protoclip
name: small <b>run</b>
episodes: 2
config:
  episode_size: 48
  batch_size: 16
  seed: 5
  prototypes: {count: "${count}", iterations: 3, restarts: 1}
  evaluation: {every_episodes: 1}
  data: {source: csv, path: "PAIRS", label_columns: [colour]}
```

```yaml protoclip id=again type=run
action: fork
run: ${start}
name: longer
episodes: 3
```

```yaml protoclip id=losses type=plot
run: ${start}
metrics: [train/loss_total, train/loss_clip]
smooth: 0.5
```

```yaml protoclip id=largest type=prototypes
run: ${start}
count: 3
```

```yaml protoclip id=maps type=space
run: ${start}
space: image
method: pca
```

```yaml protoclip id=gap type=gap
run: ${start}
shift: ${shift}
```

```yaml protoclip id=sweep type=gap
runs: ["${start}", "${again}"]
shifts: [-0.2, 0, 0.2]
measures: [gap, recall_mean]
```

```yaml protoclip id=both type=compare
runs: ["${start}", "${again}"]
metrics: [train/loss_total]
```

```yaml protoclip id=measured type=evaluate
run: ${start}
```

```yaml protoclip id=rows type=query
run: ${start}
sql: SELECT tag, COUNT(*) AS points FROM points WHERE tag LIKE 'train/loss%' GROUP BY tag ORDER BY tag
```

```yaml protoclip id=greedy type=query
run: ${start}
sql: DELETE FROM runs
```

```yaml protoclip id=stray type=plot
run: ${nobody}
metric: train/loss_total
```

The end.
"#;

struct Notebook {
    _folder: tempfile::TempDir,
    file: PathBuf,
    data_dir: PathBuf,
}

impl Notebook {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().expect("temporary folder");
        let file = folder.path().join("finding.md");
        let pairs = pictures(folder.path());
        let text = text.replace("PAIRS", pairs.to_str().expect("text"));
        std::fs::write(&file, text).expect("writes");
        let data_dir = folder.path().join("data");
        Self {
            _folder: folder,
            file,
            data_dir,
        }
    }

    /// Exit code, standard output and standard error.
    fn call(&self, work: &str, more: &[&str]) -> (Option<i32>, String, String) {
        let file = self.file.to_str().expect("text");
        let data_dir = self.data_dir.to_str().expect("text");
        let mut arguments = vec![
            "notebook",
            work,
            file,
            "--data-dir",
            data_dir,
            "--device",
            "cpu",
        ];
        arguments.extend(more);
        let output = command(&arguments).output().expect("runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        (
            output.status.code(),
            text(output.stdout),
            text(output.stderr),
        )
    }

    fn outputs(&self) -> Value {
        let index = self.file.with_extension("outputs").join("outputs.json");
        let text = std::fs::read(index).expect("outputs");
        serde_json::from_slice::<Value>(&text).expect("JSON")["cells"].clone()
    }

    fn checkpoint_files(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for run in std::fs::read_dir(self.data_dir.join("runs"))
            .expect("lists")
            .flatten()
        {
            let folder = run.path().join("checkpoints");
            for step in std::fs::read_dir(folder).expect("lists").flatten() {
                found.push(step.path().join("model.safetensors"));
            }
        }
        found
    }
}

/// A CSV file of 60 plain pictures in three colours.
fn pictures(folder: &Path) -> PathBuf {
    let mut rows = "filepath,title,colour\n".to_owned();
    for number in 0..60_u8 {
        let (colour, pixel) = match number % 3 {
            0 => ("red", [100 + number * 2, 0, 0]),
            1 => ("green", [0, 100 + number * 2, 0]),
            _ => ("blue", [0, 0, 100 + number * 2]),
        };
        let file = format!("{number}.png");
        let picture = RgbImage::from_pixel(32, 32, Rgb(pixel));
        picture.save(folder.join(&file)).expect("saves");
        rows += &format!("{file},a {colour} square number {number},{colour}\n");
    }
    let path = folder.join("pairs.csv");
    std::fs::write(&path, rows).expect("writes");
    path
}

fn line<'a>(text: &'a str, cell: &str) -> &'a str {
    let found = text
        .lines()
        .find(|line| line.split_whitespace().next() == Some(cell));
    found.unwrap_or_else(|| panic!("no line about {cell}: {text}"))
}

#[test]
fn a_notebook_is_run_verified_and_exported_and_a_tampered_checkpoint_is_found() {
    let notebook = Notebook::new(NOTEBOOK);
    // Without --effects nothing is started.
    let (code, said, _) = notebook.call("run", &[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(line(&said, "start").contains("--effects"), "{said}");
    assert!(
        line(&said, "losses").contains("start has no result yet"),
        "{said}"
    );
    assert!(said.contains("${nobody} refers to no cell"), "{said}");

    let (code, said, error) = notebook.call("run", &["--effects"]);
    assert_eq!(code, Some(1), "the DELETE fails: {said} {error}");
    assert!(
        line(&said, "greedy").contains("a query can only read"),
        "{said}"
    );
    for cell in [
        "start", "again", "losses", "largest", "maps", "gap", "sweep", "both", "measured", "rows",
    ] {
        assert!(line(&said, cell).ends_with("done"), "{said}");
    }
    let outputs = notebook.outputs();
    check_outputs(&outputs);

    // Nothing is stale, so nothing is run again, and no second run is started.
    let (_, said, _) = notebook.call("run", &["--effects"]);
    assert!(
        said.contains("1 cells run, 1 failed"),
        "only the failed one is tried again: {said}"
    );
    assert_eq!(notebook.outputs()["start"], outputs["start"]);

    // As it was, but for the cells that cannot be.
    let (code, said, error) = notebook.call("verify", &[]);
    assert_eq!(code, Some(1));
    assert!(error.contains("failed: greedy, stray"), "{said} {error}");
    for cell in [
        "start", "again", "losses", "largest", "maps", "gap", "sweep", "both", "measured", "rows",
    ] {
        assert!(line(&said, cell).contains(" same"), "{said}");
    }
    check_exports(&notebook);
    check_tampering(&notebook, &outputs);
}

fn check_outputs(outputs: &Value) {
    let start = &outputs["start"];
    assert_eq!(start["fields"]["state"], "finished");
    let origin = &outputs["losses"]["provenance"][0];
    assert_eq!(origin["run"], start["fields"]["id"]);
    assert_eq!(origin["seed"], 5);
    assert_eq!(origin["step"], 6);
    assert_eq!(
        origin["checkpoint"]["hash"].as_str().map(str::len),
        Some(64)
    );
    assert_eq!(outputs["losses"]["blocks"][0]["type"], "figure");
    assert_eq!(outputs["largest"]["fields"]["count"], 6);
    assert_eq!(
        outputs["rows"]["blocks"][0]["columns"],
        serde_json::json!(["tag", "points"])
    );
    assert_eq!(outputs["rows"]["blocks"][0]["rows"][0][1], "6");
    assert_eq!(
        outputs["sweep"]["blocks"][2]["rows"]
            .as_array()
            .map(Vec::len),
        Some(6)
    );
    assert!(
        outputs["measured"]["fields"]["recall_mean"]
            .as_f64()
            .is_some()
    );
    assert!(
        outputs["gap"]["fields"]["gap"]
            .as_f64()
            .is_some_and(|gap| gap > 0.0)
    );
}

fn check_exports(notebook: &Notebook) {
    let out = notebook.file.with_file_name("out");
    let target = |name: &str| out.join(name).to_str().expect("text").to_owned();
    let (code, _, error) = notebook.call("export", &["--out", &target("a.html")]);
    assert_eq!(code, Some(0), "{error}");
    let page = std::fs::read_to_string(out.join("a.html")).expect("reads");
    assert!(page.contains("Content-Security-Policy") && page.contains("default-src 'none'"));
    assert!(
        !page.contains("<script") && !page.contains("<b>run</b>"),
        "nothing runs"
    );
    assert!(page.contains("small &lt;b&gt;run&lt;/b&gt;") && page.contains("seed 5"));
    assert!(page.contains("data:image/svg+xml;base64,"));
    for attribute in ["src=\"http", "href=\"http", "url(", "@import", "<link"] {
        assert!(!page.contains(attribute), "{attribute}");
    }
    let (code, said, _) = notebook.call("export", &["--format", "md", "--out", &target("md")]);
    assert_eq!(code, Some(0), "{said}");
    let text = std::fs::read_to_string(out.join("md/finding.md")).expect("reads");
    let figure = text
        .split("](finding_files/")
        .nth(1)
        .and_then(|rest| rest.split(')').next());
    assert!(
        out.join("md/finding_files")
            .join(figure.expect("a figure"))
            .is_file()
    );
    let (code, ..) = notebook.call(
        "export",
        &["--format", "ipynb", "--out", &target("a.ipynb")],
    );
    assert_eq!(code, Some(0));
    let bytes = std::fs::read(out.join("a.ipynb")).expect("reads");
    let jupyter: Value = serde_json::from_slice(&bytes).expect("JSON");
    assert_eq!(
        (&jupyter["nbformat"], &jupyter["nbformat_minor"]),
        (&4.into(), &5.into())
    );
    let (code, said, _) = notebook.call("export", &["--format", "csv", "--out", &target("csv")]);
    assert_eq!(code, Some(0), "{said}");
    let rows = std::fs::read_to_string(out.join("csv/rows.csv")).expect("reads");
    assert!(rows.starts_with("tag,points\r\ntrain/loss_"), "{rows}");
}

/// One bit of one checkpoint is enough.
fn check_tampering(notebook: &Notebook, outputs: &Value) {
    let id = outputs["start"]["fields"]["id"].as_str().expect("an id");
    let last = notebook
        .checkpoint_files()
        .into_iter()
        .filter(|f| f.to_string_lossy().contains(id))
        .max();
    let file = last.expect("a checkpoint");
    flip(&file);
    let (code, said, error) = notebook.call("verify", &[]);
    assert_eq!(code, Some(1));
    for cell in ["losses", "measured"] {
        let told = line(&said, cell);
        assert!(
            told.contains("failed") && told.contains("is damaged"),
            "{said}"
        );
        assert!(error.contains(cell), "{error}");
    }
    flip(&file);
    let (_, said, _) = notebook.call("verify", &[]);
    assert!(line(&said, "measured").contains(" same"), "{said}");
    let rows = notebook.file.clone();
    let text = std::fs::read_to_string(&rows)
        .expect("reads")
        .replace("value: 0.1", "value: 0.2");
    std::fs::write(&rows, text).expect("writes");
    let (code, said, error) = notebook.call("verify", &[]);
    assert_eq!(code, Some(1));
    assert!(line(&said, "gap").contains("drifted"), "{said}");
    assert!(error.contains("drifted: gap"), "{error}");
}

fn flip(file: &Path) {
    let mut bytes = std::fs::read(file).expect("reads");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(file, bytes).expect("writes");
}

#[test]
fn wrong_calls_are_named() {
    let notebook = Notebook::new("# no cells\n");
    let (code, _, error) = notebook.call("run", &["--cell", "none"]);
    assert_eq!(code, Some(1));
    assert!(error.contains("no cell none"), "{error}");
    let (code, _, error) = notebook.call("run", &["--set", "x"]);
    assert_eq!(code, Some(2), "{error}");
    std::fs::remove_file(&notebook.file).expect("removes");
    let (code, _, error) = notebook.call("verify", &[]);
    assert_eq!(code, Some(2));
    assert!(error.contains("there is no file"), "{error}");
}

/// The notebooks that ship, at a size for tests: every cell runs, and computed again is the same.
#[test]
fn the_notebooks_that_ship_run_and_verify() {
    let small = [
        "--set",
        "episodes=2",
        "--set",
        "size=128",
        "--set",
        "count=4",
    ];
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/notebooks");
    for name in ["tour", "modality-gap", "teacher-weight"] {
        let text = std::fs::read_to_string(docs.join(format!("{name}.md"))).expect("reads");
        let notebook = Notebook::new(&text);
        let (code, said, error) = notebook.call("run", &[&small[..], &["--effects"]].concat());
        assert_eq!(code, Some(0), "{name}: {said} {error}");
        assert!(said.contains(" 0 failed, 0 not run"), "{name}: {said}");
        let (code, said, error) = notebook.call("verify", &small);
        assert_eq!(code, Some(0), "{name}: {said} {error}");
    }
}
