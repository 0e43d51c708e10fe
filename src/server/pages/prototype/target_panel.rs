//! What the students of a prototype's samples are asked to predict, as bars.

use protoclip::config::TargetKind;
use protoclip::prototypes::Space;

use super::super::address::{address, percent};
use super::super::figures::{figure, grouped};
use super::super::prototypes::{prototype_href, words};
use super::Fact;
use crate::studio::{DESCRIBED_SHARES, SupervisedStage, Supervision, TargetShare, TargetView};

/// The target of a prototype.
#[derive(Debug)]
pub(super) struct TargetPanel {
    pub(super) title: &'static str,
    pub(super) about: String,
    pub(super) facts: Vec<Fact>,
    /// What a reader should know about this target, the weightiest first.
    pub(super) notes: Vec<String>,
    pub(super) bars: Vec<Bar>,
    /// What the bars leave out.
    pub(super) rest: Option<String>,
    pub(super) csv: String,
    pub(super) svg: String,
    pub(super) png: String,
    pub(super) json: String,
}

#[derive(Debug)]
pub(super) struct Bar {
    pub(super) href: String,
    pub(super) image: Option<String>,
    pub(super) words: String,
    pub(super) probability: String,
    /// Of 100.
    pub(super) width: String,
    pub(super) similarity: String,
    pub(super) size: String,
    pub(super) own: bool,
}

/// Own probability from which a soft target is nearly a hard one.
const NEARLY_ONE_HOT: f64 = 0.9;

impl TargetPanel {
    pub(super) fn new(run: &str, target: &TargetView) -> Self {
        let step = target.step.to_string();
        let file = |name: &str| {
            let path = format!(
                "/api/runs/{}/prototypes/{}/{name}",
                percent(run),
                target.prototype
            );
            address(&path, &[("space", target.space.name()), ("step", &step)])
        };
        let shown = target.shares.iter().take(DESCRIBED_SHARES);
        Self {
            title: match kind(target) {
                TargetKind::Soft => "Soft target",
                TargetKind::Hard => "Hard target",
            },
            about: about(target),
            facts: facts(target),
            notes: notes(target),
            rest: rest(target),
            csv: file("target.csv"),
            svg: file("target.svg"),
            png: file("target.png"),
            json: file("target"),
            bars: shown.map(|share| Bar::new(run, target, share)).collect(),
        }
    }
}

impl Bar {
    fn new(run: &str, target: &TargetView, share: &TargetShare) -> Self {
        Self {
            href: prototype_href(run, share.prototype, target.space.name(), target.step),
            image: share.image_url.clone(),
            words: words(&share.words, share.prototype),
            probability: percent_figure(share.probability),
            width: format!("{:.2}", 100.0 * share.probability),
            similarity: figure(share.similarity),
            size: grouped(share.size as u64),
            own: share.prototype == target.prototype,
        }
    }
}

/// A share as percent with three digits, down to a floor that says so.
pub(in super::super) fn percent_figure(share: f64) -> String {
    if share > 0.0 && share < 5e-6 {
        "<\u{a0}0.001\u{a0}%".into()
    } else {
        let text = format!("{:.3}", 100.0 * share);
        format!(
            "{}\u{a0}%",
            text.trim_end_matches('0').trim_end_matches('.')
        )
    }
}

fn kind(target: &TargetView) -> TargetKind {
    target.supervision.target_of(target.space)
}

fn about(target: &TargetView) -> String {
    let students = match target.space {
        Space::Text => "its samples’ image student",
        Space::Image => "its samples’ text student",
        Space::Teacher => "both students of its samples",
    };
    format!("what {students} should predict")
}

fn facts(target: &TargetView) -> Vec<Fact> {
    let fact = |name, value| Fact { name, value };
    let mut facts = vec![
        fact("Own prototype", percent_figure(target.own)),
        fact(
            "Entropy",
            format!(
                "{} nats of at most {}",
                figure(target.entropy),
                figure(target.most_entropy)
            ),
        ),
        fact(
            "As wide as",
            format!("{} equal prototypes", figure(target.entropy.exp())),
        ),
    ];
    if kind(target) == TargetKind::Soft {
        let temperature = figure(target.supervision.target_temperature);
        facts.push(fact("Temperature τ_y", temperature));
    }
    facts
}

fn notes(target: &TargetView) -> Vec<String> {
    let mut notes = supervision_notes(&target.supervision, target.space);
    match kind(target) {
        TargetKind::Hard => notes.push(
            "This run teaches hard labels here: all probability lies on the own prototype.".into(),
        ),
        TargetKind::Soft if target.own >= NEARLY_ONE_HOT => notes.push(format!(
            "Nearly one-hot: it says hardly more than a hard label. At a temperature above {} it \
             would spread over similar prototypes.",
            figure(target.supervision.target_temperature)
        )),
        TargetKind::Soft if target.own < 1.5 / target.count as f64 => notes.push(
            "Nearly uniform: the own prototype hardly stands out. A lower temperature would sharpen it."
                .into(),
        ),
        TargetKind::Soft => {}
    }
    notes
}

/// Why a prototype loss is not trained, if it is not.
pub(in super::super) fn supervision_notes(
    supervision: &Supervision,
    teacher: Space,
) -> Vec<String> {
    let note = match supervision.stage {
        SupervisedStage::InfonceOnly => {
            "This episode trains with InfoNCE alone, so nobody learns from prototypes in it."
        }
        SupervisedStage::AfterTraining => {
            "These prototypes were made when training had ended: they show what it came to, and teach \
             nobody."
        }
        SupervisedStage::Prototypes if supervision.weight_of(teacher) == 0.0 => {
            "The weight of this loss is 0 in this episode, so nobody learns from it."
        }
        SupervisedStage::Prototypes => return Vec::new(),
    };
    vec![note.into()]
}

fn rest(target: &TargetView) -> Option<String> {
    let others = target.count.saturating_sub(DESCRIBED_SHARES);
    let shown: f64 = target
        .shares
        .iter()
        .take(DESCRIBED_SHARES)
        .map(|s| s.probability)
        .sum();
    (others > 0).then(|| {
        format!(
            "{} other prototypes share {}.",
            grouped(others as u64),
            percent_figure((1.0 - shown).max(0.0))
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_shares_are_not_rounded_to_nothing() {
        let shown = [1.0, 0.996_04, 0.5, 0.000_01, 1e-9, 0.0].map(percent_figure);
        let plain = shown.map(|text| text.replace('\u{a0}', " "));
        assert_eq!(
            plain,
            ["100 %", "99.604 %", "50 %", "0.001 %", "< 0.001 %", "0 %"]
        );
    }
}
