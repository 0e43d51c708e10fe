//! Data sets: what they hold, and pictures of their samples.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use protoclip::config::DataConfig;
use serde::Deserialize;

use super::super::endpoint::{ApiQuery, Endpoint};
use super::super::{AppError, AppState};
use super::JSON;
use super::csv::quoted;
use super::figures::{TableAnswer, csv_svg_and_png, figures};
use super::picture;
use crate::studio::{
    CaptionSummary, DataSetId, DataSetView, ListedDataSet, MOST_REPEATS, NewPlace, PairPage,
    PairQuery, RepeatedPictures,
};

const PICTURE: u32 = 96;
/// Pairs of one answer unless asked otherwise.
const PAIRS: usize = 60;

pub(super) fn endpoints() -> Vec<Endpoint> {
    let mut endpoints = vec![
        Endpoint::post(
            "/api/datasets",
            "Open a data set and say what it holds; a large file takes a while",
            open,
        )
        .body("DataConfig")
        .failures(&[400, 409, 422]),
        Endpoint::get("/api/datasets", "Data sets that are known", list),
        Endpoint::get("/api/datasets/{id}", "What a data set holds", one).failures(&[404, 409]),
        Endpoint::post(
            "/api/datasets/{id}/relink",
            "Point a data set and its runs to another place: `{path, image_folder}`; background work",
            relink,
        )
        .success(202, "application/json")
        .failures(&[400, 404, 409, 422]),
        Endpoint::get("/api/datasets/{id}/pairs", "Pairs, page by page", pairs)
            .query(&[
                ("q", "words that a caption must contain"),
                ("column", "a label column, together with class"),
                ("class", "the class that a pair must have in that column"),
                ("offset", "matching pairs to pass over"),
                ("limit", "most pairs, 60 unless given, at most 200"),
            ])
            .failures(&[400, 404, 409]),
        Endpoint::get(
            "/api/datasets/{id}/captions",
            "Words, repeats and length of the captions",
            captions,
        )
        .failures(&[404, 409]),
        Endpoint::get(
            "/api/datasets/{id}/samples/{n}/image",
            "The picture of a sample (PNG or JPEG)",
            image,
        )
        .query(&[
            ("size", "pixels of the longer side: 32, 64, 96, 128 or 256"),
            ("v", "version of the data set; makes the answer immutable"),
        ])
        .success(200, "image/png")
        .failures(&[400, 404, 409]),
    ];
    endpoints.extend(figures(
        csv_svg_and_png!("/api/datasets/{id}/words"),
        "The most frequent words",
        &[],
        words_table,
    ));
    endpoints.extend(figures(
        csv_svg_and_png!("/api/datasets/{id}/skipped"),
        "Unusable rows with their reasons, the first 1000",
        &[],
        skipped_table,
    ));
    endpoints.extend(figures(
        csv_svg_and_png!("/api/datasets"),
        "Every known data set as a table",
        &[],
        list_table,
    ));
    endpoints.push(
        Endpoint::post(
            "/api/datasets/{id}/pictures",
            "Start to compare all its pictures, to find those that more than one pair has",
            compare_pictures,
        )
        .success(202, JSON)
        .failures(&[404, 409]),
    );
    endpoints.push(
        Endpoint::get(
            "/api/datasets/{id}/repeats",
            "Pictures that more than one pair has, among those that were compared",
            repeats,
        )
        .failures(&[404, 409]),
    );
    endpoints.extend(figures(
        csv_svg_and_png!("/api/datasets/{id}/repeats"),
        "The same as a table, one row per pair that is shown",
        &[],
        repeats_table,
    ));
    endpoints
}

async fn open(
    State(state): State<AppState>,
    body: Result<Json<DataConfig>, JsonRejection>,
) -> Result<Json<DataSetView>, AppError> {
    let Json(config) = body?;
    Ok(Json(
        state
            .ask(move |studio| studio.open_data_set(config))
            .await?,
    ))
}

async fn one(
    State(state): State<AppState>,
    Path(id): Path<DataSetId>,
) -> Result<Json<DataSetView>, AppError> {
    Ok(Json(state.ask(move |studio| studio.data_set(&id)).await?))
}

async fn relink(
    State(state): State<AppState>,
    Path(id): Path<DataSetId>,
    body: Result<Json<NewPlace>, JsonRejection>,
) -> Result<Response, AppError> {
    // An unknown data set is one whatever the body says.
    let known = id.clone();
    let place = body.map(|Json(place)| place);
    let place = match place {
        Ok(place) => place,
        Err(wrong) => {
            state
                .ask(move |studio| studio.known_data_set(&known))
                .await?;
            return Err(wrong.into());
        }
    };
    let begun = state.ask(move |studio| studio.relink(&id, &place));
    let (id, work) = begun.await?;
    let body = Json(serde_json::json!({"id": id, "work": work}));
    Ok((StatusCode::ACCEPTED, body).into_response())
}

async fn list_table(
    State(state): State<AppState>,
    table: TableAnswer,
) -> Result<Response, AppError> {
    let sets = state.ask(|studio| Ok(studio.data_sets())).await?;
    let mut text = String::from("id,name,source,path,pairs,skipped,runs,present\n");
    for set in &sets {
        let path = set.path.as_ref().map(|path| path.display().to_string());
        text += &format!(
            "{},{},{},{},{},{},{},{}\n",
            set.id,
            quoted(&set.name),
            serde_json::to_value(set.source)
                .unwrap_or_default()
                .as_str()
                .unwrap_or_default(),
            quoted(&path.unwrap_or_default()),
            set.pairs
                .map_or_else(String::new, |pairs| pairs.to_string()),
            set.skipped
                .map_or_else(String::new, |skipped| skipped.to_string()),
            set.runs.len(),
            set.missing.is_none()
        );
    }
    table.of("datasets", "Data sets", text).await
}

async fn list(State(state): State<AppState>) -> Result<Json<Vec<ListedDataSet>>, AppError> {
    Ok(Json(state.ask(|studio| Ok(studio.data_sets())).await?))
}

#[derive(Deserialize)]
#[serde(default)]
struct PairsQuery {
    q: String,
    column: String,
    class: String,
    offset: usize,
    limit: usize,
}

impl Default for PairsQuery {
    fn default() -> Self {
        Self {
            q: String::new(),
            column: String::new(),
            class: String::new(),
            offset: 0,
            limit: PAIRS,
        }
    }
}

async fn pairs(
    State(state): State<AppState>,
    Path(id): Path<DataSetId>,
    ApiQuery(query): ApiQuery<PairsQuery>,
) -> Result<Json<PairPage>, AppError> {
    let wanted = PairQuery {
        class: (!query.class.is_empty()).then_some((query.column, query.class)),
        q: query.q,
        offset: query.offset,
        limit: query.limit,
    };
    Ok(Json(
        state.ask(move |studio| studio.pairs(&id, &wanted)).await?,
    ))
}

async fn captions(
    State(state): State<AppState>,
    Path(id): Path<DataSetId>,
) -> Result<Json<CaptionSummary>, AppError> {
    Ok(Json(
        state.ask(move |studio| studio.caption_summary(&id)).await?,
    ))
}

async fn compare_pictures(
    State(state): State<AppState>,
    Path(id): Path<DataSetId>,
) -> Result<impl IntoResponse, AppError> {
    let work = state
        .ask(move |studio| studio.compare_pictures(&id))
        .await?;
    Ok((StatusCode::ACCEPTED, Json(work)))
}

async fn repeats(
    State(state): State<AppState>,
    Path(id): Path<DataSetId>,
) -> Result<Json<RepeatedPictures>, AppError> {
    let found = state.ask(move |studio| studio.repeated_pictures(&id, MOST_REPEATS));
    Ok(Json(found.await?))
}

async fn repeats_table(
    State(state): State<AppState>,
    Path(id): Path<DataSetId>,
    table: TableAnswer,
) -> Result<Response, AppError> {
    let found = state.ask(move |studio| studio.repeated_pictures(&id, MOST_REPEATS));
    let mut text = String::from("picture,pairs,sample,origin,caption\n");
    for (number, picture) in found.await?.listed.iter().enumerate() {
        for pair in &picture.shown {
            text += &format!(
                "{number},{},{},{},{}\n",
                picture.pairs,
                pair.sample,
                quoted(&pair.origin),
                quoted(&pair.caption)
            );
        }
    }
    table
        .of("repeats", "Pictures of more than one pair", text)
        .await
}

async fn words_table(
    State(state): State<AppState>,
    Path(id): Path<DataSetId>,
    table: TableAnswer,
) -> Result<Response, AppError> {
    let summary = state.ask(move |studio| studio.caption_summary(&id)).await?;
    let rows = summary
        .words
        .iter()
        .map(|(word, count)| format!("{},{count}\n", quoted(word)));
    table
        .of(
            "words",
            "Words of the captions",
            format!("word,captions\n{}", rows.collect::<String>()),
        )
        .await
}

async fn skipped_table(
    State(state): State<AppState>,
    Path(id): Path<DataSetId>,
    table: TableAnswer,
) -> Result<Response, AppError> {
    let view = state.ask(move |studio| studio.data_set(&id)).await?;
    let rows = view.skipped.listed.iter().map(|row| {
        format!(
            "{},{},{},{}\n",
            row.row,
            quoted(&row.place),
            row.reason.describe(),
            quoted(&row.detail)
        )
    });
    table
        .of(
            "skipped",
            "Rows that cannot be used",
            format!("row,place,reason,detail\n{}", rows.collect::<String>()),
        )
        .await
}

#[derive(Deserialize)]
struct ImageQuery {
    #[serde(default = "picture_size")]
    size: u32,
    v: Option<String>,
}

fn picture_size() -> u32 {
    PICTURE
}

async fn image(
    State(state): State<AppState>,
    Path((id, sample)): Path<(DataSetId, String)>,
    ApiQuery(query): ApiQuery<ImageQuery>,
) -> Result<impl IntoResponse, AppError> {
    let sample: u32 = sample.parse().map_err(|_| {
        let message = format!("samples have numbers, {sample:?} is none");
        AppError::new(StatusCode::NOT_FOUND, message)
    })?;
    let made = state.ask_picture(move |studio| studio.thumbnail(&id, sample, query.size));
    let versioned = query.v.is_some();
    let cache = if versioned {
        picture::IMMUTABLE
    } else {
        "no-cache"
    };
    Ok((
        [(header::CACHE_CONTROL, cache)],
        picture::answer(made.await?),
    ))
}
