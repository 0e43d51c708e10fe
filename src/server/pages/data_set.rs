//! `/datasets/{id}`: the pairs of a data set page by page, its words, classes, repeats, broken rows and
//! teacher features.

mod repeats;
mod teachers;

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use protoclip::config::DataSource;
use serde::{Deserialize, Serialize};

use self::repeats::Repeats;
use self::teachers::{Teacher, TeacherForm};
use super::address::address;
use super::facts::Fact;
use super::figures::{NONE, figure, grouped, percent_of};
use super::respond::page;
use super::shell::Shell;
use super::work_list::WorkList;
use crate::server::AppState;
use crate::studio::{
    CaptionSummary, ClassCount, DataSetId, DataSetView, ListedDataSet, PairPage, PairQuery, RunId,
    Studio, StudioError,
};

pub(super) use self::teachers::make as make_teacher;

/// What the address asks for.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct BrowseQuery {
    q: String,
    column: String,
    class: String,
    offset: usize,
}

#[derive(Debug, Template)]
#[template(path = "pages/data_set.html")]
struct DataSetPage {
    shell: Shell,
    id: String,
    name: String,
    path: String,
    /// Why its files cannot be opened, when they are not there.
    missing: String,
    /// Whether it has files that can move.
    movable: bool,
    work: WorkList,
    /// Absent until the data set is open.
    content: Option<Content>,
    runs: Vec<RunId>,
    teacher: TeacherForm,
}

#[derive(Debug)]
struct Content {
    facts: Vec<Fact>,
    query: BrowseQuery,
    pairs: Vec<Pair>,
    shown: String,
    previous: Option<String>,
    next: Option<String>,
    words: Vec<Linked>,
    repeated: Vec<Linked>,
    pictures: Repeats,
    teachers: Vec<Teacher>,
    columns: Vec<Column>,
    reasons: Vec<(String, String)>,
    broken: Vec<BrokenRow>,
    broken_note: String,
}

#[derive(Debug)]
struct Pair {
    caption: String,
    origin: String,
    labels: String,
    image: String,
}

/// A text with its count, and the pairs that have it.
#[derive(Debug)]
struct Linked {
    text: String,
    count: String,
    href: String,
}

#[derive(Debug)]
struct Column {
    name: String,
    classes: usize,
    largest: Vec<Linked>,
}

#[derive(Debug)]
struct BrokenRow {
    place: String,
    reason: &'static str,
    detail: String,
}

/// Pairs of one page.
const PAIRS: usize = 60;
/// Classes of a column that are listed.
const CLASSES: usize = 60;
/// Broken rows that are listed; the CSV has more.
const BROKEN: usize = 100;

pub(super) async fn one(
    State(state): State<AppState>,
    shell: Shell,
    Path(id): Path<String>,
    Query(query): Query<BrowseQuery>,
) -> Response {
    page(state, shell, move |studio, shell| {
        let id = DataSetId::from(id.as_str());
        DataSetPage::new(studio, shell, &id, query, TeacherForm::default())
    })
    .await
}

impl DataSetPage {
    fn new(
        studio: &Studio,
        shell: Shell,
        id: &DataSetId,
        query: BrowseQuery,
        teacher: TeacherForm,
    ) -> Result<Self, StudioError> {
        let listed = studio.data_sets().into_iter().find(|set| set.id == *id);
        let work = WorkList::new(studio, shell.clone(), id.as_str());
        let listed = match listed {
            Some(listed) => listed,
            // One that is being added for the first time has its work, or its failure, to show.
            None if !work.pieces.is_empty() => ListedDataSet::unknown(id),
            None => {
                let message =
                    format!("there is no data set {id}; see /datasets for those that exist");
                return Err(StudioError::NotFound(message));
            }
        };
        let content = match studio.data_set_is_open(id) && listed.missing.is_none() {
            true => Some(Content::new(studio, id, query)?),
            false => None,
        };
        Ok(Self {
            work,
            shell: shell.in_section("datasets"),
            id: id.to_string(),
            name: listed.name,
            path: listed
                .path
                .map_or_else(String::new, |path| path.display().to_string()),
            missing: listed.missing.unwrap_or_default(),
            movable: listed.source != DataSource::Builtin,
            content,
            runs: listed.runs,
            teacher,
        })
    }
}

impl Content {
    fn new(studio: &Studio, id: &DataSetId, query: BrowseQuery) -> Result<Self, StudioError> {
        let view = studio.data_set(id)?;
        let class = (!query.class.is_empty()).then(|| (query.column.clone(), query.class.clone()));
        let found = studio.pairs(
            id,
            &PairQuery {
                q: query.q.clone(),
                class,
                offset: query.offset,
                limit: PAIRS,
            },
        )?;
        let summary = studio.caption_summary(id)?;
        let path = format!("/datasets/{id}");
        let to = |change: &dyn Fn(&mut BrowseQuery)| {
            let mut next = query.clone();
            change(&mut next);
            next.address(&path)
        };
        let last = query.offset + found.pairs.len();
        Ok(Self {
            facts: facts(&view, &summary),
            shown: shown(&query, &found),
            previous: (query.offset > 0)
                .then(|| to(&|q| q.offset = q.offset.saturating_sub(PAIRS))),
            next: (last < found.matching).then(|| to(&|q| q.offset += PAIRS)),
            words: linked(&summary.words, &path),
            repeated: linked(&summary.repeated, &path),
            pictures: Repeats::read(studio, id)?,
            teachers: Teacher::read(studio, id)?,
            columns: studio
                .classes(id)?
                .into_iter()
                .map(|c| column(c, &path))
                .collect(),
            reasons: reasons(&view),
            broken: broken(&view),
            broken_note: broken_note(&view),
            pairs: found.pairs.into_iter().map(Pair::of).collect(),
            query,
        })
    }
}

impl BrowseQuery {
    fn address(&self, path: &str) -> String {
        let offset = match self.offset {
            0 => String::new(),
            offset => offset.to_string(),
        };
        let pairs = [
            ("q", self.q.as_str()),
            ("column", &self.column),
            ("class", &self.class),
            ("offset", &offset),
        ];
        address(path, &pairs)
    }
}

impl Pair {
    fn of(pair: crate::studio::PairView) -> Self {
        let labels = pair
            .labels
            .iter()
            .map(|(name, class)| format!("{name}: {class}"));
        Self {
            labels: labels.collect::<Vec<_>>().join(", "),
            caption: pair.caption,
            origin: pair.origin,
            image: pair.image_url,
        }
    }
}

fn facts(view: &DataSetView, summary: &CaptionSummary) -> Vec<Fact> {
    let fact = |name, value| Fact { name, value };
    let count = |value: usize| grouped(value as u64);
    let mut facts = vec![
        fact("Usable pairs", count(view.pairs)),
        fact("Rows", grouped(view.skipped.rows)),
        fact("Unusable rows", grouped(view.skipped.skipped)),
        fact("Drawn in one pass", count(view.balanced_pairs)),
        fact("Words per caption", figure(summary.mean_words)),
        fact(
            "Captions that others share",
            format!(
                "{} ({})",
                count(summary.in_repeats),
                percent_of(summary.in_repeats, summary.captions)
            ),
        ),
    ];
    if let Some(pictures) = summary.pictures {
        facts.push(fact("Pictures", count(pictures)));
    }
    if let Some(groups) = summary.near_copies {
        facts.push(fact("Groups of near-copies", count(groups)));
    }
    if summary.captions < view.pairs {
        facts.push(fact("Captions looked at", count(summary.captions)));
    }
    facts.push(fact("Fingerprint", view.fingerprint.clone()));
    facts
}

/// Which pairs are on the page, in words.
fn shown(query: &BrowseQuery, found: &PairPage) -> String {
    let count = |value: usize| grouped(value as u64);
    let range = match found.pairs.len() {
        0 => NONE.to_owned(),
        length => format!(
            "{}–{}",
            count(query.offset + 1),
            count(query.offset + length)
        ),
    };
    let searched = match found.searched < found.total {
        true => format!(", searched among the first {}", count(found.searched)),
        false => String::new(),
    };
    format!("{range} of {}{searched}", count(found.matching))
}

fn linked(counts: &[(String, u32)], path: &str) -> Vec<Linked> {
    let link = |(text, count): &(String, u32)| Linked {
        href: address(path, &[("q", text)]),
        count: grouped(u64::from(*count)),
        text: text.clone(),
    };
    counts.iter().map(link).collect()
}

fn column((name, classes): (String, Vec<ClassCount>), path: &str) -> Column {
    let largest = classes.iter().take(CLASSES).map(|class| Linked {
        href: address(path, &[("column", &name), ("class", &class.class)]),
        count: grouped(class.pairs),
        text: class.class.clone(),
    });
    Column {
        largest: largest.collect(),
        classes: classes.len(),
        name,
    }
}

fn reasons(view: &DataSetView) -> Vec<(String, String)> {
    let counted = view.skipped.by_reason.iter();
    counted
        .map(|(reason, count)| (reason.describe().to_owned(), grouped(*count)))
        .collect()
}

fn broken(view: &DataSetView) -> Vec<BrokenRow> {
    let listed = view.skipped.listed.iter().take(BROKEN);
    let row = |row: &protoclip::data::SkippedRow| BrokenRow {
        place: row.place.clone(),
        reason: row.reason.describe(),
        detail: row.detail.clone(),
    };
    listed.map(row).collect()
}

fn broken_note(view: &DataSetView) -> String {
    let (all, listed) = (view.skipped.skipped, view.skipped.listed.len() as u64);
    match listed > BROKEN as u64 || all > listed {
        true => format!(
            "The first {} of {} are shown; the CSV has the first {}.",
            listed.min(BROKEN as u64),
            grouped(all),
            grouped(listed)
        ),
        false => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_keeps_what_is_asked_and_nothing_else() {
        let query = BrowseQuery {
            q: "red fox".into(),
            offset: 60,
            ..BrowseQuery::default()
        };
        assert_eq!(
            query.address("/datasets/x"),
            "/datasets/x?q=red%20fox&offset=60"
        );
        assert_eq!(BrowseQuery::default().address("/datasets/x"), "/datasets/x");
    }
}
