//! What the tests of the running studio share.

pub(crate) mod client;
pub(crate) mod data_files;
pub(crate) mod program;
pub(crate) mod scripted_runner;
pub(crate) mod snapshot_fixture;
pub(crate) mod test_site;
