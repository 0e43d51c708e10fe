//! Notebook files that somebody made to do harm, and ten thousand broken ones: read as they are,
//! understood or complained of, soon, and never with a panic.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::document::Part;
use super::markdown::{Pictures, headings, prose_html};
use super::{Document, Plan};

const LONGEST: Duration = Duration::from_secs(5);

/// Everything that is done with a file before a cell of it runs; its cells and problems.
fn understood(text: &str) -> (usize, usize) {
    let document = Document::read(text);
    assert_eq!(document.to_string(), text, "every byte is kept");
    let front = document.front_matter().is_err();
    for part in document.parts() {
        if let Part::Prose(prose) = part {
            let html = prose_html(prose, Pictures::OfTheServer).to_lowercase();
            for bad in [
                "<script",
                "<svg",
                "<iframe",
                "href=\"javascript",
                "src=\"data",
            ] {
                assert!(!html.contains(bad), "{prose}: {html}");
            }
            headings(prose);
        }
    }
    let plan = Plan::of(&document);
    for cell in &plan.cells {
        cell.class();
        cell.references();
        plan.downstream(&cell.id);
    }
    (plan.cells.len(), plan.problems.len() + usize::from(front))
}

/// A line of a notebook, good or bad.
fn line() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "---",
        "protoclip: 1",
        "title: x",
        "```",
        "````",
        "~~~",
        "```yaml protoclip id=a type=plot",
        "```yaml protoclip id=b type=control",
        "~~~ yaml protoclip id=a type=query",
        "```yaml protoclip",
        "run: ${a}",
        "runs: [${b.x}, $${c}]",
        "metric: &x [*x]",
        "a: *x",
        "sql: |",
        "  SELECT 1",
        "choices: runs",
        "min: -.inf",
        "? {a: b}",
        "<<: *x",
        "!!binary x",
        "# T",
        "[a](javascript:alert(1))",
        "![a](data:image/svg+xml,<svg/onload=alert(1)>)",
        "<svg onload=alert(1)>",
        "[a]: javascript:1",
        "[^1]: note",
        "| a | b |",
        "|---|---|",
        "- [x] a",
        "<div>",
        "<!--",
        "]]>",
        "\u{0}",
        "\u{feff}",
        "${",
        "$${",
        "${}",
        "${.}",
        "%YAML 9.9",
        "...",
    ]);
    let end = prop::sample::select(vec!["\n", "\r\n", "", "\r", "\n\n"]);
    let text =
        prop_oneof![6 => known.prop_map(str::to_owned), 1 => "\\PC{0,12}", 1 => "[ -~]{0,20}"];
    (text, end).prop_map(|(text, end)| text + end)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn notebook_of_any_lines_is_understood_or_complained_of(lines in prop::collection::vec(line(), 0..14)) {
        understood(&lines.concat());
    }

    #[test]
    fn notebook_with_wrong_characters_is_understood_or_complained_of(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<char>(), any::<bool>()), 1..8),
    ) {
        let mut text: Vec<char> = include_str!("../../../docs/notebooks/tour.md").chars().take(1500).collect();
        for (at, character, put_in) in changes {
            match (at.index(text.len()), put_in) {
                (at, true) => text.insert(at, character),
                (at, false) => text[at] = character,
            }
        }
        understood(&text.into_iter().collect::<String>());
    }
}

#[test]
fn a_notebook_made_to_take_long_is_understood_soon() {
    let cell = |id: &str, body: &str| format!("```yaml protoclip id={id} type=plot\n{body}```\n");
    let million = 1 << 20;
    let circle: String = (0..9000)
        .map(|n| {
            cell(
                &format!("c{n}"),
                &format!("run: ${{c{}}}\n", (n + 1) % 9000),
            )
        })
        .collect();
    let laughs: String = (1..40)
        .map(|n| {
            format!(
                "a{n}: &a{n} [{}]\n",
                vec![format!("*a{}", n - 1); 10].join(", ")
            )
        })
        .collect();
    let references: String = (0..60_000).map(|n| format!("${{c{n}}}")).collect();
    let keys: String = (0..60_000).map(|n| format!("k{n}: 1\n")).collect();
    for (name, text) in [
        ("cells in a circle", circle),
        ("cells", cell("a", "").repeat(20_000)),
        ("aliases", cell("a", &format!("a0: &a0 x\n{laughs}"))),
        ("front", format!("---\na0: &a0 x\n{laughs}---\n")),
        ("references", cell("a", &format!("run: \"{references}\"\n"))),
        ("keys", cell("a", &keys)),
        (
            "words",
            format!("```yaml protoclip {}\n```\n", "a ".repeat(million / 2)),
        ),
        (
            "lists in lists",
            cell("a", &format!("run: {}\n", "[".repeat(million))),
        ),
        (
            "maps in maps",
            cell("a", &format!("run: {}\n", "{a: ".repeat(million / 4))),
        ),
        ("quotes", "> ".repeat(million / 2)),
        ("brackets", "[".repeat(million)),
        ("links", "[a](".repeat(million / 4)),
        ("stars", "*a **a ".repeat(million / 7)),
        ("backticks", "`a``b".repeat(million / 5)),
        ("lists", "- ".repeat(million / 2)),
        ("entities", "&#".repeat(million / 2)),
        (
            "tables",
            format!(
                "{}\n{}\n",
                "|a".repeat(million / 4),
                "|-".repeat(million / 4)
            ),
        ),
        ("footnotes", "[^a]: b\n[^a]\n".repeat(million / 13)),
        ("html", "<a <!-- ".repeat(million / 8)),
    ] {
        let begin = Instant::now();
        let (cells, problems) = understood(&text);
        let lasted = begin.elapsed();
        println!("{name}: {cells} cells, {problems} problems in {lasted:?}");
        assert!(lasted < LONGEST, "{name} took {lasted:?}");
        assert!(problems < 70_000, "{name}: {problems} problems");
    }
}
