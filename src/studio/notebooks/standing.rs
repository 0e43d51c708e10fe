//! Where each cell stands: what it depends on, and whether its last result still is that.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::super::Studio;
use super::cell::{Cell, CellKind};
use super::cells::{self, run_choices};
use super::control::Control;
use super::output::hash_of;
use super::output_store::Outputs;
use super::plan::Plan;
use super::resolve::{Fields, resolve};

/// Values of controls that replace those of the file, for one pass.
pub type Overrides = BTreeMap<String, Value>;

/// What is known of a cell before it is run.
#[derive(Debug, Clone, Default)]
pub(super) struct Standing {
    /// Values with references replaced; absent when they cannot be, for the `reason`.
    pub(super) values: Option<Map<String, Value>>,
    /// Identifies what the result would be computed from; absent when that cannot be said.
    pub(super) key: Option<String>,
    /// Why there is no key.
    pub(super) reason: Option<String>,
    /// The last result is of this key, and those of all cells that it refers to are too.
    pub(super) fresh: bool,
    pub(super) control: Option<Control>,
}

/// Follows a plan cell by cell, so that each one sees what those before it came to.
pub(super) struct Follower<'a> {
    studio: &'a Studio,
    overrides: &'a Overrides,
    fields: Fields,
    fresh: BTreeMap<String, bool>,
}

impl<'a> Follower<'a> {
    pub(super) fn new(studio: &'a Studio, overrides: &'a Overrides) -> Self {
        Self {
            studio,
            overrides,
            fields: Fields::new(),
            fresh: BTreeMap::new(),
        }
    }

    /// Where a cell stands whose references were all followed before.
    pub(super) fn look(&self, cell: &Cell, outputs: &Outputs) -> Standing {
        let mut standing = Standing::default();
        let mut values = match resolve(cell, &self.fields) {
            Ok(values) => values,
            Err(reason) => {
                standing.reason = Some(reason);
                return standing;
            }
        };
        if cell.kind == CellKind::Control {
            if let Some(value) = self.overrides.get(&cell.id) {
                values.insert("value".into(), value.clone());
            }
            match Control::read(&cell.id, &values, || run_choices(self.studio)) {
                Ok(control) => {
                    values.insert("value".into(), control.value.clone());
                    standing.control = Some(control);
                    standing.fresh = true;
                }
                Err(reason) => standing.reason = Some(reason),
            }
        } else {
            match cells::inputs(self.studio, cell, &values) {
                Ok(inputs) => {
                    let parts = json!([cell.kind.name(), values, inputs]);
                    let key = hash_of(parts.to_string().as_bytes());
                    let known = outputs.get(&cell.id);
                    let same = known.is_some_and(|output| {
                        output.key == key && cells::is_complete(cell, output)
                    });
                    standing.fresh = same && self.all_fresh(cell);
                    standing.key = Some(key);
                }
                Err(failure) => standing.reason = Some(failure.to_string()),
            }
        }
        standing.values = Some(values);
        standing
    }

    fn all_fresh(&self, cell: &Cell) -> bool {
        let mut references = cell.references().into_iter();
        references.all(|r| self.fresh.get(&r.cell).copied().unwrap_or(false))
    }

    /// Lets later cells refer to this one.
    pub(super) fn pass(&mut self, cell: &Cell, standing: &Standing, outputs: &Outputs) {
        self.fresh.insert(cell.id.clone(), standing.fresh);
        let fields = match (&standing.control, outputs.get(&cell.id)) {
            (Some(control), _) => Some(Map::from_iter([(
                "value".to_owned(),
                control.value.clone(),
            )])),
            (None, Some(output)) if output.error.is_none() => Some(output.fields.clone()),
            (None, _) => None,
        };
        if let Some(fields) = fields {
            self.fields.insert(cell.id.clone(), (cell.kind, fields));
        }
    }
}

/// Where every cell of a plan stands.
pub(super) fn standings(
    studio: &Studio,
    plan: &Plan,
    outputs: &Outputs,
    overrides: &Overrides,
) -> BTreeMap<String, Standing> {
    let mut follower = Follower::new(studio, overrides);
    let mut all = BTreeMap::new();
    for cell in &plan.cells {
        let standing = follower.look(cell, outputs);
        follower.pass(cell, &standing, outputs);
        all.insert(cell.id.clone(), standing);
    }
    all
}
