//! HTTP: the JSON API, the event stream, pages and assets. Handlers translate between requests and
//! [`Studio`](crate::studio::Studio); they decide nothing about runs.

mod access;
mod allowed_hosts;
mod api;
mod assets;
mod endpoint;
mod error;
mod events;
mod layers;
mod openapi;
pub mod pages;
mod probes;
mod route;
mod router;
mod serve;
mod stalled_write;
mod state;

pub use access::{Access, Token};
pub use allowed_hosts::AllowedHosts;
pub use assets::asset_url;
pub use error::AppError;
pub use route::{Route, RouteKind};
pub use router::{all_routes, routes, site};
pub use serve::{ConnectionLimits, serve, serve_within};
pub use state::AppState;
