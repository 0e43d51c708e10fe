//! One test binary for everything that is checked against golden fixtures.

mod golden_file;
mod losses;
mod model;
