//! One test binary for everything that is checked against golden fixtures, or against the exact
//! properties of the method.

mod archives;
mod export;
mod golden_file;
mod gradients;
mod model;
mod properties;
mod weights;
