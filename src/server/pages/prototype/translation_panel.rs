//! One sample followed through prototype back translation, with the distance of every hop.

use protoclip::prototypes::Space;

use super::super::address::{address, percent};
use super::super::figures::{NONE, figure, grouped};
use super::super::prototypes::{prototype_href, words};
use super::target_panel::{percent_figure, supervision_notes};
use crate::studio::{Hop, HopKind, PrototypeNode, TranslationDirection, TranslationView, Verdict};

/// The inspector.
#[derive(Debug)]
pub(super) struct TranslationPanel {
    pub(super) image: String,
    pub(super) caption: String,
    pub(super) sample: u32,
    pub(super) notes: Vec<String>,
    pub(super) directions: Vec<Direction>,
    pub(super) csv: String,
    pub(super) json: String,
}

#[derive(Debug)]
pub(super) struct Direction {
    pub(super) key: String,
    pub(super) title: String,
    pub(super) student: &'static str,
    pub(super) teacher: &'static str,
    pub(super) taught: Node,
    pub(super) own: Node,
    pub(super) hops: Vec<HopRow>,
    /// What the student makes of it, in sentences.
    pub(super) verdict: String,
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) space: &'static str,
    pub(super) href: String,
    pub(super) words: String,
    pub(super) size: String,
    pub(super) montage: String,
}

#[derive(Debug)]
pub(super) struct HopRow {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) meaning: &'static str,
    pub(super) distance: String,
    pub(super) cosine: String,
    /// Of 100, the longest hop of the panel.
    pub(super) width: String,
    /// What the loss of this run compares.
    pub(super) compared: bool,
}

impl TranslationPanel {
    pub(super) fn new(run: &str, view: &TranslationView) -> Self {
        let (step, sample) = (view.step.to_string(), view.sample.to_string());
        let file = |name: &str| {
            let path = format!(
                "/api/runs/{}/prototypes/{}/{name}",
                percent(run),
                view.prototype
            );
            let place = [
                ("space", view.space.name()),
                ("step", &step),
                ("sample", &sample),
            ];
            address(&path, &place)
        };
        let hops = view.directions.iter().flat_map(|direction| &direction.hops);
        let longest = hops
            .map(|hop| hop.distance)
            .fold(f64::MIN_POSITIVE, f64::max);
        let directions = view.directions.iter();
        Self {
            image: view.image_url.clone(),
            caption: view.caption.clone(),
            sample: view.sample,
            notes: notes(view),
            csv: file("translation.csv"),
            json: file("translation"),
            directions: directions
                .map(|direction| Direction::new(run, view, direction, longest))
                .collect(),
        }
    }
}

impl Direction {
    fn new(run: &str, view: &TranslationView, of: &TranslationDirection, longest: f64) -> Self {
        let translates = view.supervision.back_translation;
        let hops = of.hops.iter().map(|hop| {
            let (from, to, meaning) = described(hop.kind, of);
            HopRow {
                from,
                to,
                meaning,
                distance: figure(hop.distance),
                cosine: hop.cosine.map_or_else(|| NONE.into(), figure),
                width: format!("{:.2}", 100.0 * hop.distance / longest),
                compared: is_compared(hop, translates),
            }
        });
        Self {
            key: format!("{}-{}", of.student.name(), of.teacher.name()),
            title: format!(
                "The {} student, taught by {}",
                of.student.name(),
                of.teacher.name()
            ),
            student: of.student.name(),
            teacher: of.teacher.name(),
            taught: Node::new(run, view.step, &of.teacher_prototype),
            own: Node::new(run, view.step, &of.own_prototype),
            hops: hops.collect(),
            verdict: verdict(of),
        }
    }
}

impl Node {
    fn new(run: &str, step: u64, node: &PrototypeNode) -> Self {
        let (space, id) = (node.space.name(), node.prototype as usize);
        let sheet = format!("/api/runs/{}/prototypes/{id}/montage.png", percent(run));
        Self {
            space,
            href: prototype_href(run, id, space, step),
            words: words(&node.words, id),
            size: match node.size {
                1 => "1 sample".into(),
                n => format!("{} samples", grouped(n as u64)),
            },
            montage: address(&sheet, &[("space", space), ("step", &step.to_string())]),
        }
    }
}

fn is_compared(hop: &Hop, translates: bool) -> bool {
    hop.kind
        == if translates {
            HopKind::Translated
        } else {
            HopKind::Untranslated
        }
}

/// Both ends of a hop, and what its length says.
fn described(kind: HopKind, of: &TranslationDirection) -> (String, String, &'static str) {
    let (student, teacher) = (of.student.name(), of.teacher.name());
    let (own, taught) = (of.own_prototype.prototype, of.teacher_prototype.prototype);
    let feature = |space: &str| format!("{space} feature");
    let centroid = |space: &str, id: u32| format!("{space} centroid {id}");
    let translated = format!("{teacher} centroid {taught} in {student} space");
    match kind {
        HopKind::Pair => (
            feature(student),
            feature(teacher),
            "how far the pair is apart",
        ),
        HopKind::Teacher => (
            feature(teacher),
            centroid(teacher, taught),
            "how well the teacher’s group fits",
        ),
        HopKind::Translation => (
            centroid(teacher, taught),
            translated,
            "what back translation bridges",
        ),
        HopKind::Translated => (
            feature(student),
            translated,
            "compared with back translation",
        ),
        HopKind::Untranslated => (
            feature(student),
            centroid(teacher, taught),
            "compared without back translation",
        ),
        HopKind::Own => (feature(student), centroid(student, own), "its own group"),
        HopKind::Apart => (
            translated,
            centroid(student, own),
            "the two groups, in the student’s space",
        ),
    }
}

fn verdict(of: &TranslationDirection) -> String {
    let told = |verdict: Verdict| {
        format!(
            "{} of {} with probability {}",
            grouped(verdict.rank as u64),
            grouped(verdict.of as u64),
            percent_figure(verdict.probability)
        )
    };
    let with = format!(
        "Translated, the teacher’s prototype ranks {}",
        told(of.translated)
    );
    match of.untranslated {
        Some(without) => format!(
            "{with}; without back translation it would rank {}.",
            told(without)
        ),
        None => format!("{with}."),
    }
}

fn notes(view: &TranslationView) -> Vec<String> {
    let mut notes = supervision_notes(
        &view.supervision,
        match view.space {
            Space::Teacher => Space::Teacher,
            Space::Image | Space::Text => Space::Image,
        },
    );
    if !view.supervision.back_translation {
        notes.push(
            "This run trains without back translation; the translated centroids show what it would \
             compare with."
                .into(),
        );
    }
    if view.kept < view.samples {
        notes.push(format!(
            "Translated centroids are means over the {} of {} samples whose features were kept.",
            grouped(view.kept as u64),
            grouped(view.samples as u64)
        ));
    }
    notes
}
