//! The report as aligned text.

use std::fmt::Write;
use std::path::Path;

use protoclip::eval::{ColumnReport, EvaluationReport, Part, RetrievalReport, SpaceScores};

/// One line: what was measured, its value with unit, and on what.
struct Row {
    name: String,
    value: String,
    note: String,
}

/// The whole report, with a line break at the end.
pub(super) fn table(report: &EvaluationReport, checkpoint: &Path, device: &str) -> String {
    let mut text = head(report, checkpoint, device);
    section(&mut text, "Retrieval", &part(&report.retrieval, retrieval));
    for column in &report.columns {
        let title = format!(
            "Label column {:?}: {} classes, {} labelled pictures",
            column.column,
            column.classes.len(),
            count(column.labelled_pictures)
        );
        section(&mut text, &title, &column_rows(column));
    }
    if let Some(reason) = &report.no_columns {
        let rows = [Row::absent(
            "zero-shot, grouping, separation, linear probe",
            reason,
        )];
        section(&mut text, "Labels", &rows);
    }
    section(&mut text, "Spaces", &part(&report.spaces, spaces));
    text
}

fn head(report: &EvaluationReport, checkpoint: &Path, device: &str) -> String {
    let data = &report.data;
    let mut lines = vec![
        ("checkpoint", checkpoint.display().to_string()),
        (
            "model",
            format!(
                "{} parameters, {} px, {} dimensions, on {device}",
                count(report.model.parameters),
                report.model.image_size,
                report.model.embed_dim
            ),
        ),
        (
            "data",
            format!(
                "{}: {} pairs, {} pictures, fingerprint {}",
                data.name,
                count(data.pairs),
                count(data.pictures),
                &data.fingerprint[..data.fingerprint.len().min(12)]
            ),
        ),
    ];
    if let Some(rule) = &data.holdout {
        let (pictures, captions) = (count(data.measured_pictures), count(data.measured_captions));
        let line = format!("{rule}: {captions} pairs, {pictures} pictures");
        lines.push(("held out", line));
    }
    let lost = data.skipped_rows + data.broken_pictures as u64;
    if lost > 0 {
        let (rows, broken) = (data.skipped_rows, data.broken_pictures);
        lines.push((
            "left out",
            format!("{rows} unusable rows, {broken} broken pictures"),
        ));
    }
    lines.push((
        "features",
        format!("{:.1} s; seed {}", report.seconds_extract, report.seed),
    ));
    let mut text = String::new();
    for (name, value) in lines {
        let _infallible = writeln!(text, "{name:<11} {value}");
    }
    text
}

fn section(text: &mut String, title: &str, rows: &[Row]) {
    let width = |of: fn(&Row) -> &str| rows.iter().map(|r| of(r).chars().count()).max();
    let name_width = width(|r| &r.name).unwrap_or(0).max(34);
    let value_width = width(|r| &r.value).unwrap_or(0).max(9);
    let _infallible = writeln!(text, "\n{title}");
    for row in rows {
        let Row { name, value, note } = row;
        let line = format!("  {name:<name_width$}  {value:>value_width$}  {note}");
        let _infallible = writeln!(text, "{}", line.trim_end());
    }
}

/// The rows of a part, or one that says why it has none.
fn part<T>(part: &Part<T>, rows: impl Fn(&T, f64) -> Vec<Row>) -> Vec<Row> {
    match part {
        Part::Measured { seconds, value } => rows(value, *seconds),
        Part::Absent { reason } => vec![Row::absent("", reason)],
    }
}

fn retrieval(report: &RetrievalReport, seconds: f64) -> Vec<Row> {
    let sampled = if report.sampled { ", drawn" } else { "" };
    let (pictures, captions) = (count(report.pictures), count(report.captions));
    let on = format!("{pictures} pictures, {captions} captions{sampled}, {seconds:.1} s");
    let (image, text) = (report.scores.image_to_text, report.scores.text_to_image);
    vec![
        Row::percent("mean recall", report.mean_recall, on),
        Row::percent("image to text R@1", image.at_1, ""),
        Row::percent("image to text R@5", image.at_5, ""),
        Row::percent("image to text R@10", image.at_10, ""),
        Row::percent("text to image R@1", text.at_1, ""),
        Row::percent("text to image R@5", text.at_5, ""),
        Row::percent("text to image R@10", text.at_10, ""),
    ]
}

fn spaces(scores: &SpaceScores, seconds: f64) -> Vec<Row> {
    let on = format!(
        "{} rows, {seconds:.1} s",
        count(scores.self_similarity_rows)
    );
    vec![
        Row::number("modality gap", scores.modality_gap, "distance of the means"),
        Row::number("self-similarity, image", scores.self_similarity_image, on),
        Row::number("self-similarity, text", scores.self_similarity_text, ""),
        Row::number("feature std, image", scores.feature_std_image, ""),
        Row::number("feature std, text", scores.feature_std_text, ""),
    ]
}

fn column_rows(column: &ColumnReport) -> Vec<Row> {
    let mut rows = named_part("zero-shot", &column.zero_shot, |scores, seconds| {
        let pictures = count(scores.pictures);
        vec![
            Row::percent(
                "zero-shot top-1",
                scores.top1,
                format!("{pictures} pictures, {seconds:.1} s"),
            ),
            Row::percent("zero-shot top-5", scores.top5, ""),
            Row::percent(
                "zero-shot mean per-class recall",
                scores.mean_per_class_recall,
                "",
            ),
        ]
    });
    rows.extend(named_part(
        "grouping",
        &column.grouping,
        |scores, seconds| {
            let on = format!("k-means with k = {}, {seconds:.1} s", scores.classes);
            vec![
                Row::plain("ARI × 100", format!("{:.2}", scores.ari), on),
                Row::plain("AMI × 100", format!("{:.2}", scores.ami), ""),
            ]
        },
    ));
    rows.extend(named_part(
        "separation",
        &column.separation,
        |scores, seconds| {
            let on = format!(
                "{} pictures, {seconds:.1} s",
                count(scores.silhouette_pictures)
            );
            vec![
                Row::number("silhouette of the classes", scores.silhouette, on),
                Row::number("Davies–Bouldin", scores.davies_bouldin, "lower is better"),
                Row::number(
                    "Calinski–Harabasz",
                    scores.calinski_harabasz,
                    "higher is better",
                ),
            ]
        },
    ));
    rows.extend(named_part(
        "linear probe",
        &column.linear_probe,
        |scores, seconds| {
            let (train, validation, test) = (
                scores.train_samples,
                scores.validation_samples,
                scores.test_samples,
            );
            let on = format!(
                "{} test pictures; {} train, {} choose λ = {:e}; {seconds:.1} s",
                count(test),
                count(train),
                count(validation),
                scores.strength
            );
            vec![
                Row::percent("linear probe top-1", scores.top1, on),
                Row::percent(
                    "linear probe mean per-class recall",
                    scores.mean_per_class_recall,
                    "",
                ),
            ]
        },
    ));
    rows
}

fn named_part<T>(name: &str, of: &Part<T>, rows: impl Fn(&T, f64) -> Vec<Row>) -> Vec<Row> {
    match of.reason() {
        Some(reason) => vec![Row::absent(name, reason)],
        None => part(of, rows),
    }
}

impl Row {
    fn plain(name: &str, value: impl Into<String>, note: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            value: value.into(),
            note: note.into(),
        }
    }

    fn percent(name: &str, value: f64, note: impl Into<String>) -> Self {
        Self::plain(name, format!("{value:.2} %"), note)
    }

    fn number(name: &str, value: f64, note: impl Into<String>) -> Self {
        Self::plain(name, format!("{value:.4}"), note)
    }

    fn absent(name: &str, reason: &str) -> Self {
        Self::plain(name, "–", reason)
    }
}

/// A number with its thousands apart.
fn count(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_absent_parts_say_why() {
        let rows = [
            Row::percent("top-1", 9.5, "3 pictures"),
            Row::percent("mean recall", 100.0, ""),
            Row::absent("linear probe", "not asked for"),
        ];
        let mut text = String::new();
        section(&mut text, "Title", &rows);
        let lines: Vec<&str> = text.lines().skip(2).collect();
        let at = |line: &str| line.chars().position(|c| c == '%');
        assert_eq!(at(lines[0]), at(lines[1]));
        assert!(lines[2].ends_with("–  not asked for"), "{text}");
        assert!(lines.iter().all(|line| line.trim_end() == *line));
    }

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!(count(999), "999");
        assert_eq!(count(1_234_567), "1,234,567");
    }
}
