//! Prose as HTML that is safe to put into a page: raw HTML is shown as text, and only web, mail and
//! local addresses become links.

use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd, html};

/// CommonMark with tables, footnotes, strikethrough and task lists as HTML.
pub fn prose_html(text: &str) -> String {
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS;
    let events = Parser::new_ext(text, options).map(harmless);
    let mut written = String::with_capacity(text.len() * 3 / 2);
    html::push_html(&mut written, events);
    written
}

/// A heading of the prose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heading {
    pub level: u8,
    pub text: String,
}

/// Headings of a prose part, in order.
pub fn headings(text: &str) -> Vec<Heading> {
    let mut found = Vec::new();
    let mut open: Option<Heading> = None;
    for event in Parser::new(text) {
        match event {
            Event::Start(Tag::Heading { level, .. }) => {
                open = Some(Heading {
                    level: level as u8,
                    text: String::new(),
                });
            }
            Event::End(TagEnd::Heading(_)) => found.extend(open.take()),
            Event::Text(part) | Event::Code(part) => {
                if let Some(heading) = &mut open {
                    heading.text.push_str(&part);
                }
            }
            _ => (),
        }
    }
    found
}

fn harmless(event: Event<'_>) -> Event<'_> {
    match event {
        Event::Html(text) | Event::InlineHtml(text) => Event::Text(text),
        Event::Start(Tag::Link {
            link_type,
            dest_url,
            title,
            id,
        }) => Event::Start(Tag::Link {
            link_type,
            dest_url: harmless_address(dest_url),
            title,
            id,
        }),
        Event::Start(Tag::Image {
            link_type,
            dest_url,
            title,
            id,
        }) => Event::Start(Tag::Image {
            link_type,
            dest_url: harmless_address(dest_url),
            title,
            id,
        }),
        other => other,
    }
}

/// An address that opens a page or a mail program and runs nothing; `#` for any other.
fn harmless_address(address: CowStr<'_>) -> CowStr<'_> {
    let plain: String = address
        .chars()
        .filter(|c| !c.is_control() && !c.is_whitespace())
        .collect();
    // A colon before any slash, question mark or hash ends a scheme.
    let scheme = plain
        .split(['/', '?', '#'])
        .next()
        .and_then(|start| start.split_once(':'))
        .map(|(scheme, _)| scheme.to_ascii_lowercase());
    let harmless = scheme.is_none_or(|s| matches!(s.as_str(), "http" | "https" | "mailto"));
    if harmless { address } else { "#".into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_becomes_html() {
        let shown = prose_html("# A *b*\n\n| x | y |\n|---|---|\n| 1 | 2 |\n\n[l](/runs?a=b:c)\n");
        assert!(shown.contains("<h1>A <em>b</em></h1>"), "{shown}");
        assert!(shown.contains("<td>1</td>"), "{shown}");
        assert!(shown.contains("href=\"/runs?a=b:c\""), "{shown}");
    }

    #[test]
    fn nothing_in_prose_runs() {
        for text in [
            "<script>alert(1)</script>",
            "a <img src=x onerror=alert(1)> b",
            "<svg onload=alert(1)>\n\n</svg>",
            "[a](javascript:alert(1))",
            "[a](JaVaScRiPt:alert(1))",
            "[a](  java\tscript:alert(1))",
            "[a](&#106;avascript:alert(1))",
            "[a](data:text/html,<script>alert(1)</script>)",
            "[a](vbscript:x)",
            "![a](javascript:alert(1))",
            "[a][b]\n\n[b]: javascript:alert(1)",
            "<javascript:alert(1)>",
            "[a](x \"onclick=&quot;alert(1)&quot;\")",
            "`<script>`",
            "```\n</code><script>alert(1)</script>\n```",
        ] {
            let shown = prose_html(text);
            let lower = shown.to_lowercase();
            assert!(!lower.contains("<script"), "{text}: {shown}");
            assert!(
                !lower.contains("<svg") && !lower.contains("onerror=alert(1)>\""),
                "{text}: {shown}"
            );
            for bad in [
                "href=\"javascript",
                "src=\"javascript",
                "href=\"data",
                "href=\"vbscript",
                "href=\"  java",
            ] {
                assert!(!lower.contains(bad), "{text}: {shown}");
            }
            let opened = lower.match_indices('<').filter(|(at, _)| {
                let rest = &lower[at + 1..];
                !["p>", "/", "a href=", "img src=\"#\"", "pre>", "code>", "hr"]
                    .iter()
                    .any(|t| rest.starts_with(t))
            });
            assert_eq!(opened.count(), 0, "{text}: {shown}");
        }
    }

    #[test]
    fn headings_are_found_outside_of_code() {
        let found = headings("# One\n\n```\n# no\n```\n\n## Two `x`\n");
        let shown: Vec<(u8, &str)> = found.iter().map(|h| (h.level, h.text.as_str())).collect();
        assert_eq!(shown, [(1, "One"), (2, "Two x")]);
    }
}
