//! The rows of the two tables of the gap.

use protoclip::prototypes::Space;

use super::super::figures::{NONE, figure, grouped};
use super::super::prototypes::{prototype_href, words};
use crate::studio::{GapMeasures, GapView, GroupingView};

/// One measure before and after the shift.
#[derive(Debug)]
pub(super) struct MeasureRow {
    /// Heading of the rows from here on.
    pub(super) group: Option<String>,
    pub(super) name: &'static str,
    pub(super) unit: &'static str,
    pub(super) definition: &'static str,
    pub(super) before: String,
    pub(super) after: String,
    pub(super) difference: String,
}

/// One prototype.
#[derive(Debug)]
pub(super) struct PrototypeRow {
    pub(super) id: usize,
    pub(super) href: String,
    pub(super) words: String,
    pub(super) samples: String,
    pub(super) gap: String,
    pub(super) unshifted: String,
    pub(super) alignment: String,
    pub(super) cosine: String,
    /// Width of its bar in percent of the widest possible gap, 2.
    pub(super) bar: String,
}

type Figure = (&'static str, &'static str, &'static str, f64, f64);

pub(super) fn measure_rows(before: &GapMeasures, after: &GapMeasures) -> Vec<MeasureRow> {
    let mut rows = section("Gap", &gaps(before, after));
    rows.extend(section("Retrieval", &recalls(before, after)));
    for (before, after) in before.groupings.iter().zip(&after.groupings) {
        rows.extend(section(&heading(before), &groupings(before, after)));
    }
    rows
}

fn section(title: &str, figures: &[Figure]) -> Vec<MeasureRow> {
    let row = |(place, &(name, unit, definition, before, after)): (usize, &Figure)| MeasureRow {
        group: (place == 0).then(|| title.to_owned()),
        name,
        unit,
        definition,
        before: figure(before),
        after: figure(after),
        difference: difference(after - before),
    };
    figures.iter().enumerate().map(row).collect()
}

fn difference(value: f64) -> String {
    match value {
        0.0 => "0".into(),
        value if value > 0.0 => format!("+{}", figure(value)),
        value => figure(value).replace('-', "−"),
    }
}

fn gaps(before: &GapMeasures, after: &GapMeasures) -> Vec<Figure> {
    vec![
        (
            "Modality gap",
            "distance",
            "Distance between the mean image and the mean text feature of the towers",
            before.gap,
            after.gap,
        ),
        (
            "Gap of the clustered features",
            "distance",
            "The same for the features that are clustered: after the projection heads, where the run has them",
            before.clustered_gap,
            after.clustered_gap,
        ),
        (
            "Matched pairs",
            "cosine",
            "Mean cosine of captions with their own pictures",
            before.cosines.matched.mean,
            after.cosines.matched.mean,
        ),
        (
            "Unmatched pairs",
            "cosine",
            "Mean cosine of captions with pictures of others",
            before.cosines.unmatched.mean,
            after.cosines.unmatched.mean,
        ),
    ]
}

fn recalls(before: &GapMeasures, after: &GapMeasures) -> Vec<Figure> {
    let (b, a) = (&before.retrieval, &after.retrieval);
    let (to_text, to_image) = (
        "Pictures with an own caption among the most similar captions",
        "Captions whose picture is among the most similar pictures",
    );
    let ((bt, at), (bi, ai)) = (
        (&b.scores.image_to_text, &a.scores.image_to_text),
        (&b.scores.text_to_image, &a.scores.text_to_image),
    );
    vec![
        (
            "Mean recall",
            "%",
            "Mean of the six recalls below",
            b.mean,
            a.mean,
        ),
        ("Image to text R@1", "%", to_text, bt.at_1, at.at_1),
        ("Image to text R@5", "%", to_text, bt.at_5, at.at_5),
        ("Image to text R@10", "%", to_text, bt.at_10, at.at_10),
        ("Text to image R@1", "%", to_image, bi.at_1, ai.at_1),
        ("Text to image R@5", "%", to_image, bi.at_5, ai.at_5),
        ("Text to image R@10", "%", to_image, bi.at_10, ai.at_10),
    ]
}

fn heading(grouping: &GroupingView) -> String {
    let teacher = match grouping.teacher {
        Space::Teacher => "the external teacher’s",
        Space::Text => "the text",
        Space::Image => "the image",
    };
    let student = grouping.student.name();
    format!("Grouping: {student} features by {teacher} prototypes")
}

fn groupings(before: &GroupingView, after: &GroupingView) -> Vec<Figure> {
    let (b, a) = (&before.translated, &after.translated);
    let mut rows = vec![
        (
            "AMI",
            "× 100",
            "Adjusted mutual information of the student’s assignment, by its best-scored back-translated prototype, and the teacher’s",
            b.ami,
            a.ami,
        ),
        (
            "ARI",
            "× 100",
            "Adjusted Rand index of the same two assignments",
            b.ari,
            a.ari,
        ),
        (
            "Accuracy",
            "%",
            "Samples whose best-scored back-translated prototype is their own",
            b.accuracy_percent,
            a.accuracy_percent,
        ),
        (
            "Loss",
            "nats",
            "Cross-entropy of the prototype task. It changes with the gap even where the grouping does not, so judge by the rows above",
            b.loss,
            a.loss,
        ),
    ];
    if let (Some(b), Some(a)) = (&before.untranslated, &after.untranslated) {
        rows.push((
            "Accuracy without back translation",
            "%",
            "The same against the teacher’s own centroids, which lie across the gap",
            b.accuracy_percent,
            a.accuracy_percent,
        ));
    }
    rows
}

pub(super) fn prototype_rows(run: &str, found: &GapView) -> Vec<PrototypeRow> {
    let row = |one: &crate::studio::PrototypeGapView| {
        let measured = &one.measured;
        let some = |value: f64| match measured.samples {
            0 => NONE.into(),
            _ => figure(value),
        };
        PrototypeRow {
            id: one.id,
            href: prototype_href(run, one.id, found.space.name(), found.step),
            words: words(&one.words, one.id),
            samples: grouped(measured.samples as u64),
            gap: some(measured.gap),
            unshifted: some(one.unshifted_gap),
            alignment: some(measured.alignment),
            cosine: some(measured.matched_cosine),
            bar: format!("{:.1}", 50.0 * measured.gap),
        }
    };
    found.prototypes.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_carry_their_sign() {
        assert_eq!(difference(0.0), "0");
        assert_eq!(difference(1.5), "+1.5");
        assert_eq!(difference(-0.25), "−0.25");
    }
}
