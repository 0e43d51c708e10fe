//! Notebooks in the studio: what refreshes by itself, what waits for a person, cancelling, controls,
//! and two who edit the same file.

use std::time::{Duration, Instant};

use protoclip_studio::studio::notebooks::{
    CellState, CellView, NewNotebook, NotebookName, NotebookView, PartView, RunCells, SaveOutcome,
    Which,
};
use protoclip_studio::studio::{RunId, RunState, StudioError};
use serde_json::json;

use crate::support::scripted_runner::{Action, PATIENCE};
use crate::support::test_site::TestSite;

const TEXT: &str = "---\nprotoclip: 1\ntitle: Desk\n---\n
```yaml protoclip id=smooth type=control
min: 0
max: 0.9
value: 0 # none
```
```yaml protoclip id=start type=run
name: from a notebook
```
```yaml protoclip id=loss type=plot
run: ${start}
metric: train/loss_total
smooth: ${smooth}
```
```yaml protoclip id=broken type=plot
run: latest
metric: train/loss_total
smooth: 7
```
```yaml protoclip id=count type=query
run: ${start}
sql: SELECT COUNT(*) AS steps FROM points
```
";

struct Desk {
    site: TestSite,
    name: NotebookName,
}

fn cell<'a>(view: &'a NotebookView, id: &str) -> &'a CellView {
    let found = view.parts.iter().find_map(|part| match part {
        PartView::Cell(cell) if cell.id.as_deref() == Some(id) => Some(cell),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("no cell {id}"))
}

fn state(view: &NotebookView, id: &str) -> CellState {
    cell(view, id).status.state
}

impl Desk {
    fn new() -> Self {
        let site = TestSite::new();
        let new = NewNotebook {
            name: "desk".into(),
            text: Some(TEXT.into()),
            template: None,
        };
        site.studio.create_notebook(&new).expect("creates");
        let name = NotebookName::parse("desk").expect("a name");
        Self { site, name }
    }

    fn view(&self) -> NotebookView {
        self.site.studio.notebook(&self.name).expect("reads")
    }

    fn run(&self, cells: &[&str], which: Which) {
        let asked = RunCells {
            cells: cells.iter().map(|&cell| cell.to_owned()).collect(),
            which,
            effects: false,
        };
        self.site
            .studio
            .run_notebook(&self.name, &asked)
            .expect("runs");
    }

    /// Waits until the notebook is as wished.
    fn wait(&self, wished: impl Fn(&NotebookView) -> bool) -> NotebookView {
        let began = Instant::now();
        loop {
            let view = self.view();
            if wished(&view) {
                return view;
            }
            assert!(began.elapsed() < PATIENCE, "never as wished: {view:#?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn idle(&self) -> NotebookView {
        self.wait(|view| !view.running)
    }

    fn started(&self) -> RunId {
        let run = || self.site.studio.runs().into_iter().next();
        self.wait(|_| run().is_some_and(|run| run.device == "script"));
        run().expect("a run").id
    }
}

#[test]
fn effects_wait_for_a_person_views_follow_and_a_failed_cell_stops_nothing() {
    let desk = Desk::new();
    desk.run(&[], Which::All);
    let view = desk.idle();
    assert!(desk.site.studio.runs().is_empty(), "no effect by itself");
    assert_eq!(state(&view, "start"), CellState::Never);
    assert_eq!(state(&view, "smooth"), CellState::Fresh);
    let reason = cell(&view, "loss").status.reason.clone();
    assert!(reason.is_some_and(|reason| reason.contains("start has no result yet")));

    desk.run(&["start"], Which::Views);
    let id = desk.started();
    desk.site.runner.steps(5);
    // Which also tells what the recorder still holds.
    desk.site.runner.act(Action::Checkpoint);
    let view = desk.wait(|view| cell(view, "start").status.done == Some(5));
    assert_eq!(state(&view, "start"), CellState::Running);
    assert_eq!(cell(&view, "start").status.total, Some(40));
    desk.site.runner.act(Action::Finish);
    let view = desk.idle();
    for id in ["start", "loss", "count"] {
        assert_eq!(state(&view, id), CellState::Fresh, "{id}: {view:#?}");
    }
    let count = cell(&view, "count").output.as_ref().expect("an output");
    assert_eq!(count.fields["steps"], 5);
    assert_eq!(
        cell(&view, "loss")
            .output
            .as_ref()
            .expect("an output")
            .provenance[0]
            .run,
        id
    );
    assert_eq!(view.effects.len(), 1);
    assert!(
        view.effects[0].text.contains("started run"),
        "{:?}",
        view.effects
    );

    desk.run(&["broken"], Which::Views);
    let view = desk.idle();
    assert_eq!(state(&view, "broken"), CellState::Failed);
    let reason = cell(&view, "broken").status.reason.clone();
    assert!(reason.is_some_and(|reason| reason.contains("smooth: 7")));
    assert_eq!(state(&view, "loss"), CellState::Fresh);
}

#[test]
fn a_control_changes_one_line_and_refreshes_what_follows_it() {
    let desk = Desk::new();
    desk.run(&["start"], Which::Views);
    desk.started();
    for loss in [3.0, 1.0, 2.0] {
        desk.site.runner.act(Action::Step(loss));
    }
    desk.site.runner.act(Action::Finish);
    let before = desk.idle();
    let studio = &desk.site.studio;
    studio
        .set_control(&desk.name, "smooth", &json!(0.5))
        .expect("sets");
    let view = desk.wait(|view| !view.running && state(view, "loss") == CellState::Fresh);
    let old = cell(&before, "loss").output.as_ref().expect("an output");
    let new = cell(&view, "loss").output.as_ref().expect("an output");
    assert_ne!(old.hash, new.hash, "another curve");
    let count = |view| {
        cell(view, "count")
            .output
            .as_ref()
            .map(|output| output.computed)
    };
    assert_eq!(
        count(&before),
        count(&view),
        "what does not follow it stays"
    );
    let path = desk.site.folder.path().join("notebooks/desk.md");
    let text = std::fs::read_to_string(path).expect("reads");
    assert_eq!(text, TEXT.replace("value: 0 #", "value: 0.5 #"));
    for (cell, value) in [("smooth", json!(2)), ("smooth", json!("x"))] {
        let error = studio
            .set_control(&desk.name, cell, &value)
            .expect_err("refused");
        assert!(error.to_string().contains("0.9"), "{error}");
    }
    let error = studio
        .set_control(&desk.name, "loss", &json!(1))
        .expect_err("no control");
    assert!(matches!(error, StudioError::Conflict(_)), "{error}");
}

#[test]
fn a_cancelled_effect_stops_its_run_and_goes_on_when_it_is_run_again() {
    let desk = Desk::new();
    desk.run(&["start"], Which::Views);
    let id = desk.started();
    desk.site.runner.steps(2);
    desk.site
        .studio
        .cancel_notebook(&desk.name, Some("start"))
        .expect("cancels");
    let view = desk.idle();
    assert_eq!(state(&view, "start"), CellState::Cancelled);
    let stopped = || desk.site.studio.run(&id).expect("exists").state == RunState::Stopped;
    desk.wait(|_| stopped());

    desk.run(&["start"], Which::Views);
    desk.wait(|_| desk.site.studio.run(&id).expect("exists").state == RunState::Running);
    assert_eq!(desk.site.studio.runs().len(), 1, "the same run goes on");
    desk.site.runner.steps(1);
    desk.site.runner.act(Action::Finish);
    let view = desk.idle();
    assert_eq!(state(&view, "start"), CellState::Fresh);
    assert_eq!(desk.site.steps(&id), [1, 2, 3]);
    let told: Vec<&str> = view
        .effects
        .iter()
        .map(|effect| effect.text.as_str())
        .collect();
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(
        told[1].contains("cancelled") && told[2].contains("resumed"),
        "{told:?}"
    );

    // Run once more after its end, it starts another one.
    desk.run(&["start"], Which::Views);
    desk.wait(|_| desk.site.studio.runs().len() == 2);
    desk.site
        .studio
        .cancel_notebook(&desk.name, None)
        .expect("cancels");
    desk.idle();
}

#[test]
fn a_run_that_fails_fails_its_cell_with_the_reason() {
    let desk = Desk::new();
    desk.run(&["start"], Which::Views);
    desk.started();
    desk.site.runner.steps(1);
    desk.site.runner.act(Action::Fail("the disk is gone"));
    let view = desk.idle();
    let start = cell(&view, "start");
    let error = start
        .output
        .as_ref()
        .and_then(|output| output.error.clone());
    assert!(
        error.is_some_and(|error| error.contains("the disk is gone")),
        "{start:#?}"
    );
    assert_eq!(state(&view, "loss"), CellState::Never);
}

#[test]
fn nobody_overwrites_what_another_one_wrote() {
    let desk = Desk::new();
    let studio = &desk.site.studio;
    let before = desk.view();
    let path = desk.site.folder.path().join("notebooks/desk.md");
    let theirs = format!("{TEXT}\nadded elsewhere\n");
    std::fs::write(&path, &theirs).expect("writes");
    let outcome = studio
        .save_notebook(&desk.name, &before.etag, "mine")
        .expect("answers");
    let SaveOutcome::Conflict { etag, text } = outcome else {
        panic!("a conflict")
    };
    assert_eq!(text, theirs);
    assert_eq!(
        std::fs::read_to_string(&path).expect("reads"),
        theirs,
        "nothing is lost"
    );
    let outcome = studio
        .save_notebook(&desk.name, &etag, "mine")
        .expect("answers");
    assert!(matches!(outcome, SaveOutcome::Saved(_)));
    assert_eq!(std::fs::read_to_string(&path).expect("reads"), "mine");
}

#[test]
fn notebooks_are_listed_renamed_and_thrown_away_with_their_outputs() {
    let desk = Desk::new();
    let studio = &desk.site.studio;
    desk.run(&["broken"], Which::Views);
    desk.idle();
    let listed = studio.notebooks().expect("lists");
    assert_eq!((listed[0].title.as_str(), listed[0].cells), ("Desk", 5));
    let view = studio
        .rename_notebook(&desk.name, "other")
        .expect("renames");
    assert_eq!(view.name, "other");
    assert!(cell(&view, "broken").output.is_some(), "outputs go with it");
    assert!(studio.notebook(&desk.name).is_err());
    let other = NotebookName::parse("other").expect("a name");
    let error = studio.rename_notebook(&other, "../x").expect_err("no name");
    assert!(matches!(error, StudioError::Invalid(_)));
    let place = studio.trash_notebook(&other).expect("throws away");
    assert_eq!(std::fs::read_to_string(place).expect("reads"), TEXT);
    assert!(studio.notebooks().expect("lists").is_empty());
    for template in studio.notebook_templates() {
        let new = NewNotebook {
            name: template.name.into(),
            template: Some(template.name.into()),
            text: None,
        };
        let view = studio.create_notebook(&new).expect("creates");
        assert_eq!(view.title, template.title);
        let again = studio.create_notebook(&new).expect_err("taken");
        assert!(again.to_string().contains("already"), "{again}");
    }
}
