//! Weight files of others: the reference's training checkpoints, and files that are broken.

use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};
use protoclip::model::weights::{self, WeightSource};
use protoclip::model::{
    Clip, ClipConfig, ImageLayers, ImportOptions, check_weights, import_weights, l2_normalize,
    load_checkpoint,
};

use crate::golden_file::GoldenFile;
use crate::model::config;

const CHECKPOINTS: [(&str, &str); 3] = [
    ("vit", "vit_checkpoint.pt"),
    ("vit", "vit_checkpoint_ddp.pt"),
    ("rn", "rn_checkpoint.pt"),
];

/// Options that name the golden model, whose head counts no file tells.
fn told(folder: &Path, kind: &str) -> ImportOptions {
    let path = folder.join(format!("{kind}.json"));
    let json = serde_json::to_string(&config(kind)).expect("serialises");
    std::fs::write(&path, json).expect("writes");
    ImportOptions {
        model: Some(path.display().to_string()),
        ..ImportOptions::default()
    }
}

/// Both towers' and both heads' outputs for the fixture's inputs, within 1e-4.
fn outputs_are_golden(kind: &str, clip: &Clip) {
    let device = Device::flex();
    let file = GoldenFile::open(&format!("{kind}_io.safetensors"));
    let (shape, tokens) = file.ints("tokens");
    let tokens = Tensor::<2, Int>::from_data(TensorData::new(tokens, shape), &device);
    let image = clip.encode_image(file.tensor("images", &device));
    let text = clip.encode_text(tokens);
    let outputs = [
        ("image_encoded", image.clone()),
        ("text_encoded", text.clone()),
        ("image_features", l2_normalize(image.clone())),
        ("text_features", l2_normalize(text.clone())),
        ("image_projected", l2_normalize(clip.project_image(image))),
        ("text_projected", l2_normalize(clip.project_text(text))),
    ];
    for (name, ours) in outputs {
        let wanted = file.floats(&format!("eval/{name}"));
        let ours: Vec<f32> = ours.into_data().try_to_vec().expect("f32");
        assert_eq!(ours.len(), wanted.len(), "{name}");
        let pairs = ours.iter().zip(&wanted);
        let worst = pairs.fold(0f32, |worst, (o, w)| worst.max((o - w).abs()));
        let largest = wanted.iter().fold(1e-12f32, |m, w| m.max(w.abs()));
        assert!(worst / largest <= 1e-4, "{kind} {name}: {worst:e}");
    }
}

fn saved(clip: &Clip, config: &ClipConfig) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("saved.safetensors");
    weights::save(clip, config, &path).expect("saves");
    std::fs::read(path).expect("written")
}

#[test]
fn training_checkpoints_hold_the_bits_of_their_safetensors_twins() {
    for (kind, name) in CHECKPOINTS {
        let mut checkpoint = WeightSource::open(&GoldenFile::path(name)).expect(name);
        let twin = GoldenFile::path(&format!("{kind}_open_clip.safetensors"));
        let mut twin = WeightSource::open(&twin).expect("opens");
        let names: Vec<String> = twin.names().map(str::to_owned).collect();
        assert_eq!(checkpoint.names().collect::<Vec<_>>(), names, "{name}");
        assert!(names.len() > 60);
        for tensor in &names {
            let shape = |source: &WeightSource| source.entry(tensor).expect(tensor).shape.clone();
            assert_eq!(shape(&checkpoint), shape(&twin), "{tensor}");
            let bits = |source: &mut WeightSource| -> Vec<u32> {
                let values = source.read(tensor).expect(tensor);
                values.into_iter().map(f32::to_bits).collect()
            };
            assert!(bits(&mut checkpoint) == bits(&mut twin), "{name}: {tensor}");
        }
    }
}

#[test]
fn imported_checkpoints_give_the_references_outputs() {
    let folder = tempfile::tempdir().expect("temporary folder");
    for (kind, name) in CHECKPOINTS {
        let options = told(folder.path(), kind);
        let path = GoldenFile::path(name);
        let model = import_weights(&path, &options, &Device::flex()).expect(name);
        assert_eq!(model.config, config(kind));
        outputs_are_golden(kind, &model.clip);
        let twin = GoldenFile::path(&format!("{kind}_open_clip.safetensors"));
        let twin = import_weights(&twin, &options, &Device::flex()).expect("twin");
        assert!(saved(&model.clip, &model.config) == saved(&twin.clip, &twin.config));
    }
}

#[test]
fn architecture_and_activation_are_inferred_but_for_the_heads() {
    for (kind, name) in CHECKPOINTS {
        let model = load_checkpoint(&GoldenFile::path(name), &Device::flex()).expect(name);
        let mut wanted = config(kind);
        wanted.text_cfg.heads = 1;
        if matches!(wanted.vision_cfg.layers, ImageLayers::VisionTransformer(_)) {
            wanted.vision_cfg.head_width = 64;
        }
        assert_eq!(model.config, wanted, "{name}");
        let notes = model.notes.join("\n");
        assert!(notes.contains("ProtoCLIP reference"), "{notes}");
        assert!(
            notes.contains("attention heads are not in the file"),
            "{notes}"
        );
        assert!(notes.contains("num_batches_tracked"), "{notes}");
    }
}

#[test]
fn a_model_of_other_sizes_is_refused_with_both_shapes() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let refused = |change: fn(&mut ClipConfig), kind: &str| {
        let mut config = config(kind);
        change(&mut config);
        let path = folder.path().join("other.json");
        std::fs::write(&path, serde_json::to_string(&config).expect("json")).expect("writes");
        let options = ImportOptions {
            model: Some(path.display().to_string()),
            ..ImportOptions::default()
        };
        let file = GoldenFile::path("vit_checkpoint.pt");
        let error = import_weights(&file, &options, &Device::flex()).expect_err("refused");
        error.to_string()
    };
    type Case = (fn(&mut ClipConfig), &'static str, [&'static str; 2]);
    let cases: [Case; 7] = [
        (
            |_| (),
            "rn",
            [
                "visual.conv1.weight",
                "[64, 3, 8, 8], the model needs [4, 3, 3, 3]",
            ],
        ),
        (
            |c| c.text_cfg.context_length = 77,
            "vit",
            [
                "tensor positional_embedding",
                "[16, 32], the model needs [77, 32]",
            ],
        ),
        (
            |c| c.vision_cfg.image_size = 64,
            "vit",
            [
                "visual.positional_embedding",
                "[17, 64], the model needs [65, 64]",
            ],
        ),
        (
            |c| c.vision_cfg.layers = ImageLayers::VisionTransformer(3),
            "vit",
            ["visual.transformer.resblocks.2.ln_1.weight", "is missing"],
        ),
        (
            |c| c.text_cfg.layers = 1,
            "vit",
            ["transformer.resblocks.1.", "has no place in this model"],
        ),
        (
            |c| c.text_cfg.layers = 1 << 24,
            "vit",
            ["transformer.resblocks.2.ln_1.weight", "is missing"],
        ),
        (
            |c| c.embed_dim = 1 << 20,
            "vit",
            ["visual.proj", "[64, 32], the model needs [64, 1048576]"],
        ),
    ];
    for (change, kind, parts) in cases {
        let message = refused(change, kind);
        assert!(message.contains("vit_checkpoint.pt"), "{message}");
        for part in parts {
            assert!(message.contains(part), "{part:?} in {message}");
        }
    }
}

#[test]
fn weights_without_heads_get_fresh_ones_and_say_so() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let options = told(folder.path(), "vit");
    let full = GoldenFile::path("vit_open_clip.safetensors");
    let plain = without(&full, folder.path(), |name| {
        name.contains("projection_head") || name == "logit_scale_proto"
    });
    let model = import_weights(&plain, &options, &Device::flex()).expect("imports");
    let again = import_weights(&plain, &options, &Device::flex()).expect("imports");
    assert!(saved(&model.clip, &model.config) == saved(&again.clip, &again.config));
    let notes = model.notes.join("\n");
    assert!(notes.contains("no projection heads"), "{notes}");
    assert!(notes.contains("no logit_scale_proto"), "{notes}");
    // Nothing tells the reference's checkpoint any more.
    let inferred = load_checkpoint(&plain, &Device::flex()).expect("imports");
    assert!(!inferred.config.quick_gelu);

    let torn = without(&full, folder.path(), |name| {
        name == "text_projection_head.1.bias"
    });
    let error = import_weights(&torn, &options, &Device::flex()).expect_err("torn");
    let message = error.to_string();
    assert!(
        message.contains("text_projection_head.1.bias is missing"),
        "{message}"
    );
}

/// A copy of a safetensors file that lacks some tensors.
fn without(file: &Path, folder: &Path, gone: impl Fn(&str) -> bool) -> PathBuf {
    let bytes = std::fs::read(file).expect("reads");
    let tensors = safetensors::SafeTensors::deserialize(&bytes).expect("safetensors");
    let kept: Vec<_> = tensors.iter().filter(|(name, _)| !gone(name)).collect();
    let path = folder.join("part.safetensors");
    let written = safetensors::serialize(kept, None).expect("serialises");
    std::fs::write(&path, written).expect("writes");
    path
}

#[test]
fn a_saved_model_loads_with_its_own_configuration() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let autodiff = Device::flex().autodiff();
    for kind in ["vit", "rn"] {
        let options = told(folder.path(), kind);
        let path = GoldenFile::path(&format!("{kind}_checkpoint.pt"));
        let first = import_weights(&path, &options, &autodiff).expect("imports");
        let copy = folder.path().join("model.safetensors");
        weights::save(&first.clip, &first.config, &copy).expect("saves");
        for place in [copy.as_path(), folder.path()] {
            let second = load_checkpoint(place, &Device::flex()).expect("loads");
            assert_eq!(second.config, first.config);
            assert!(saved(&second.clip, &second.config) == saved(&first.clip, &first.config));
            outputs_are_golden(kind, &second.clip);
        }
        outputs_are_golden(kind, &first.clip.valid());
    }
}

#[test]
fn files_that_are_no_weights_say_what_to_do() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let refused = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("writes");
        let error = load_checkpoint(&path, &Device::flex()).expect_err("refused");
        let message = error.to_string();
        assert!(message.contains(name), "{message}");
        message
    };
    assert!(refused("empty.pt", b"").contains("not a safetensors file"));
    assert!(refused("text.pt", b"just some text").contains("torch.save"));
    let legacy = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.";
    assert!(refused("legacy.pt", legacy).contains("before 1.6"));
    assert!(refused("zip.pt", b"PK\x03\x04 and nothing else").contains("zip archive"));
    let message = load_checkpoint(folder.path(), &Device::flex()).expect_err("no weights");
    assert!(
        message.to_string().contains("give a weight file"),
        "{message}"
    );
    let message = load_checkpoint(&folder.path().join("absent.pt"), &Device::flex());
    assert!(
        message
            .expect_err("absent")
            .to_string()
            .contains("absent.pt")
    );
}

#[test]
fn a_run_is_told_before_it_starts_that_weights_are_not_its_models() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let options = told(folder.path(), "vit");
    let checkpoint = GoldenFile::path("vit_checkpoint.pt");
    let model = import_weights(&checkpoint, &options, &Device::flex()).expect("imports");
    let ours = folder.path().join("model.safetensors");
    weights::save(&model.clip, &model.config, &ours).expect("saves");
    for path in [&checkpoint, &ours, &folder.path().to_owned()] {
        check_weights(path, &config("vit")).expect("fits");
    }
    let refused = |path: &Path, change: fn(&mut ClipConfig), words: [&str; 2]| {
        let mut config = config("vit");
        change(&mut config);
        let message = check_weights(path, &config)
            .expect_err("differs")
            .to_string();
        for part in words {
            assert!(message.contains(part), "{part:?} in {message}");
        }
    };
    // The reference's file says nothing of heads, but that it needs QuickGELU.
    refused(
        &checkpoint,
        |c| c.quick_gelu = false,
        ["QuickGELU", "-quickgelu"],
    );
    let heads = [
        "image_projection_head.3.weight",
        "[16, 64], the model needs [8, 64]",
    ];
    refused(&checkpoint, |c| c.projection_head.output = 8, heads);
    refused(
        &ours,
        |c| c.quick_gelu = false,
        ["quick_gelu = true", "has false"],
    );
    refused(
        &ours,
        |c| c.text_cfg.heads = 2,
        ["text_cfg.heads = 4", "has 2"],
    );
    let width = ["vision_cfg.head_width = 16", "has 32"];
    refused(&ours, |c| c.vision_cfg.head_width = 32, width);
}

/// The golden vision model without what only the reference has, in half precision or with OpenAI's
/// three sizes.
fn openai_like(path: &Path, half: bool, sizes: bool) {
    let bytes = std::fs::read(GoldenFile::path("vit_open_clip.safetensors")).expect("reads");
    let file = safetensors::SafeTensors::deserialize(&bytes).expect("safetensors");
    let mut tensors = Vec::new();
    for (name, view) in file.iter() {
        if name.contains("projection_head") || name == "logit_scale_proto" {
            continue;
        }
        let shape = view.shape().to_vec();
        let (dtype, data) = match half {
            false => (view.dtype(), view.data().to_vec()),
            true => {
                let numbers = view.data().as_chunks::<4>().0.iter();
                let halves = numbers.map(|&b| half::f16::from_f32(f32::from_le_bytes(b)));
                let data = halves.flat_map(half::f16::to_le_bytes).collect();
                (safetensors::Dtype::F16, data)
            }
        };
        tensors.push((name.to_owned(), dtype, shape, data));
    }
    for name in ["input_resolution", "context_length", "vocab_size"] {
        if sizes {
            let data = 32i64.to_le_bytes().to_vec();
            tensors.push((name.to_owned(), safetensors::Dtype::I64, Vec::new(), data));
        }
    }
    let views = tensors.iter().map(|(name, dtype, shape, data)| {
        let view = safetensors::tensor::TensorView::new(*dtype, shape.clone(), data);
        (name.as_str(), view.expect("a view"))
    });
    let written = safetensors::serialize(views, None).expect("serialises");
    std::fs::write(path, written).expect("writes");
}

#[test]
fn openais_weights_have_quick_gelu_and_others_do_not() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("weights.safetensors");
    for (half, sizes, quick_gelu, reason) in [
        (false, false, false, "GELU: nothing says"),
        (true, false, true, "the weights are f16"),
        (false, true, true, "one of OpenAI's checkpoints"),
        (true, true, true, "one of OpenAI's checkpoints"),
    ] {
        openai_like(&path, half, sizes);
        let model = load_checkpoint(&path, &Device::flex()).expect("loads");
        assert_eq!(model.config.quick_gelu, quick_gelu);
        assert!(model.notes.join("\n").contains(reason), "{:?}", model.notes);
    }
}
