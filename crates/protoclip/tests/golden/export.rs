//! Exports of the golden models, and files that were damaged on the way.

use std::path::Path;

use burn::tensor::Device;
use proptest::prelude::*;
use protoclip::model::weights::WeightSource;
use protoclip::model::{ClipConfig, ImportOptions, check_weights, import_into, load_checkpoint};
use protoclip::train::{ExportOptions, export_checkpoint};
use serde_json::Value;

use crate::golden_file::GoldenFile;
use crate::model::config;

/// The golden model of a kind as an imported directory below `folder`.
fn imported(folder: &Path, kind: &str) -> std::path::PathBuf {
    let told = folder.join("model.json");
    std::fs::write(&told, serde_json::to_string(&config(kind)).expect("json")).expect("writes");
    let options = ImportOptions {
        model: Some(told.display().to_string()),
        ..ImportOptions::default()
    };
    let directory = folder.join("checkpoints").join(kind);
    let file = GoldenFile::path(&format!("{kind}_checkpoint.pt"));
    let report = import_into(&file, &options, &directory).expect("imports");
    let bytes = std::fs::read(&file).expect("reads");
    assert_eq!(report.bytes, bytes.len() as u64);
    assert_eq!(report.blake3, blake3::hash(&bytes).to_hex().to_string());
    let error = import_into(&file, &options, &directory).expect_err("twice");
    assert!(error.to_string().contains("exists already"), "{error}");
    directory
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).expect("reads")).expect("json")
}

#[test]
fn exports_hold_the_bits_of_their_origin_in_what_open_clip_asks_for() {
    let folder = tempfile::tempdir().expect("temporary folder");
    for kind in ["vit", "rn"] {
        let origin = imported(folder.path(), kind);
        let target = folder.path().join(format!("{kind}-export"));
        let exported =
            export_checkpoint(&origin, &target, &ExportOptions::default()).expect("exports");
        let files = [
            "open_clip_model.safetensors",
            "projection_heads.safetensors",
            "open_clip_config.json",
            "config.json",
            "README.md",
        ];
        assert_eq!(exported.files, files);

        let twin = GoldenFile::path(&format!("{kind}_open_clip.safetensors"));
        let mut twin = WeightSource::open(&twin).expect("opens");
        let mut main = WeightSource::open(&target.join(files[0])).expect("opens");
        let mut heads = WeightSource::open(&target.join(files[1])).expect("opens");
        let is_ours = |n: &str| n.contains("projection_head") || n == "logit_scale_proto";
        assert!(!main.names().any(is_ours) && heads.names().all(is_ours));
        let names: Vec<String> = twin.names().map(str::to_owned).collect();
        assert_eq!(main.names().count() + heads.names().count(), names.len());
        for name in &names {
            let part = if is_ours(name) { &mut heads } else { &mut main };
            let shape = |s: &WeightSource| s.entry(name).expect(name).shape.clone();
            assert_eq!(shape(part), shape(&twin), "{name}");
            let bits = |s: &mut WeightSource| -> Vec<u32> {
                let values = s.read(name).expect(name);
                values.into_iter().map(f32::to_bits).collect()
            };
            assert!(bits(part) == bits(&mut twin), "{name}");
        }
        // BatchNorm's counters are there for OpenCLIP's strict loading, and ignored by us.
        let norms = names.iter().filter(|n| n.ends_with("running_mean")).count();
        assert_eq!(main.ignored().len() + heads.ignored().len(), norms);

        let model = load_checkpoint(&target, &Device::flex()).expect("loads");
        assert_eq!(model.config, config(kind));
        // A run may name the directory as its model and as its weights.
        let named = ClipConfig::load(target.to_str().expect("text")).expect("loads");
        assert_eq!(named, config(kind));
        check_weights(&target, &named).expect("fits");
        let settings = json(&target.join("open_clip_config.json"));
        assert_eq!(settings["model_cfg"]["quick_gelu"], true);
        assert_eq!(settings["model_cfg"]["embed_dim"], 32);
        assert!(settings["model_cfg"].get("projection_head").is_none());
        let std = settings["preprocess_cfg"]["std"][0].as_f64();
        assert_eq!(std.map(|s| s as f32), Some(0.268_629_54));
        assert_eq!(settings["preprocess_cfg"]["interpolation"], "bicubic");
        let card = std::fs::read_to_string(target.join("README.md")).expect("reads");
        assert!(
            card.contains("QuickGELU") && card.contains("local-dir:"),
            "{card}"
        );

        let error = export_checkpoint(&origin, &target, &ExportOptions::default());
        assert!(
            error
                .expect_err("not empty")
                .to_string()
                .contains("exists already")
        );
    }
}

#[test]
fn an_export_may_keep_its_heads_in_one_file() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let origin = imported(folder.path(), "vit");
    let options = ExportOptions {
        name: Some("My | model\n<b>".into()),
        heads_inside: true,
    };
    let target = folder.path().join("one");
    let exported = export_checkpoint(&origin, &target, &options).expect("exports");
    assert!(!exported.files.iter().any(|f| f.contains("heads")));
    let file = WeightSource::open(&target.join("open_clip_model.safetensors")).expect("opens");
    assert!(file.entry("text_projection_head.3.weight").is_some());
    let card = std::fs::read_to_string(target.join("README.md")).expect("reads");
    assert!(card.contains("# My \\| model &lt;b>\n"), "{card}");
}

#[test]
fn a_configuration_beside_the_weights_is_believed_and_checked() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let weights = folder.path().join("open_clip_model.safetensors");
    std::fs::copy(GoldenFile::path("vit_open_clip.safetensors"), &weights).expect("copies");
    let beside = folder.path().join("open_clip_config.json");
    let write = |config: &ClipConfig| {
        let json = serde_json::json!({ "model_cfg": config, "preprocess_cfg": {} });
        std::fs::write(&beside, json.to_string()).expect("writes");
    };
    write(&config("vit"));
    for path in [folder.path(), &weights] {
        let model = load_checkpoint(path, &Device::flex()).expect("loads");
        assert_eq!(model.config, config("vit"));
        assert!(
            model.notes[0].contains("open_clip_config.json"),
            "{:?}",
            model.notes
        );
    }
    let mut wide = config("vit");
    wide.text_cfg.vocab_size = 1000;
    write(&wide);
    let message = load_checkpoint(folder.path(), &Device::flex()).expect_err("differs");
    let message = message.to_string();
    assert!(
        message.contains("[600, 32], the model needs [1000, 32]"),
        "{message}"
    );
    std::fs::write(
        &beside,
        r#"{"model_cfg":{"vision_cfg":{"timm_model_name":"x"}}}"#,
    )
    .expect("writes");
    let message = load_checkpoint(folder.path(), &Device::flex()).expect_err("unknown");
    let message = message.to_string();
    assert!(
        message.contains("vision_cfg") && message.contains("open_clip_config.json"),
        "{message}"
    );
}

/// What happens to a file on its way.
#[derive(Debug, Clone)]
enum Damage {
    Flip(prop::sample::Index, u8),
    Cut(prop::sample::Index),
    Drop(prop::sample::Index),
    Insert(prop::sample::Index, u8),
}

fn damage() -> impl Strategy<Value = Damage> {
    let place = any::<prop::sample::Index>;
    prop_oneof![
        6 => (place(), 1..=255u8).prop_map(|(at, bits)| Damage::Flip(at, bits)),
        1 => place().prop_map(Damage::Cut),
        1 => place().prop_map(Damage::Drop),
        1 => (place(), any::<u8>()).prop_map(|(at, byte)| Damage::Insert(at, byte)),
    ]
}

/// Damages one of a file's ends, where its directory or header is, or anywhere.
fn damaged(mut bytes: Vec<u8>, part: usize, all: &[Damage]) -> Vec<u8> {
    const END: usize = 12_000;
    for damage in all {
        let from = if part == 1 {
            bytes.len().saturating_sub(END)
        } else {
            0
        };
        let size = if part == 2 {
            bytes.len()
        } else {
            END.min(bytes.len())
        };
        let place = |index: &prop::sample::Index| from + index.index(size);
        match damage {
            Damage::Flip(at, bits) => bytes[place(at)] ^= bits,
            Damage::Cut(at) => bytes.truncate(place(at).max(1)),
            Damage::Drop(at) => drop(bytes.remove(place(at))),
            Damage::Insert(at, byte) => bytes.insert(place(at), *byte),
        }
        if bytes.is_empty() {
            bytes.push(0);
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_files_give_errors_or_tensors_of_their_size(
        file in prop::sample::select(vec!["vit_checkpoint.pt", "vit_open_clip.safetensors"]),
        part in 0usize..3,
        all in prop::collection::vec(damage(), 1..5),
    ) {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("damaged");
        let bytes = std::fs::read(GoldenFile::path(file)).expect("reads");
        let bytes = damaged(bytes, part, &all);
        std::fs::write(&path, &bytes).expect("writes");
        if let Ok(mut source) = WeightSource::open(&path) {
            let names: Vec<String> = source.names().map(str::to_owned).collect();
            let mut numbers = 0;
            for name in names {
                let wanted = source.entry(&name).expect("listed").shape.iter().product::<usize>();
                if let Ok(values) = source.read(&name) {
                    prop_assert_eq!(values.len(), wanted);
                    numbers += values.len();
                }
            }
            prop_assert!(numbers <= bytes.len());
        }
    }
}
