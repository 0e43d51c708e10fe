//! HTTP: the JSON API, the event stream, pages and assets. Handlers translate between requests and
//! [`Studio`](crate::studio::Studio); they decide nothing about runs.

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
mod router;
mod serve;
mod state;

pub use allowed_hosts::AllowedHosts;
pub use assets::asset_url;
pub use error::AppError;
pub use router::{routes, site};
pub use serve::serve;
pub use state::AppState;
