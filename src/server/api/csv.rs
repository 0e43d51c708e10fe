//! Answers that are saved as files, and the fields of tables.

use std::collections::BTreeMap;

use axum::http::header;
use axum::response::{IntoResponse, Response};

/// A table to save, called `name.csv`.
pub(super) fn csv(name: &str, text: String) -> Response {
    saved(&format!("{name}.csv"), "text/csv; charset=utf-8", text)
}

/// A file to save under a name; what could not stand in a header is left out of it.
pub(super) fn saved(name: &str, content_type: &'static str, body: impl IntoResponse) -> Response {
    let name: String = name
        .chars()
        .filter(|c| !c.is_control() && *c != '"')
        .collect();
    let described = [
        (header::CONTENT_TYPE, content_type.to_owned()),
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"{name}\""),
        ),
    ];
    (described, body).into_response()
}

/// A line for each step that one of the curves has, a column for each curve; `number` writes a value.
pub(super) fn by_step(
    names: impl IntoIterator<Item = String>,
    rows: &BTreeMap<u64, Vec<Option<f64>>>,
    number: impl Fn(f64) -> String,
) -> String {
    let mut text = String::from("step");
    for name in names {
        text = text + "," + &name;
    }
    for (step, values) in rows {
        text += &format!("\n{step}");
        for value in values {
            text = text + "," + &value.map_or_else(String::new, &number);
        }
    }
    text + "\n"
}

/// A text as a CSV field; one that a spreadsheet would run is disarmed.
pub(in crate::server) fn quoted(text: &str) -> String {
    let start = if text.starts_with(['=', '+', '-', '@']) {
        "'"
    } else {
        ""
    };
    format!("\"{start}{}\"", text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_cannot_leave_their_header() {
        let answer = csv("a\"\r\nx: y", String::new());
        let shown = answer.headers()[header::CONTENT_DISPOSITION].to_str();
        assert_eq!(shown.expect("text"), "attachment; filename=\"ax: y.csv\"");
    }

    #[test]
    fn texts_stay_one_field_and_run_nothing() {
        assert_eq!(quoted("a \"b\", c"), "\"a \"\"b\"\", c\"");
        assert_eq!(quoted("=1+1"), "\"'=1+1\"");
    }
}
