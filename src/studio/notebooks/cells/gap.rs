//! `gap`: the modality gap of a step after a shift, or measures of several runs under a list of
//! shifts.

use protoclip::prototypes::Space;
use serde_json::{Map, Value, json};

use super::super::super::curves_figure::{CurvesFigure, FigureCurve};
use super::super::super::figure::draw;
use super::super::super::{
    FigureFormat, GapChart, GapMeasures, GapQuery, GapSort, MOST_SHIFT, PlacedBucket, RunView,
    Studio,
};
use super::super::output::{Made, MadeBlock, OutputLink, Table, number};
use super::values::Values;
use super::{CellFailure, Context, provenance};

/// Most shifts of a list.
const MOST_SHIFTS: usize = 41;

/// A number of [`GapMeasures`], under the name that cells use.
struct Measure {
    name: &'static str,
    title: &'static str,
    of: fn(&GapMeasures) -> Option<f64>,
}

const MEASURES: [Measure; 10] = [
    Measure {
        name: "gap",
        title: "modality gap of the towers",
        of: |m| Some(m.gap),
    },
    Measure {
        name: "clustered_gap",
        title: "gap of the clustered features",
        of: |m| Some(m.clustered_gap),
    },
    Measure {
        name: "recall_mean",
        title: "mean recall (%)",
        of: |m| Some(m.retrieval.mean),
    },
    Measure {
        name: "recall_image_to_text_1",
        title: "recall at 1, image to text (%)",
        of: |m| Some(m.retrieval.scores.image_to_text.at_1),
    },
    Measure {
        name: "separation",
        title: "matched pair more similar than an unmatched one (probability)",
        of: |m| Some(m.cosines.separation),
    },
    Measure {
        name: "accuracy",
        title: "images in their text prototype, with back translation (%)",
        of: |m| grouping(m).map(|g| g.translated.accuracy_percent),
    },
    Measure {
        name: "accuracy_untranslated",
        title: "images in their text prototype, without back translation (%)",
        of: |m| grouping(m)?.untranslated.map(|g| g.accuracy_percent),
    },
    Measure {
        name: "ami",
        title: "AMI of images with text prototypes, with back translation",
        of: |m| grouping(m).map(|g| g.translated.ami),
    },
    Measure {
        name: "ami_untranslated",
        title: "AMI of images with text prototypes, without back translation",
        of: |m| grouping(m)?.untranslated.map(|g| g.ami),
    },
    Measure {
        name: "loss",
        title: "prototype loss of images, with back translation (nats)",
        of: |m| grouping(m).map(|g| g.translated.loss),
    },
];

/// Images as students of the text prototypes.
fn grouping(measures: &GapMeasures) -> Option<&super::super::super::GroupingView> {
    let asked = |g: &&super::super::super::GroupingView| {
        g.student == Space::Image && g.teacher == Space::Text
    };
    measures.groupings.iter().find(asked)
}

pub(super) fn inputs(studio: &Studio, values: Values<'_>) -> Result<Value, CellFailure> {
    let asked = |run: &RunView| -> Result<Value, CellFailure> {
        let newest = studio.feature_steps(&run.id)?.last().copied();
        Ok(json!([run.id, run.name, values.whole("step")?.or(newest)]))
    };
    values.runs(studio)?.iter().map(asked).collect()
}

pub(super) fn make(context: &Context<'_>) -> Result<Made, CellFailure> {
    let runs = context.values.runs(context.studio)?;
    match runs.as_slice() {
        [] => Err("run: is missing; give the id of a run".to_owned().into()),
        [run] if context.values.get("shifts").is_none() => one_shift(context, run),
        several => sweep(context, several),
    }
}

fn query(step: Option<u64>, shift: f64) -> GapQuery {
    GapQuery {
        step,
        shift,
        space: Space::Image,
        sort: GapSort::default(),
        offset: 0,
        limit: 0,
    }
}

fn checked_shift(key: &str, shift: f64) -> Result<f64, String> {
    match (-MOST_SHIFT..=MOST_SHIFT).contains(&shift) {
        true => Ok(shift),
        false => Err(format!(
            "{key}: {shift} is not from -{MOST_SHIFT} to {MOST_SHIFT}"
        )),
    }
}

fn one_shift(context: &Context<'_>, run: &RunView) -> Result<Made, CellFailure> {
    let (studio, values) = (context.studio, context.values);
    let shift = checked_shift("shift", values.number("shift")?.unwrap_or(0.0))?;
    let query = query(values.whole("step")?, shift);
    let view = studio.gap(&run.id, &query)?;
    let svg = studio
        .gap_figure(
            &run.id,
            &query,
            (GapChart::Cosines, FigureFormat::Svg.into()),
        )?
        .bytes;
    let mut table = Table::new("", &["measure", "as trained", "shifted"]);
    let mut fields = Map::new();
    fields.insert("step".into(), view.step.into());
    fields.insert("shift".into(), shift.into());
    for measure in &MEASURES {
        let (before, after) = ((measure.of)(&view.unshifted), (measure.of)(&view.shifted));
        let Some(value) = after else { continue };
        fields.insert(measure.name.into(), value.into());
        let before = before.map_or_else(|| "–".into(), number);
        table
            .rows
            .push(vec![measure.title.into(), before, number(value)]);
    }
    let summary = format!(
        "Modality gap of {} at step {}, shift {}: {} (as trained {}), mean recall {} % (as trained {} %).",
        run.name,
        view.step,
        number(shift),
        number(view.shifted.gap),
        number(view.unshifted.gap),
        number(view.shifted.retrieval.mean),
        number(view.unshifted.retrieval.mean)
    );
    Ok(Made {
        blocks: vec![
            MadeBlock::Figure {
                svg,
                alt: summary.clone(),
            },
            MadeBlock::Table(table),
        ],
        summary,
        fields,
        links: vec![OutputLink {
            label: "Open the gap page".into(),
            href: format!("/runs/{}/gap?step={}&shift={shift}", run.id, view.step),
        }],
        provenance: vec![provenance(studio, run, view.step)?],
    })
}

fn sweep(context: &Context<'_>, runs: &[RunView]) -> Result<Made, CellFailure> {
    let (studio, values) = (context.studio, context.values);
    let shifts = shifts(values)?;
    let measures = measures(values)?;
    let total = (runs.len() * shifts.len()) as u64;
    let mut rows = Vec::new();
    let mut provenances = Vec::new();
    for run in runs {
        let mut step = values.whole("step")?;
        for &shift in &shifts {
            context.report(
                &format!("{}, shift {shift}", run.name),
                rows.len() as u64,
                total,
            )?;
            let view = studio.gap(&run.id, &query(step, shift))?;
            step = Some(view.step);
            rows.push((run, shift, view));
        }
        provenances.push(provenance(studio, run, step.unwrap_or(run.step))?);
    }
    let mut columns = vec!["run", "step", "shift"];
    columns.extend(measures.iter().map(|measure| measure.name));
    let mut table = Table::new("", &columns);
    for (run, shift, view) in &rows {
        let mut row = vec![run.name.clone(), view.step.to_string(), number(*shift)];
        let cells = measures.iter().map(|measure| (measure.of)(&view.shifted));
        row.extend(cells.map(|value| value.map_or_else(|| "–".into(), number)));
        table.rows.push(row);
    }
    let mut blocks = Vec::new();
    for measure in &measures {
        let curve = |run: &RunView| FigureCurve {
            label: run.name.clone(),
            points: rows
                .iter()
                .filter(|(of, ..)| of.id == run.id)
                .map(|(_, shift, view)| {
                    let value = (measure.of)(&view.shifted);
                    PlacedBucket(*shift, value, value, value)
                })
                .collect(),
            marked: true,
            colour: None,
        };
        let title = measure.title.to_owned();
        let figure = CurvesFigure {
            x_title: "shift λ (below 0 apart, above 0 together)".into(),
            y_title: measure.name.into(),
            curves: runs.iter().map(curve).collect(),
            title: title.clone(),
        };
        let names: Vec<&str> = runs.iter().map(|run| run.name.as_str()).collect();
        blocks.push(MadeBlock::Figure {
            svg: draw(&figure, &title, FigureFormat::Svg)?.bytes,
            alt: format!(
                "{title} of {} by shift; the table has the numbers",
                names.join(", ")
            ),
        });
    }
    blocks.push(MadeBlock::Table(table));
    Ok(Made {
        summary: format!("{} shifts of {} runs.", shifts.len(), runs.len()),
        blocks,
        fields: Map::new(),
        links: Vec::new(),
        provenance: provenances,
    })
}

fn shifts(values: Values<'_>) -> Result<Vec<f64>, CellFailure> {
    let mut shifts = values.numbers("shifts")?;
    if let Some(one) = values.number("shift")?.filter(|_| shifts.is_empty()) {
        shifts.push(one);
    }
    if shifts.is_empty() {
        shifts.push(0.0);
    }
    if shifts.len() > MOST_SHIFTS {
        return Err(format!("shifts: {} given, at most {MOST_SHIFTS}", shifts.len()).into());
    }
    for &shift in &shifts {
        checked_shift("shifts", shift)?;
    }
    shifts.sort_by(f64::total_cmp);
    shifts.dedup();
    Ok(shifts)
}

fn measures(values: Values<'_>) -> Result<Vec<&'static Measure>, CellFailure> {
    let named = values.texts("measures")?;
    if named.is_empty() {
        let usual = ["gap", "recall_mean", "accuracy", "accuracy_untranslated"];
        return Ok(MEASURES
            .iter()
            .filter(|m| usual.contains(&m.name))
            .collect());
    }
    let find = |name: &String| {
        MEASURES.iter().find(|m| m.name == name).ok_or_else(|| {
            let known = MEASURES.map(|m| m.name).join(", ");
            CellFailure::Failed(format!("measures: there is no {name}; there are {known}"))
        })
    };
    named.iter().map(find).collect()
}
