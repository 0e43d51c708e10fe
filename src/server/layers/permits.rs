//! How many requests one route answers at the same time.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::Instrument;

use crate::server::AppError;

/// Answers with a permit, or 503 when all are taken. The permit is held until the last byte is
/// sent, and by a handler that works on although its client has gone or its time is up.
pub(in crate::server) async fn with_permit(
    State(permits): State<Arc<Semaphore>>,
    request: Request,
    next: Next,
) -> Response {
    let Ok(permit) = permits.try_acquire_owned() else {
        let message = "too many requests of this kind at the same time; try again soon";
        return AppError::new(StatusCode::SERVICE_UNAVAILABLE, message).into_response();
    };
    let answering = async move { (next.run(request).await, permit) };
    match tokio::spawn(answering.in_current_span()).await {
        Ok((response, permit)) => response.map(|body| {
            Body::new(Held {
                body,
                _permit: permit,
            })
        }),
        Err(failed) => match failed.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(cancelled) => AppError::internal(cancelled).into_response(),
        },
    }
}

/// A body with the permit of its request.
struct Held {
    body: Body,
    _permit: OwnedSemaphorePermit,
}

impl http_body::Body for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::http::header;
    use axum::middleware;
    use axum::routing::get;
    use futures_util::stream;
    use tokio::sync::Notify;
    use tower::ServiceExt;

    use super::*;

    fn site(handler: axum::routing::MethodRouter, permits: usize) -> Router {
        let permits = Arc::new(Semaphore::new(permits));
        let layer = middleware::from_fn_with_state(permits, with_permit);
        Router::new().route("/", handler.layer(layer))
    }

    async fn ask(site: &Router) -> Response {
        let request = Request::get("/").body(Body::empty()).expect("a request");
        site.clone().oneshot(request).await.expect("never fails")
    }

    #[tokio::test]
    async fn a_permit_is_held_until_the_body_is_gone() {
        let endless = async || Body::from_stream(stream::pending::<Result<Bytes, axum::Error>>());
        let site = site(get(endless), 2);
        let (first, second) = (ask(&site).await, ask(&site).await);
        assert_eq!(second.status(), StatusCode::OK);
        let third = ask(&site).await;
        assert_eq!(third.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(third.headers().contains_key(header::RETRY_AFTER));
        drop(first);
        assert_eq!(ask(&site).await.status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn a_handler_keeps_its_permit_when_its_client_leaves() {
        let (begun, finish) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (told, asked) = (Arc::clone(&begun), Arc::clone(&finish));
        let slow = async move || {
            told.notify_one();
            asked.notified().await;
        };
        let site = site(get(slow), 1);
        let client = tokio::spawn({
            let site = site.clone();
            async move { ask(&site).await.status() }
        });
        begun.notified().await;
        client.abort();
        assert!(client.await.is_err());
        assert_eq!(ask(&site).await.status(), StatusCode::SERVICE_UNAVAILABLE);
        finish.notify_one();
        // It ends soon; the next one waits for `finish` again.
        finish.notify_one();
        while ask(&site).await.status() != StatusCode::OK {
            finish.notify_one();
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn the_length_of_a_body_is_still_known() {
        let site = site(get(async || "four"), 1);
        let answer = ask(&site).await;
        assert_eq!(http_body::Body::size_hint(answer.body()).exact(), Some(4));
    }
}
