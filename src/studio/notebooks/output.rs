//! What a cell showed last: blocks, values for other cells, and where everything comes from.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::super::RunId;

/// The last result of a cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CellOutput {
    /// Of what it was computed from: kind, values with references replaced, state of the runs.
    pub key: String,
    /// Of what is shown: blocks and fields. Equal results have equal hashes.
    pub hash: String,
    /// Milliseconds since 1970.
    pub computed: u64,
    pub seconds: f64,
    /// One sentence for those who cannot see the blocks.
    pub summary: String,
    /// Why there is no result; blocks are then empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(default)]
    pub blocks: Vec<Block>,
    /// What `${cell.field}` stands for.
    #[serde(default)]
    pub fields: Map<String, Value>,
    #[serde(default)]
    pub links: Vec<OutputLink>,
    #[serde(default)]
    pub provenance: Vec<Provenance>,
}

/// A piece of a result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Block {
    /// An SVG figure, stored under its hash.
    Figure {
        blob: String,
        alt: String,
        width: u32,
        height: u32,
    },
    Table(Table),
    Text {
        text: String,
    },
}

/// Rows of texts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    pub title: String,
    pub columns: Vec<String>,
    pub rows: Vec<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A page of the studio that shows more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputLink {
    pub label: String,
    pub href: String,
}

/// Where a result comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    pub run: RunId,
    /// Name of the run when the result was made.
    pub name: String,
    /// Step that is shown; of curves the last one.
    pub step: u64,
    /// The newest kept checkpoint that is not later than the step.
    pub checkpoint: Option<CheckpointMark>,
    /// Seed of the run.
    /// None where the run was imported and its settings are unknown.
    pub seed: Option<u64>,
}

/// A checkpoint and what identifies its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointMark {
    pub step: u64,
    pub hash: String,
}

/// A result before it is stored: figures still with their bytes.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Made {
    pub(super) summary: String,
    pub(super) blocks: Vec<MadeBlock>,
    pub(super) fields: Map<String, Value>,
    pub(super) links: Vec<OutputLink>,
    pub(super) provenance: Vec<Provenance>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum MadeBlock {
    Figure { svg: Vec<u8>, alt: String },
    Table(Table),
    Text(String),
}

impl Table {
    pub(super) fn new(title: &str, columns: &[&str]) -> Self {
        Self {
            title: title.into(),
            columns: columns.iter().map(|&c| c.to_owned()).collect(),
            ..Self::default()
        }
    }

    /// As CSV, RFC 4180; texts that a spreadsheet would run are disarmed.
    pub fn csv(&self) -> String {
        let mut text = String::new();
        for row in std::iter::once(&self.columns).chain(&self.rows) {
            let fields: Vec<String> = row.iter().map(|field| csv_field(field)).collect();
            text.push_str(&fields.join(","));
            text.push_str("\r\n");
        }
        text
    }
}

fn csv_field(text: &str) -> String {
    let is_number = text.parse::<f64>().is_ok();
    let armed = text.starts_with(['=', '+', '-', '@']) && !is_number;
    let text = if armed {
        format!("'{text}")
    } else {
        text.to_owned()
    };
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

impl Made {
    /// Hash of what is shown. Where it comes from is not part of it: a copy of a run shows the same.
    pub(super) fn hash(&self) -> String {
        let blocks: Vec<Value> = self.blocks.iter().map(MadeBlock::content).collect();
        let content = json!({"summary": self.summary, "blocks": blocks, "fields": self.fields});
        hash_of(content.to_string().as_bytes())
    }
}

impl MadeBlock {
    fn content(&self) -> Value {
        match self {
            Self::Figure { svg, alt } => json!({"figure": hash_of(svg), "alt": alt}),
            Self::Table(table) => json!({"table": table}),
            Self::Text(text) => json!({"text": text}),
        }
    }
}

impl Provenance {
    /// One line: run, step, checkpoint and seed.
    pub fn line(&self) -> String {
        let checkpoint = match &self.checkpoint {
            Some(mark) if mark.step == self.step => format!("checkpoint {}", short(&mark.hash)),
            Some(mark) => format!("checkpoint {} of step {}", short(&mark.hash), mark.step),
            None => "no checkpoint kept".into(),
        };
        let Self {
            run,
            name,
            step,
            seed,
            ..
        } = self;
        let seed = seed.map_or_else(|| "imported".to_owned(), |seed| format!("seed {seed}"));
        format!("{name} ({run}), step {step}, {checkpoint}, {seed}")
    }
}

/// The first characters of a hash.
pub(super) fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

pub(super) fn hash_of(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

/// A number for a table: five significant digits, the same on every machine that computes the same
/// to six.
pub(super) fn number(value: f64) -> String {
    if value == 0.0 {
        return "0".into();
    }
    if !value.is_finite() {
        return "not a number".into();
    }
    let magnitude = value.abs().log10().floor();
    if !(-5.0..7.0).contains(&magnitude) {
        return format!("{value:.4e}");
    }
    let digits = (4.0 - magnitude).clamp(0.0, 9.0) as usize;
    let text = format!("{value:.digits$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_five_digits() {
        let shown: Vec<String> = [
            0.0,
            1.0,
            -0.123_456,
            12_345.6,
            1e-9,
            123_456_789.0,
            f64::NAN,
        ]
        .map(number)
        .into();
        let wanted = [
            "0",
            "1",
            "-0.12346",
            "12346",
            "1.0000e-9",
            "1.2346e8",
            "not a number",
        ];
        assert_eq!(shown, wanted);
    }

    #[test]
    fn tables_become_csv_that_runs_nothing() {
        let mut table = Table::new("t", &["name", "value"]);
        table.rows.push(vec!["a \"b\", c".into(), "-1.5".into()]);
        table.rows.push(vec!["=1+1".into(), "x\ny".into()]);
        let wanted = "name,value\r\n\"a \"\"b\"\", c\",-1.5\r\n'=1+1,\"x\ny\"\r\n";
        assert_eq!(table.csv(), wanted);
    }

    #[test]
    fn equal_results_have_equal_hashes_and_others_do_not() {
        let made = |text: &str| Made {
            blocks: vec![MadeBlock::Text(text.into())],
            ..Made::default()
        };
        assert_eq!(made("a").hash(), made("a").hash());
        assert_ne!(made("a").hash(), made("b").hash());
        let mut other = made("a");
        other.fields.insert("x".into(), json!(1));
        assert_ne!(made("a").hash(), other.hash());
    }
}
