//! `prototypes`: prototypes of a step as a sheet of pictures and captions, and as a table.

use protoclip::prototypes::Space;
use serde_json::{Value, json};

use super::super::super::{
    FigureFormat, PrototypeQuery, PrototypeSort, SHEET_ROWS, SheetQuery, Studio,
};
use super::super::output::{Made, MadeBlock, OutputLink, Table, number};
use super::values::Values;
use super::{CellFailure, Context, provenance};

/// Rows unless asked otherwise, and at most.
const MOST_ROWS: u64 = 40;

pub(super) fn inputs(studio: &Studio, values: Values<'_>) -> Result<Value, CellFailure> {
    let run = values.run(studio)?;
    let step = values.whole("step")?.or(run.prototypes_step);
    Ok(json!([run.id, run.name, step]))
}

pub(super) fn make(context: &Context<'_>) -> Result<Made, CellFailure> {
    let (studio, values) = (context.studio, context.values);
    let run = values.run(studio)?;
    let count = values.whole("count")?.unwrap_or(SHEET_ROWS as u64);
    if !(1..=MOST_ROWS).contains(&count) {
        return Err(format!("count: {count} is not from 1 to {MOST_ROWS}").into());
    }
    let query = PrototypeQuery {
        step: values.whole("step")?,
        space: values.word::<Space>("space")?.unwrap_or(Space::Image),
        sort: values.word::<PrototypeSort>("sort")?.unwrap_or_default(),
        text: values.text("query")?.unwrap_or_default().to_owned(),
        health: None,
        offset: 0,
        limit: usize::try_from(count).unwrap_or(SHEET_ROWS),
    };
    let page = studio.prototypes(&run.id, &query)?;
    if page.prototypes.is_empty() {
        let message = format!(
            "no prototype of step {} matches {:?}",
            page.step, query.text
        );
        return Err(message.into());
    }
    let sheet = SheetQuery {
        prototypes: PrototypeQuery {
            step: Some(page.step),
            ..query.clone()
        },
        ids: Vec::new(),
    };
    let svg = studio
        .prototype_sheet(&run.id, &sheet, FigureFormat::Svg.into())?
        .bytes;
    let columns = [
        "prototype",
        "samples",
        "tightness",
        "words",
        "commonest label",
        "nearest caption",
    ];
    let mut table = Table::new("", &columns);
    for card in &page.prototypes {
        let shown = |value: Option<String>| value.unwrap_or_else(|| "–".into());
        table.rows.push(vec![
            card.id.to_string(),
            card.size.to_string(),
            shown(card.tightness.map(|t| number(f64::from(t)))),
            card.words.join(", "),
            shown(card.label.clone()),
            shown(card.samples.first().map(|sample| sample.caption.clone())),
        ]);
    }
    table.note = Some(format!(
        "{} of {} prototypes of the {} space at step {}, {} of them without a sample",
        page.prototypes.len(),
        page.count,
        page.space.name(),
        page.step,
        page.empty
    ));
    let summary = format!(
        "Prototypes of the {} space of {} at step {}: {}.",
        page.space.name(),
        run.name,
        page.step,
        page.prototypes
            .iter()
            .map(|card| format!(
                "number {} with {} samples ({})",
                card.id,
                card.size,
                card.words.join(" ")
            ))
            .collect::<Vec<_>>()
            .join("; ")
    );
    let fields = json!({"step": page.step, "count": page.count, "empty": page.empty, "samples": page.samples});
    Ok(Made {
        blocks: vec![
            MadeBlock::Figure {
                svg,
                alt: summary.clone(),
            },
            MadeBlock::Table(table),
        ],
        summary,
        fields: fields.as_object().cloned().unwrap_or_default(),
        links: vec![OutputLink {
            label: "Open all prototypes".into(),
            href: format!(
                "/runs/{}/prototypes?step={}&space={}",
                run.id,
                page.step,
                page.space.name()
            ),
        }],
        provenance: vec![provenance(studio, &run, page.step)?],
    })
}
