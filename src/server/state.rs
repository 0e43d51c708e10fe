//! What every handler can reach.

use std::sync::Arc;

use tokio::sync::{Semaphore, watch};

use super::events::EventHub;
use super::{Access, AllowedHosts, AppError};
use crate::studio::{Studio, StudioError};

/// Shared by all requests; cheap to clone.
#[derive(Clone)]
pub struct AppState {
    pub studio: Arc<Studio>,
    /// Turns true when the server is to end; event streams then end.
    pub(crate) ending: watch::Receiver<bool>,
    pub(crate) hosts: Arc<AllowedHosts>,
    pub(crate) access: Arc<Access>,
    pub(super) events: EventHub,
    /// Permits of picture decoding, so that a page of thumbnails leaves threads for others.
    pub(crate) pictures: Arc<Semaphore>,
}

/// Pictures decoded at the same time.
const MOST_PICTURES: usize = 4;

impl AppState {
    pub fn new(studio: Arc<Studio>, hosts: AllowedHosts, ending: watch::Receiver<bool>) -> Self {
        Self {
            studio,
            ending,
            hosts: Arc::new(hosts),
            access: Arc::new(Access::open()),
            events: EventHub::default(),
            pictures: Arc::new(Semaphore::new(MOST_PICTURES)),
        }
    }

    /// With rules about who may do what.
    #[must_use]
    pub fn with_access(mut self, access: Access) -> Self {
        self.access = Arc::new(access);
        self
    }

    /// Asks the studio something on a thread that may block.
    ///
    /// # Errors
    /// What the studio answered, or an internal error when it panicked.
    pub async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Studio) -> Result<T, StudioError> + Send + 'static,
    ) -> Result<T, AppError> {
        let studio = Arc::clone(&self.studio);
        tokio::task::spawn_blocking(move || question(&studio))
            .await
            .map_err(AppError::internal)?
            .map_err(AppError::from)
    }

    /// As [`AppState::ask`], for pictures: only a few are decoded at the same time.
    ///
    /// # Errors
    /// As [`AppState::ask`].
    pub async fn ask_picture<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Studio) -> Result<T, StudioError> + Send + 'static,
    ) -> Result<T, AppError> {
        let _permit = self.pictures.acquire().await.map_err(AppError::internal)?;
        self.ask(question).await
    }
}
