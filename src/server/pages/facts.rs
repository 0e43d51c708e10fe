//! Facts as a list of names and values, and those about the machine.

use super::figures::bytes;
use crate::studio::{Studio, instructions};

/// One line of a list of facts.
#[derive(Debug)]
pub(super) struct Fact {
    pub(super) name: &'static str,
    pub(super) value: String,
}

/// What the studio runs on.
pub(super) fn machine(studio: &Studio) -> Vec<Fact> {
    let facts = studio.facts();
    let unknown = || "unknown".to_owned();
    let memory = facts.memory.map_or_else(unknown, |memory| {
        format!("{}, {} free", bytes(memory.total), bytes(memory.available))
    });
    let fact = |name, value| Fact { name, value };
    vec![
        fact("Device of new runs", facts.device),
        fact("Threads", facts.threads.to_string()),
        fact("Memory", memory),
        fact("Vector instructions", instructions().join(", ")),
        fact("Free disk", facts.free_bytes.map_or_else(unknown, bytes)),
        fact("Data directory", facts.data_dir),
        fact("Version", facts.version.to_owned()),
    ]
}
