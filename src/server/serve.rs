//! Accepting connections until told to end.

use tokio::net::TcpListener;
use tokio::sync::watch;

use super::{AppState, site};

/// Serves the site until `ending` turns true; then takes no new requests, lets event streams end
/// and waits for the answers under way.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    state: AppState,
    ending: watch::Receiver<bool>,
) -> std::io::Result<()> {
    axum::serve(listener, site(state))
        .with_graceful_shutdown(turned_true(ending))
        .await
}

/// Ends when the value is true or its sender is gone.
async fn turned_true(mut value: watch::Receiver<bool>) {
    let _gone = value.wait_for(|ending| *ending).await;
}
