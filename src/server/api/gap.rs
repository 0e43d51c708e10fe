//! The modality gap of a run, with the two modalities moved together or apart.

use std::fmt::Write;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use protoclip::analysis::CosineHistogram;
use protoclip::prototypes::Space;
use serde::Deserialize;

use super::super::endpoint::{ApiQuery, Endpoint};
use super::super::{AppError, AppState};
use super::csv::csv;
use super::figures::{Look, TableAnswer, csv_svg_and_png, drawn, figures, svg_and_png};
use super::prototypes::Step;
use crate::studio::{GapChart, GapMeasures, GapQuery, GapSort, GapView, GroupingView, RunId};

/// Prototypes of one answer unless asked otherwise.
const PROTOTYPES: usize = 500;

const QUERY: &[(&str, &str)] = &[
    ("step", "step whose features were kept, or latest"),
    (
        "shift",
        "λ in -1..1: images move by -λ, texts by λ times the difference of their means",
    ),
    (
        "space",
        "whose prototypes: image, text or teacher; image unless given",
    ),
    ("sort", "gap, alignment, cosine, size or id"),
    ("offset", "prototypes to pass over"),
    ("limit", "most prototypes, 500 unless given"),
];

pub(super) fn endpoints() -> Vec<Endpoint> {
    let failures = &[400, 404, 409, 422];
    let mut endpoints = vec![
        Endpoint::get(
            "/api/runs/{id}/gap",
            "Gap, cosines, retrieval and grouping after a shift of the modalities",
            gap,
        )
        .query(QUERY)
        .failures(failures),
        Endpoint::get(
            "/api/runs/{id}/gap/cosines.csv",
            "Histograms of matched and unmatched pairs after the shift",
            cosines_csv,
        )
        .query(QUERY)
        .success(200, "text/csv")
        .failures(failures),
        Endpoint::get(
            "/api/runs/{id}/gap/prototypes.csv",
            "The gap of every prototype",
            prototypes_csv,
        )
        .query(QUERY)
        .success(200, "text/csv")
        .failures(failures),
    ];
    endpoints.extend(figures(
        csv_svg_and_png!("/api/runs/{id}/gap/measures"),
        "Every measure before and after the shift",
        QUERY,
        measures_table,
    ));
    endpoints.extend(figures(
        svg_and_png!("/api/runs/{id}/gap/{chart}/figure"),
        "A chart (cosines or prototypes) as a figure",
        QUERY,
        figure,
    ));
    endpoints
}

#[derive(Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    step: Step,
    shift: f64,
    space: Space,
    sort: GapSort,
    offset: usize,
    limit: usize,
}

impl Default for Asked {
    fn default() -> Self {
        Self {
            step: Step::default(),
            shift: 0.0,
            space: Space::Image,
            sort: GapSort::default(),
            offset: 0,
            limit: PROTOTYPES,
        }
    }
}

impl Asked {
    fn query(&self) -> GapQuery {
        GapQuery {
            step: self.step.0,
            shift: self.shift,
            space: self.space,
            sort: self.sort,
            offset: self.offset,
            limit: self.limit,
        }
    }
}

async fn gap(
    State(state): State<AppState>,
    Path(id): Path<RunId>,
    ApiQuery(asked): ApiQuery<Asked>,
) -> Result<Json<GapView>, AppError> {
    let query = asked.query();
    Ok(Json(
        state.ask(move |studio| studio.gap(&id, &query)).await?,
    ))
}

async fn saved_table(
    state: AppState,
    id: RunId,
    query: GapQuery,
    name: &str,
    table: fn(&GapView) -> String,
) -> Result<Response, AppError> {
    let name = format!("{id}-{name}");
    let view = state.ask(move |studio| studio.gap(&id, &query)).await?;
    Ok(csv(&name, table(&view)))
}

async fn measures_table(
    State(state): State<AppState>,
    Path(id): Path<RunId>,
    ApiQuery(asked): ApiQuery<Asked>,
    table: TableAnswer,
) -> Result<Response, AppError> {
    let name = format!("{id}-gap");
    let query = GapQuery {
        limit: 0,
        ..asked.query()
    };
    let view = state.ask(move |studio| studio.gap(&id, &query)).await?;
    let title = format!("What moving the modalities is worth, step {}", view.step);
    table.of(&name, &title, measure_rows(&view)).await
}

async fn cosines_csv(
    State(state): State<AppState>,
    Path(id): Path<RunId>,
    ApiQuery(asked): ApiQuery<Asked>,
) -> Result<impl IntoResponse, AppError> {
    let query = GapQuery {
        limit: 0,
        ..asked.query()
    };
    saved_table(state, id, query, "cosines", cosine_rows).await
}

async fn prototypes_csv(
    State(state): State<AppState>,
    Path(id): Path<RunId>,
    ApiQuery(asked): ApiQuery<Asked>,
) -> Result<impl IntoResponse, AppError> {
    let query = GapQuery {
        offset: 0,
        limit: usize::MAX,
        ..asked.query()
    };
    saved_table(state, id, query, "prototype-gaps", prototype_rows).await
}

async fn figure(
    State(state): State<AppState>,
    Path((id, chart)): Path<(RunId, String)>,
    ApiQuery(asked): ApiQuery<Asked>,
    Look(look): Look,
) -> Result<Response, AppError> {
    let query = GapQuery {
        offset: 0,
        limit: usize::MAX,
        ..asked.query()
    };
    let chart = GapChart::named(&chart).ok_or_else(|| {
        let message =
            format!("there is no chart {chart} of the gap; there are cosines and prototypes");
        AppError::new(StatusCode::NOT_FOUND, message)
    })?;
    let figure = state.ask(move |studio| studio.gap_figure(&id, &query, (chart, look)));
    Ok(drawn(figure.await?))
}

fn measure_rows(view: &GapView) -> String {
    let mut text = format!("measure,unshifted,shift {}\n", view.shifted.shift);
    let (before, after) = (rows(&view.unshifted), rows(&view.shifted));
    for ((name, before), (_, after)) in before.into_iter().zip(after) {
        // Writing to a String cannot fail.
        let _written = writeln!(text, "{name},{before},{after}");
    }
    text
}

fn rows(measures: &GapMeasures) -> Vec<(String, f64)> {
    let scores = &measures.retrieval.scores;
    let (image, text) = (&scores.image_to_text, &scores.text_to_image);
    let mut rows = [
        ("modality_gap", measures.gap),
        ("modality_gap_clustered", measures.clustered_gap),
        ("cosine_matched", measures.cosines.matched.mean),
        ("cosine_unmatched", measures.cosines.unmatched.mean),
        ("cosine_separation", measures.cosines.separation),
        ("recall_image_to_text_1", image.at_1),
        ("recall_image_to_text_5", image.at_5),
        ("recall_image_to_text_10", image.at_10),
        ("recall_text_to_image_1", text.at_1),
        ("recall_text_to_image_5", text.at_5),
        ("recall_text_to_image_10", text.at_10),
        ("recall_mean", measures.retrieval.mean),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec();
    for grouping in &measures.groupings {
        rows.extend(grouping_rows(grouping));
    }
    rows
}

fn grouping_rows(grouping: &GroupingView) -> Vec<(String, f64)> {
    let pair = format!("{}_by_{}", grouping.student.name(), grouping.teacher.name());
    let mut rows = Vec::new();
    let both = [
        ("back_translated", Some(&grouping.translated)),
        ("own_centroids", grouping.untranslated.as_ref()),
    ];
    for (name, measured) in both {
        if let Some(found) = measured {
            rows.extend([
                (format!("accuracy_{pair}_{name}"), found.accuracy_percent),
                (format!("ami_{pair}_{name}"), found.ami),
                (format!("ari_{pair}_{name}"), found.ari),
                (format!("loss_{pair}_{name}"), found.loss),
            ]);
        }
    }
    rows
}

fn cosine_rows(view: &GapView) -> String {
    let mut text = String::from("from,to,matched,unmatched\n");
    let cosines = &view.shifted.cosines;
    let bars = cosines.matched.counts.iter().zip(&cosines.unmatched.counts);
    for (bin, (matched, unmatched)) in bars.enumerate() {
        let (from, to) = (CosineHistogram::edge(bin), CosineHistogram::edge(bin + 1));
        let _written = writeln!(text, "{from:.2},{to:.2},{matched},{unmatched}");
    }
    text
}

fn prototype_rows(view: &GapView) -> String {
    let mut text =
        String::from("prototype,samples,gap,gap_unshifted,alignment,matched_cosine,words\n");
    for one in &view.prototypes {
        let measured = &one.measured;
        let _written = writeln!(
            text,
            "{},{},{},{},{},{},\"{}\"",
            one.id,
            measured.samples,
            measured.gap,
            one.unshifted_gap,
            measured.alignment,
            measured.matched_cosine,
            one.words.join(" ").replace('"', "\"\"")
        );
    }
    text
}
