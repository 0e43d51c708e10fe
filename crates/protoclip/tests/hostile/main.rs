//! Files that somebody made to do harm: bombs, code in pickles, and ten thousand broken ones for each
//! reader. None may panic, run anything, or take memory out of proportion.

mod bombs;
mod cuts;
mod files;
mod payloads;
mod sources;
