//! What the tests of the running studio share.

pub(crate) mod client;
pub(crate) mod data_files;
pub(crate) mod program;
#[cfg(feature = "s3")]
pub(crate) mod s3_server;
pub(crate) mod scripted_runner;
pub(crate) mod snapshot_fixture;
pub(crate) mod test_site;
