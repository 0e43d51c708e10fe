//! The order of cells by what they refer to; what stands in the way of one.

use std::collections::{BTreeMap, BTreeSet};

use super::cell::MOST_PROBLEMS;
use super::{Cell, Document, Problem};

/// More cells than anybody reads; a file that has more is damaged or made to do harm.
const MOST_CELLS: usize = 1000;
/// Cells of a circle that are named.
const NAMED_IN_CIRCLE: usize = 12;

/// Cells in an order in which each comes after those it refers to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// Cells that can be run, in order.
    pub cells: Vec<Cell>,
    /// What is wrong, by line. A cell with a problem, or that depends on one, is not in `cells`.
    pub problems: Vec<Problem>,
}

impl Plan {
    /// Reads all cells of a notebook and orders them. Independent cells keep the order of the file.
    pub fn of(document: &Document) -> Self {
        let mut plan = Self::default();
        let mut cells: BTreeMap<String, Cell> = BTreeMap::new();
        let mut order = Vec::new();
        if let Some(text) = document.cells().nth(MOST_CELLS) {
            plan.problems.push(Problem {
                line: text.line,
                cell: None,
                message: format!(
                    "a notebook has at most {MOST_CELLS} cells; this one and those after it are not run"
                ),
            });
        }
        for text in document.cells().take(MOST_CELLS) {
            match Cell::read(text) {
                Ok(cell) if cells.contains_key(&cell.id) => {
                    let first = cells.get(&cell.id).map_or(0, |first| first.line);
                    let message =
                        format!("line {first} has a cell {} already; rename one", cell.id);
                    plan.complain(&cell, message);
                }
                Ok(cell) => {
                    order.push(cell.id.clone());
                    cells.insert(cell.id.clone(), cell);
                }
                Err(problems) => plan.problems.extend(problems),
            }
        }
        let needs = plan.needs(&cells);
        plan.place(&order, &mut cells, &needs);
        plan.problems.sort_by_key(|problem| problem.line);
        plan
    }

    /// Cells that must be run again, in order, when `changed` has: those that refer to it, directly or
    /// not, and itself.
    pub fn downstream(&self, changed: &str) -> Vec<&str> {
        let mut reached = BTreeSet::from([changed]);
        let mut found = Vec::new();
        for cell in &self.cells {
            let refers = cell
                .references()
                .iter()
                .any(|r| reached.contains(r.cell.as_str()));
            if refers || cell.id == changed {
                reached.insert(&cell.id);
                found.push(cell.id.as_str());
            }
        }
        found
    }

    /// For each cell the cells that it refers to; complains of those that do not exist.
    fn needs(&mut self, cells: &BTreeMap<String, Cell>) -> BTreeMap<String, BTreeSet<String>> {
        let mut needs = BTreeMap::new();
        for cell in cells.values() {
            let wanted: BTreeSet<String> = cell.references().into_iter().map(|r| r.cell).collect();
            let missing = wanted.iter().filter(|id| !cells.contains_key(*id));
            for missing in missing.take(MOST_PROBLEMS) {
                self.complain(
                    cell,
                    format!("${{{missing}}} refers to no cell of this notebook"),
                );
            }
            needs.insert(cell.id.clone(), wanted);
        }
        needs
    }

    /// Moves cells into the plan as soon as all that they need is there (Kahn 1962); what remains is
    /// in a cycle, or needs a cell that is.
    fn place(
        &mut self,
        order: &[String],
        cells: &mut BTreeMap<String, Cell>,
        needs: &BTreeMap<String, BTreeSet<String>>,
    ) {
        let mut placed = BTreeSet::new();
        loop {
            let next = order.iter().find(|id| {
                cells.contains_key(*id) && needs[*id].iter().all(|need| placed.contains(need))
            });
            let Some(cell) = next.and_then(|id| cells.remove(id)) else {
                break;
            };
            placed.insert(cell.id.clone());
            self.cells.push(cell);
        }
        for cell in cells.values() {
            if let Some(way) = cycle(&cell.id, needs) {
                self.complain(
                    cell,
                    format!("cells refer to one another in a circle: {way}"),
                );
            }
        }
    }

    fn complain(&mut self, cell: &Cell, message: String) {
        self.problems.push(Problem {
            line: cell.line,
            cell: Some(cell.id.clone()),
            message,
        });
    }
}

/// A way from a cell back to itself, such as `a → b → a`; the middle of a long one is left out.
fn cycle(start: &str, needs: &BTreeMap<String, BTreeSet<String>>) -> Option<String> {
    let mut come_from: BTreeMap<&str, &str> = BTreeMap::new();
    let mut reached = vec![start];
    while let Some(last) = reached.pop() {
        for need in needs.get(last).into_iter().flatten() {
            if need == start {
                let mut way = vec![last];
                while let Some(before) = way.last().and_then(|cell| come_from.get(cell)) {
                    way.push(before);
                }
                way.reverse();
                way.push(start);
                return Some(written(&way));
            }
            if !come_from.contains_key(need.as_str()) {
                come_from.insert(need, last);
                reached.push(need);
            }
        }
    }
    None
}

fn written(way: &[&str]) -> String {
    let last = way.last().copied().unwrap_or_default();
    match way.get(..NAMED_IN_CIRCLE) {
        Some(first) if way.len() > NAMED_IN_CIRCLE + 1 => {
            format!("{} → … → {last}", first.join(" → "))
        }
        _ => way.join(" → "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notebook(cells: &[(&str, &str)]) -> Document {
        let text: String = cells
            .iter()
            .map(|(id, run)| format!("```yaml protoclip id={id} type=plot\nrun: {run}\n```\n"))
            .collect();
        Document::read(&text)
    }

    fn ids(plan: &Plan) -> Vec<&str> {
        plan.cells.iter().map(|cell| cell.id.as_str()).collect()
    }

    #[test]
    fn cells_come_after_those_they_refer_to_and_else_in_the_order_of_the_file() {
        let plan = Plan::of(&notebook(&[
            ("c", "${b.id}"),
            ("a", "x"),
            ("b", "${a}"),
            ("d", "x"),
        ]));
        assert_eq!(ids(&plan), ["a", "b", "c", "d"]);
        assert_eq!(plan.problems, []);
        assert_eq!(plan.downstream("b"), ["b", "c"]);
        assert_eq!(plan.downstream("d"), ["d"]);
    }

    #[test]
    fn circles_duplicates_and_strangers_are_problems_of_their_cells() {
        let plan = Plan::of(&notebook(&[
            ("a", "${b}"),
            ("b", "${a}"),
            ("after", "${b}"),
            ("fine", "x"),
            ("fine", "y"),
            ("lost", "${nobody.id}"),
            ("me", "${me}"),
        ]));
        assert_eq!(ids(&plan), ["fine"]);
        let told: Vec<(usize, &str)> = plan
            .problems
            .iter()
            .map(|problem| (problem.line, problem.message.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                (1, "cells refer to one another in a circle: a → b → a"),
                (4, "cells refer to one another in a circle: b → a → b"),
                (13, "line 10 has a cell fine already; rename one"),
                (16, "${nobody} refers to no cell of this notebook"),
                (19, "cells refer to one another in a circle: me → me"),
            ]
        );
    }
}
