//! All routes in one place: nothing answers that is not in [`all_routes`].

use axum::Router;
use axum::middleware::from_fn_with_state;

use super::endpoint::Endpoint;
use super::route::{Route, RouteKind};
use super::{AppState, api, assets, events, layers, openapi, pages, probes};

/// Event streams open at the same time.
const STREAMS: usize = 1024;

/// The whole site, ready to serve.
pub fn site(state: AppState) -> Router {
    let (streaming, answering): (Vec<Route>, Vec<Route>) = all_routes()
        .into_iter()
        .partition(|route| route.kind == RouteKind::Stream);
    let answering = router_of(answering, &state)
        .fallback(pages::unknown_address)
        .method_not_allowed_fallback(layers::wrong_method);
    let site = layers::limited(answering).merge(router_of(streaming, &state));
    layers::guarded(site, &state).with_state(state)
}

fn router_of(routes: Vec<Route>, state: &AppState) -> Router<AppState> {
    let of_imported = from_fn_with_state(state.clone(), pages::without_training);
    routes.into_iter().fold(Router::new(), |router, route| {
        let (path, page) = (route.path, route.kind == RouteKind::Page);
        let mut handler = route.into_handler();
        if page && path.starts_with(pages::OF_A_RUN) {
            handler = handler.route_layer(of_imported.clone());
        }
        router.route(path, handler)
    })
}

/// Every route that `/api/openapi.json` describes.
pub fn routes() -> Vec<Endpoint> {
    let mut routes = api::endpoints();
    routes.extend(probes::endpoints());
    routes.push(openapi::endpoint());
    routes
}

/// Every route of the site.
pub fn all_routes() -> Vec<Route> {
    let mut all: Vec<Route> = routes().into_iter().map(Route::from).collect();
    all.extend(pages::routes());
    all.push(Route::get(
        RouteKind::Asset,
        "/static/{*path}",
        assets::asset,
    ));
    all.push(Route::get(RouteKind::Stream, "/events", events::events).permits(STREAMS));
    all
}
