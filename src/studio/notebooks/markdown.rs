//! Prose as HTML that is safe to put into a page: raw HTML is shown as text, only web, mail and
//! local addresses become links, and pictures from elsewhere become links as well, since a page asks
//! nobody but its own server.

use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd, html};

/// Which pictures a page with prose can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pictures {
    /// Those of the server that the page comes from.
    OfTheServer,
    /// None: the page is a file.
    None,
}

/// CommonMark with tables, footnotes, strikethrough and task lists as HTML.
pub fn prose_html(text: &str, pictures: Pictures) -> String {
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS;
    let mut open = Vec::new();
    let events = Parser::new_ext(text, options)
        .filter_map(|event| without_pictures(harmless(event), pictures, &mut open));
    let mut written = String::with_capacity(text.len() * 3 / 2);
    html::push_html(&mut written, events);
    written
}

/// Turns a picture that cannot be shown into a link to it, or into its text where no link can be:
/// without an address, or within a link or picture.
fn without_pictures<'a>(
    event: Event<'a>,
    pictures: Pictures,
    open: &mut Vec<Shown>,
) -> Option<Event<'a>> {
    match event {
        Event::Start(Tag::Image {
            link_type,
            dest_url,
            title,
            id,
        }) => {
            let shown = match () {
                () if pictures == Pictures::OfTheServer && of_the_server(&dest_url) => {
                    Shown::Picture
                }
                () if open.is_empty() && &*dest_url != NOWHERE => Shown::Link,
                () => Shown::Text,
            };
            open.push(shown);
            match shown {
                Shown::Picture => Some(Event::Start(Tag::Image {
                    link_type,
                    dest_url,
                    title,
                    id,
                })),
                Shown::Link => Some(Event::Start(Tag::Link {
                    link_type,
                    dest_url,
                    title,
                    id,
                })),
                Shown::Text => None,
            }
        }
        Event::End(TagEnd::Image) => match open.pop() {
            Some(Shown::Link) => Some(Event::End(TagEnd::Link)),
            Some(Shown::Text) => None,
            Some(Shown::Picture) | None => Some(Event::End(TagEnd::Image)),
        },
        Event::Start(Tag::Link { .. }) => {
            open.push(Shown::Link);
            Some(event)
        }
        Event::End(TagEnd::Link) => {
            open.pop();
            Some(event)
        }
        other => Some(other),
    }
}

/// What became of a picture or link that is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    Picture,
    Link,
    Text,
}

/// Whether an address stays on the server: `/…`, and not `//host`.
fn of_the_server(address: &str) -> bool {
    let plain: String = address
        .chars()
        .filter(|c| !c.is_control() && !c.is_whitespace())
        .take(2)
        .collect();
    plain.starts_with('/') && !plain.ends_with(['\\']) && plain != "//"
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
        // Labels become ids, which must not be those of the page.
        Event::Start(Tag::FootnoteDefinition(label)) => {
            Event::Start(Tag::FootnoteDefinition(format!("note-{label}").into()))
        }
        Event::FootnoteReference(label) => Event::FootnoteReference(format!("note-{label}").into()),
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

/// Stands for an address that would run something.
const NOWHERE: &str = "#";

/// An address that opens a page or a mail program and runs nothing; [`NOWHERE`] for any other.
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
    if harmless { address } else { NOWHERE.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prose_html(text: &str) -> String {
        super::prose_html(text, Pictures::OfTheServer)
    }

    #[test]
    fn pictures_of_others_become_links_or_words() {
        let file = |text| super::prose_html(text, Pictures::None);
        for (text, page, exported) in [
            (
                "![a *b*](/api/x.svg)",
                "<img src=\"/api/x.svg\" alt=\"a b\" />",
                "<a href=\"/api/x.svg\">a <em>b</em></a>",
            ),
            (
                "![a](https://x.example/y.png)",
                "<a href=\"https://x.example/y.png\">a</a>",
                "<a href=\"https://x.example/y.png\">a</a>",
            ),
            (
                "![a](//x.example/y.png)",
                "<a href=\"//x.example/y.png\">a</a>",
                "<a href=\"//x.example/y.png\">a</a>",
            ),
            ("![a](data:image/svg+xml,<svg/>)", "a", "a"),
            ("![a](javascript:1)", "a", "a"),
            (
                "[![a](y.png)](/runs) b",
                "<a href=\"/runs\">a</a> b",
                "<a href=\"/runs\">a</a> b",
            ),
            (
                "![a ![b](/b.png)](x.png)",
                "<a href=\"x.png\">a <img src=\"/b.png\" alt=\"b\" /></a>",
                "<a href=\"x.png\">a b</a>",
            ),
        ] {
            assert_eq!(prose_html(text), format!("<p>{page}</p>\n"), "{text}");
            assert_eq!(
                file(text),
                format!("<p>{exported}</p>\n"),
                "{text} in a file"
            );
        }
    }

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
                !["p>", "/", "a href=", "pre>", "code>", "hr"]
                    .iter()
                    .any(|t| rest.starts_with(t))
            });
            assert_eq!(opened.count(), 0, "{text}: {shown}");
        }
    }

    #[test]
    fn notes_have_ids_that_no_page_has() {
        let shown = prose_html("a[^main]\n\n[^main]: b\n");
        assert!(
            shown.contains("id=\"note-main\"") && shown.contains("href=\"#note-main\""),
            "{shown}"
        );
    }

    #[test]
    fn headings_are_found_outside_of_code() {
        let found = headings("# One\n\n```\n# no\n```\n\n## Two `x`\n");
        let shown: Vec<(u8, &str)> = found.iter().map(|h| (h.level, h.text.as_str())).collect();
        assert_eq!(shown, [(1, "One"), (2, "Two x")]);
    }
}
