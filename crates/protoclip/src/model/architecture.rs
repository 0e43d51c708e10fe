//! The model that a weight file was made for, from the shapes of its tensors.
//!
//! Follows OpenCLIP's `build_model_from_openai_state_dict`. Shapes do not tell the number of attention
//! heads; without other knowledge every head is 64 wide, as in all of OpenAI's models.

use std::collections::BTreeSet;

use super::weights::{WeightSource, WeightsError};
use super::{ClipConfig, ImageLayers, ProjectionHeadConfig, TextConfig, VisionConfig};

/// Width of a head in OpenAI's models.
const HEAD_WIDTH: usize = 64;
/// Pixels per position of a ModifiedResNet's last feature map.
const REDUCTION: usize = 32;
/// Widest layer of a projection head; the paper's has 2,048.
const LARGEST_HEAD: usize = 65_536;

/// The configuration that fits a file's tensors, heads by convention and the exact GELU.
///
/// # Errors
/// Names the tensor that is missing or has a shape that no CLIP model gives it.
pub(super) fn infer(source: &WeightSource) -> Result<ClipConfig, WeightsError> {
    let [_, embed_dim] = matrix(source, "text_projection")?;
    Ok(ClipConfig {
        embed_dim,
        vision_cfg: vision(source)?,
        text_cfg: text(source)?,
        quick_gelu: false,
        projection_head: projection_head(source)?.unwrap_or_default(),
    })
}

/// Sizes of the projection heads; `None` when the file has none of the depth that is used here.
///
/// # Errors
/// When a head is there in part.
pub(super) fn projection_head(
    source: &WeightSource,
) -> Result<Option<ProjectionHeadConfig>, WeightsError> {
    if head_tensors(source).is_empty() || !has_usual_heads(source) {
        return Ok(None);
    }
    let [hidden, _] = matrix(source, "image_projection_head.0.weight")?;
    let [output, _] = matrix(source, "image_projection_head.3.weight")?;
    Ok(Some(ProjectionHeadConfig { hidden, output }))
}

/// Names of the projection heads' tensors.
pub(super) fn head_tensors(source: &WeightSource) -> Vec<String> {
    let names = source
        .names()
        .filter(|name| name.contains("_projection_head."));
    names.map(str::to_owned).collect()
}

/// Whether the last layer of the heads is the one behind a single hidden layer.
fn has_usual_heads(source: &WeightSource) -> bool {
    let layer = |name: &str| name.split('.').nth(1).and_then(|n| n.parse().ok());
    let layers = head_tensors(source);
    layers.iter().filter_map(|n| layer(n)).max() == Some(3u32)
}

fn vision(source: &WeightSource) -> Result<VisionConfig, WeightsError> {
    if source.entry("visual.proj").is_some() {
        vision_transformer(source)
    } else if source.entry("visual.layer1.0.conv1.weight").is_some() {
        modified_resnet(source)
    } else {
        // Names the tensor that OpenCLIP looks for first.
        source.shape("visual.proj").map(|_| ())?;
        vision_transformer(source)
    }
}

fn vision_transformer(source: &WeightSource) -> Result<VisionConfig, WeightsError> {
    let [width, _, _, patch] = kernel(source, "visual.conv1.weight")?;
    let [tokens, _] = matrix(source, "visual.positional_embedding")?;
    let grid = grid_side(source, "visual.positional_embedding", tokens, width)?;
    Ok(VisionConfig {
        image_size: grid * patch,
        layers: ImageLayers::VisionTransformer(blocks(source, "visual.transformer.resblocks.")),
        width,
        patch_size: Some(patch),
        head_width: conventional_head(width),
    })
}

fn modified_resnet(source: &WeightSource) -> Result<VisionConfig, WeightsError> {
    let [width, _, _, _] = kernel(source, "visual.layer1.0.conv1.weight")?;
    let name = "visual.attnpool.positional_embedding";
    let [tokens, channels] = matrix(source, name)?;
    let side = grid_side(source, name, tokens, channels)?;
    let stage = |i: usize| blocks(source, &format!("visual.layer{i}."));
    Ok(VisionConfig {
        image_size: side * REDUCTION,
        layers: ImageLayers::ModifiedResNet([stage(1), stage(2), stage(3), stage(4)]),
        width,
        patch_size: None,
        head_width: conventional_head(channels),
    })
}

fn text(source: &WeightSource) -> Result<TextConfig, WeightsError> {
    let [context_length, _] = matrix(source, "positional_embedding")?;
    let [vocab_size, width] = matrix(source, "token_embedding.weight")?;
    Ok(TextConfig {
        context_length,
        vocab_size,
        width,
        heads: width / conventional_head(width).max(1),
        layers: blocks(source, "transformer.resblocks."),
    })
}

/// 64, or one head where that does not divide the width.
fn conventional_head(width: usize) -> usize {
    match width % HEAD_WIDTH {
        0 => HEAD_WIDTH,
        _ => width,
    }
}

/// Different numbers that follow `prefix` in the names.
fn blocks(source: &WeightSource, prefix: &str) -> usize {
    let number = |name: &str| {
        let rest = name.strip_prefix(prefix)?;
        rest.split('.').next()?.parse::<usize>().ok()
    };
    let found: BTreeSet<usize> = source.names().filter_map(number).collect();
    found.len()
}

/// The side of a square grid with one token more.
fn grid_side(
    source: &WeightSource,
    name: &str,
    tokens: usize,
    width: usize,
) -> Result<usize, WeightsError> {
    let side = tokens.saturating_sub(1).isqrt();
    match side * side + 1 == tokens && side > 0 {
        true => Ok(side),
        false => Err(shape_error(
            source,
            name,
            vec![side.max(1).pow(2) + 1, width],
        )),
    }
}

fn matrix(source: &WeightSource, name: &str) -> Result<[usize; 2], WeightsError> {
    match *source.shape(name)? {
        [rows, columns] if rows > 0 && columns > 0 => Ok([rows, columns]),
        ref other => {
            let message = format!("tensor {name} has shape {other:?}, wanted two axes");
            Err(WeightsError::format(source.place(), message))
        }
    }
}

fn kernel(source: &WeightSource, name: &str) -> Result<[usize; 4], WeightsError> {
    match *source.shape(name)? {
        [output, input, height, width] if output > 0 && height == width && width > 0 => {
            Ok([output, input, height, width])
        }
        ref other => {
            let message = format!(
                "tensor {name} has shape {other:?}, wanted four axes of which the last two are equal"
            );
            Err(WeightsError::format(source.place(), message))
        }
    }
}

fn shape_error(source: &WeightSource, name: &str, wanted: Vec<usize>) -> WeightsError {
    WeightsError::Shape {
        path: source.place().to_owned(),
        tensor: name.to_owned(),
        wanted,
        found: source
            .shape(name)
            .map(<[usize]>::to_vec)
            .unwrap_or_default(),
    }
}

/// Checks the tensors whose shapes together fix every size of `config`, before a model of that size
/// is built.
///
/// # Errors
/// Names the first tensor that is missing or does not fit, with both shapes.
pub(super) fn check(source: &WeightSource, config: &ClipConfig) -> Result<(), WeightsError> {
    for (name, wanted) in telling_shapes(config) {
        let found = source.shape(&name)?;
        if found != wanted {
            return Err(shape_error(source, &name, wanted));
        }
    }
    for (prefix, blocks, first) in stacks(config) {
        // Ends at the first block that is not in the file, however many are asked for.
        for i in 0..blocks {
            source.shape(&format!("{prefix}{i}.{first}"))?;
        }
    }
    check_heads(source, config)
}

/// Names before the number and after it of each stack's blocks, and how many there must be.
fn stacks(config: &ClipConfig) -> Vec<(String, usize, &'static str)> {
    let text = (
        "transformer.resblocks.".to_owned(),
        config.text_cfg.layers,
        "ln_1.weight",
    );
    let mut stacks = match config.vision_cfg.layers {
        ImageLayers::VisionTransformer(layers) => {
            vec![(
                "visual.transformer.resblocks.".to_owned(),
                layers,
                "ln_1.weight",
            )]
        }
        ImageLayers::ModifiedResNet(layers) => {
            let stage = |(i, blocks): (usize, usize)| {
                (format!("visual.layer{}.", i + 1), blocks, "bn1.weight")
            };
            layers.into_iter().enumerate().map(stage).collect()
        }
    };
    stacks.push(text);
    stacks
}

/// The image head's shapes, or a bound where there is none: those heads will be made.
fn check_heads(source: &WeightSource, config: &ClipConfig) -> Result<(), WeightsError> {
    let heads = config.projection_head;
    if heads.hidden.max(heads.output) > LARGEST_HEAD {
        let message = format!(
            "projection heads of {} and {} numbers are larger than {LARGEST_HEAD}; give a model with smaller ones",
            heads.hidden, heads.output
        );
        return Err(WeightsError::format(source.place(), message));
    }
    let head_shapes = [
        (
            "image_projection_head.0.weight",
            [heads.hidden, config.embed_dim],
        ),
        (
            "image_projection_head.3.weight",
            [heads.output, heads.hidden],
        ),
    ];
    for (name, wanted) in head_shapes {
        if source
            .entry(name)
            .is_some_and(|found| found.shape != wanted)
        {
            return Err(shape_error(source, name, wanted.to_vec()));
        }
    }
    Ok(())
}

fn telling_shapes(config: &ClipConfig) -> Vec<(String, Vec<usize>)> {
    let (vision, text, embed) = (&config.vision_cfg, &config.text_cfg, config.embed_dim);
    let width = vision.width;
    let mut shapes: Vec<(String, Vec<usize>)> = match vision.layers {
        ImageLayers::VisionTransformer(_) => {
            let patch = vision.patch_size.unwrap_or(vision.image_size);
            let tokens = (vision.image_size / patch).pow(2) + 1;
            vec![
                ("visual.conv1.weight".into(), vec![width, 3, patch, patch]),
                ("visual.positional_embedding".into(), vec![tokens, width]),
                ("visual.proj".into(), vec![width, embed]),
            ]
        }
        ImageLayers::ModifiedResNet(_) => {
            let channels = width * 32;
            let tokens = (vision.image_size / REDUCTION).pow(2) + 1;
            let pool = "visual.attnpool";
            vec![
                ("visual.conv1.weight".into(), vec![width / 2, 3, 3, 3]),
                (
                    format!("{pool}.positional_embedding"),
                    vec![tokens, channels],
                ),
                (format!("{pool}.c_proj.weight"), vec![embed, channels]),
            ]
        }
    };
    shapes.extend([
        (
            "positional_embedding".into(),
            vec![text.context_length, text.width],
        ),
        (
            "token_embedding.weight".into(),
            vec![text.vocab_size, text.width],
        ),
        ("text_projection".into(), vec![text.width, embed]),
    ]);
    shapes
}
