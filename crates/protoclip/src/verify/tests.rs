//! The project's own golden files, and files with something wrong.

use super::*;
use crate::golden::fixture;

fn options() -> VerifyOptions {
    VerifyOptions {
        device: Device::flex(),
        teacher: None,
    }
}

fn quiet(folder: &Path) -> Summary {
    verify(folder, &options(), &mut |_| {}).expect("the folder is there")
}

fn copy(names: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("temporary folder");
    for name in names {
        std::fs::copy(fixture(name), folder.path().join(name)).expect(name);
    }
    folder
}

#[test]
fn every_golden_file_of_the_project_passes() {
    let summary = quiet(&fixture("."));
    let failed: Vec<&Case> = summary.cases.iter().filter(|case| !case.passed()).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert_eq!(summary.broken, []);
    let files: BTreeSet<&str> = summary.cases.iter().map(|c| c.file.as_str()).collect();
    // Two models: their inputs and outputs, and their training.
    assert_eq!(files.len(), CHECKS.len() + 2, "{files:?}");
}

/// A chaotic case is held to less, and must not become the rule.
#[test]
fn a_vision_transformer_is_held_to_the_tolerance_over_all_its_steps() {
    let folder = copy(&[
        "vit_train.json",
        "vit_io.safetensors",
        "vit_open_clip.safetensors",
    ]);
    let cases = quiet(folder.path()).cases;
    let steps = cases
        .iter()
        .find(|c| c.case.contains("steps"))
        .expect("compared");
    assert_eq!(steps.case, "all 40 steps, losses, norm and scales");
    assert_eq!((steps.tolerance, steps.measure), (1e-3, Measure::Relative));
}

#[test]
fn sentence_encoders_of_both_families_equal_transformers() {
    for family in ["bert", "roberta"] {
        let mut on_case = |_: &Case| {};
        let mut report = Report {
            file: family.into(),
            cases: Vec::new(),
            on_case: &mut on_case,
        };
        let golden = fixture(&format!("teachers/teacher_tiny_{family}.json"));
        let model = fixture(&format!("teachers/tiny_{family}"));
        teacher::check(&golden, &model, &Device::flex(), &mut report).expect(family);
        assert_eq!(report.cases.len(), 2);
        assert!(report.cases.iter().all(Case::passed), "{:#?}", report.cases);
    }
}

/// A check that cannot fail proves nothing: each changed file must be noticed.
#[test]
fn a_wrong_value_fails_its_case() {
    let folder = copy(&["metrics.json", "metrics.safetensors", "lr_schedule.json"]);
    for name in ["metrics.json", "lr_schedule.json"] {
        let path = folder.path().join(name);
        let text = std::fs::read_to_string(&path).expect(name);
        let changed = text
            .replacen("0.39813447", "0.39913447", 1)
            .replacen("1e-05", "2e-05", 1);
        assert_ne!(text, changed, "{name}");
        std::fs::write(&path, changed).expect(name);
    }
    let summary = quiet(folder.path());
    assert_eq!(summary.failures(), 2, "{:#?}", summary.cases);
    assert!(!summary.passed());
}

/// The allowance for chaotic training must still notice a wrong setting.
#[test]
fn a_training_with_another_setting_fails() {
    for (model, old, new) in [
        ("vit", "\"weight_decay\": 0.5", "\"weight_decay\": 0.4"),
        ("vit", "\"eps\": 1e-06", "\"eps\": 1e-05"),
        ("rn", "\"w_external\": 0.7", "\"w_external\": 0.71"),
    ] {
        let [log, io, weights] = ["train.json", "io.safetensors", "open_clip.safetensors"]
            .map(|end| format!("{model}_{end}"));
        let folder = copy(&[&log, &io, &weights]);
        let path = folder.path().join(&log);
        let text = std::fs::read_to_string(&path).expect("log");
        assert!(text.contains(old), "{old}");
        std::fs::write(&path, text.replace(old, new)).expect("log");
        let summary = quiet(folder.path());
        assert!(summary.failures() > 0, "{new}: {:#?}", summary.cases);
    }
}

#[test]
fn damaged_and_incomplete_files_are_named_and_the_rest_goes_on() {
    let folder = copy(&[
        "losses.safetensors",
        "vit_io.safetensors",
        "pbt.safetensors",
    ]);
    let path = folder.path().join("losses.safetensors");
    let bytes = std::fs::read(&path).expect("file");
    std::fs::write(&path, &bytes[..bytes.len() / 2]).expect("truncated");
    let summary = quiet(folder.path());
    let broken: Vec<&str> = summary
        .broken
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(broken, ["losses.safetensors", "vit_io.safetensors"]);
    assert!(
        summary.broken[1].1.contains("vit_train.json"),
        "{:?}",
        summary.broken
    );
    assert!(
        summary
            .cases
            .iter()
            .any(|case| case.file == "pbt.safetensors" && case.passed())
    );
    assert!(!summary.passed());
}

#[test]
fn nothing_to_compare_is_no_success() {
    let folder = tempfile::tempdir().expect("temporary folder");
    std::fs::write(folder.path().join("other.safetensors"), b"").expect("file");
    let summary = quiet(folder.path());
    assert!(!summary.passed() && summary.skipped.len() == 1);
    assert!(verify(Path::new("/nowhere"), &options(), &mut |_| {}).is_err());
}
