//! The Rust sources and manifests of the workspace, as text.

use std::collections::BTreeSet;
use std::path::Path;

/// A source file.
#[derive(Debug)]
pub(super) struct SourceFile {
    /// From the workspace root, with `/`.
    pub(super) path: String,
    pub(super) text: String,
}

impl SourceFile {
    /// The top-level module that this file belongs to, and the file's whole module path, if it lies
    /// below `folder`.
    pub(super) fn place_in(&self, folder: &str) -> Option<(String, Vec<String>)> {
        let module: Vec<String> = self
            .path
            .strip_prefix(folder)?
            .trim_end_matches(".rs")
            .split('/')
            .map(str::to_owned)
            .collect();
        let part = module.first()?.clone();
        Some((part, module))
    }

    /// The text without comments and without unit tests. A file declared by `#[cfg(test)] mod x;`
    /// counts as production code: it keeps the rules like any other.
    pub(super) fn production_code(&self) -> String {
        let before_tests = match self.text.find("#[cfg(test)]\nmod tests {") {
            Some(at) => &self.text[..at],
            None => &self.text,
        };
        before_tests
            .lines()
            .map(|line| line.split("//").next().unwrap_or_default())
            .collect::<Vec<_>>()
            .join("\n")
    }
}

/// All Rust files of the workspace's packages, sorted by path.
pub(super) fn workspace_sources() -> Vec<SourceFile> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["src", "tests/it", "benches", "crates"] {
        collect(root, &root.join(folder), &mut files);
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<SourceFile>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return; // A package without benches.
    };
    for entry in entries {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() && !path.ends_with("target") {
            collect(root, &path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let relative = path.strip_prefix(root).expect("below the root");
            files.push(SourceFile {
                path: relative.to_string_lossy().replace('\\', "/"),
                text: std::fs::read_to_string(&path).expect("UTF-8 source"),
            });
        }
    }
}

/// Names in `[dependencies]` of a manifest, path from the workspace root.
pub(super) fn manifest_dependencies(path: &str) -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join(path)).expect("a manifest");
    text.lines()
        .skip_while(|line| line.trim() != "[dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split(['=', '.', ' ']).next())
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

#[test]
fn unit_tests_and_comments_are_left_out() {
    let file = SourceFile {
        path: "crates/protoclip/src/loss/proto.rs".into(),
        text: "use a; // b\n\n#[cfg(test)]\nmod tests {\n    use c;\n}\n".into(),
    };
    assert_eq!(file.production_code(), "use a; \n");
    let (part, module) = file.place_in("crates/protoclip/src/").expect("below");
    assert_eq!(
        (part.as_str(), module),
        ("loss", vec!["loss".into(), "proto".into()])
    );
    assert!(file.place_in("src/").is_none());
}
