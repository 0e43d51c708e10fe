//! An evaluation's report as groups of rows.

use protoclip::eval::{ColumnReport, EvaluationReport, Part};

use super::super::figures::{figure, grouped};

/// Measures of one kind, or why there are none.
#[derive(Debug)]
pub(super) struct ReportGroup {
    pub(super) title: String,
    pub(super) note: String,
    pub(super) rows: Vec<ReportRow>,
}

#[derive(Debug)]
pub(super) struct ReportRow {
    pub(super) name: &'static str,
    pub(super) unit: &'static str,
    pub(super) value: String,
}

pub(super) fn report_groups(report: &EvaluationReport) -> Vec<ReportGroup> {
    let mut groups = vec![group("Retrieval", &report.retrieval, |found| {
        let (image, text) = (found.scores.image_to_text, found.scores.text_to_image);
        vec![
            percent("Mean recall", found.mean_recall),
            percent("Image to text, R@1", image.at_1),
            percent("Image to text, R@5", image.at_5),
            percent("Image to text, R@10", image.at_10),
            percent("Text to image, R@1", text.at_1),
            percent("Text to image, R@5", text.at_5),
            percent("Text to image, R@10", text.at_10),
        ]
    })];
    for column in &report.columns {
        groups.extend(column_groups(column));
    }
    if let Some(reason) = &report.no_columns {
        groups.push(ReportGroup {
            title: "Labels".into(),
            note: reason.clone(),
            rows: Vec::new(),
        });
    }
    groups.push(group("Spaces", &report.spaces, |found| {
        vec![
            number("Modality gap", found.modality_gap),
            number("Self-similarity, image", found.self_similarity_image),
            number("Self-similarity, text", found.self_similarity_text),
            number("Standard deviation, image", found.feature_std_image),
            number("Standard deviation, text", found.feature_std_text),
        ]
    }));
    groups
}

fn column_groups(column: &ColumnReport) -> [ReportGroup; 4] {
    let (name, classes) = (&column.column, grouped(column.classes.len() as u64));
    let titled = |what: &str| format!("{what}, {classes} classes of {name}");
    [
        group(&titled("Zero-shot"), &column.zero_shot, |found| {
            vec![
                percent("Top 1", found.top1),
                percent("Top 5", found.top5),
                percent("Mean per-class recall", found.mean_per_class_recall),
            ]
        }),
        group(&titled("Grouping"), &column.grouping, |found| {
            vec![
                plain("ARI", "× 100", format!("{:.2}", found.ari)),
                plain("AMI", "× 100", format!("{:.2}", found.ami)),
            ]
        }),
        group(&titled("Separation"), &column.separation, |found| {
            vec![
                number("Silhouette", found.silhouette),
                number("Davies–Bouldin", found.davies_bouldin),
                number("Calinski–Harabasz", found.calinski_harabasz),
            ]
        }),
        group(&titled("Linear probe"), &column.linear_probe, |found| {
            vec![
                percent("Top 1", found.top1),
                percent("Mean per-class recall", found.mean_per_class_recall),
            ]
        }),
    ]
}

fn group<T>(title: &str, part: &Part<T>, rows: impl Fn(&T) -> Vec<ReportRow>) -> ReportGroup {
    ReportGroup {
        title: title.to_owned(),
        note: part.reason().unwrap_or_default().to_owned(),
        rows: part.value().map_or_else(Vec::new, rows),
    }
}

fn percent(name: &'static str, value: f64) -> ReportRow {
    plain(name, "%", format!("{value:.2}"))
}

fn number(name: &'static str, value: f64) -> ReportRow {
    plain(name, "", figure(value))
}

fn plain(name: &'static str, unit: &'static str, value: String) -> ReportRow {
    ReportRow { name, unit, value }
}
