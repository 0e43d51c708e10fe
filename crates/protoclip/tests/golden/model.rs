//! Both kinds of model with the reference's weights: weight files, identities, stages.

use crate::golden_file::GoldenFile;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use protoclip::config::Fidelity;
use protoclip::model::{Clip, ClipConfig, parameter_names, weights};

const TEXT: &str = r#"{"context_length":16,"vocab_size":600,"width":32,"heads":4,"layers":2}"#;
const HEAD: &str = r#"{"hidden":64,"output":16}"#;

pub(crate) fn config(kind: &str) -> ClipConfig {
    let vision = match kind {
        "vit" => r#"{"layers":2,"width":64,"head_width":16,"image_size":32,"patch_size":8}"#,
        _ => r#"{"layers":[1,1,1,1],"width":8,"head_width":64,"image_size":64,"patch_size":null}"#,
    };
    let json = format!(
        r#"{{"embed_dim":32,"vision_cfg":{vision},"text_cfg":{TEXT},"quick_gelu":true,
        "projection_head":{HEAD}}}"#
    );
    ClipConfig::from_json(&json, kind).expect("valid")
}

fn golden_model(kind: &str, device: &Device) -> Clip {
    let clip = config(kind).init(5, Fidelity::Reference, device);
    let path = GoldenFile::path(&format!("{kind}_open_clip.safetensors"));
    weights::load(clip, &path).expect("loads")
}

#[test]
fn weights_round_trip_bit_for_bit_and_keep_identities() {
    let device = Device::flex().autodiff();
    let folder = tempfile::tempdir().expect("temporary folder");
    for kind in ["vit", "rn"] {
        let config = config(kind);
        let (first, second) = (folder.path().join("1.safetensors"), folder.path().join("2"));
        let original = golden_model(kind, &device);
        weights::save(&original, &config, &first).expect("saves");
        assert_eq!(
            weights::read_config(&first).expect("reads"),
            Some(config.clone())
        );

        let other = config.init(99, Fidelity::Corrected, &device);
        let before = parameter_names(&other);
        let copy = weights::load(other, &first).expect("loads");
        assert_eq!(parameter_names(&copy), before);
        assert_eq!(parameter_names(&original), before);
        weights::save(&copy, &config, &second).expect("saves");
        let bytes = |path| std::fs::read(path).expect("written");
        assert!(bytes(&first) == bytes(&second), "{kind} differs");
        assert!(copy.logit_scale.val().is_require_grad());
    }
}

#[test]
fn a_file_of_another_model_is_refused_by_name_and_shapes() {
    let device = Device::flex();
    let path = GoldenFile::path("vit_open_clip.safetensors");
    let mut wide = config("vit");
    wide.text_cfg.vocab_size = 601;
    let clip = wide.init(0, Fidelity::Corrected, &device);
    let message = weights::load(clip, &path)
        .expect_err("wrong size")
        .to_string();
    for part in ["token_embedding.weight", "[600, 32]", "[601, 32]"] {
        assert!(message.contains(part), "{message}");
    }
    let clip = config("rn").init(0, Fidelity::Corrected, &device);
    let message = weights::load(clip, &path)
        .expect_err("wrong kind")
        .to_string();
    assert!(
        message.contains("visual.conv1.weight") && message.contains("[4, 3, 3, 3]"),
        "{message}"
    );
    let garbage = GoldenFile::path("README.md");
    let clip = config("vit").init(0, Fidelity::Corrected, &device);
    let message = weights::load(clip, &garbage)
        .expect_err("no tensors")
        .to_string();
    assert!(message.contains("README.md"), "{message}");
}

#[test]
fn heads_start_equal_in_the_reference_and_apart_when_corrected() {
    let device = Device::flex();
    let apart = |fidelity| {
        let clip = config("vit").init(3, fidelity, &device);
        let image = clip.image_projection_head.hidden.weight.val();
        let difference = image - clip.text_projection_head.hidden.weight.val();
        difference.abs().max().into_scalar::<f32>()
    };
    assert_eq!(apart(Fidelity::Reference), 0.0);
    assert!(apart(Fidelity::Corrected) > 0.01);
}

#[test]
fn a_locked_image_tower_gets_no_gradient_and_keeps_its_statistics() {
    let device = Device::flex().autodiff();
    let file = GoldenFile::open("rn_io.safetensors");
    let moved = |fidelity| {
        let clip = golden_model("rn", &device).lock_image_tower(fidelity);
        let before = clip.valid();
        let z = clip.encode_image(file.tensor("images", &device));
        assert!(!z.is_require_grad());
        let after = clip.valid();
        let images = file.tensor::<4>("images", &Device::flex());
        let difference = before.encode_image(images.clone()) - after.encode_image(images);
        difference.abs().max().into_scalar::<f32>()
    };
    assert_eq!(moved(Fidelity::Corrected), 0.0);
    assert!(moved(Fidelity::Reference) > 1e-4);
}

#[test]
fn scales_are_clamped_and_stay_trainable() {
    let device = Device::flex().autodiff();
    let mut clip = config("vit").init(3, Fidelity::Corrected, &device);
    let set = |value: f32| {
        let device = device.clone();
        move |_| Tensor::from_floats([value], &device).require_grad()
    };
    clip.logit_scale = clip.logit_scale.map(set(9.0));
    clip.logit_scale_proto = clip.logit_scale_proto.map(set(-1.0));
    let id = clip.logit_scale.id;
    let clip = clip.clamp_logit_scales();
    assert_eq!(clip.logit_scale.id, id);
    assert!(clip.logit_scale.val().is_require_grad());
    assert!((clip.logit_scale.val().into_scalar::<f32>() - 100f32.ln()).abs() < 1e-6);
    assert_eq!(clip.logit_scale_proto.val().into_scalar::<f32>(), 0.0);
}
