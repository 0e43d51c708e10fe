//! The members of one key, and whether they make a usable pair.

use super::index::PICTURES;
use super::json_fields::JsonFields;
use crate::data::SkipReason;
use crate::data::window::Span;

/// Why a pair is unusable: the ending of the member at fault, the reason and the detail.
pub(super) type Problem = Box<(String, SkipReason, String)>;

/// What was found of one key so far.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// Place in [`PICTURES`] of its ending, and where it is.
    pub(super) picture: Option<(u8, Member)>,
    pub(super) text: Option<Member>,
    pub(super) json: Option<Member>,
    /// Classes, numbered within the shard; empty where no labels are asked for.
    pub(super) labels: Vec<u32>,
    /// Whether the `.json` has the caption.
    pub(super) json_has_caption: bool,
    /// The captions themselves, where they are kept.
    pub(super) text_caption: Option<Box<str>>,
    pub(super) json_caption: Option<Box<str>>,
    text_problem: Option<Problem>,
    json_problem: Option<Problem>,
    problem: Option<Problem>,
}

/// A member that was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) span: Span,
    /// Hash of what was read of it.
    pub(super) digest: u64,
}

/// Kinds of members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// With the place of its ending in [`PICTURES`].
    Picture(u8),
    Text,
    Json,
}

/// A usable pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Usable {
    pub(super) extension: u8,
    pub(super) picture: Member,
    pub(super) caption: Member,
    pub(super) caption_in_json: bool,
}

impl Kind {
    /// Key and kind of a member by its name: the key ends at the first dot of the last part.
    pub(super) fn of(name: &str) -> Option<(&str, Self)> {
        let start = name.rfind('/').map_or(0, |at| at + 1);
        let dot = start + name[start..].find('.')?;
        if dot == start {
            return None;
        }
        let ending = &name[dot + 1..];
        let picture = PICTURES.iter().position(|e| ending.eq_ignore_ascii_case(e));
        let kind = match picture {
            Some(place) => Self::Picture(place as u8),
            None if ending.eq_ignore_ascii_case("txt") => Self::Text,
            None if ending.eq_ignore_ascii_case("json") => Self::Json,
            None => return None,
        };
        Some((name[..dot].trim_start_matches("./"), kind))
    }

    pub(super) fn ending(self) -> &'static str {
        match self {
            Self::Picture(place) => PICTURES.get(usize::from(place)).copied().unwrap_or(""),
            Self::Text => "txt",
            Self::Json => "json",
        }
    }
}

impl Group {
    /// Whether a member of this kind was met before.
    pub(super) fn has(&self, kind: Kind) -> bool {
        match kind {
            Kind::Picture(_) => self.picture.is_some(),
            Kind::Text => self.text.is_some() || self.text_problem.is_some(),
            Kind::Json => self.json.is_some() || self.json_problem.is_some(),
        }
    }

    /// Notes what is wrong with a member. A text or `.json` that turns out not to be needed is
    /// forgiven; the first of other problems counts.
    pub(super) fn blame(&mut self, kind: Kind, reason: SkipReason, detail: String) {
        let problem = Box::new((kind.ending().to_owned(), reason, detail));
        let place = match kind {
            Kind::Picture(_) => &mut self.problem,
            Kind::Text => &mut self.text_problem,
            Kind::Json => &mut self.json_problem,
        };
        place.get_or_insert(problem);
    }

    /// Notes that a member came twice, which leaves open which is meant.
    pub(super) fn doubled(&mut self, kind: Kind) {
        let detail = "the key has two members of this kind in its shard".to_owned();
        let problem = (kind.ending().to_owned(), SkipReason::BrokenMember, detail);
        self.problem.get_or_insert(Box::new(problem));
    }

    /// The caption of a usable pair, where captions are kept.
    pub(super) fn kept_caption(&self, usable: &Usable) -> Option<&str> {
        match usable.caption_in_json {
            true => self.json_caption.as_deref(),
            false => self.text_caption.as_deref(),
        }
    }

    /// The pair, or why there is none.
    pub(super) fn resolve(&mut self, fields: &JsonFields) -> Result<Usable, Problem> {
        if let Some(problem) = self.problem.take() {
            return Err(problem);
        }
        let Some((extension, picture)) = self.picture else {
            let detail = "no .jpg, .jpeg, .png or .webp has this key".to_owned();
            return Err(Box::new(("*".into(), SkipReason::MissingFile, detail)));
        };
        let wants_json = fields.prefers_json() || !fields.labels().is_empty();
        if wants_json && let Some(problem) = self.json_problem.take() {
            return Err(problem);
        }
        let (caption, caption_in_json) = self.caption(fields)?;
        Ok(Usable {
            extension,
            picture,
            caption,
            caption_in_json,
        })
    }

    fn caption(&mut self, fields: &JsonFields) -> Result<(Member, bool), Problem> {
        if !fields.prefers_json() {
            if let Some(problem) = self.text_problem.take() {
                return Err(problem);
            }
            if let Some(text) = self.text {
                return Ok((text, false));
            }
        }
        if let Some(problem) = self.json_problem.take() {
            return Err(problem);
        }
        match self.json {
            Some(json) if self.json_has_caption => Ok((json, true)),
            found => {
                let (member, detail) = match found {
                    Some(_) => (
                        "json",
                        format!("no text in its field {:?}", fields.settings()[0]),
                    ),
                    None => ("*", "no .txt and no .json has this key".to_owned()),
                };
                Err(Box::new((member.into(), SkipReason::EmptyCaption, detail)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_end_at_the_first_dot_of_the_last_part() {
        assert_eq!(Kind::of("a.b/c.jpg"), Some(("a.b/c", Kind::Picture(0))));
        assert_eq!(Kind::of("./7.TXT"), Some(("7", Kind::Text)));
        assert_eq!(Kind::of("7.json"), Some(("7", Kind::Json)));
        for other in ["7.seg.png", ".png", "folder/", "noending", "7.cls", ""] {
            assert_eq!(Kind::of(other), None, "{other}");
        }
    }
}
