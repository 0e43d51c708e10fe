//! What of a TensorBoard event matters to curves.
//!
//! ```text
//! Event    { 1: double wall_time, 2: int64 step, 5: Summary, 7: SessionLog { 1: status } }
//! Summary  { 1: repeated Value { 1: tag, 2: float simple_value, 8: TensorProto, 9: Metadata, … } }
//! Metadata { 1: PluginData { 1: plugin_name }, 4: data_class }
//! ```

use super::tensor;
use super::wire::{Field, Fields, Malformed};

/// One event.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Event {
    /// Seconds since 1970.
    pub(super) wall_time: f64,
    pub(super) step: i64,
    /// A session begins here: what was written of this step and later ones is void.
    pub(super) begins_session: bool,
    pub(super) values: Vec<Value>,
}

/// One value of a summary.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Value {
    pub(super) tag: String,
    pub(super) content: Content,
    /// Whether the value says itself that its tag is a curve.
    pub(super) claims_curve: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) enum Content {
    /// A number as the first writers wrote it.
    Number(f64),
    /// A tensor of one number: a point where the tag is a curve.
    Tensor(f64),
    /// A picture, a histogram, a text…
    #[default]
    Other,
}

/// The status that begins a session.
const START: u64 = 1;
/// The class of data that is a curve.
const SCALAR: u64 = 1;

impl Event {
    pub(super) fn read(message: &[u8]) -> Result<Self, Malformed> {
        let mut event = Self::default();
        for field in Fields::of(message) {
            match field? {
                (1, Field::Fixed64(bytes)) => event.wall_time = f64::from_le_bytes(bytes),
                (2, Field::Varint(step)) => event.step = step as i64,
                (5, Field::Bytes(summary)) => event.read_summary(summary)?,
                (7, Field::Bytes(log)) => event.begins_session = status(log)? == START,
                _ => {}
            }
        }
        Ok(event)
    }

    fn read_summary(&mut self, summary: &[u8]) -> Result<(), Malformed> {
        for field in Fields::of(summary) {
            if let (1, Field::Bytes(value)) = field? {
                self.values.push(Value::read(value)?);
            }
        }
        Ok(())
    }
}

impl Value {
    fn read(message: &[u8]) -> Result<Self, Malformed> {
        let mut value = Self::default();
        for field in Fields::of(message) {
            match field? {
                (1, Field::Bytes(tag)) => value.tag = String::from_utf8_lossy(tag).into_owned(),
                (2, Field::Fixed32(bytes)) => {
                    value.content = Content::Number(f64::from(f32::from_le_bytes(bytes)));
                }
                (8, Field::Bytes(tensor)) => {
                    value.content = tensor::number(tensor)?.map_or(Content::Other, Content::Tensor);
                }
                (9, Field::Bytes(metadata)) => value.claims_curve = is_curve(metadata)?,
                _ => {}
            }
        }
        Ok(value)
    }
}

fn status(log: &[u8]) -> Result<u64, Malformed> {
    let mut status = 0;
    for field in Fields::of(log) {
        if let (1, Field::Varint(value)) = field? {
            status = value;
        }
    }
    Ok(status)
}

fn is_curve(metadata: &[u8]) -> Result<bool, Malformed> {
    let mut curve = false;
    for field in Fields::of(metadata) {
        match field? {
            (1, Field::Bytes(plugin)) => {
                for field in Fields::of(plugin) {
                    curve |= matches!(field?, (1, Field::Bytes(b"scalars")));
                }
            }
            (4, Field::Varint(class)) => curve |= class == SCALAR,
            _ => {}
        }
    }
    Ok(curve)
}
