//! Batches of a scripted source: order, content, worker threads and errors.

use super::*;
use crate::data::BuiltinSource;
use crate::data::scripted::{Gate, ScriptedSource};

const TRAIN: BatchMode = BatchMode::Train {
    episode: 2,
    augmentation: Augmentation::ProtoclipLight,
};

fn batcher(source: impl PairSource + 'static, threads: usize, cache_bytes: usize) -> Batcher {
    let config = BatcherConfig {
        image_size: 16,
        context: 12,
        batch_size: 4,
        seed: 5,
        fidelity: Fidelity::Corrected,
        threads,
        cache_bytes,
        max_broken_share: 0.5,
    };
    Batcher::new(Arc::new(source), Arc::new(Tokenizer::new()), config).expect("threads")
}

fn all(batcher: &Batcher, samples: &[SampleId], mode: BatchMode) -> Vec<Batch> {
    let batches = batcher.batches(samples.to_vec(), mode).expect("starts");
    batches.map(|b| b.expect("batch")).collect()
}

#[test]
fn batches_come_in_the_order_given_and_training_drops_the_remainder() {
    let batcher = batcher(ScriptedSource::new(10), 2, 0);
    let order: Vec<SampleId> = vec![9, 3, 4, 1, 0, 2, 8, 7, 6, 5];
    let trained = all(&batcher, &order, TRAIN);
    let evaluated = all(&batcher, &order, BatchMode::Evaluate);
    let flat = |batches: &[Batch]| -> Vec<SampleId> {
        batches.iter().flat_map(|b| b.samples.clone()).collect()
    };
    assert_eq!(flat(&trained), order[..8]);
    assert_eq!(flat(&evaluated), order);
    assert_eq!(evaluated[2].images.len(), 2 * 3 * 16 * 16);
    assert_eq!(evaluated[2].tokens.len(), 2 * 12);
}

#[test]
fn images_and_tokens_belong_to_their_sample() {
    let source = ScriptedSource::new(6);
    let batcher = batcher(source, 2, 1 << 20);
    let batch = &all(&batcher, &[4, 2, 0, 5], BatchMode::Evaluate)[0];
    let tokenizer = Tokenizer::new();
    for (row, &sample) in batch.samples.iter().enumerate() {
        let red = batch.images[row * 3 * 256];
        let expected = super::super::transform::normalised(sample as f32, 0);
        assert!((red - expected).abs() < 1e-6);
        let caption = format!("sample {sample}");
        assert_eq!(
            batch.tokens[row * 12..][..12],
            tokenizer.encode(&caption, 12, Fidelity::Corrected)
        );
    }
}

#[test]
fn results_do_not_depend_on_threads_or_cache() {
    let samples: Vec<SampleId> = (0..40).map(|i| i * 90).collect();
    let one = all(&batcher(BuiltinSource::new(), 1, 1), &samples, TRAIN);
    for (threads, cache) in [(3, 1), (2, 1 << 20), (2, 40_000)] {
        let batcher = batcher(BuiltinSource::new(), threads, cache);
        for state in ["cold", "warm"] {
            let same = all(&batcher, &samples, TRAIN) == one;
            assert!(same, "{threads} threads, {cache} bytes, {state}");
        }
    }
}

#[test]
fn a_broken_picture_is_replaced_by_one_a_batch_further_and_reported() {
    let batcher = batcher(ScriptedSource::new(12).with_broken(&[1, 5]), 2, 0);
    let order: Vec<SampleId> = (0..12).collect();
    for _ in 0..2 {
        let batches = all(&batcher, &order, TRAIN);
        assert_eq!(batches[0].samples, [0, 6, 2, 3], "5 is broken too");
        assert_eq!(batches[1].samples, [4, 9, 6, 7]);
        assert_eq!(batches[2].samples, [8, 9, 10, 11]);
        let replaced = &batches[0].replaced[0];
        assert_eq!((replaced.wanted, replaced.used), (1, 6));
        assert!(replaced.reason.contains("row 1"), "{}", replaced.reason);
    }
    assert_eq!(batcher.broken(), [1, 5]);
}

#[test]
fn too_many_broken_pictures_end_the_pass_with_the_reason() {
    let broken: Vec<SampleId> = (0..9).collect();
    let batcher = batcher(ScriptedSource::new(12).with_broken(&broken), 1, 0);
    let mut batches = batcher
        .batches((0..12).collect(), TRAIN)
        .expect("thread starts");
    let message = batches
        .find_map(Result::err)
        .expect("ends with an error")
        .to_string();
    assert!(message.contains("max_broken_share"), "{message}");
    assert!(batches.next().is_none());
}

#[test]
fn dropping_an_unfinished_pass_ends_its_thread() {
    let source = Arc::new(ScriptedSource::new(4000));
    let shared: Arc<dyn PairSource> = source.clone();
    let mut batcher = batcher(ScriptedSource::new(1), 1, 0);
    let config = batcher.shared.config.clone();
    batcher = Batcher::new(shared, Arc::new(Tokenizer::new()), config).expect("threads");
    let mut batches = batcher
        .batches((0..4000).collect(), TRAIN)
        .expect("thread starts");
    batches.next().expect("one").expect("batch");
    drop(batches);
    let decoded: u32 = source.decoded().iter().sum();
    // One taken, two waiting, one in hand, one begun.
    assert!(decoded <= 5 * 4, "decoded {decoded} after the drop");
}

#[test]
fn a_panic_while_decoding_becomes_an_error() {
    let batcher = batcher(ScriptedSource::new(8).with_panic_at(5), 1, 0);
    let batches = batcher.batches((0..8).collect(), TRAIN).expect("starts");
    let outcomes: Vec<Result<Batch, DataError>> = batches.collect();
    assert_eq!(outcomes.len(), 2);
    let message = outcomes[1].as_ref().expect_err("panicked").to_string();
    assert!(message.contains("scripted panic"), "{message}");
}

#[test]
fn only_a_batch_that_is_not_ready_counts_as_waiting() {
    let gate = Arc::new(Gate::default());
    let batcher = batcher(ScriptedSource::new(8).with_gate_at(4, &gate), 1, 0);
    let mut batches = batcher.batches((0..8).collect(), TRAIN).expect("starts");
    // The second batch is begun once the first lies in the channel.
    gate.await_reached();
    batches.next().expect("one").expect("batch");
    assert_eq!(batches.take_waited(), Duration::ZERO);
    let waiting = Arc::clone(&batches.waiting);
    let opener = std::thread::spawn(move || {
        while !waiting.load(Ordering::Relaxed) {
            std::thread::yield_now();
        }
        gate.open();
    });
    batches.next().expect("two").expect("batch");
    opener.join().expect("opens");
    assert!(batches.take_waited() > Duration::ZERO);
    assert_eq!(batches.take_waited(), Duration::ZERO, "taken");
    assert!(batches.next().is_none());
}

#[test]
fn the_reference_mode_drops_non_ascii_characters() {
    let captions = vec!["café".to_owned(), "caf".to_owned()];
    let mut batcher = batcher(ScriptedSource::with_captions(captions), 1, 0);
    let tokens = |batcher: &Batcher| all(batcher, &[0, 1], BatchMode::Evaluate)[0].tokens.clone();
    let corrected = tokens(&batcher);
    assert_ne!(corrected[..12], corrected[12..]);
    let config = BatcherConfig {
        fidelity: Fidelity::Reference,
        ..batcher.shared.config.clone()
    };
    let source = Arc::clone(&batcher.shared.source);
    batcher = Batcher::new(source, Arc::new(Tokenizer::new()), config).expect("threads");
    let reference = tokens(&batcher);
    assert_eq!(reference[..12], reference[12..]);
}
