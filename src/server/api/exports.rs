//! A run's lists as tables, its curves for TensorBoard, and its features for the projector.

use axum::extract::{Path, State};
use axum::response::Response;
use protoclip::analysis::MapMethod;
use protoclip::prototypes::Space;
use serde::Deserialize;
use serde_json::Value;

use super::super::endpoint::{ApiQuery, Endpoint};
use super::super::{AppError, AppState};
use super::csv::{quoted, saved};
use super::figures::{TableAnswer, csv_svg_and_png, figures};
use super::prototypes::{SPACE, STEP, Step};
use crate::server::pages::run_measures_table;
use crate::studio::{
    EmbeddingQuery, FeatureKind, FrameQuery, Health, MOST_CARDS, MapFeatures, MapSpace,
    PrototypeCard, PrototypeQuery, PrototypeSort, RunId,
};

const TSV: &str = "text/tab-separated-values";
const PARQUET: &str = "application/vnd.apache.parquet";
const KIND: (&str, &str) = (
    "kind",
    "clustered (projected features where there are such; default) or tower",
);

pub(super) fn endpoints() -> Vec<Endpoint> {
    let mut endpoints = tables();
    endpoints.extend([
        Endpoint::get(
            "/api/runs/{id}/tensorboard",
            "All curves as a TensorBoard event file",
            tensorboard,
        )
        .heavy()
        .success(200, "application/octet-stream")
        .failures(&[404, 409]),
        Endpoint::get(
            "/api/runs/{id}/embeddings/vectors.tsv",
            "Features of a step for TensorBoard's projector, one sample a line",
            vectors,
        )
        .query(&[SPACE, STEP, KIND])
        .heavy()
        .success(200, TSV)
        .failures(&[400, 404, 409]),
        Endpoint::get(
            "/api/runs/{id}/embeddings/metadata.tsv",
            "What the vectors are: sample, caption, prototypes",
            metadata,
        )
        .query(&[SPACE, STEP, KIND])
        .heavy()
        .success(200, TSV)
        .failures(&[400, 404, 409]),
        Endpoint::get(
            "/api/runs/{id}/embeddings.parquet",
            "The points of a step as a table for data frames: sample, modality, x, y, prototypes, caption, image, origin, labels",
            frame,
        )
        .query(&[
            STEP,
            ("space", "image, text or joint; image unless given"),
            (
                "method",
                "tsne, pca, diffusion or random; the finished t-SNE map, or else PCA, unless given",
            ),
            ("features", "clustered or tower; clustered unless given"),
            ("vectors", "true to have the features too, as a column of lists"),
        ])
        .heavy()
        .success(200, PARQUET)
        .failures(&[400, 404, 409]),
    ]);
    endpoints
}

fn tables() -> Vec<Endpoint> {
    let mut tables = figures(
        csv_svg_and_png!("/api/runs"),
        "All runs as a table, newest first",
        &[],
        runs,
    );
    tables.extend(figures(
        csv_svg_and_png!("/api/runs/{id}/log"),
        "The event log as a table",
        &[],
        log,
    ));
    tables.extend(figures(
        csv_svg_and_png!("/api/runs/{id}/config"),
        "The settings as a table",
        &[],
        config,
    ));
    tables.extend(figures(
        csv_svg_and_png!("/api/runs/{id}/evaluation"),
        "Newest, first and best value of every measure as a table",
        &[],
        evaluation,
    ));
    tables.extend(figures(
        csv_svg_and_png!("/api/runs/{id}/prototypes"),
        "All prototypes of a step that match, as a table",
        &[
            SPACE,
            STEP,
            ("sort", "size, tightness, change or id"),
            ("q", "only prototypes with this text in a caption"),
            ("health", "only prototypes that show this sign"),
        ],
        prototypes,
    ));
    tables
}

async fn runs(State(state): State<AppState>, table: TableAnswer) -> Result<Response, AppError> {
    let mut text = String::from(
        "id,name,state,preset,model,data,created,step,total_steps,episode,total_episodes,\
         trained_seconds,loss_total,recall_mean,ami\n",
    );
    for run in state.studio.runs() {
        let latest = |tag: &str| number(run.latest.get(tag));
        text += &format!(
            "{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}\n",
            run.id,
            quoted(&run.name),
            run.state.name(),
            run.preset.map_or("", |preset| preset.name()),
            quoted(&run.model),
            quoted(&run.data),
            run.created,
            run.step,
            run.total_steps,
            run.episode,
            run.total_episodes,
            run.trained_seconds,
            latest(protoclip::train::tag::LOSS_TOTAL),
            latest(protoclip::train::tag::EVAL_RECALL_MEAN),
            latest(protoclip::train::tag::EVAL_AMI),
        );
    }
    table.of("runs", "Runs", text).await
}

async fn log(
    State(state): State<AppState>,
    Path(id): Path<RunId>,
    table: TableAnswer,
) -> Result<Response, AppError> {
    let name = format!("{id}-log");
    let title = format!("Event log of {id}");
    let lines = state.ask(move |studio| studio.log(&id, 0, i64::MAX as usize));
    let mut text = String::from("seq,time,step,kind,level,message,data\n");
    for line in lines.await? {
        let level = serde_json::to_value(line.level).unwrap_or_default();
        let data = match &line.data {
            Value::Null => String::new(),
            data => quoted(&data.to_string()),
        };
        text += &format!(
            "{},{},{},{},{},{},{data}\n",
            line.seq,
            line.time,
            line.step,
            line.kind.name(),
            level.as_str().unwrap_or_default(),
            quoted(&line.message)
        );
    }
    table.of(&name, &title, text).await
}

async fn config(
    State(state): State<AppState>,
    Path(id): Path<RunId>,
    table: TableAnswer,
) -> Result<Response, AppError> {
    let name = format!("{id}-config");
    let title = format!("Settings of {id}");
    let config = state.ask(move |studio| studio.config(&id)).await?;
    let mut text = String::from("setting,value\n");
    let value = serde_json::to_value(&*config).unwrap_or_default();
    settings(&mut text, String::new(), &value);
    table.of(&name, &title, text).await
}

async fn evaluation(
    State(state): State<AppState>,
    Path(id): Path<RunId>,
    table: TableAnswer,
) -> Result<Response, AppError> {
    let name = format!("{id}-evaluation");
    let title = format!("Evaluation of {id}");
    let text = state.ask(move |studio| run_measures_table(studio, &id));
    table.of(&name, &title, text.await?).await
}

/// A line for each setting, those of groups as `group.setting`.
pub(super) fn settings(text: &mut String, name: String, value: &Value) {
    match value {
        Value::Object(fields) => {
            for (field, value) in fields {
                let name = match name.as_str() {
                    "" => field.clone(),
                    group => format!("{group}.{field}"),
                };
                settings(text, name, value);
            }
        }
        Value::Null => *text += &format!("{name},\n"),
        Value::String(value) => *text += &format!("{name},{}\n", quoted(value)),
        Value::Array(_) => *text += &format!("{name},{}\n", quoted(&value.to_string())),
        value => *text += &format!("{name},{value}\n"),
    }
}

#[derive(Deserialize)]
#[serde(default)]
struct GridQuery {
    space: Space,
    step: Step,
    sort: PrototypeSort,
    q: String,
    health: Option<Health>,
}

impl Default for GridQuery {
    fn default() -> Self {
        Self {
            space: Space::Image,
            step: Step::default(),
            sort: PrototypeSort::default(),
            q: String::new(),
            health: None,
        }
    }
}

async fn prototypes(
    State(state): State<AppState>,
    Path(id): Path<RunId>,
    ApiQuery(asked): ApiQuery<GridQuery>,
    table: TableAnswer,
) -> Result<Response, AppError> {
    let name = format!("{id}-prototypes");
    let title = format!("Prototypes of {id}");
    let text = state.ask(move |studio| {
        let mut query = PrototypeQuery {
            space: asked.space,
            step: asked.step.0,
            sort: asked.sort,
            text: asked.q,
            health: asked.health,
            offset: 0,
            limit: MOST_CARDS,
        };
        let mut text = String::from(
            "step,space,prototype,size,tightness,change,predecessor,purity,label,words,nearest_sample,nearest_caption\n",
        );
        loop {
            let page = studio.prototypes(&id, &query)?;
            for card in &page.prototypes {
                text += &prototype_row(page.step, page.space, card);
            }
            query.offset += page.prototypes.len();
            // Later pages are of the same step, also when a newer one comes meanwhile.
            query.step = Some(page.step);
            if page.prototypes.is_empty() || query.offset >= page.matching {
                return Ok(text);
            }
        }
    });
    table.of(&name, &title, text.await?).await
}

fn prototype_row(step: u64, space: Space, card: &PrototypeCard) -> String {
    let nearest = card.samples.first();
    format!(
        "{step},{},{},{},{},{},{},{},{},{},{},{}\n",
        space.name(),
        card.id,
        card.size,
        number(card.tightness),
        number(card.change),
        number(card.predecessor),
        number(card.purity),
        card.label.as_deref().map_or_else(String::new, quoted),
        quoted(&card.words.join(" ")),
        number(nearest.map(|sample| sample.sample)),
        nearest.map_or_else(String::new, |sample| quoted(&sample.caption)),
    )
}

async fn tensorboard(
    State(state): State<AppState>,
    Path(id): Path<RunId>,
) -> Result<Response, AppError> {
    let file = state.ask(move |studio| studio.tensorboard(&id)).await?;
    Ok(saved(&file.name, "application/octet-stream", file.bytes))
}

#[derive(Deserialize)]
#[serde(default)]
struct FeatureQuery {
    space: Space,
    step: Step,
    kind: FeatureKind,
}

impl Default for FeatureQuery {
    fn default() -> Self {
        Self {
            space: Space::Image,
            step: Step::default(),
            kind: FeatureKind::default(),
        }
    }
}

impl FeatureQuery {
    fn query(&self) -> EmbeddingQuery {
        EmbeddingQuery {
            step: self.step.0,
            space: self.space,
            kind: self.kind,
        }
    }
}

async fn vectors(
    State(state): State<AppState>,
    Path(id): Path<RunId>,
    ApiQuery(asked): ApiQuery<FeatureQuery>,
) -> Result<Response, AppError> {
    let text = state.ask(move |studio| studio.embedding_vectors(&id, asked.query()));
    Ok(saved("vectors.tsv", TSV, text.await?))
}

async fn metadata(
    State(state): State<AppState>,
    Path(id): Path<RunId>,
    ApiQuery(asked): ApiQuery<FeatureQuery>,
) -> Result<Response, AppError> {
    let text = state.ask(move |studio| studio.embedding_metadata(&id, asked.query()));
    Ok(saved("metadata.tsv", TSV, text.await?))
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct FrameParameters {
    step: Step,
    space: MapSpace,
    method: Option<MapMethod>,
    features: MapFeatures,
    vectors: bool,
}

/// Counts as a picture, since it may compute a map and holds a whole table in memory.
async fn frame(
    State(state): State<AppState>,
    Path(id): Path<RunId>,
    ApiQuery(asked): ApiQuery<FrameParameters>,
) -> Result<Response, AppError> {
    let query = FrameQuery {
        step: asked.step.0,
        space: asked.space,
        method: asked.method,
        features: asked.features,
        vectors: asked.vectors,
    };
    let frame = state.ask_picture(move |studio| studio.map_frame(&id, query));
    let frame = frame.await?;
    Ok(saved(&frame.name, PARQUET, frame.bytes))
}

/// A number that may be absent.
fn number<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}
