//! `/runs/{id}/space`: maps of the image and text spaces. The browser draws the points; without
//! script the page shows the finished maps as figures, and its form asks for missing ones.

use askama::Template;
use axum::extract::{Form, Path, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use protoclip::analysis::MapMethod;
use serde::Deserialize;

use super::address::{address, percent};
use super::figures::grouped;
use super::prototypes::Choice;
use super::respond::{answer, page};
use super::run_card::RunCard;
use super::shell::Shell;
use crate::server::AppState;
use crate::studio::{MapFeatures, MapKey, MapSpace, MapState, RunId, RunView, Studio, StudioError};

/// The page's state as far as the server needs it. Whatever makes no sense takes its default.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct SpaceQuery {
    step: String,
    view: String,
    method: String,
    features: String,
    colour: String,
    by: String,
}

#[derive(Debug, Template)]
#[template(path = "pages/run_space.html")]
struct SpacePage {
    shell: Shell,
    tab: &'static str,
    run: RunCard,
    /// Why there is nothing to show.
    absent: Option<String>,
    /// JSON array of the steps that can be shown.
    steps_json: String,
    step: u64,
    form: Vec<Select>,
    panels: Vec<PanelFrame>,
    live: bool,
}

#[derive(Debug)]
struct Select {
    name: &'static str,
    label: &'static str,
    help: &'static str,
    choices: Vec<Choice>,
}

/// One map's place on the page.
#[derive(Debug)]
struct PanelFrame {
    name: &'static str,
    title: &'static str,
    hidden: bool,
    /// Query of this panel's map.
    query: String,
    finished: bool,
    pending: bool,
}

/// Steps and label columns of a run.
struct Known {
    steps: Vec<u64>,
    labels: Vec<String>,
    teacher: bool,
}

pub(super) async fn space(
    State(state): State<AppState>,
    shell: Shell,
    Path(id): Path<String>,
    Query(query): Query<SpaceQuery>,
) -> Response {
    page(state, shell, move |studio, shell| {
        let id = RunId::from(id.as_str());
        let view = studio.run(&id)?;
        let known = Known::of(studio, &id)?;
        SpacePage::new(studio, shell.in_section("runs"), &view, &query, &known)
    })
    .await
}

/// Asks for the maps that the form shows and comes back.
pub(super) async fn make(
    State(state): State<AppState>,
    shell: Shell,
    Path(id): Path<String>,
    Form(query): Form<SpaceQuery>,
) -> Response {
    let back = query.address(&id);
    let asked = state.ask(move |studio| {
        let id = RunId::from(id.as_str());
        let step = query.step(&studio.feature_steps(&id)?);
        for &space in query.spaces() {
            studio.start_map(&id, query.key(space, step))?;
        }
        Ok(())
    });
    answer(
        shell,
        asked.await.map(|()| Redirect::to(&back).into_response()),
    )
}

impl SpaceQuery {
    fn step(&self, steps: &[u64]) -> u64 {
        let asked = self.step.parse().ok();
        asked.or(steps.last().copied()).unwrap_or(0)
    }

    fn method(&self) -> MapMethod {
        let known = MapMethod::ALL.into_iter().find(|m| m.name() == self.method);
        known.unwrap_or_default()
    }

    fn features(&self) -> MapFeatures {
        let known = MapFeatures::ALL
            .into_iter()
            .find(|f| f.name() == self.features);
        known.unwrap_or_default()
    }

    fn spaces(&self) -> &'static [MapSpace] {
        match self.view.as_str() {
            "joint" => &[MapSpace::Joint],
            _ => &[MapSpace::Image, MapSpace::Text],
        }
    }

    fn key(&self, space: MapSpace, step: u64) -> MapKey {
        MapKey {
            step,
            space,
            method: self.method(),
            features: self.features(),
        }
    }

    fn address(&self, run: &str) -> String {
        let pairs = [
            ("step", self.step.as_str()),
            ("view", &self.view),
            ("method", &self.method),
            ("features", &self.features),
            ("colour", &self.colour),
            ("by", &self.by),
        ];
        address(&format!("/runs/{}/space", percent(run)), &pairs)
    }
}

impl Known {
    fn of(studio: &Studio, id: &RunId) -> Result<Self, StudioError> {
        let config = studio.config(id)?;
        let labels = match studio.open_data_set(config.data.clone()) {
            Ok(set) => set.labels.into_iter().map(|(name, _)| name).collect(),
            // Maps can be looked at without their data set.
            Err(_) => Vec::new(),
        };
        Ok(Self {
            steps: studio.feature_steps(id)?,
            labels,
            teacher: config.teacher.kind != protoclip::config::TeacherKind::None,
        })
    }
}

impl SpacePage {
    fn new(
        studio: &Studio,
        shell: Shell,
        view: &RunView,
        query: &SpaceQuery,
        known: &Known,
    ) -> Result<Self, StudioError> {
        let step = query.step(&known.steps);
        let mut panels = Vec::new();
        for (space, title) in [
            (MapSpace::Image, "Image space"),
            (MapSpace::Text, "Text space"),
            (MapSpace::Joint, "Both spaces"),
        ] {
            let key = query.key(space, step);
            let status = studio.map_status(&view.id, key)?.map(|status| status.state);
            panels.push(PanelFrame {
                name: space.name(),
                title,
                hidden: !query.spaces().contains(&space),
                query: format!(
                    "step={step}&space={}&method={}&features={}",
                    space.name(),
                    key.method.name(),
                    key.features.name()
                ),
                finished: status == Some(MapState::Finished),
                pending: matches!(status, Some(MapState::Queued | MapState::Running)),
            });
        }
        Ok(Self {
            shell,
            tab: "space",
            run: RunCard::new(view),
            absent: known.steps.is_empty().then(|| absence(view)),
            steps_json: format!("{:?}", known.steps),
            step,
            form: selects(query, known, step),
            panels,
            live: view.state.is_active(),
        })
    }
}

fn absence(view: &RunView) -> String {
    match view.state.is_active() {
        true => "Features are kept at the start of every episode; the first ones are on their way."
            .into(),
        false => "This run kept no features: it ended before its first episode, or an earlier \
                  version of the studio trained it. Resume or fork it to get some."
            .into(),
    }
}

fn selects(query: &SpaceQuery, known: &Known, step: u64) -> Vec<Select> {
    let steps = known.steps.iter().rev().map(|s| {
        let label = format!("step {}", grouped(*s));
        (s.to_string(), label)
    });
    let methods = MapMethod::ALL.map(|m| (m.name().to_owned(), m.label().to_owned()));
    let mut colours = vec![
        ("prototype".to_owned(), "groups of prototypes".to_owned()),
        ("similarity".into(), "gap (cosine of the pair)".into()),
        ("size".into(), "size of the prototype".into()),
        ("modality".into(), "modality".into()),
    ];
    let labels = known.labels.iter();
    colours.extend(labels.map(|name| (format!("label:{name}"), format!("label: {name}"))));
    let mut spaces = vec![pair("image", "image"), pair("text", "text")];
    if known.teacher {
        spaces.push(pair("teacher", "teacher"));
    }
    let or = |value: &str, otherwise: &str| match value.is_empty() {
        true => otherwise.to_owned(),
        false => value.to_owned(),
    };
    vec![
        select(
            "step",
            "Step",
            "Step at which the features were extracted",
            steps.collect(),
            &step.to_string(),
        ),
        select(
            "view",
            "View",
            "Both spaces beside each other, or in one map",
            vec![pair("twin", "side by side"), pair("joint", "one map")],
            &or(&query.view, "twin"),
        ),
        select(
            "method",
            "Method",
            "How samples get their place in the plane",
            methods.to_vec(),
            query.method().name(),
        ),
        select(
            "features",
            "Features",
            "Projected features are what is clustered; tower features are what retrieval compares",
            vec![pair("clustered", "clustered"), pair("tower", "tower")],
            query.features().name(),
        ),
        select(
            "colour",
            "Colour by",
            "What the colour of a point shows",
            colours,
            &or(&query.colour, "prototype"),
        ),
        select(
            "by",
            "Prototypes of",
            "Whose prototypes colours and words are about",
            spaces,
            &or(&query.by, "image"),
        ),
    ]
}

fn pair(value: &str, label: &str) -> (String, String) {
    (value.to_owned(), label.to_owned())
}

fn select(
    name: &'static str,
    label: &'static str,
    help: &'static str,
    choices: Vec<(String, String)>,
    current: &str,
) -> Select {
    let choices = choices.into_iter().map(|(value, label)| Choice {
        current: value == current,
        value,
        label,
    });
    Select {
        name,
        label,
        help,
        choices: choices.collect(),
    }
}
