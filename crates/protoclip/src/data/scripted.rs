//! A source for tests whose pictures, failures and decodes are known.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use image::{Rgb, RgbImage};

use super::{DataError, LabelColumn, PairSource, SampleId, SkipReport};
use crate::config::DataFacts;

/// Sample `i` is a picture of its own colour with the caption `sample i`.
#[derive(Debug)]
pub(crate) struct ScriptedSource {
    decoded: Vec<AtomicU32>,
    size: (u32, u32),
    broken: Vec<SampleId>,
    captions: Option<Vec<String>>,
    panics_at: Option<SampleId>,
    records: Option<(Vec<u64>, u64)>,
    gate: Option<(SampleId, Arc<Gate>)>,
}

/// A breakpoint: holds the thread that decodes one sample until the test lets it go on.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct GateState {
    reached: bool,
    open: bool,
}

impl Gate {
    /// Waits until a thread stands at the gate.
    pub(crate) fn await_reached(&self) {
        let state = self.state.lock().expect("no panic");
        let reached = self.changed.wait_while(state, |state| !state.reached);
        drop(reached.expect("no panic"));
    }

    pub(crate) fn open(&self) {
        self.state.lock().expect("no panic").open = true;
        self.changed.notify_all();
    }

    fn pass(&self) {
        let mut state = self.state.lock().expect("no panic");
        state.reached = true;
        self.changed.notify_all();
        let passed = self.changed.wait_while(state, |state| !state.open);
        drop(passed.expect("no panic"));
    }
}

impl ScriptedSource {
    pub(crate) fn new(len: usize) -> Self {
        Self {
            decoded: (0..len).map(|_| AtomicU32::new(0)).collect(),
            size: (8, 8),
            broken: Vec::new(),
            captions: None,
            panics_at: None,
            records: None,
            gate: None,
        }
    }

    pub(crate) fn with_size(mut self, width: u32, height: u32) -> Self {
        self.size = (width, height);
        self
    }

    pub(crate) fn with_broken(mut self, broken: &[SampleId]) -> Self {
        self.broken = broken.to_vec();
        self
    }

    pub(crate) fn with_captions(captions: Vec<String>) -> Self {
        let mut source = Self::new(captions.len());
        source.captions = Some(captions);
        source
    }

    pub(crate) fn with_panic_at(mut self, sample: SampleId) -> Self {
        self.panics_at = Some(sample);
        self
    }

    /// Decoding `sample` waits for `gate`.
    pub(crate) fn with_gate_at(mut self, sample: SampleId, gate: &Arc<Gate>) -> Self {
        self.gate = Some((sample, Arc::clone(gate)));
        self
    }

    /// Sample `i` is row `records[i]` of `rows`.
    pub(crate) fn with_records(mut self, records: &[u64], rows: u64) -> Self {
        self.records = Some((records.to_vec(), rows));
        self
    }

    /// How often each sample was decoded.
    pub(crate) fn decoded(&self) -> Vec<u32> {
        self.decoded
            .iter()
            .map(|n| n.load(Ordering::Relaxed))
            .collect()
    }
}

impl PairSource for ScriptedSource {
    fn name(&self) -> &str {
        "scripted"
    }

    fn len(&self) -> usize {
        self.decoded.len()
    }

    fn caption(&self, sample: SampleId) -> Result<String, DataError> {
        Ok(match &self.captions {
            Some(captions) => captions[sample as usize].clone(),
            None => format!("sample {sample}"),
        })
    }

    fn image(&self, sample: SampleId) -> Result<RgbImage, DataError> {
        assert_ne!(self.panics_at, Some(sample), "scripted panic");
        if let Some((_, gate)) = self.gate.as_ref().filter(|(at, _)| *at == sample) {
            gate.pass();
        }
        self.decoded[sample as usize].fetch_add(1, Ordering::Relaxed);
        if self.broken.contains(&sample) {
            return Err(DataError::Image {
                origin: self.origin(sample),
                message: "scripted".into(),
            });
        }
        let colour = Rgb([sample as u8, (sample >> 8) as u8, 7]);
        Ok(RgbImage::from_pixel(self.size.0, self.size.1, colour))
    }

    fn origin(&self, sample: SampleId) -> String {
        format!("row {sample}")
    }

    fn labels(&self) -> &[LabelColumn] {
        &[]
    }

    fn balance_groups(&self) -> Option<&[u32]> {
        None
    }

    fn fingerprint(&self) -> &str {
        "scripted"
    }

    fn skipped(&self) -> SkipReport {
        SkipReport {
            rows: self
                .records
                .as_ref()
                .map_or(self.len() as u64, |(_, rows)| *rows),
            ..SkipReport::default()
        }
    }

    fn facts(&self) -> DataFacts {
        DataFacts {
            pairs: self.len(),
            balanced_pairs: self.len(),
        }
    }

    fn record_number(&self, sample: SampleId) -> u64 {
        self.records
            .as_ref()
            .map_or(u64::from(sample), |(records, _)| records[sample as usize])
    }
}
