//! Tables as CSV answers.

use axum::http::header;
use axum::response::{IntoResponse, Response};

/// A file to save, called `name.csv`.
pub(super) fn csv(name: &str, text: String) -> Response {
    let described = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"{name}.csv\""),
        ),
    ];
    (described, text).into_response()
}

/// A text as a CSV field; one that a spreadsheet would run is disarmed.
pub(super) fn quoted(text: &str) -> String {
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
    fn texts_stay_one_field_and_run_nothing() {
        assert_eq!(quoted("a \"b\", c"), "\"a \"\"b\"\", c\"");
        assert_eq!(quoted("=1+1"), "\"'=1+1\"");
    }
}
