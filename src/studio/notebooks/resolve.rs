//! Replaces `${cell.field}` in a cell's values by what the other cells came to.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::cell::{Cell, CellKind, references_in};

/// What can be referred to: fields by cell.
pub(super) type Fields = BTreeMap<String, (CellKind, Map<String, Value>)>;

/// The cell's values with every reference replaced. A text that is one reference takes the value's
/// type; inside a longer text the value is written out. `$${` stands for `${`.
///
/// # Errors
/// When a cell that is referred to has no result yet, or not this field.
pub(super) fn resolve(cell: &Cell, fields: &Fields) -> Result<Map<String, Value>, String> {
    let pairs = cell.values.iter().map(|(key, value)| {
        let resolved = resolve_value(value, fields)?;
        Ok((key.clone(), resolved))
    });
    pairs.collect()
}

fn resolve_value(value: &Value, fields: &Fields) -> Result<Value, String> {
    Ok(match value {
        Value::String(text) => resolve_text(text, fields)?,
        Value::Array(values) => {
            let values = values.iter().map(|value| resolve_value(value, fields));
            Value::Array(values.collect::<Result<_, _>>()?)
        }
        Value::Object(values) => {
            let pairs = values
                .iter()
                .map(|(key, value)| Ok((key.clone(), resolve_value(value, fields)?)));
            Value::Object(pairs.collect::<Result<_, String>>()?)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    })
}

fn resolve_text(text: &str, fields: &Fields) -> Result<Value, String> {
    let found = references_in(text);
    if let [(range, reference)] = found.as_slice()
        && range.start == 0
        && range.end == text.len()
    {
        return field(&reference.cell, reference.field.as_deref(), fields);
    }
    let mut written = String::with_capacity(text.len());
    let mut rest = 0;
    for (range, reference) in found {
        written.push_str(&unescaped(&text[rest..range.start]));
        let value = field(&reference.cell, reference.field.as_deref(), fields)?;
        match value {
            Value::String(inside) => written.push_str(&inside),
            other => written.push_str(&other.to_string()),
        }
        rest = range.end;
    }
    written.push_str(&unescaped(&text[rest..]));
    Ok(Value::String(written))
}

fn unescaped(text: &str) -> String {
    text.replace("$${", "${")
}

fn field(cell: &str, name: Option<&str>, fields: &Fields) -> Result<Value, String> {
    let Some((kind, known)) = fields.get(cell) else {
        return Err(format!("the cell {cell} has no result yet; run it first"));
    };
    let name = match (name, kind) {
        (Some(name), _) => name,
        (None, CellKind::Control) => "value",
        (None, CellKind::Run) => "id",
        (None, _) => {
            return Err(format!(
                "say which value of {cell}: {}",
                listed(cell, known)
            ));
        }
    };
    let missing = || {
        format!(
            "{cell} has no value {name:?}; there are {}",
            listed(cell, known)
        )
    };
    known.get(name).cloned().ok_or_else(missing)
}

fn listed(cell: &str, fields: &Map<String, Value>) -> String {
    let names: Vec<String> = fields
        .keys()
        .map(|key| format!("${{{cell}.{key}}}"))
        .collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Document;
    use super::*;

    fn cell(body: &str) -> Cell {
        let text = format!("```yaml protoclip id=a type=plot\n{body}```\n");
        Cell::read(Document::read(&text).cells().next().expect("a cell")).expect("reads")
    }

    fn fields() -> Fields {
        let map = |value: Value| value.as_object().cloned().expect("an object");
        Fields::from([
            ("k".into(), (CellKind::Control, map(json!({"value": 64})))),
            (
                "start".into(),
                (CellKind::Run, map(json!({"id": "r1", "step": 9}))),
            ),
            (
                "e".into(),
                (CellKind::Evaluate, map(json!({"gap": 0.5, "ami": 3}))),
            ),
        ])
    }

    #[test]
    fn references_take_types_alone_and_are_written_out_inside_text() {
        let cell = cell(
            "run: ${start}\nfrom: ${k}\ntitle: K ${k.value} of ${start.id}, $${x} ${e.gap}\nruns: [\"${start.id}\", b]\n",
        );
        let found = resolve(&cell, &fields()).expect("resolves");
        assert_eq!(found["run"], "r1");
        assert_eq!(found["from"], 64);
        assert_eq!(found["title"], "K 64 of r1, ${x} 0.5");
        assert_eq!(found["runs"], json!(["r1", "b"]));
    }

    #[test]
    fn what_is_missing_is_named_with_what_there_is() {
        for (body, part) in [
            ("run: ${none}\n", "has no result yet"),
            (
                "run: ${start.color}\n",
                "there are ${start.id}, ${start.step}",
            ),
            ("from: ${e}\n", "say which value of e"),
        ] {
            let error = resolve(&cell(body), &fields()).expect_err(body);
            assert!(error.contains(part), "{error}");
        }
    }
}
