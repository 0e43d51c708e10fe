//! Rules of the tree that neither rustc nor Cargo enforces, checked on the text of the sources.

mod imports;
mod source_file;

use std::collections::BTreeSet;

use imports::crate_modules;
use source_file::{SourceFile, manifest_dependencies, workspace_sources};

/// No file above this; most stay under 300.
const MOST_LINES: usize = 500;

/// Names that say nothing about what a file holds.
const EMPTY_NAMES: [&str; 7] = [
    "utils", "util", "helpers", "helper", "common", "manager", "misc",
];

/// Folder of the learning library and of the application.
const LIBRARY: &str = "crates/protoclip/src/";
const APPLICATION: &str = "src/";

/// (part of the library, modules of the same crate that it may name beside itself). Imports go from
/// training down to kernels, never up and never sideways between model, loss, prototypes and data.
const LIBRARY_MAY_IMPORT: [(&str, &[&str]); 12] = [
    ("config", &["device"]),
    ("device", &[]),
    ("npy", &[]),
    ("tensor_file", &[]),
    ("tokenizer", &["config"]),
    ("kernels", &["config"]),
    ("model", &["config", "kernels"]),
    ("loss", &["kernels"]),
    ("data", &["config", "kernels", "tensor_file", "tokenizer"]),
    (
        "prototypes",
        &["config", "data", "kernels", "npy", "tensor_file"],
    ),
    ("analysis", &["kernels", "prototypes", "tensor_file"]),
    (
        "eval",
        &[
            "analysis",
            "config",
            "data",
            "device",
            "kernels",
            "model",
            "prototypes",
            "tokenizer",
        ],
    ),
];

/// (part of the application, modules and crates that it never names).
const APPLICATION_NEVER_IMPORTS: [(&str, &[&str]); 4] = [
    ("studio", &["server", "cli"]),
    ("server", &["cli"]),
    ("settings", &["server", "cli", "studio"]),
    ("main", &["server", "studio"]),
];

fn assert_none(violations: &[String], rule: &str) {
    assert!(
        violations.is_empty(),
        "{rule}:\n  {}",
        violations.join("\n  ")
    );
}

#[test]
fn parts_of_the_library_import_only_what_lies_below() {
    let mut violations = Vec::new();
    for file in workspace_sources() {
        let Some((part, module)) = file.place_in(LIBRARY) else {
            continue;
        };
        let Some((_, allowed)) = LIBRARY_MAY_IMPORT.iter().find(|(name, _)| *name == part) else {
            continue;
        };
        let known: BTreeSet<&str> = LIBRARY_MAY_IMPORT.iter().map(|(name, _)| *name).collect();
        for used in crate_modules(&file.production_code(), &module) {
            let is_part = known.contains(used.as_str()) || used == "train";
            if is_part && used != part && !allowed.contains(&used.as_str()) {
                violations.push(format!("{} names crate::{used}", file.path));
            }
        }
    }
    assert_none(
        &violations,
        "imports go down (docs: architecture, directions)",
    );
}

#[test]
fn training_events_are_plain_data() {
    for file in workspace_sources() {
        if file.path.ends_with("train/event.rs") {
            let used = crate_modules(&file.production_code(), &["train".into(), "event".into()]);
            assert_eq!(used, BTreeSet::new(), "{} must stay a leaf", file.path);
            return;
        }
    }
    panic!("train/event.rs is gone; move this rule to where the events are");
}

#[test]
fn prototypes_take_features_and_not_batches() {
    let violations: Vec<String> = workspace_sources()
        .into_iter()
        .filter(|file| {
            file.place_in(LIBRARY)
                .is_some_and(|(part, _)| part == "prototypes")
        })
        .filter(|file| file.production_code().contains("Batch"))
        .map(|file| file.path)
        .collect();
    assert_none(&violations, "prototypes know no batch");
}

#[test]
fn the_application_keeps_its_layers() {
    let mut violations = Vec::new();
    for file in workspace_sources() {
        let Some((part, module)) = file.place_in(APPLICATION) else {
            continue;
        };
        let code = file.production_code();
        let used = crate_modules(&code, &module);
        for (name, forbidden) in APPLICATION_NEVER_IMPORTS {
            for module in forbidden.iter().filter(|_| name == part) {
                if used.contains(*module) {
                    violations.push(format!("{} names crate::{module}", file.path));
                }
            }
        }
        let web = ["axum", "tower", "tower_http", "askama", "hyper"];
        for library in web.iter().filter(|_| part == "studio") {
            if code.contains(&format!("{library}::")) {
                violations.push(format!("{} names {library}", file.path));
            }
        }
        for library in ["burn", "burn_flex"] {
            if code.contains(&format!("{library}::")) {
                violations.push(format!("{} names {library}", file.path));
            }
        }
    }
    assert_none(&violations, "the application's layers");
}

#[test]
fn dependencies_stay_on_their_side() {
    let library = manifest_dependencies("crates/protoclip/Cargo.toml");
    for foreign in [
        "tokio", "axum", "askama", "rusqlite", "hyper", "tower", "clap",
    ] {
        assert!(
            !library.contains(foreign),
            "protoclip must not depend on {foreign}"
        );
    }
    assert!(
        library.contains("burn"),
        "the manifest was not read: {library:?}"
    );
    let application = manifest_dependencies("Cargo.toml");
    assert!(
        !application.contains("burn"),
        "tensors never leave crates/protoclip"
    );
    assert!(
        application.contains("axum"),
        "the manifest was not read: {application:?}"
    );
}

#[test]
fn files_are_short_and_named_after_what_they_hold() {
    let mut violations = Vec::new();
    for file in workspace_sources() {
        let lines = file.text.lines().count();
        if lines > MOST_LINES {
            violations.push(format!("{}: {lines} lines", file.path));
        }
        let names = file
            .path
            .split('/')
            .map(|part| part.trim_end_matches(".rs"));
        for name in names.filter(|name| EMPTY_NAMES.contains(name)) {
            violations.push(format!("{}: {name} says nothing", file.path));
        }
    }
    assert_none(&violations, "at most 500 lines, and a telling name");
}

#[test]
fn unsafe_code_lives_in_kernels_and_says_why_it_is_sound() {
    let mut violations = Vec::new();
    for file in workspace_sources() {
        if file.path.starts_with("tests/it/architecture") {
            continue;
        }
        let in_kernels = file.path.starts_with("crates/protoclip/src/kernels");
        if !in_kernels && file.text.contains("allow(unsafe_code") {
            violations.push(format!("{}: unsafe code outside kernels", file.path));
        }
        let lines: Vec<&str> = file.text.lines().collect();
        for (number, line) in lines.iter().enumerate() {
            let is_block =
                line.contains("unsafe {") || line.trim_start().starts_with("unsafe impl");
            let before = &lines[number.saturating_sub(8)..number];
            if is_block && !before.iter().any(|line| line.contains("// SAFETY:")) {
                violations.push(format!("{}:{}: no SAFETY line", file.path, number + 1));
            }
        }
    }
    assert_none(&violations, "unsafe code");
}

#[test]
fn modules_open_with_their_contract() {
    let violations: Vec<String> = workspace_sources()
        .into_iter()
        .filter(|file| file.path.contains("src/"))
        .filter(|file| !file.text.trim_start().starts_with("//!"))
        .map(|file| file.path)
        .collect();
    assert_none(&violations, "a module's doc comes first");
}

#[test]
fn every_source_is_seen() {
    let files: Vec<SourceFile> = workspace_sources();
    for path in [
        "src/main.rs",
        "crates/protoclip/src/lib.rs",
        "tests/it/main.rs",
    ] {
        assert!(
            files.iter().any(|file| file.path == path),
            "{path} was not read"
        );
    }
}

#[test]
fn every_waiver_for_a_dependency_has_its_date_and_reason() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let rules = std::fs::read_to_string(root.join("deny.toml")).expect("reads");
    let lines: Vec<&str> = rules.lines().map(str::trim).collect();
    let waives = |line: &str| {
        line.starts_with("{ crate =") || line.starts_with("{ id =") || line.ends_with("= \"allow\"")
    };
    let mut waivers = 0;
    for (at, line) in lines.iter().enumerate().filter(|(_, line)| waives(line)) {
        let said: Vec<&str> = lines[..at]
            .iter()
            .rev()
            .map_while(|line| line.strip_prefix("# "))
            .collect();
        let dated = said
            .iter()
            .any(|line| line.starts_with("20") && line[10..].starts_with([':', ',']));
        let ended = said
            .iter()
            .any(|line| line.contains("nds when") || line.contains("nds with"));
        assert!(
            dated && ended,
            "deny.toml, {line}: no date, reason and end above it"
        );
        waivers += 1;
    }
    assert!(waivers >= 4, "{waivers} waivers found");
}
