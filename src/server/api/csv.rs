//! Answers that are saved as files, and the fields of tables.

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
