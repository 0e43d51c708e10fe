//! The charts of the Evaluate tab.

use protoclip::train::tag;

use super::{Chart, chart};
use crate::studio::RunView;

/// The charts of the Evaluate tab: those of the curves that a run has.
pub(in crate::server::pages) fn evaluation_charts(run: &RunView) -> Vec<Chart> {
    let mut charts = vec![chart(
        "classification",
        ("Classification", "%"),
        "Pictures whose own class is the most similar, by prompts or by a linear classifier on the features",
        &[
            (tag::EVAL_ZERO_SHOT_TOP1, "zero-shot", "text"),
            (tag::EVAL_ZERO_SHOT_TOP5, "zero-shot top-5", "total"),
            (tag::EVAL_LINEAR_PROBE_TOP1, "linear probe", "image"),
        ],
    )];
    charts.extend(recalls());
    charts.extend(groupings());
    charts.extend(evaluated_spaces());
    for chart in &mut charts {
        chart
            .series
            .retain(|series| run.latest.contains_key(&*series.tag));
    }
    charts.retain(|chart| !chart.series.is_empty());
    charts
}

fn recalls() -> Vec<Chart> {
    vec![
        chart(
            "recall",
            ("Mean recall", "%"),
            "Mean of recall at 1, 5 and 10 from picture to caption and back",
            &[(tag::EVAL_RECALL_MEAN, "mean", "total")],
        ),
        chart(
            "recall-text",
            ("Image to text", "%"),
            "Pictures with an own caption among the 1, 5 and 10 most similar",
            &[
                (tag::EVAL_RECALL_IMAGE_TO_TEXT_1, "R@1", "image"),
                (tag::EVAL_RECALL_IMAGE_TO_TEXT_5, "R@5", "proto"),
                (tag::EVAL_RECALL_IMAGE_TO_TEXT_10, "R@10", "total"),
            ],
        ),
        chart(
            "recall-image",
            ("Text to image", "%"),
            "Captions whose picture is among the 1, 5 and 10 most similar",
            &[
                (tag::EVAL_RECALL_TEXT_TO_IMAGE_1, "R@1", "text"),
                (tag::EVAL_RECALL_TEXT_TO_IMAGE_5, "R@5", "proto"),
                (tag::EVAL_RECALL_TEXT_TO_IMAGE_10, "R@10", "total"),
            ],
        ),
    ]
}

fn groupings() -> Vec<Chart> {
    vec![
        chart(
            "eval-grouping",
            ("Grouping against labels", "× 100"),
            "Agreement between k-means on image features and the labels, adjusted for chance: Rand index and mutual information",
            &[
                (tag::EVAL_ARI, "ARI", "clip"),
                (tag::EVAL_AMI, "AMI", "image"),
            ],
        ),
        chart(
            "silhouette",
            ("Silhouette of the classes", "−1 to 1"),
            "How much nearer a picture lies to its own class than to the next one, on average",
            &[(tag::EVAL_SILHOUETTE, "classes", "image")],
        ),
        chart(
            "davies-bouldin",
            ("Davies–Bouldin", "lower is better"),
            "Spread of the classes over the distance to the class that overlaps most",
            &[(tag::EVAL_DAVIES_BOULDIN, "classes", "image")],
        ),
        chart(
            "calinski-harabasz",
            ("Calinski–Harabasz", "higher is better"),
            "Variance between the classes over variance within them, per degree of freedom",
            &[(tag::EVAL_CALINSKI_HARABASZ, "classes", "image")],
        ),
    ]
}

fn evaluated_spaces() -> Vec<Chart> {
    vec![
        chart(
            "eval-gap",
            ("Modality gap", "distance"),
            "Distance between the mean image feature and the mean text feature",
            &[(tag::EVAL_MODALITY_GAP, "evaluation", "clip")],
        ),
        chart(
            "eval-self-similarity",
            ("Self-similarity", "cosine"),
            "Mean positive cosine between features of the same space; near 1 is collapse",
            &[
                (tag::EVAL_SELF_SIMILARITY_IMAGE, "image", "image"),
                (tag::EVAL_SELF_SIMILARITY_TEXT, "text", "text"),
            ],
        ),
        chart(
            "eval-feature-std",
            ("Feature spread", "std"),
            "Mean standard deviation over the dimensions of the features; near 0 is collapse",
            &[
                (tag::EVAL_FEATURE_STD_IMAGE, "image", "image"),
                (tag::EVAL_FEATURE_STD_TEXT, "text", "text"),
            ],
        ),
    ]
}
