//! All routes in one place.

use axum::Router;
use axum::routing::get;

use super::endpoint::Endpoint;
use super::{AppState, api, assets, events, layers, openapi, pages, probes};

/// The whole site, ready to serve.
pub fn site(state: AppState) -> Router {
    let described = routes()
        .into_iter()
        .fold(Router::new(), |router, endpoint| {
            router.route(endpoint.path, endpoint.handler)
        });
    let answering = described
        .merge(pages::router(&state))
        .route("/static/{*path}", get(assets::asset))
        .fallback(pages::unknown_address)
        .method_not_allowed_fallback(layers::wrong_method);
    let streaming = Router::new().route("/events", get(events::events));
    let site = layers::limited(answering).merge(streaming);
    layers::guarded(site, &state).with_state(state)
}

/// Every route that `/api/openapi.json` describes.
pub fn routes() -> Vec<Endpoint> {
    let mut routes = api::endpoints();
    routes.extend(probes::endpoints());
    routes.push(openapi::endpoint());
    routes
}
