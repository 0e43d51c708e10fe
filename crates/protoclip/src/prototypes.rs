//! Prototypes: centroids of an episode's features, their translation between spaces, and the
//! snapshots that the studio shows.

mod snapshot;
mod words;

pub use snapshot::{PrototypeSnapshot, Space, SpaceClusters};
pub use words::{CaptionStatistics, prototype_words};
