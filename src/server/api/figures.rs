//! Figures and tables as answers. The end of the address says the format; the colours are those that
//! are asked for, or those of the person's settings.

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::handler::Handler;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::super::endpoint::Endpoint;
use super::super::{AppError, AppState};
use super::csv::csv;
use crate::server::pages::chosen;
use crate::studio::{Figure, FigureFormat, FigureLook, Palette, table_figure};

/// The addresses of a figure.
macro_rules! svg_and_png {
    ($path:literal) => {
        [concat!($path, ".svg"), concat!($path, ".png")]
    };
}
/// The addresses of a table.
macro_rules! csv_svg_and_png {
    ($path:literal) => {
        [
            concat!($path, ".csv"),
            concat!($path, ".svg"),
            concat!($path, ".png"),
        ]
    };
}
pub(super) use {csv_svg_and_png, svg_and_png};

type Query = &'static [(&'static str, &'static str)];

/// Name of the parameter and of the preference.
const PALETTE: &str = "palette";

/// The routes of a figure; the handler takes a [`Look`].
pub(super) fn figures<H, T, const N: usize>(
    paths: [&'static str; N],
    summary: &'static str,
    query: Query,
    handler: H,
) -> Vec<Endpoint>
where
    H: Handler<T, AppState>,
    T: 'static,
{
    let endpoint = |path: &'static str| {
        let kind = match path.rsplit_once('.').map(|(_, end)| end) {
            Some("svg") => "image/svg+xml",
            Some("png") => "image/png",
            _ => "text/csv",
        };
        Endpoint::get(path, summary, handler.clone())
            .query(query)
            .drawn(kind != "text/csv")
            .success(200, kind)
            .failures(&[400, 404, 409, 422])
    };
    paths.into_iter().map(endpoint).collect()
}

/// How a figure is asked for.
pub(super) struct Look(pub(super) FigureLook);

impl<S: Sync> FromRequestParts<S> for Look {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, AppError> {
        let format = match ending(parts) {
            "svg" => FigureFormat::Svg,
            _ => FigureFormat::Png,
        };
        let palette = palette(parts)?;
        Ok(Self(FigureLook { format, palette }))
    }
}

/// What stands behind the last dot of the path.
fn ending(parts: &Parts) -> &str {
    parts.uri.path().rsplit_once('.').map_or("", |(_, end)| end)
}

fn palette(parts: &Parts) -> Result<Palette, AppError> {
    let query = parts.uri.query().unwrap_or_default();
    let asked = query
        .split('&')
        .find_map(|pair| pair.strip_prefix(PALETTE)?.strip_prefix('='));
    match asked {
        Some(name) => Palette::named(name).ok_or_else(|| {
            let message = format!("palette is {name:?}; there are okabe-ito and lightness");
            AppError::new(StatusCode::BAD_REQUEST, message)
        }),
        None => Ok(chosen(&parts.headers, PALETTE)
            .and_then(Palette::named)
            .unwrap_or_default()),
    }
}

/// A figure as an answer; it may be another one later.
pub(super) fn drawn(figure: Figure) -> Response {
    let described = [
        (header::CONTENT_TYPE, figure.content_type),
        (header::CACHE_CONTROL, "no-cache"),
        (header::VARY, "cookie"),
    ];
    (described, Body::from(figure.bytes)).into_response()
}

/// How a table is asked for, and the studio that draws it.
pub(super) struct TableAnswer {
    state: AppState,
    /// None for CSV.
    look: Option<FigureLook>,
}

impl FromRequestParts<AppState> for TableAnswer {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, AppError> {
        let look = match ending(parts) {
            "csv" => None,
            _ => Some(Look::from_request_parts(parts, state).await?.0),
        };
        Ok(Self {
            state: state.clone(),
            look,
        })
    }
}

impl TableAnswer {
    /// The table with these rows; `name` is that of the file, `title` stands above the figure.
    pub(super) async fn of(
        self,
        name: &str,
        title: &str,
        text: String,
    ) -> Result<Response, AppError> {
        let Some(look) = self.look else {
            return Ok(csv(name, text));
        };
        let title = title.to_owned();
        let figure = self.state.ask(move |_| table_figure(&title, &text, look));
        Ok(drawn(figure.await?))
    }
}
