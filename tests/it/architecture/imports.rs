//! Which modules at the root of its own crate a source names.

use std::collections::BTreeSet;

/// First names after `crate::`, and after as many `super::` as lead to the root of the crate, in
/// `code` of the module at path `module`.
pub(super) fn crate_modules(code: &str, module: &[String]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let is_word = code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$');
        if !is_word {
            add_names(&code[at + "crate::".len()..], &mut found);
        }
    }
    let to_root = "super::".repeat(module.len());
    for (at, _) in code.match_indices(&to_root) {
        if !code[..at].ends_with("super::") {
            add_names(&code[at + to_root.len()..], &mut found);
        }
    }
    found
}

/// The name at the start of `path`, or all first names of the group in braces there.
fn add_names(path: &str, found: &mut BTreeSet<String>) {
    match path.strip_prefix('{') {
        None => add_name(path, found),
        Some(group) => {
            let mut depth = 0;
            let mut start = 0;
            for (at, c) in group.char_indices() {
                match c {
                    '{' => depth += 1,
                    '}' if depth > 0 => depth -= 1,
                    ',' | '}' if depth == 0 => {
                        add_name(group[start..at].trim_start(), found);
                        start = at + 1;
                        if c == '}' {
                            break;
                        }
                    }
                    _ => {}
                }
            }
        }
    }
}

fn add_name(path: &str, found: &mut BTreeSet<String>) {
    let name: String = path
        .chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect();
    if !name.is_empty() {
        found.insert(name);
    }
}

#[test]
fn names_are_found_in_every_form_of_import() {
    let names = |code: &str| -> Vec<String> {
        let module = ["loss".to_owned(), "proto".to_owned()];
        crate_modules(code, &module).into_iter().collect()
    };
    assert_eq!(names("use crate::model::Clip;"), ["model"]);
    assert_eq!(
        names("use crate::{data::{Batch, SampleId}, train, config::RunConfig};"),
        ["config", "data", "train"]
    );
    assert_eq!(names("fn f() -> crate::model::Clip {}"), ["model"]);
    assert_eq!(names("use super::super::model::Clip;"), ["model"]);
    assert_eq!(names("use super::clip_loss; use other_crate::x;"), [""; 0]);
}
