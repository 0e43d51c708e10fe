//! The page of a prototype number that a step does not have: where it is, and its relatives here.

use askama::Template;

use super::super::address::{address, percent};
use super::super::figures::grouped;
use super::super::prototypes::prototype_href;
use super::super::run_card::RunCard;
use super::super::shell::Shell;
use super::lineage_panel::KinList;
use crate::studio::{AbsentPrototype, RunView};

/// Answered with status 404.
#[derive(Debug, Template)]
#[template(path = "pages/absent_prototype.html")]
pub(super) struct AbsentPrototypePage {
    shell: Shell,
    tab: &'static str,
    run: RunCard,
    id: usize,
    space: &'static str,
    step: String,
    back: String,
    /// How many prototypes there are.
    about: String,
    steps: Vec<StepLink>,
    family: Option<Family>,
}

#[derive(Debug)]
struct StepLink {
    href: String,
    step: String,
}

/// Relatives at the step that was asked for.
#[derive(Debug)]
struct Family {
    title: &'static str,
    /// Where the number is last, or first.
    occurrence: String,
    kin: KinList,
}

impl AbsentPrototypePage {
    pub(super) fn new(shell: Shell, view: &RunView, absent: &AbsentPrototype) -> Self {
        let run = view.id.as_str();
        let space = absent.space.name();
        let links = absent.steps.iter().rev().map(|&step| StepLink {
            href: prototype_href(run, absent.prototype, space, step),
            step: grouped(step),
        });
        Self {
            shell,
            tab: "prototypes",
            run: RunCard::new(view),
            id: absent.prototype,
            space,
            step: grouped(absent.step),
            back: address(
                &format!("/runs/{}/prototypes", percent(run)),
                &[("space", space), ("step", &absent.step.to_string())],
            ),
            about: match absent.count {
                1 => format!("The {space} space has one prototype at this step, number 0."),
                count => format!(
                    "The {space} space has {} prototypes at this step, numbered from 0 to {}.",
                    grouped(count as u64),
                    grouped(count.saturating_sub(1) as u64)
                ),
            },
            steps: links.collect(),
            family: absent.occurrence.as_ref().map(|other| {
                let step = grouped(other.step);
                if other.later {
                    Family {
                        title: "What it comes from",
                        occurrence: format!("The number comes first at step {step}."),
                        kin: KinList::ancestors(run, &other.kin),
                    }
                } else {
                    Family {
                        title: "Its descendants",
                        occurrence: format!("The number was last there at step {step}."),
                        kin: KinList::descendants(run, &other.kin),
                    }
                }
            }),
        }
    }
}
