//! Samples whose student would choose another prototype than their teacher says.

use std::collections::HashSet;
use std::sync::Arc;

use protoclip::prototypes::{Space, StudentChoice, StudentScores, student_choices};
use serde::Serialize;

use super::super::{RunId, Studio, StudioError, Supervision};
use super::MOST_CARDS;
use super::page::image_url;
use super::snapshot_view::{SnapshotView, place};
use super::student_side::StudentSide;
use super::translation::{PrototypeNode, node};

/// Which disagreements to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisagreementQuery {
    /// Step of the snapshot; the newest when absent.
    pub step: Option<u64>,
    /// The image or the text space.
    pub student: Space,
    pub teacher: Space,
    /// Only samples with this text in their caption, whatever its case.
    pub text: String,
    pub offset: usize,
    pub limit: usize,
}

/// A page of samples, the student's most confident choice first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DisagreementPage {
    pub step: u64,
    pub episode: u64,
    /// Steps of all snapshots, ascending.
    pub steps: Vec<u64>,
    pub student: Space,
    pub teacher: Space,
    /// Whether the run has an external teacher.
    pub has_teacher: bool,
    /// Different samples that were scored, of `samples`.
    pub scored: usize,
    pub samples: usize,
    /// Scored samples whose student chooses another prototype.
    pub disagreeing: usize,
    /// Those that match the filter, of which `rows` shows a part.
    pub matching: usize,
    pub offset: usize,
    pub supervision: Supervision,
    pub data_error: Option<String>,
    pub rows: Vec<DisagreementRow>,
}

/// One sample.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DisagreementRow {
    pub sample: u32,
    pub caption: String,
    pub image_url: String,
    /// What the teacher says, and the student's probability of it.
    pub teacher: PrototypeNode,
    pub teacher_probability: f32,
    /// What the student would choose, and its probability. Its number is the teacher's: both are
    /// prototypes of the teacher's space.
    pub choice: PrototypeNode,
    pub probability: f32,
}

/// What a student chooses for each scored sample of a snapshot, and what it was taught with.
#[derive(Debug)]
pub(in super::super) struct StudentChoices {
    supervision: Supervision,
    /// By position.
    choices: Vec<StudentChoice>,
}

/// Boards kept in memory, of each student and teacher. At 200,000 samples one takes at most 2.4 MB.
pub(in super::super) const KEPT_CHOICES: usize = 4;

/// Most multiply-adds of one request, about two seconds of one core; more samples are left out.
const WORK: usize = 40_000_000_000;

impl Studio {
    /// Scores the samples of a snapshot as the prototype loss does, with the students as they were
    /// when its prototypes were made, and lists those that choose another prototype.
    ///
    /// # Errors
    /// When the run, step or teacher does not exist, its features were not kept, or the student is
    /// its own teacher.
    pub fn disagreements(
        &self,
        id: &RunId,
        query: &DisagreementQuery,
    ) -> Result<DisagreementPage, StudioError> {
        let board = self.board(id, query)?;
        let (view, differing, choices) = (&*board.view, &board.differing, &board.chosen.choices);
        let labels = &view.clusters(query.teacher)?.assignments;
        let shown = differing.iter().skip(query.offset);
        let rows = shown
            .take(query.limit.min(MOST_CARDS))
            .map(|&at| row(view, query.teacher, at, (labels[at], choices[at])));
        Ok(DisagreementPage {
            step: view.step(),
            episode: view.episode(),
            steps: board.steps,
            student: query.student,
            teacher: query.teacher,
            has_teacher: view.spaces().contains(&Space::Teacher),
            scored: board.scored,
            samples: view.samples().iter().collect::<HashSet<_>>().len(),
            disagreeing: board.disagreeing,
            matching: differing.len(),
            offset: query.offset,
            data_error: view.data_error(),
            rows: rows.collect::<Result<_, _>>()?,
            supervision: board.chosen.supervision.clone(),
        })
    }

    /// Every disagreement that matches, as sample, teacher's prototype and student's choice.
    ///
    /// # Errors
    /// As [`Studio::disagreements`].
    pub fn every_disagreement(
        &self,
        id: &RunId,
        query: &DisagreementQuery,
    ) -> Result<Vec<(u32, u32, StudentChoice)>, StudioError> {
        let board = self.board(id, query)?;
        let labels = &board.view.clusters(query.teacher)?.assignments;
        let samples = board.view.samples();
        let rows = board.differing.iter();
        Ok(rows
            .map(|&at| (samples[at], labels[at], board.chosen.choices[at]))
            .collect())
    }

    fn board(&self, id: &RunId, query: &DisagreementQuery) -> Result<Board, StudioError> {
        let (student, teacher) = (query.student, query.teacher);
        if student == Space::Teacher || student == teacher {
            return Err(StudioError::Conflict(format!(
                "student {} cannot learn from teacher {}: choose student image or text, and another \
                 space as teacher",
                student.name(),
                teacher.name()
            )));
        }
        let (view, steps) = self.snapshot(id, query.step)?;
        let labels = &view.clusters(teacher)?.assignments;
        let chosen = self.student_choices(id, &view, student, teacher)?;
        let choices = &chosen.choices;
        let mut seen = HashSet::new();
        // A sample that was drawn twice is one sample.
        let once: Vec<usize> = (0..choices.len())
            .filter(|&at| seen.insert(view.samples()[at]))
            .collect();
        let differs = |at: &usize| choices[*at].prototype != labels[*at];
        let mut differing: Vec<usize> = once.iter().copied().filter(differs).collect();
        let disagreeing = differing.len();
        let text = query.text.trim().to_lowercase();
        differing.retain(|&at| {
            text.is_empty() || view.caption(at as u32).to_lowercase().contains(&text)
        });
        differing.sort_by(|&a, &b| choices[b].probability.total_cmp(&choices[a].probability));
        Ok(Board {
            view,
            steps,
            scored: once.len(),
            chosen,
            differing,
            disagreeing,
        })
    }

    /// Scored once; pages, filters and tables of a board share it.
    fn student_choices(
        &self,
        id: &RunId,
        view: &SnapshotView,
        student: Space,
        teacher: Space,
    ) -> Result<Arc<StudentChoices>, StudioError> {
        let supervision = self.supervision(id, (view.episode(), view.step()))?;
        let score = || {
            let features = self.features(id, Some(view.step()))?;
            let side = StudentSide::new(view, features, student)?;
            Ok(StudentChoices {
                choices: choices(view, &side, teacher, &supervision)?,
                supervision: supervision.clone(),
            })
        };
        let path = self.data_dir.run(id).feature_file(view.step());
        let cache = &self.student_choices[place(student)][place(teacher)];
        let known = cache.get(&path, |_| score())?;
        // The settings of a run that was taken back and steered anew are others.
        if known.supervision == supervision && known.choices.len() <= view.samples().len() {
            Ok(known)
        } else {
            score().map(Arc::new)
        }
    }
}

/// All scored samples of a snapshot.
struct Board {
    view: Arc<SnapshotView>,
    steps: Vec<u64>,
    /// Different samples that were scored.
    scored: usize,
    chosen: Arc<StudentChoices>,
    /// Positions that match the filter, the most confident choice first.
    differing: Vec<usize>,
    /// Before the filter.
    disagreeing: usize,
}

fn choices(
    view: &SnapshotView,
    side: &StudentSide,
    teacher: Space,
    supervision: &Supervision,
) -> Result<Vec<StudentChoice>, StudioError> {
    let prototypes = side.prototypes(view, teacher, supervision)?;
    let of_one = (prototypes.takes_part.len() * side.dim()).max(1);
    let rows = side.rows().min(WORK / of_one);
    let labels = &view.clusters(teacher)?.assignments[..rows];
    let scores = StudentScores {
        features: &side.features()[..rows * side.dim()],
        centroids: &prototypes.centroids,
        dim: side.dim(),
        takes_part: &prototypes.takes_part,
        scale: supervision.scale as f32,
    };
    student_choices(scores, labels).ok_or_else(|| {
        StudioError::Conflict("the features and prototypes of this step do not fit".into())
    })
}

fn row(
    view: &SnapshotView,
    teacher: Space,
    at: usize,
    (label, choice): (u32, StudentChoice),
) -> Result<DisagreementRow, StudioError> {
    let sample = view.samples()[at];
    Ok(DisagreementRow {
        sample,
        caption: view.caption(at as u32).to_owned(),
        image_url: image_url(view, sample),
        teacher: node(view, teacher, label)?,
        teacher_probability: choice.teacher_probability,
        choice: node(view, teacher, choice.prototype)?,
        probability: choice.probability,
    })
}
