//! Unicode's subgroups of emoji, recovered from their order.
//!
//! The `emojis` crate lists emoji in the order of Unicode's `emoji-test.txt`, in which every
//! subgroup is one contiguous stretch. The table names the first member of each stretch; the test
//! below fails when an update of the crate moves one of them.

use emojis::{Emoji, Group};

/// `(first emoji, name)` of each stretch, in order.
const STARTS: [(&str, &str); 97] = [
    ("😀", "smiling face"),
    ("🥰", "affectionate face"),
    ("😋", "face with tongue"),
    ("🤗", "face with hand"),
    ("🤐", "neutral face"),
    ("😌", "sleepy face"),
    ("😷", "unwell face"),
    ("🤠", "face with hat"),
    ("😎", "face with glasses"),
    ("😕", "concerned face"),
    ("😤", "negative face"),
    ("💩", "costumed face"),
    ("😺", "cat face"),
    ("🙈", "monkey face"),
    ("💌", "heart"),
    ("💋", "emotion"),
    ("👋", "open hand"),
    ("👌", "partly open hand"),
    ("👈", "pointing hand"),
    ("👍", "closed hand"),
    ("👏", "pair of hands"),
    ("✍️", "hand with prop"),
    ("💪", "body part"),
    ("👶", "person"),
    ("🙍", "gesturing person"),
    ("🧑‍⚕️", "person at work"),
    ("👼", "fantasy person"),
    ("💆", "active person"),
    ("🤺", "sporting person"),
    ("🛀", "resting person"),
    ("🧑‍🤝‍🧑", "family"),
    ("🗣️", "person symbol"),
    ("🐵", "mammal"),
    ("🦃", "bird"),
    ("🐸", "amphibian"),
    ("🐊", "reptile"),
    ("🐳", "sea animal"),
    ("🐌", "bug"),
    ("💐", "flower"),
    ("🌱", "plant"),
    ("🍇", "fruit"),
    ("🥑", "vegetable"),
    ("🍞", "prepared food"),
    ("🍱", "Asian food"),
    ("🍦", "sweet"),
    ("🍼", "drink"),
    ("🥢", "dishware"),
    ("🌍", "map"),
    ("🏔️", "landscape"),
    ("🏟️", "building"),
    ("⛪", "religious building"),
    ("⛲", "other place"),
    ("🚂", "ground transport"),
    ("⚓", "water transport"),
    ("✈️", "air transport"),
    ("🛎️", "hotel"),
    ("⌛", "time"),
    ("🌑", "sky and weather"),
    ("🎃", "event"),
    ("🎖️", "medal"),
    ("⚽", "sport"),
    ("🎯", "game"),
    ("🎭", "arts and crafts"),
    ("👓", "clothing"),
    ("🔇", "sound"),
    ("🎼", "music"),
    ("🎷", "musical instrument"),
    ("📱", "phone"),
    ("🔋", "computer"),
    ("🎥", "light and video"),
    ("📔", "book and paper"),
    ("💰", "money"),
    ("✉️", "mail"),
    ("✏️", "writing"),
    ("💼", "office"),
    ("🔒", "lock"),
    ("🔨", "tool"),
    ("⚗️", "science"),
    ("💉", "medical"),
    ("🚪", "household"),
    ("🚬", "other object"),
    ("🏧", "transport sign"),
    ("⚠️", "warning"),
    ("⬆️", "arrow"),
    ("🛐", "religion"),
    ("♈", "zodiac"),
    ("🔀", "audio and video symbol"),
    ("♀️", "gender"),
    ("✖️", "math"),
    ("‼️", "punctuation"),
    ("💱", "currency"),
    ("⚕️", "other symbol"),
    ("#️⃣", "keycap"),
    ("🔠", "letters"),
    ("🔴", "geometric shape"),
    ("🏁", "flag"),
    ("🇦🇨", "country flag"),
];

/// Names of all subgroups, in order.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    STARTS.iter().map(|(_, name)| *name)
}

/// Assigns subgroups to emoji that are given in the order of the `emojis` crate.
#[derive(Debug, Default)]
pub(super) struct SubgroupCursor {
    next: usize,
}

impl SubgroupCursor {
    /// Index into [`names`] of the subgroup of `emoji`.
    pub(super) fn of(&mut self, emoji: &Emoji) -> u32 {
        if STARTS
            .get(self.next)
            .is_some_and(|(start, _)| *start == emoji.as_str())
        {
            self.next += 1;
        }
        self.next.saturating_sub(1) as u32
    }
}

/// What a person reads for a group.
pub(super) const fn group_name(group: Group) -> &'static str {
    match group {
        Group::SmileysAndEmotion => "smileys and emotion",
        Group::PeopleAndBody => "people and body",
        Group::AnimalsAndNature => "animals and nature",
        Group::FoodAndDrink => "food and drink",
        Group::TravelAndPlaces => "travel and places",
        Group::Activities => "activities",
        Group::Objects => "objects",
        Group::Symbols => "symbols",
        Group::Flags => "flags",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_start_is_met_in_order_and_no_subgroup_spans_two_groups() {
        let mut cursor = SubgroupCursor::default();
        let mut group_of = vec![None; STARTS.len()];
        for emoji in emojis::iter() {
            let subgroup = cursor.of(emoji) as usize;
            let group = group_of[subgroup].get_or_insert(emoji.group());
            assert_eq!(*group, emoji.group(), "{emoji} in {}", STARTS[subgroup].1);
        }
        assert_eq!(
            cursor.next,
            STARTS.len(),
            "next: {:?}",
            STARTS.get(cursor.next)
        );
    }

    #[test]
    fn names_are_distinct() {
        let mut all: Vec<&str> = names().collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), STARTS.len());
    }

    #[test]
    fn known_emoji_fall_where_a_person_expects_them() {
        let mut cursor = SubgroupCursor::default();
        let found: Vec<(&str, u32)> = emojis::iter().map(|e| (e.as_str(), cursor.of(e))).collect();
        for (emoji, subgroup) in [
            ("🦊", "mammal"),
            ("🇹🇩", "country flag"),
            ("🏴󠁧󠁢󠁷󠁬󠁳󠁿", "country flag"),
            ("🍌", "fruit"),
            ("🎻", "musical instrument"),
            ("👊", "closed hand"),
        ] {
            let (_, index) = found.iter().find(|(e, _)| *e == emoji).expect(emoji);
            assert_eq!(STARTS[*index as usize].1, subgroup, "{emoji}");
        }
    }
}
