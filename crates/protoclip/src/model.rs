//! `Clip`: two towers, two projection heads and two logit scales on Burn.
//!
//! The trainer and the evaluation call it on their own thread; it reads and writes weight files
//! only in [`weights`], knows no data set and no loss, and assumes nothing about its device.
//!
//! A [`ClipConfig`] is OpenCLIP's JSON plus our projection head; [`ClipConfig::init`] draws the
//! initial values of OpenCLIP 1.2.1 from one seed. Parameters carry OpenCLIP's names
//! ([`parameter_names`]) and, derived from them, the same `ParamId` in every process, so optimizer
//! state that was saved by id fits a model that was built anew.

mod architecture;
mod attention_pool;
mod batch_norm;
mod bottleneck;
mod clip;
mod config;
mod convolution;
mod export;
mod image_tower;
mod import;
mod imported_directory;
mod layer_norm;
mod modified_resnet;
mod multi_head_attention;
mod parameter_init;
mod parameter_name;
mod projection_head;
mod reader;
mod running_statistic;
mod size;
mod text_transformer;
mod transformer;
mod vision_transformer;
pub mod weights;

pub use attention_pool::AttentionPool;
pub use batch_norm::BatchNorm;
pub use bottleneck::Bottleneck;
pub use clip::{Clip, l2_normalize};
pub use config::{
    ClipConfig, ImageLayers, ModelConfigError, ProjectionHeadConfig, TextConfig, VisionConfig,
};
pub use convolution::Convolution;
pub use export::write_open_clip_weights;
pub use image_tower::ImageTower;
pub use import::{
    ImportError, ImportOptions, ImportedModel, check_weights, import_weights, load_checkpoint,
    start_from_weights,
};
pub use imported_directory::{ImportReport, Watch, import_into, import_watched};
pub use layer_norm::LayerNorm;
pub use modified_resnet::ModifiedResNet;
pub use multi_head_attention::MultiHeadAttention;
pub use parameter_name::{NamedParameter, decays, is_visual, parameter_names};
pub use projection_head::ProjectionHead;
pub use running_statistic::RunningStatistic;
pub use text_transformer::TextTransformer;
pub use transformer::{Mlp, ResidualAttentionBlock, Transformer};
pub use vision_transformer::VisionTransformer;
