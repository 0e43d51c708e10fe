//! The measures of the Evaluate tab: what they are called, which direction is better, what they mean.

use protoclip::train::tag;

use super::figures::figure;

/// Which of two values is the better one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Better {
    Higher,
    Lower,
    /// Describes, and judges nothing.
    Neither,
}

/// One measure.
#[derive(Debug)]
pub(super) struct Measure {
    pub(super) tag: &'static str,
    pub(super) name: &'static str,
    pub(super) unit: &'static str,
    pub(super) better: Better,
    pub(super) definition: &'static str,
}

/// Measures that belong together.
#[derive(Debug)]
pub(super) struct MeasureGroup {
    pub(super) title: &'static str,
    /// Whether they need a label column.
    pub(super) labels: bool,
    pub(super) measures: &'static [Measure],
}

const fn higher(
    tag: &'static str,
    name: &'static str,
    unit: &'static str,
    definition: &'static str,
) -> Measure {
    Measure {
        tag,
        name,
        unit,
        better: Better::Higher,
        definition,
    }
}

const fn neither(tag: &'static str, name: &'static str, definition: &'static str) -> Measure {
    Measure {
        tag,
        name,
        unit: "",
        better: Better::Neither,
        definition,
    }
}

/// All measures, each with its group, in the order of the page.
pub(super) fn measures() -> impl Iterator<Item = (&'static MeasureGroup, &'static Measure)> {
    let of = |group: &'static MeasureGroup| group.measures.iter().map(move |m| (group, m));
    GROUPS.iter().flat_map(of)
}

/// All groups in the order of the page.
pub(super) const GROUPS: [MeasureGroup; 4] = [
    MeasureGroup {
        title: "Classification",
        labels: true,
        measures: &[
            higher(
                tag::EVAL_ZERO_SHOT_TOP1,
                "Zero-shot top-1",
                "%",
                "Pictures whose own class, described in prompts, is the most similar of all classes",
            ),
            higher(
                tag::EVAL_ZERO_SHOT_TOP5,
                "Zero-shot top-5",
                "%",
                "Pictures whose own class is among the five most similar",
            ),
            higher(
                tag::EVAL_LINEAR_PROBE_TOP1,
                "Linear probe top-1",
                "%",
                "Test pictures that a linear classifier on the frozen image features gets right",
            ),
        ],
    },
    MeasureGroup {
        title: "Retrieval",
        labels: false,
        measures: &[
            higher(
                tag::EVAL_RECALL_MEAN,
                "Mean recall",
                "%",
                "Mean of the six recalls below",
            ),
            higher(
                tag::EVAL_RECALL_IMAGE_TO_TEXT_1,
                "Image to text R@1",
                "%",
                "Pictures whose most similar caption is one of their own",
            ),
            higher(
                tag::EVAL_RECALL_IMAGE_TO_TEXT_5,
                "Image to text R@5",
                "%",
                "Pictures with an own caption among the five most similar",
            ),
            higher(
                tag::EVAL_RECALL_IMAGE_TO_TEXT_10,
                "Image to text R@10",
                "%",
                "Pictures with an own caption among the ten most similar",
            ),
            higher(
                tag::EVAL_RECALL_TEXT_TO_IMAGE_1,
                "Text to image R@1",
                "%",
                "Captions whose most similar picture is their own",
            ),
            higher(
                tag::EVAL_RECALL_TEXT_TO_IMAGE_5,
                "Text to image R@5",
                "%",
                "Captions whose picture is among the five most similar",
            ),
            higher(
                tag::EVAL_RECALL_TEXT_TO_IMAGE_10,
                "Text to image R@10",
                "%",
                "Captions whose picture is among the ten most similar",
            ),
        ],
    },
    MeasureGroup {
        title: "Grouping of the image features",
        labels: true,
        measures: &[
            higher(
                tag::EVAL_ARI,
                "ARI",
                "× 100",
                "Adjusted Rand index of k-means clusters, as many as classes, against the classes; 0 is chance",
            ),
            higher(
                tag::EVAL_AMI,
                "AMI",
                "× 100",
                "Adjusted mutual information of the same clusters and the classes; 0 is chance",
            ),
            higher(
                tag::EVAL_SILHOUETTE,
                "Silhouette",
                "−1 to 1",
                "How much nearer a picture lies to its own class than to the next one, on average",
            ),
            Measure {
                tag: tag::EVAL_DAVIES_BOULDIN,
                name: "Davies–Bouldin",
                unit: "",
                better: Better::Lower,
                definition: "Spread of the classes over the distance to the class that overlaps most; lower is better",
            },
            higher(
                tag::EVAL_CALINSKI_HARABASZ,
                "Calinski–Harabasz",
                "",
                "Variance between the classes over variance within them, per degree of freedom",
            ),
        ],
    },
    MeasureGroup {
        title: "Spaces",
        labels: false,
        measures: &[
            neither(
                tag::EVAL_MODALITY_GAP,
                "Modality gap",
                "Distance between the mean image feature and the mean text feature",
            ),
            neither(
                tag::EVAL_SELF_SIMILARITY_IMAGE,
                "Self-similarity, image",
                "Mean positive cosine between image features; near 1 is collapse",
            ),
            neither(
                tag::EVAL_SELF_SIMILARITY_TEXT,
                "Self-similarity, text",
                "Mean positive cosine between text features; near 1 is collapse",
            ),
            neither(
                tag::EVAL_FEATURE_STD_IMAGE,
                "Feature spread, image",
                "Mean standard deviation over the dimensions of the image features; near 0 is collapse",
            ),
            neither(
                tag::EVAL_FEATURE_STD_TEXT,
                "Feature spread, text",
                "Mean standard deviation over the dimensions of the text features; near 0 is collapse",
            ),
        ],
    },
];

/// Shares with two decimals, so that they stand below each other; others with four digits.
pub(super) fn shown(measure: &Measure, value: f64) -> String {
    match measure.unit {
        "%" | "× 100" => format!("{value:.2}"),
        _ => figure(value),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_measure_has_a_tag_and_a_meaning_of_its_own() {
        let measures = || measures().map(|(_, measure)| measure);
        let tags: BTreeSet<&str> = measures().map(|m| m.tag).collect();
        assert_eq!(tags.len(), measures().count());
        assert!(measures().all(|m| m.tag.starts_with("eval/") && m.definition.len() > 20));
    }
}
