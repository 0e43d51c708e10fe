//! Columns as a file in Parquet's format, compressed with Snappy. Pure: in memory, no studio.

use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, Type as Physical};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::{Type, TypePtr};

/// Rows of a group, which a reader can take by itself.
const GROUP: usize = 65_536;

/// A column of a table and its name.
pub(super) struct Column {
    name: String,
    values: Values,
}

enum Values {
    Numbers(Vec<u32>),
    OptionalNumbers(Vec<Option<u32>>),
    Floats(Vec<f32>),
    Texts(Vec<Option<String>>),
    /// `[rows, dim]`, row-major; `dim` is not 0.
    Lists {
        values: Vec<f32>,
        dim: usize,
    },
}

impl Column {
    pub(super) fn numbers(name: &str, values: &[u32]) -> Self {
        Self::new(name, Values::Numbers(values.to_vec()))
    }

    pub(super) fn optional_numbers(name: &str, values: impl Iterator<Item = Option<u32>>) -> Self {
        Self::new(name, Values::OptionalNumbers(values.collect()))
    }

    pub(super) fn floats(name: &str, values: Vec<f32>) -> Self {
        Self::new(name, Values::Floats(values))
    }

    pub(super) fn texts(name: &str, values: impl Iterator<Item = Option<String>>) -> Self {
        Self::new(name, Values::Texts(values.collect()))
    }

    /// A list of `dim` floats in each row; `values` is `[rows, dim]`, row-major.
    pub(super) fn lists(name: &str, values: Vec<f32>, dim: usize) -> Self {
        let dim = dim.max(1);
        Self::new(name, Values::Lists { values, dim })
    }

    fn new(name: &str, values: Values) -> Self {
        Self {
            name: name.to_owned(),
            values,
        }
    }

    fn rows(&self) -> usize {
        match &self.values {
            Values::Numbers(values) => values.len(),
            Values::OptionalNumbers(values) => values.len(),
            Values::Floats(values) => values.len(),
            Values::Texts(values) => values.len(),
            Values::Lists { values, dim } => values.len() / dim,
        }
    }

    fn schema(&self) -> Result<TypePtr> {
        let name = self.name.as_str();
        let unsigned = LogicalType::integer(32, false);
        let (physical, logical, repetition) = match &self.values {
            Values::Numbers(_) => (Physical::INT32, Some(unsigned), Repetition::REQUIRED),
            Values::OptionalNumbers(_) => (Physical::INT32, Some(unsigned), Repetition::OPTIONAL),
            Values::Floats(_) => (Physical::FLOAT, None, Repetition::REQUIRED),
            Values::Texts(_) => (
                Physical::BYTE_ARRAY,
                Some(LogicalType::String),
                Repetition::OPTIONAL,
            ),
            Values::Lists { .. } => return list_of_floats(name),
        };
        let column = Type::primitive_type_builder(name, physical)
            .with_repetition(repetition)
            .with_logical_type(logical);
        column.build().map(Arc::new)
    }

    fn write(&self, to: &mut ColumnWriter<'_>, from: usize, until: usize) -> Result<()> {
        match (&self.values, to) {
            (Values::Numbers(all), ColumnWriter::Int32ColumnWriter(to)) => {
                let values: Vec<i32> = all[from..until].iter().map(|n| n.cast_signed()).collect();
                to.write_batch(&values, None, None)?;
            }
            (Values::OptionalNumbers(all), ColumnWriter::Int32ColumnWriter(to)) => {
                let rows = &all[from..until];
                let values: Vec<i32> = rows.iter().flatten().map(|n| n.cast_signed()).collect();
                to.write_batch(&values, Some(&present(rows)), None)?;
            }
            (Values::Floats(all), ColumnWriter::FloatColumnWriter(to)) => {
                to.write_batch(&all[from..until], None, None)?;
            }
            (Values::Texts(all), ColumnWriter::ByteArrayColumnWriter(to)) => {
                let rows = &all[from..until];
                let texts = rows.iter().flatten();
                let values: Vec<ByteArray> = texts.map(|t| t.as_str().into()).collect();
                to.write_batch(&values, Some(&present(rows)), None)?;
            }
            (Values::Lists { values, dim }, ColumnWriter::FloatColumnWriter(to)) => {
                let values = &values[from * dim..until * dim];
                let there = vec![1; values.len()];
                // Level 0 begins a row, level 1 goes on with its list.
                let begins = (0..values.len()).map(|at| i16::from(at % dim != 0));
                let begins: Vec<i16> = begins.collect();
                to.write_batch(values, Some(&there), Some(&begins))?;
            }
            _ => {
                let message = format!("column {} has another type", self.name);
                return Err(ParquetError::General(message));
            }
        }
        Ok(())
    }
}

/// Parquet's three levels of a list whose elements are never null.
fn list_of_floats(name: &str) -> Result<TypePtr> {
    let element = Type::primitive_type_builder("element", Physical::FLOAT)
        .with_repetition(Repetition::REQUIRED)
        .build()?;
    let list = Type::group_type_builder("list")
        .with_repetition(Repetition::REPEATED)
        .with_fields(vec![Arc::new(element)])
        .build()?;
    let column = Type::group_type_builder(name)
        .with_repetition(Repetition::REQUIRED)
        .with_logical_type(Some(LogicalType::List))
        .with_fields(vec![Arc::new(list)]);
    column.build().map(Arc::new)
}

/// Definition levels: 1 where there is a value, 0 where it is null.
fn present<T>(rows: &[Option<T>]) -> Vec<i16> {
    rows.iter().map(|row| i16::from(row.is_some())).collect()
}

/// Writes columns of equal length, with facts about the whole as the file's metadata.
pub(super) fn write(columns: &[Column], described: &[(&str, String)]) -> Result<Vec<u8>> {
    let fields = columns.iter().map(Column::schema).collect::<Result<_>>()?;
    let schema = Type::group_type_builder("points")
        .with_fields(fields)
        .build()?;
    let facts = described
        .iter()
        .map(|(key, value)| KeyValue::new((*key).to_owned(), value.clone()));
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_created_by(format!("protoclip-studio {}", env!("CARGO_PKG_VERSION")))
        .set_key_value_metadata(Some(facts.collect()))
        .build();
    let mut file = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties))?;
    let rows = columns.first().map_or(0, Column::rows);
    for from in (0..rows).step_by(GROUP) {
        let group = file.next_row_group()?;
        write_group(group, columns, from, rows.min(from + GROUP))?;
    }
    file.into_inner()
}

fn write_group(
    mut group: SerializedRowGroupWriter<'_, Vec<u8>>,
    columns: &[Column],
    from: usize,
    until: usize,
) -> Result<()> {
    for column in columns {
        if let Some(mut writer) = group.next_column()? {
            column.write(writer.untyped(), from, until)?;
            writer.close()?;
        }
    }
    group.close().map(drop)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;

    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::Field;

    use super::*;

    fn opened(bytes: &[u8]) -> SerializedFileReader<File> {
        let mut file = tempfile::tempfile().expect("temporary file");
        file.write_all(bytes).expect("writes");
        SerializedFileReader::new(file).expect("opens")
    }

    #[test]
    fn columns_of_several_groups_come_back_with_nulls_and_lists() {
        let rows = GROUP + 3;
        let even = |row: usize| row.is_multiple_of(2).then_some(row);
        let numbers: Vec<u32> = (0..rows as u32).map(|row| u32::MAX - row).collect();
        let columns = [
            Column::numbers("sample", &numbers),
            Column::optional_numbers("p", (0..rows).map(|r| even(r).map(|r| r as u32))),
            Column::floats("x", (0..rows).map(|r| r as f32 / 2.0).collect()),
            Column::texts(
                "label:ä b",
                (0..rows).map(|r| even(r).map(|r| format!("é{r}"))),
            ),
            Column::lists("feature", (0..rows * 3).map(|v| v as f32).collect(), 3),
        ];
        let bytes = write(&columns, &[("step", "7".into())]).expect("writes");
        let file = opened(&bytes);
        assert_eq!(file.num_row_groups(), 2);
        let facts = file.metadata().file_metadata().key_value_metadata();
        let facts = facts.expect("metadata");
        assert!(facts.contains(&KeyValue::new("step".into(), "7".to_owned())));
        let mut seen = 0;
        for (row, read) in file.get_row_iter(None).expect("rows").enumerate() {
            let fields: Vec<(String, Field)> = read.expect("a row").into_columns();
            let of = |name: &str| &fields.iter().find(|f| f.0 == name).expect("there").1;
            assert_eq!(*of("sample"), Field::UInt(u32::MAX - row as u32));
            assert_eq!(*of("x"), Field::Float(row as f32 / 2.0));
            let (number, text) = match even(row) {
                Some(row) => (Field::UInt(row as u32), Field::Str(format!("é{row}"))),
                None => (Field::Null, Field::Null),
            };
            assert_eq!((of("p"), of("label:ä b")), (&number, &text));
            let Field::ListInternal(list) = of("feature") else {
                panic!("no list in row {row}");
            };
            let want: Vec<Field> = (row * 3..row * 3 + 3)
                .map(|v| Field::Float(v as f32))
                .collect();
            assert_eq!(list.elements(), want);
            seen += 1;
        }
        assert_eq!(seen, rows);
    }

    #[test]
    fn a_table_without_rows_is_a_file_too() {
        let bytes = write(&[Column::numbers("sample", &[])], &[]).expect("writes");
        let file = opened(&bytes);
        assert_eq!(file.metadata().file_metadata().num_rows(), 0);
    }
}
