//! The newest value of every measure of every run, the best marked, the distance to the first.

use super::super::figures::NONE;
use super::super::measure_catalogue::{Better, GROUPS, Measure, shown};
use crate::studio::RunView;

/// Groups of measures that at least one run has.
#[derive(Debug)]
pub(super) struct MeasureComparison {
    pub(super) groups: Vec<Group>,
}

#[derive(Debug)]
pub(super) struct Group {
    pub(super) title: &'static str,
    pub(super) rows: Vec<Row>,
}

#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) unit: &'static str,
    pub(super) definition: &'static str,
    pub(super) cells: Vec<Cell>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) value: String,
    /// Difference to the first run with its sign; empty for the first and where one is absent.
    pub(super) difference: String,
    pub(super) best: bool,
}

impl MeasureComparison {
    pub(super) fn of(views: &[RunView]) -> Self {
        let groups = GROUPS.iter().map(|group| Group {
            title: group.title,
            rows: group
                .measures
                .iter()
                .filter_map(|measure| Row::of(measure, views))
                .collect(),
        });
        Self {
            groups: groups.filter(|group| !group.rows.is_empty()).collect(),
        }
    }
}

impl Row {
    fn of(measure: &Measure, views: &[RunView]) -> Option<Self> {
        let value = |view: &RunView| view.latest.get(measure.tag).copied();
        let values: Vec<Option<f64>> = views.iter().map(value).collect();
        values.iter().any(Option::is_some).then(|| Self {
            name: measure.name,
            unit: measure.unit,
            definition: measure.definition,
            cells: cells(measure, &values),
        })
    }
}

fn cells(measure: &Measure, values: &[Option<f64>]) -> Vec<Cell> {
    let texts: Vec<Option<String>> = values
        .iter()
        .map(|value| value.map(|value| shown(measure, value)))
        .collect();
    let best = best_place(measure.better, values).and_then(|place| texts[place].clone());
    let first = values.first().copied().flatten();
    let cell = |(place, text): (usize, &Option<String>)| Cell {
        // Equal as written is equal: digits that nobody sees decide nothing.
        best: best.is_some() && *text == best,
        difference: match (place, first, values[place]) {
            (1.., Some(first), Some(value)) => signed(measure, value - first),
            _ => String::new(),
        },
        value: text.clone().unwrap_or_else(|| NONE.into()),
    };
    texts.iter().enumerate().map(cell).collect()
}

/// Where the best of at least two values is.
fn best_place(better: Better, values: &[Option<f64>]) -> Option<usize> {
    let sign = match better {
        Better::Higher => 1.0,
        Better::Lower => -1.0,
        Better::Neither => return None,
    };
    let given = values.iter().enumerate();
    let given: Vec<(usize, f64)> = given
        .filter_map(|(place, value)| Some((place, sign * (*value)?)))
        .collect();
    let best = given.iter().max_by(|a, b| a.1.total_cmp(&b.1))?;
    (given.len() > 1).then_some(best.0)
}

fn signed(measure: &Measure, difference: f64) -> String {
    let text = shown(measure, difference.abs());
    match difference.is_sign_negative() {
        true => format!("−{text}"),
        false => format!("+{text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measure(better: Better) -> Measure {
        Measure {
            tag: "eval/x",
            name: "x",
            unit: "%",
            better,
            definition: "",
        }
    }

    #[test]
    fn the_best_is_marked_and_equal_ones_share_the_mark() {
        let values = [Some(2.0), Some(3.001), None, Some(3.004)];
        let cells = cells(&measure(Better::Higher), &values);
        let best: Vec<bool> = cells.iter().map(|cell| cell.best).collect();
        assert_eq!(best, [false, true, false, true]);
        let differences: Vec<&str> = cells.iter().map(|c| c.difference.as_str()).collect();
        assert_eq!(differences, ["", "+1.00", "", "+1.00"]);
    }

    #[test]
    fn nothing_is_best_without_a_direction_or_a_rival() {
        let lower = |values: &[Option<f64>]| best_place(Better::Lower, values);
        assert_eq!(lower(&[Some(2.0), Some(1.0)]), Some(1));
        assert_eq!(lower(&[Some(2.0), None]), None);
        assert_eq!(best_place(Better::Neither, &[Some(2.0), Some(1.0)]), None);
    }
}
