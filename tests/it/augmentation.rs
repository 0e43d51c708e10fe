//! The preview of the augmentation: pictures as training takes them, in the form of a new run.

use std::sync::Arc;

use axum::http::StatusCode;
use image::RgbImage;
use protoclip::config::{Augmentation, DataConfig, Fidelity};
use protoclip::data::{self, BatchMode, Batcher, BatcherConfig, CACHE_BYTES, picture_of};
use protoclip::tokenizer::Tokenizer;

use crate::data_sets::ended_work;
use crate::support::data_files::write_all;
use crate::support::test_site::TestSite;

const SIZE: u32 = 64;
const SEED: u64 = 7;

/// A sample as a training batch of an episode has it, in bytes.
fn of_batch(samples: &[u32], mode: BatchMode) -> Vec<RgbImage> {
    let source = data::open(&DataConfig::default(), &|_, _| true).expect("opens");
    let config = BatcherConfig {
        image_size: SIZE,
        context: 8,
        batch_size: samples.len(),
        seed: SEED,
        fidelity: Fidelity::Corrected,
        threads: 2,
        cache_bytes: CACHE_BYTES,
        max_broken_share: 0.5,
    };
    let batcher = Batcher::new(source, Arc::new(Tokenizer::new()), config).expect("threads");
    let mut batches = batcher.batches(samples.to_vec(), mode).expect("starts");
    let images = batches.next().expect("one").expect("a batch").images;
    let pictures = images.chunks_exact(3 * (SIZE * SIZE) as usize);
    pictures.map(|values| picture_of(values, SIZE)).collect()
}

/// The pictures of a strip.
fn tiles(png: &[u8]) -> Vec<RgbImage> {
    let strip = image::load_from_memory(png)
        .expect("a picture")
        .into_rgba8();
    assert_eq!(strip.dimensions(), (7 * SIZE + 6 * 4, SIZE));
    assert_eq!(strip.get_pixel(SIZE, 0).0[3], 0, "nothing is between them");
    let tile = |place: u32| {
        let part = image::imageops::crop_imm(&strip, place * (SIZE + 4), 0, SIZE, SIZE);
        image::DynamicImage::ImageRgba8(part.to_image()).into_rgb8()
    };
    (0..7).map(tile).collect()
}

#[tokio::test]
async fn the_strips_of_the_form_are_what_training_would_take() {
    let site = TestSite::new();
    let address = "/runs/new?preset=protoclip&seed=7&model=vit-tiny-64&draw=1";
    let page = site.get(address).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text());
    let text = page.text();
    let strips: Vec<String> = text
        .split("src=\"")
        .filter_map(|part| part.split('"').next())
        .filter(|source| source.contains("/augmented?"))
        .map(|source| source.replace("&amp;", "&").replace("&#38;", "&"))
        .collect();
    assert_eq!(strips.len(), 4, "{text}");
    assert!(
        text.contains("as episodes 7 to 12 would train on it"),
        "{text}"
    );
    let sample = |strip: &String| -> u32 {
        let number = strip.split('/').nth(5).expect("a number");
        number.parse().expect("a number")
    };
    let samples: Vec<u32> = strips.iter().map(sample).collect();
    let mut drawn = Vec::new();
    for strip in &strips {
        let answer = site.get(strip).await;
        assert_eq!(answer.status, StatusCode::OK, "{strip}: {}", answer.text());
        assert_eq!(answer.header("content-type"), "image/png");
        drawn.push(tiles(&answer.body));
    }
    let as_it_is = of_batch(&samples, BatchMode::Evaluate);
    for (row, picture) in as_it_is.iter().enumerate() {
        assert!(drawn[row][0] == *picture, "row {row} as it is");
    }
    let mut changed = 0;
    for episode in 6..12 {
        let augmentation = Augmentation::ProtoclipLight;
        let mode = BatchMode::Train {
            episode,
            augmentation,
        };
        for (row, picture) in of_batch(&samples, mode).iter().enumerate() {
            assert!(
                drawn[row][episode as usize - 5] == *picture,
                "row {row} in {episode}"
            );
            changed += usize::from(drawn[row][0] != *picture);
        }
    }
    assert!(
        changed > 20,
        "{changed} of 24 differ from the picture as it is"
    );
}

#[tokio::test]
async fn another_draw_has_other_pictures_and_other_settings_stay_typed() {
    let site = TestSite::new();
    let fragment = |query: &str| format!("/fragments/augmentation?preset=clip&{query}");
    let first = site.get(&fragment("draw=0")).await.text();
    let again = site.get(&fragment("draw=0")).await.text();
    assert_eq!(first, again, "the same draw is the same");
    assert!(
        first.contains("augmentation protoclip-light, seed 7, 32 × 32"),
        "{first}"
    );
    let second = site.get(&fragment("draw=1")).await.text();
    assert_ne!(first, second);
    let changed = site.get(&fragment("augmentation=none&seed=9")).await.text();
    assert!(changed.contains("augmentation none, seed 9"), "{changed}");
    // A wrong setting that is not seen does no harm; one that is gets named.
    let wrong = site.get(&fragment("episodes=many")).await.text();
    assert!(wrong.contains("/augmented?"), "{wrong}");
    let wrong = site.get(&fragment("seed=many")).await.text();
    assert!(
        wrong.contains("is no number") && !wrong.contains("/augmented?"),
        "{wrong}"
    );
    let wrong = site.get(&fragment("model=RN51")).await.text();
    assert!(
        wrong.contains("RN51") && !wrong.contains("/augmented?"),
        "{wrong}"
    );
    // Without script the button asks for the form with all that was typed.
    let form = site
        .get("/runs/new?preset=clip&episodes=many&seed=9&draw=3")
        .await;
    for part in [
        "name=\"episodes\" value=\"many\"",
        "value=\"clip\" checked",
        "value=\"4\" formmethod",
    ] {
        assert!(form.text().contains(part), "{part} in {}", form.text());
    }
}

#[tokio::test]
async fn own_data_is_drawn_once_it_is_open_and_looking_opens_nothing() {
    let site = TestSite::new();
    let folder = tempfile::tempdir().expect("folder");
    write_all(folder.path());
    let path = folder.path().join("pairs.csv").display().to_string();
    let address = format!("/fragments/augmentation?data.source=csv&data.path={path}");
    let closed = site.get(&address).await.text();
    assert!(closed.contains("once it is open"), "{closed}");
    let listed = site.get("/api/datasets").await.json();
    assert_eq!(listed.as_array().expect("a list").len(), 1, "{listed}");
    let added = site
        .submit("/datasets/add", &format!("source=csv&path={path}"))
        .await;
    assert_eq!(added.status, StatusCode::SEE_OTHER, "{}", added.text());
    assert_eq!(ended_work(&site).await["state"], "done");
    let open = site.get(&address).await.text();
    assert_eq!(open.matches("/augmented?").count(), 4, "{open}");
    assert!(open.contains("square, number"), "{open}");
}

#[tokio::test]
async fn what_cannot_be_drawn_says_why() {
    let site = TestSite::new();
    let strip = |set: &str, sample: &str, query: &str| {
        format!("/api/datasets/{set}/samples/{sample}/augmented?{query}")
    };
    for (address, status, part) in [
        (
            strip("nothing", "0", "size=x"),
            StatusCode::NOT_FOUND,
            "nothing",
        ),
        (
            strip("builtin", "99999", ""),
            StatusCode::NOT_FOUND,
            "samples",
        ),
        (
            strip("builtin", "x", "size=x"),
            StatusCode::NOT_FOUND,
            "numbers",
        ),
        (
            strip("builtin", "0", "size=x"),
            StatusCode::BAD_REQUEST,
            "size",
        ),
        (
            strip("builtin", "0", "size=0"),
            StatusCode::BAD_REQUEST,
            "1 to 512",
        ),
        (
            strip("builtin", "0", "size=513"),
            StatusCode::BAD_REQUEST,
            "1 to 512",
        ),
        (
            strip("builtin", "0", "augmentation=blur"),
            StatusCode::BAD_REQUEST,
            "protoclip-light",
        ),
        (
            strip("builtin", "0", "seed=-1"),
            StatusCode::BAD_REQUEST,
            "seed",
        ),
        (
            strip("builtin", "0", "draw=18446744073709551615"),
            StatusCode::OK,
            "",
        ),
        (strip("builtin", "0", "size=224"), StatusCode::OK, ""),
    ] {
        let answer = site.get(&address).await;
        assert_eq!(answer.status, status, "{address}: {}", answer.text());
        assert!(answer.text().contains(part), "{address}: {}", answer.text());
    }
}
