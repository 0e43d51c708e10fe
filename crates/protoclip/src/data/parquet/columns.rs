//! Which columns of a Parquet file hold what.

use parquet::basic::{ConvertedType, LogicalType, Type as Physical};
use parquet::file::metadata::ParquetMetaData;
use parquet::schema::types::{ColumnDescriptor, SchemaDescriptor};

use crate::config::DataConfig;

/// Columns with pictures and captions where the configuration names none; the first that is there.
const IMAGES: [&str; 3] = ["image", "filepath", "image_path"];
const CAPTIONS: [&str; 3] = ["caption", "text", "title"];

/// A column that was found: its place among the leaves, and how deep a value that is there lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Leaf {
    pub(super) place: usize,
    pub(super) kind: LeafKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LeafKind {
    Bytes,
    Boolean,
    Int32,
    Int64,
    Float,
    Double,
}

/// The columns of a configuration in one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Columns {
    /// Pictures themselves, where the file has them.
    pub(super) bytes: Option<Leaf>,
    /// Their paths, or names.
    pub(super) path: Option<Leaf>,
    pub(super) caption: Leaf,
    /// Whether each row has a list of captions rather than one.
    pub(super) captions_are_lists: bool,
    pub(super) labels: Vec<Label>,
}

/// A label column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Label {
    pub(super) leaf: Leaf,
    /// Names of the classes that the numbers of the column stand for, where the file has them.
    pub(super) classes: Vec<String>,
}

impl Columns {
    /// # Errors
    /// When a column is absent or of a type that cannot be used: lists those that are there and names
    /// the setting to change.
    pub(super) fn find(config: &DataConfig, file: &ParquetMetaData) -> Result<Self, String> {
        let schema = file.file_metadata().schema_descr();
        let image = chosen(
            schema,
            config.image_column.as_deref(),
            &IMAGES,
            "data.image_column",
        )?;
        let caption = chosen(
            schema,
            config.caption_column.as_deref(),
            &CAPTIONS,
            "data.caption_column",
        )?;
        let (bytes, path) = picture(schema, &image)?;
        let labels = config.label_columns.iter().map(|name| {
            let name = chosen(schema, Some(name), &[], "data.label_columns")?;
            Ok(Label {
                leaf: single(schema, &name)?,
                classes: class_names(file, &name).unwrap_or_default(),
            })
        });
        let (caption, captions_are_lists) = captions(schema, &caption)?;
        Ok(Self {
            bytes,
            path,
            caption,
            captions_are_lists,
            labels: labels.collect::<Result<_, String>>()?,
        })
    }
}

/// The column that is named, or the first of `usual` that is there.
fn chosen(
    schema: &SchemaDescriptor,
    named: Option<&str>,
    usual: &[&str],
    setting: &str,
) -> Result<String, String> {
    let names: Vec<&str> = schema
        .root_schema()
        .get_fields()
        .iter()
        .map(|field| field.name())
        .collect();
    let wanted: Vec<&str> = named.map_or_else(|| usual.to_vec(), |name| vec![name]);
    let found = wanted.iter().find(|name| names.contains(name));
    found.map(|name| (*name).to_owned()).ok_or_else(|| {
        let wanted: Vec<String> = wanted.iter().map(|name| format!("{name:?}")).collect();
        let names: Vec<String> = names.iter().take(30).map(|n| format!("{n:?}")).collect();
        format!(
            "there is no column {}; the file has {}; set {setting} to one of them",
            wanted.join(" or "),
            names.join(", ")
        )
    })
}

/// Leaves below a top-level column, by their path without its name.
fn leaves<'a>(
    schema: &'a SchemaDescriptor,
    column: &str,
) -> impl Iterator<Item = (usize, &'a ColumnDescriptor, String)> {
    let column = column.to_owned();
    let all = schema.columns().iter().enumerate();
    all.filter_map(move |(place, leaf)| {
        let parts = leaf.path().parts();
        let (first, below) = parts.split_first()?;
        (*first == column).then(|| (place, &**leaf, below.join(".")))
    })
}

/// A column of single values.
fn single(schema: &SchemaDescriptor, column: &str) -> Result<Leaf, String> {
    let found = leaves(schema, column).find(|(_, _, below)| below.is_empty());
    let leaf = found.and_then(|(place, leaf, _)| leaf_at(place, leaf));
    leaf.ok_or_else(|| {
        format!("column {column:?} holds lists, structures or a type without text; each row needs a single value")
    })
}

/// A column of texts, or of lists of them, and which of both it is.
fn captions(schema: &SchemaDescriptor, column: &str) -> Result<(Leaf, bool), String> {
    let found: Vec<_> = leaves(schema, column).collect();
    let lists = match &found[..] {
        [(place, leaf, _)] if leaf.max_rep_level() == 1 => Some((*place, *leaf)),
        _ => None,
    };
    let (leaf, are_lists) = match lists {
        Some((place, leaf)) => {
            let kind = kind_of(leaf).ok_or_else(|| no_text(column))?;
            (Leaf { place, kind }, true)
        }
        None => (single(schema, column)?, false),
    };
    match leaf.kind {
        LeafKind::Bytes => Ok((leaf, are_lists)),
        _ => Err(no_text(column)),
    }
}

fn no_text(column: &str) -> String {
    format!(
        "column {column:?} holds no text; set data.caption_column to one with texts or lists of texts"
    )
}

fn leaf_at(place: usize, leaf: &ColumnDescriptor) -> Option<Leaf> {
    let kind = kind_of(leaf)?;
    (leaf.max_rep_level() == 0).then_some(Leaf { place, kind })
}

fn kind_of(leaf: &ColumnDescriptor) -> Option<LeafKind> {
    match leaf.physical_type() {
        Physical::BYTE_ARRAY => Some(LeafKind::Bytes),
        Physical::BOOLEAN => Some(LeafKind::Boolean),
        Physical::INT32 => Some(LeafKind::Int32),
        Physical::INT64 => Some(LeafKind::Int64),
        Physical::FLOAT => Some(LeafKind::Float),
        Physical::DOUBLE => Some(LeafKind::Double),
        Physical::INT96 | Physical::FIXED_LEN_BYTE_ARRAY => None,
    }
}

/// Pictures and paths of a column: a structure of `bytes` and `path`, bytes, or text that is a path.
fn picture(
    schema: &SchemaDescriptor,
    column: &str,
) -> Result<(Option<Leaf>, Option<Leaf>), String> {
    let (mut bytes, mut path) = (None, None);
    for (place, leaf, below) in leaves(schema, column) {
        let found = leaf_at(place, leaf).filter(|leaf| leaf.kind == LeafKind::Bytes);
        match below.as_str() {
            "" if is_text(leaf) => path = found,
            "" | "bytes" => bytes = found,
            "path" => path = found,
            _ => {}
        }
    }
    match (bytes, path) {
        (None, None) => Err(format!(
            "column {column:?} holds no pictures; it needs bytes, paths, or a structure of bytes and path; set data.image_column"
        )),
        found => Ok(found),
    }
}

fn is_text(leaf: &ColumnDescriptor) -> bool {
    leaf.converted_type() == ConvertedType::UTF8
        || matches!(leaf.logical_type_ref(), Some(LogicalType::String))
}

/// Names of classes that Hugging Face's metadata gives a column of numbers.
fn class_names(file: &ParquetMetaData, column: &str) -> Option<Vec<String>> {
    let metadata = file.file_metadata().key_value_metadata()?;
    let text = metadata.iter().find(|pair| pair.key == "huggingface")?;
    let json: serde_json::Value = serde_json::from_str(text.value.as_deref()?).ok()?;
    let names = json.pointer("/info/features")?.get(column)?.get("names")?;
    let names = names.as_array()?.iter();
    Some(
        names
            .filter_map(|n| n.as_str().map(str::to_owned))
            .collect(),
    )
}
