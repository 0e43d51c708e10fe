//! `/compare?runs=a,b,…`: two to eight runs side by side, all of it in the address; with fewer, the
//! page that picks them.

mod config_diff;
mod curves;
mod grouping;
mod measures;
mod pick;
mod tables;

use askama::Template;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};

use self::config_diff::ConfigDiff;
use self::curves::{ComparedChart, compared_charts};
use self::grouping::Groupings;
use self::measures::MeasureComparison;
use self::pick::PickPage;
pub(in crate::server) use self::tables::{grouping_table, measures_table, settings_table};
use super::figures::grouped;
use super::respond::{answer, html};
use super::run_card::RunCard;
use super::shell::Shell;
use crate::server::AppState;
use crate::studio::{
    Compared, ComparisonAxis, FEWEST_COMPARED, MOST_COMPARED, RunId, RunView, Studio, StudioError,
    listed_runs, run_labels,
};

#[derive(Debug, Template)]
#[template(path = "pages/compare.html")]
struct ComparePage {
    shell: Shell,
    runs: Vec<ComparedRun>,
    /// The ids as they stand in the address.
    list: String,
    axis: &'static str,
    axes: Vec<Segment>,
    of: &'static str,
    views: Vec<Segment>,
    /// What the curves of the difference are, in a sentence; empty for values.
    difference_note: String,
    charts: Vec<ComparedChart>,
    /// Those that few look at.
    more: Vec<ComparedChart>,
    config: ConfigDiff,
    measures: MeasureComparison,
    groupings: Groupings,
}

/// A run as the comparison calls and colours it.
#[derive(Debug)]
struct ComparedRun {
    card: RunCard,
    /// Its name, with the end of its id where two runs have one name.
    label: String,
    /// Place among the compared runs, from 1; decides colour and dash.
    place: usize,
    /// Where it comes from, if from another compared run.
    origin: Option<String>,
    /// Address of the comparison without it; none where that would leave one run.
    without: Option<String>,
}

/// One choice of several, each an address.
#[derive(Debug)]
struct Segment {
    name: &'static str,
    title: &'static str,
    href: String,
    current: bool,
}

/// What the address asks for.
#[derive(Debug, Clone, Default)]
pub(super) struct CompareQuery {
    runs: Vec<RunId>,
    axis: ComparisonAxis,
    of: Compared,
    /// Whether the runs came one by one, from the boxes of a form.
    from_form: bool,
}

impl CompareQuery {
    fn of(pairs: Vec<(String, String)>) -> Self {
        let mut query = Self::default();
        let lists: Vec<&str> = pairs
            .iter()
            .filter(|(key, _)| key == "runs")
            .map(|(_, list)| list.as_str())
            .collect();
        query.from_form = lists.len() > 1;
        query.runs = listed_runs(&lists.join(","));
        for (key, value) in &pairs {
            match key.as_str() {
                "axis" => query.axis = named(ComparisonAxis::ALL, ComparisonAxis::name, value),
                "of" => query.of = named(Compared::ALL, Compared::name, value),
                _ => {}
            }
        }
        query
    }

    fn address(&self) -> String {
        compare_address(&self.runs, self.axis, self.of)
    }
}

/// The value with this name; the default for one that nothing has.
fn named<T: Copy + Default, const N: usize>(
    all: [T; N],
    name: fn(T) -> &'static str,
    text: &str,
) -> T {
    all.into_iter()
        .find(|value| name(*value) == text)
        .unwrap_or_default()
}

/// The address of a comparison. Ids are safe in addresses as they are.
pub(super) fn compare_address(runs: &[RunId], axis: ComparisonAxis, of: Compared) -> String {
    let ids: Vec<&str> = runs.iter().map(RunId::as_str).collect();
    let mut address = format!("/compare?runs={}", ids.join(","));
    if axis != ComparisonAxis::default() {
        address += &format!("&axis={}", axis.name());
    }
    if of != Compared::default() {
        address += &format!("&of={}", of.name());
    }
    address
}

pub(super) async fn compare(
    State(state): State<AppState>,
    shell: Shell,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Response {
    let query = CompareQuery::of(pairs);
    let enough = (FEWEST_COMPARED..=MOST_COMPARED).contains(&query.runs.len());
    if enough && query.from_form {
        return Redirect::to(&query.address()).into_response();
    }
    let for_problem = shell.clone();
    let shell = shell.in_section("runs");
    let rendered = state.ask(move |studio| {
        let status = axum::http::StatusCode::OK;
        Ok(if enough {
            html(status, &ComparePage::new(studio, shell, &query)?)
        } else {
            html(status, &PickPage::new(studio, shell, &query.runs))
        })
    });
    answer(for_problem, rendered.await)
}

impl ComparePage {
    fn new(studio: &Studio, shell: Shell, query: &CompareQuery) -> Result<Self, StudioError> {
        let views: Vec<RunView> = query
            .runs
            .iter()
            .map(|id| studio.run(id))
            .collect::<Result<_, _>>()?;
        let runs = compared_runs(&views, query);
        let ids: Vec<&str> = query.runs.iter().map(RunId::as_str).collect();
        let (charts, more) = compared_charts(studio, &views, &runs, (query.of, query.axis))?;
        Ok(Self {
            shell,
            axis: query.axis.name(),
            axes: axes(query),
            of: query.of.name(),
            views: comparisons(query),
            difference_note: difference_note(studio, query, &runs)?,
            charts,
            more,
            config: ConfigDiff::read(studio, &views)?,
            measures: MeasureComparison::of(&views),
            groupings: Groupings::read(studio, &views, &runs),
            list: ids.join(","),
            runs,
        })
    }
}

fn compared_runs(views: &[RunView], query: &CompareQuery) -> Vec<ComparedRun> {
    let labels = run_labels(views);
    let origin = |view: &RunView| {
        let fork = view.forked_from.as_ref()?;
        let from = views.iter().position(|other| other.id == fork.run)?;
        Some(format!(
            "fork of {} at step {}",
            labels[from],
            grouped(fork.step)
        ))
    };
    let without = |place: usize| {
        let mut rest = query.clone();
        rest.runs.remove(place);
        (rest.runs.len() >= FEWEST_COMPARED).then(|| rest.address())
    };
    let run = |(place, view): (usize, &RunView)| ComparedRun {
        card: RunCard::new(view),
        label: labels[place].clone(),
        place: place + 1,
        origin: origin(view),
        without: without(place),
    };
    views.iter().enumerate().map(run).collect()
}

fn axes(query: &CompareQuery) -> Vec<Segment> {
    let title = |axis| match axis {
        ComparisonAxis::Step => "Optimizer updates",
        ComparisonAxis::Samples => "Image–caption pairs seen: steps times batch size",
        ComparisonAxis::Time => {
            "Seconds of training without pauses, between the lines of the event log taken as even"
        }
    };
    let segment = |axis: ComparisonAxis| Segment {
        name: axis.name(),
        title: title(axis),
        href: compare_address(&query.runs, axis, query.of),
        current: axis == query.axis,
    };
    ComparisonAxis::ALL.map(segment).into()
}

fn comparisons(query: &CompareQuery) -> Vec<Segment> {
    let title = |of| match of {
        Compared::Values => "The curves themselves",
        Compared::Difference => "Each curve minus that of the first run at the same step",
    };
    let segment = |of: Compared| Segment {
        name: of.name(),
        title: title(of),
        href: compare_address(&query.runs, query.axis, of),
        current: of == query.of,
    };
    Compared::ALL.map(segment).into()
}

/// Says what is subtracted, and from which step on.
fn difference_note(
    studio: &Studio,
    query: &CompareQuery,
    runs: &[ComparedRun],
) -> Result<String, StudioError> {
    let Some((first, others)) = runs
        .split_first()
        .filter(|_| query.of == Compared::Difference)
    else {
        return Ok(String::new());
    };
    let mut parts = Vec::new();
    for (other, id) in others.iter().zip(&query.runs[1..]) {
        if let Some(step) = studio.parted_at(&query.runs[0], id)? {
            parts.push(format!("{} from step {} on", other.label, grouped(step)));
        }
    }
    let from = if parts.is_empty() {
        "None of the runs comes from another, so all common steps count.".to_owned()
    } else {
        format!(
            "Where two runs have a common origin, from where they part: {}.",
            parts.join(", ")
        )
    };
    Ok(format!(
        "Each curve is a run's value minus that of {} at the same step. {from}",
        first.label
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(pairs: &[(&str, &str)]) -> CompareQuery {
        let pairs = pairs.iter();
        CompareQuery::of(pairs.map(|(k, v)| ((*k).into(), (*v).into())).collect())
    }

    #[test]
    fn boxes_and_lists_name_the_same_runs() {
        let boxes = query(&[("runs", "a"), ("runs", "b"), ("axis", "time")]);
        let list = query(&[("runs", "a,b"), ("axis", "time")]);
        assert!(boxes.from_form && !list.from_form);
        assert_eq!(boxes.address(), "/compare?runs=a,b&axis=time");
        assert_eq!(boxes.address(), list.address());
    }

    #[test]
    fn words_that_mean_nothing_become_the_default() {
        let asked = query(&[("runs", "a,b"), ("axis", "moon"), ("of", "difference")]);
        assert_eq!(asked.address(), "/compare?runs=a,b&of=difference");
    }
}
