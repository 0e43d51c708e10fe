//! The charts of the Live and the Evaluate tab: which curves share one, in which hue, and what they mean.

mod evaluation;
mod recorded;
mod single;

use std::borrow::Cow;

use protoclip::train::tag;
use serde::Serialize;

use super::address::percent;
use crate::studio::RunView;

pub(super) use evaluation::evaluation_charts;
pub(super) use recorded::recorded_charts;
pub(super) use single::{CurveTitle, curve_titles};

/// One chart as the template and the browser take it.
#[derive(Debug, Serialize)]
pub(super) struct Chart {
    pub(super) key: Cow<'static, str>,
    pub(super) title: Cow<'static, str>,
    pub(super) unit: &'static str,
    #[serde(skip)]
    pub(super) definition: Cow<'static, str>,
    pub(super) reference: Option<Reference>,
    /// Logarithmic values.
    pub(super) log: bool,
    pub(super) series: Vec<ChartSeries>,
}

#[derive(Debug, Serialize)]
pub(super) struct ChartSeries {
    pub(super) tag: Cow<'static, str>,
    pub(super) label: Cow<'static, str>,
    /// A hue of `web/styles/tokens.css`, the same for this curve on every page.
    pub(super) hue: &'static str,
}

/// A horizontal line with a meaning.
#[derive(Debug, Serialize)]
pub(super) struct Reference {
    pub(super) value: f64,
    pub(super) label: String,
}

impl Chart {
    /// The chart as JSON for its island.
    pub(super) fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// What the address of a file with the whole chart asks for.
    pub(super) fn query(&self) -> String {
        let mut query: String = self.series.iter().map(ChartSeries::query).collect();
        query += &format!("title={}&unit={}", percent(&self.title), percent(self.unit));
        query
    }
}

impl ChartSeries {
    /// The tag as it stands in an address.
    pub(super) fn address(&self) -> String {
        percent(&self.tag)
    }

    fn query(&self) -> String {
        let label = percent(&self.label);
        format!("tag={}&label={label}&hue={}&", self.address(), self.hue)
    }
}

type Line = (&'static str, &'static str, &'static str);

fn chart(
    key: &'static str,
    (title, unit): (&'static str, &'static str),
    definition: &'static str,
    lines: &[Line],
) -> Chart {
    let series = lines.iter().map(|&(tag, label, hue)| ChartSeries {
        tag: tag.into(),
        label: label.into(),
        hue,
    });
    Chart {
        key: key.into(),
        title: title.into(),
        unit,
        definition: definition.into(),
        reference: None,
        log: false,
        series: series.collect(),
    }
}

/// The charts of the Batch tab.
pub(super) fn batch_charts() -> Vec<Chart> {
    vec![
        chart(
            "same-pairs",
            ("Pairs of one prototype", "% of unmatched pairs"),
            "Share of the unmatched image–caption pairs of the batch that belong to one prototype of the image or text space",
            &[
                (tag::SAME_PROTOTYPE_PAIRS_IMAGE, "image", "image"),
                (tag::SAME_PROTOTYPE_PAIRS_TEXT, "text", "text"),
            ],
        ),
        chart(
            "same-repulsion",
            ("InfoNCE’s push on them", "% of all pushes"),
            "Share of InfoNCE's gradient by the logits of unmatched pairs that falls on pairs of one prototype: what grouping and contrast disagree about",
            &[
                (tag::SAME_PROTOTYPE_REPULSION_IMAGE, "image", "image"),
                (tag::SAME_PROTOTYPE_REPULSION_TEXT, "text", "text"),
            ],
        ),
    ]
}

/// The charts of the Gap tab.
pub(super) fn gap_charts(run: &RunView) -> Vec<Chart> {
    let shown = ["gap", "self-similarity", "feature-std"];
    let mut charts = spaces();
    charts.retain(|chart| shown.contains(&&*chart.key));
    for chart in &mut charts {
        let known = |series: &ChartSeries| run.latest.contains_key(&*series.tag);
        if chart.series.iter().any(known) {
            chart.series.retain(known);
        }
    }
    charts
}

/// All charts of a run, most telling first.
pub(super) fn charts(run: &RunView) -> Vec<Chart> {
    let mut charts = losses(run);
    charts.extend(grouping());
    charts.extend(spaces());
    charts.extend(optimization());
    charts.extend(clustering());
    charts
}

fn losses(run: &RunView) -> Vec<Chart> {
    let mut clip = chart(
        "infonce",
        ("InfoNCE", "nats"),
        "Mean cross-entropy of matching each picture with its caption inside the batch, and back; ln(batch) is guessing",
        &[(tag::LOSS_CLIP, "InfoNCE", "clip")],
    );
    clip.reference = Some(Reference {
        value: (run.batch_size as f64).ln(),
        label: format!(
            "ln({}) = {:.2}",
            run.batch_size,
            (run.batch_size as f64).ln()
        ),
    });
    let mut prototype = vec![(tag::LOSS_PROTO, "prototype", "proto")];
    if run.has_teacher {
        prototype.push((tag::LOSS_EXTERNAL, "teacher", "teacher"));
    }
    vec![
        clip,
        chart(
            "prototype-loss",
            ("Prototype losses", "nats"),
            "Cross-entropy between each student's scores over the prototypes and the target of its teacher",
            &prototype,
        ),
        chart(
            "total-loss",
            ("Total loss", "nats"),
            "Weighted sum of all losses; it jumps when a weight is steered",
            &[(tag::LOSS_TOTAL, "total", "total")],
        ),
    ]
}

fn grouping() -> Vec<Chart> {
    vec![
        chart(
            "prototype-accuracy",
            ("Prototype accuracy", "%"),
            "Share of the batch whose best-scoring prototype is its own",
            &[
                (tag::PROTO_ACCURACY_IMAGE, "image", "image"),
                (tag::PROTO_ACCURACY_TEXT, "text", "text"),
            ],
        ),
        chart(
            "grouping",
            ("Grouping against labels", "× 100"),
            "Agreement between k-means on image features and the data set's labels, adjusted for chance: Rand index and mutual information",
            &[
                (tag::EVAL_ARI, "ARI", "clip"),
                (tag::EVAL_AMI, "AMI", "image"),
            ],
        ),
        chart(
            "retrieval",
            ("Retrieval", "%"),
            "Recall at 1 from picture to caption and back, and the mean of recall at 1, 5 and 10 both ways",
            &[
                (tag::EVAL_RECALL_MEAN, "mean", "total"),
                (tag::EVAL_RECALL_IMAGE_TO_TEXT_1, "to text", "image"),
                (tag::EVAL_RECALL_TEXT_TO_IMAGE_1, "to image", "text"),
            ],
        ),
    ]
}

fn spaces() -> Vec<Chart> {
    vec![
        chart(
            "gap",
            ("Modality gap", "distance"),
            "Distance between the mean image feature and the mean text feature, of the batch and of the evaluation",
            &[
                (tag::MODALITY_GAP, "batch", "total"),
                (tag::EVAL_MODALITY_GAP, "evaluation", "clip"),
            ],
        ),
        chart(
            "feature-std",
            ("Feature spread", "std"),
            "Mean standard deviation over the dimensions of the features of a batch; near 0 is collapse",
            &[
                (tag::FEATURE_STD_IMAGE, "image", "image"),
                (tag::FEATURE_STD_TEXT, "text", "text"),
            ],
        ),
        chart(
            "self-similarity",
            ("Self-similarity", "cosine"),
            "Mean positive cosine between features of the same space",
            &[
                (tag::EVAL_SELF_SIMILARITY_IMAGE, "image", "image"),
                (tag::EVAL_SELF_SIMILARITY_TEXT, "text", "text"),
            ],
        ),
    ]
}

fn optimization() -> Vec<Chart> {
    vec![
        chart(
            "temperature",
            ("Temperature", "1 / scale"),
            "Softmax temperature of the contrastive and of the prototype scores",
            &[
                (tag::TEMPERATURE, "contrastive", "clip"),
                (tag::TEMPERATURE_PROTO, "prototype", "proto"),
            ],
        ),
        chart(
            "target-entropy",
            ("Target entropy", "nats"),
            "Mean entropy of the soft targets; near 0 they are almost one-hot",
            &[(tag::TARGET_ENTROPY, "soft targets", "proto")],
        ),
        chart(
            "learning-rate",
            ("Learning rate", "per step"),
            "Rate of the image tower and of everything else, with the steering factor",
            &[
                (tag::LR_IMAGE, "image tower", "image"),
                (tag::LR_REST, "rest", "text"),
            ],
        ),
        chart(
            "grad-norm",
            ("Gradient norm", "L2"),
            "Global norm of the gradient before clipping",
            &[(tag::GRAD_NORM, "global", "total")],
        ),
    ]
}

fn clustering() -> Vec<Chart> {
    vec![
        chart(
            "inertia",
            ("k-means objective", "squared distance"),
            "Sum of squared distances of the episode's features to their prototypes",
            &[
                (tag::KMEANS_INERTIA_IMAGE, "image", "image"),
                (tag::KMEANS_INERTIA_TEXT, "text", "text"),
            ],
        ),
        chart(
            "throughput",
            ("Throughput", "pairs / s"),
            "Image–caption pairs per second in the training pass",
            &[(tag::SAMPLES_PER_SECOND, "training", "total")],
        ),
        chart(
            "data-wait",
            ("Waiting for data", "%"),
            "Share of the time in which training stood still because no batch of pictures and captions was ready; near 0 while preparing them is not what limits the pace",
            &[(tag::DATA_WAIT_PERCENT, "training", "total")],
        ),
    ]
}
