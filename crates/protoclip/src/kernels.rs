//! CPU kernels; the only place with `unsafe`.

pub(crate) mod distance;
