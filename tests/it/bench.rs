//! `bench`: one JSON line, and nothing left behind.

use protoclip::npy::NpyMatrix;
use serde_json::Value;

use crate::support::program::command;

/// Exit code, the only line of the output, and the messages; temporary files go to `folder`.
fn bench(folder: &std::path::Path, arguments: &[&str]) -> (Option<i32>, Value, String) {
    let output = command(&[&["bench"], arguments].concat())
        .env("TMPDIR", folder)
        .output()
        .expect("runs");
    let messages = String::from_utf8_lossy(&output.stderr).into_owned();
    let line = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.status.code(), line, messages)
}

#[test]
fn pictures_are_prepared_in_whole_batches() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let images = ["images", "--data", "builtin", "--image-size", "16"];
    let (code, line, messages) = bench(folder.path(), &images);
    assert_eq!(code, Some(0), "{messages}");
    assert_eq!(line["work"], "images");
    assert_eq!(line["images"], 3724 / 64 * 64);
    assert_eq!(line["broken"], 0);
    assert!(line["images_per_cpu_second"].as_f64() > Some(0.0), "{line}");
    assert!(line["deviation"].as_f64() > Some(0.1), "{line}");
    let (code, _, messages) = bench(
        folder.path(),
        &["images", "--data", "builtin", "--batch", "4000"],
    );
    assert_eq!(code, Some(2));
    assert!(messages.contains("lower --batch"), "{messages}");
}

#[test]
fn an_episode_is_trained_once_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let settings = folder.path().join("run.toml");
    let toml = "preset = \"protoclip\"\nepisodes = 5\nepisode_size = 48\nbatch_size = 16\n\
                [prototypes]\ncount = 6\nrestarts = 1\n";
    std::fs::write(&settings, toml).expect("writes");
    let path = settings.to_str().expect("text");
    let (code, line, messages) = bench(folder.path(), &["episode", path]);
    assert_eq!(code, Some(0), "{messages}");
    assert_eq!((&line["samples"], &line["steps"]), (&48.into(), &3.into()));
    let number = |name: &str| line[name].as_f64().expect(name);
    let phases = ["extract", "cluster", "translate", "train"];
    let seconds: f64 = phases
        .map(|phase| number(&format!("seconds_{phase}")))
        .iter()
        .sum();
    assert!(seconds > 0.0 && seconds <= number("wall_seconds"), "{line}");
    assert!(number("loss") > 0.0, "{line}");
    for phase in ["extract", "train"] {
        let waited = number(&format!("data_wait_percent_{phase}"));
        assert!((0.0..=100.0).contains(&waited), "{line}");
    }
    let left = std::fs::read_dir(folder.path()).expect("lists").count();
    assert_eq!(left, 1, "only the settings");
    let wrong = ["episode", path, "--set", "prototypes.count=0"];
    let (code, _, messages) = bench(folder.path(), &wrong);
    assert_eq!(code, Some(2));
    assert!(messages.contains("prototypes.count"), "{messages}");
}

/// Whole models: four optimizer steps by the program's own operations and by Burn's end alike.
#[test]
fn our_kernels_and_burns_take_the_same_steps() {
    let folder = tempfile::tempdir().expect("temporary folder");
    for model in ["vit-nano-32", "rn-tiny-64"] {
        let loss = |kernels, precision| {
            let sizes = ["--batch", "6", "--steps", "1", "--threads", "1"];
            let kernels_chosen = ["--kernels", kernels, "--precision", precision];
            let chosen = [&["train-step", "--model", model], &kernels_chosen[..]].concat();
            let (code, line, messages) = bench(folder.path(), &[&chosen[..], &sizes].concat());
            assert_eq!(code, Some(0), "{messages}");
            assert_eq!(line["kernels"], kernels);
            assert_eq!(line["precision"], precision);
            assert!(line["tokens_per_caption"].as_f64() > Some(3.0), "{line}");
            assert!(line["samples_per_second"].as_f64() > Some(0.0), "{line}");
            line["loss"].as_f64().expect("a loss")
        };
        let (ours, burns) = (loss("fused", "f32"), loss("plain", "f32"));
        assert!((ours - burns).abs() < 1e-3, "{model}: {ours} {burns}");
        let rounded = loss("fused", "bf16");
        let distance = (rounded - ours).abs();
        assert!(
            distance > 0.0 && distance < 0.05,
            "{model}: {rounded} {ours}"
        );
    }
    let (code, _, messages) = bench(folder.path(), &["train-step", "--model", "vit-giant"]);
    assert_eq!(code, Some(2));
    assert!(messages.contains("vit-giant"), "{messages}");
}

#[test]
fn features_are_clustered_mapped_and_reduced() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let number = |i: usize| (i.wrapping_mul(2_654_435_761) >> 7 & 1023) as f32 / 1023.0;
    let features = NpyMatrix {
        rows: 90,
        dim: 5,
        values: (0..90 * 5)
            .map(|i| number(i) + (i / 5 % 3) as f32)
            .collect(),
    };
    let (path, out) = (folder.path().join("f.npy"), folder.path().join("map.npy"));
    features.write(&path).expect("writes");
    let path = path.to_str().expect("a UTF-8 path");
    let map = [
        "--perplexity",
        "7",
        "--iterations",
        "40",
        "--out",
        out.to_str().expect("UTF-8"),
    ];
    for (work, options, quality) in [
        ("kmeans", &["--k", "3", "--iterations", "5"][..], "inertia"),
        ("tsne", &map[..], "kl"),
        ("pca", &["--dim", "2"][..], "explained_variance"),
    ] {
        let arguments = [&[work, "--features", path, "--threads", "1"], options].concat();
        let (code, line, messages) = bench(folder.path(), &arguments);
        assert_eq!(code, Some(0), "{messages}");
        assert_eq!(line["work"], work);
        assert_eq!(
            (&line["samples"], &line["dim"], &line["threads"]),
            (&90.into(), &5.into(), &1.into())
        );
        assert!(
            line["wall_seconds"].as_f64().is_some_and(|s| s > 0.0),
            "{line}"
        );
        assert!(line[quality].as_f64().is_some_and(|v| v > 0.0), "{line}");
    }
    let map = NpyMatrix::read(&out).expect("a map");
    assert_eq!((map.rows, map.dim), (90, 2));
    let wide = ["tsne", "--features", path, "--perplexity", "30"];
    let (code, _, messages) = bench(folder.path(), &wide);
    assert_eq!(code, Some(2));
    assert!(messages.contains("29.6"), "{messages}");
}
