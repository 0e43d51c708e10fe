//! What is read is written; edits change what they mean.

use proptest::prelude::*;

use super::*;

const NOTEBOOK: &str = "---\nprotoclip: 1\ntitle: A tour\n---\n# A tour\n\n```yaml protoclip id=gap type=plot\nmetric: eval/modality_gap\n```\nWords.\n\n````markdown\n```yaml protoclip id=no type=plot\n```\n````\n~~~yaml protoclip id=b type=gap\n```\nrun: x\n~~~";

#[test]
fn cells_are_found_and_cells_in_other_blocks_are_prose() {
    let document = Document::read(NOTEBOOK);
    let found: Vec<(usize, &str, &str)> = document
        .cells()
        .map(|cell| (cell.line, cell.info(), cell.body.as_str()))
        .collect();
    assert_eq!(
        found,
        [
            (
                7,
                "yaml protoclip id=gap type=plot",
                "metric: eval/modality_gap\n"
            ),
            (16, "yaml protoclip id=b type=gap", "```\nrun: x\n"),
        ]
    );
    assert_eq!(document.parts().len(), 5);
    assert_eq!(document.to_string(), NOTEBOOK);
    assert_eq!(document.front_matter().expect("front").title, "A tour");
}

#[test]
fn an_edit_changes_its_cell_only_and_moves_the_lines_of_later_ones() {
    let mut document = Document::read(NOTEBOOK);
    document.set_body(0, "metric: a\nsmooth: 2").expect("sets");
    let wanted = NOTEBOOK.replace("eval/modality_gap\n", "a\nsmooth: 2\n");
    assert_eq!(document.to_string(), wanted);
    assert_eq!(document, Document::read(&wanted));
    assert_eq!(document.cells().nth(1).expect("second").line, 17);
    let closing = document.set_body(0, "a: 1\n```\nb: 2");
    assert!(
        closing
            .expect_err("closes")
            .message
            .contains("would end the cell")
    );
    assert!(document.set_body(2, "").is_err());
}

#[test]
fn cells_are_inserted_removed_and_moved() {
    let mut document = Document::read("---\nprotoclip: 1\n---\nText without end");
    document.insert_cell(2, "yaml protoclip id=a type=plot", "metric: x\n```\n");
    let text = document.to_string();
    assert!(
        text.ends_with("end\n````yaml protoclip id=a type=plot\nmetric: x\n```\n````\n"),
        "{text}"
    );
    assert_eq!(Document::read(&text), document);
    document.move_part(2, 1);
    assert!(matches!(document.parts()[1], Part::Cell(_)));
    document.move_part(1, 0);
    assert!(
        matches!(document.parts()[0], Part::Front(_)),
        "the front stays"
    );
    assert_eq!(Document::read(&document.to_string()).cells().count(), 1);
    assert!(document.remove(1).is_some() && document.remove(9).is_none());
    assert_eq!(
        document.to_string(),
        "---\nprotoclip: 1\n---\nText without end\n"
    );
}

#[test]
fn front_matter_that_is_not_ours_is_a_problem_with_its_line() {
    let message = |text| {
        Document::read(text)
            .front_matter()
            .expect_err("none")
            .message
    };
    assert!(message("# x").contains("does not begin with ---"));
    assert!(message("---\ntitle: x\n---\n").contains("protoclip: 0"));
    assert!(message("---\nprotoclip: 2\n---\n").contains("protoclip: 2"));
    assert!(message("---\n- a\n---\n").contains("no YAML"));
}

proptest! {
    #[test]
    fn what_is_read_is_written(text in "\\PC*") {
        prop_assert_eq!(Document::read(&text).to_string(), text);
    }

    #[test]
    fn what_is_made_of_fences_is_written_and_read_alike(
        lines in prop::collection::vec(
            prop::sample::select(vec![
                "---\n", "```\n", "````\r\n", "~~~\n", "   ```yaml protoclip id=a type=plot\n",
                "```yaml protoclip id=b\r\n", "    ```\n", "~~~~ yaml  protoclip\n", "text\n", "\n", "``` `x`\n", "a: 1",
            ]),
            0..24,
        ),
    ) {
        let text = lines.concat();
        let document = Document::read(&text);
        prop_assert_eq!(document.to_string(), text.clone());
        let at: Vec<&str> = text.split_inclusive('\n').collect();
        for cell in document.cells() {
            prop_assert_eq!(at[cell.line - 1], cell.open.as_str());
        }
    }
}
