//! How alike the spaces group, as lines over the steps.

use protoclip::prototypes::Space;

use super::super::figures::grouped;
use crate::studio::StepAgreement;

/// A chart of 100 × adjusted mutual information, with its table.
#[derive(Debug)]
pub(super) struct AgreementChart {
    pub(super) lines: Vec<Line>,
    /// Horizontal rules: height and number.
    pub(super) rules: Vec<(String, u32)>,
    /// Steps under the chart: place and number.
    pub(super) ticks: Vec<(String, String)>,
    /// The newest values in a sentence.
    pub(super) summary: String,
    /// Newest first: step, then AMI and ARI of each pair.
    pub(super) rows: Vec<(String, Vec<String>)>,
}

#[derive(Debug)]
pub(super) struct Line {
    pub(super) name: String,
    pub(super) hue: &'static str,
    pub(super) path: String,
    pub(super) points: Vec<Point>,
    pub(super) latest: String,
}

#[derive(Debug)]
pub(super) struct Point {
    pub(super) x: String,
    pub(super) y: String,
    pub(super) title: String,
}

const LEFT: f64 = 36.0;
const WIDTH: f64 = 588.0;
const TOP: f64 = 8.0;
const HEIGHT: f64 = 168.0;

impl AgreementChart {
    /// `None` without two spaces to compare.
    pub(super) fn new(agreement: &[StepAgreement]) -> Option<Self> {
        let newest = agreement.last().filter(|newest| !newest.pairs.is_empty())?;
        let lines: Vec<Line> = (0..newest.pairs.len())
            .map(|at| line(agreement, at))
            .collect();
        let said = lines
            .iter()
            .map(|line| format!("{} {}", line.name, line.latest));
        Some(Self {
            summary: format!(
                "Adjusted mutual information × 100 at step {}: {}",
                grouped(newest.step),
                said.collect::<Vec<_>>().join(", ")
            ),
            rules: (0..=4)
                .map(|at| (place(y(f64::from(at) * 25.0)), at * 25))
                .collect(),
            ticks: ticks(agreement),
            rows: agreement.iter().rev().map(row).collect(),
            lines,
        })
    }
}

fn line(agreement: &[StepAgreement], at: usize) -> Line {
    let pair = |of: &StepAgreement| of.pairs.get(at).copied();
    let (first, second) = agreement
        .last()
        .and_then(pair)
        .map_or((Space::Image, Space::Text), |p| p.spaces);
    let name = format!("{}–{}", first.name(), second.name());
    let points: Vec<Point> = agreement
        .iter()
        .filter_map(|of| {
            let ami = 100.0 * pair(of)?.ami;
            Some(Point {
                x: place(x(agreement, of.step)),
                y: place(y(ami)),
                title: format!("{name}, step {}: {ami:.2}", grouped(of.step)),
            })
        })
        .collect();
    let parts = points.iter().enumerate().map(|(i, point)| {
        let command = if i == 0 { 'M' } else { 'L' };
        format!("{command}{} {}", point.x, point.y)
    });
    Line {
        hue: match (first, second) {
            (Space::Image, Space::Text) => "proto",
            (Space::Image, _) => "image",
            _ => "text",
        },
        path: parts.collect(),
        latest: agreement
            .last()
            .and_then(pair)
            .map_or_else(String::new, |pair| format!("{:.2}", 100.0 * pair.ami)),
        name,
        points,
    }
}

fn row(of: &StepAgreement) -> (String, Vec<String>) {
    let values = of.pairs.iter().flat_map(|pair| [pair.ami, pair.ari]);
    (
        grouped(of.step),
        values
            .map(|value| format!("{:.2}", 100.0 * value))
            .collect(),
    )
}

/// First, middle and last step.
fn ticks(agreement: &[StepAgreement]) -> Vec<(String, String)> {
    let mut shown = vec![0, agreement.len() / 2, agreement.len() - 1];
    shown.dedup();
    let tick = |at: usize| {
        let step = agreement[at].step;
        (place(x(agreement, step)), grouped(step))
    };
    shown.into_iter().map(tick).collect()
}

fn x(agreement: &[StepAgreement], step: u64) -> f64 {
    let first = agreement.first().map_or(0, |of| of.step);
    let last = agreement.last().map_or(1, |of| of.step).max(first + 1);
    LEFT + WIDTH * (step - first) as f64 / (last - first) as f64
}

/// Less than chance lies on the floor.
fn y(value: f64) -> f64 {
    TOP + HEIGHT * (1.0 - value.clamp(0.0, 100.0) / 100.0)
}

fn place(value: f64) -> String {
    format!("{value:.1}")
}

#[cfg(test)]
mod tests {
    use crate::studio::SpaceAgreement;

    use super::*;

    #[test]
    fn lines_rise_with_agreement_and_run_with_the_steps() {
        let of = |step, ami| StepAgreement {
            step,
            episode: 0,
            pairs: vec![SpaceAgreement {
                spaces: (Space::Image, Space::Text),
                ami,
                ari: 0.5,
            }],
        };
        let chart = AgreementChart::new(&[of(0, 0.0), of(5, 1.0), of(20, -0.1)]).expect("a chart");
        let line = &chart.lines[0];
        assert_eq!(line.path, "M36.0 176.0L183.0 8.0L624.0 176.0");
        assert_eq!(
            chart.rows[0],
            ("20".into(), vec!["-10.00".into(), "50.00".into()])
        );
        assert!(chart.summary.contains("step 20: image–text -10.00"));
        assert!(AgreementChart::new(&[]).is_none());
        assert_eq!(
            AgreementChart::new(&[of(3, 0.5)])
                .expect("a chart")
                .ticks
                .len(),
            1
        );
    }
}
