//! The English caption of an emoji: its Unicode name, and what its shortcodes add to it.

use emojis::Emoji;

/// Builds the caption of `emoji`. `base` is the same emoji without skin tone, which alone carries
/// shortcodes. Groups and subgroups never enter.
pub(super) fn caption(emoji: &Emoji, base: &Emoji) -> String {
    let mut caption = readable_name(emoji.name());
    let mut known = words(&caption);
    for shortcode in base.shortcodes() {
        let shortcode_words = words(&shortcode.replace(['_', '-', '+'], " "));
        let adds = shortcode_words
            .iter()
            .any(|word| !is_noise(word) && !is_known(word, &known));
        if adds {
            caption.push_str(", ");
            caption.push_str(&shortcode_words.join(" "));
            known.extend(shortcode_words);
        }
    }
    caption
}

/// `flag: Chad` → `flag of Chad`, `keycap: 3` → `keycap 3`, `man: beard` → `man, beard`.
fn readable_name(name: &str) -> String {
    match name.split_once(": ") {
        Some(("flag", place)) => format!("flag of {place}"),
        Some(("keycap", key)) => format!("keycap {key}"),
        Some((what, detail)) => format!("{what}, {detail}"),
        None => name.to_owned(),
    }
}

fn words(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|w| !w.is_empty())
        .map(str::to_lowercase)
        .collect()
}

/// A word that the caption has already, be it in another form (`smile` and `smiling`).
fn is_known(word: &str, known: &[String]) -> bool {
    let stem = stem(word);
    known
        .iter()
        .any(|k| k.starts_with(stem) || (k.len() >= 4 && word.contains(k.as_str())))
}

/// The word without a common English ending, at least three letters long.
fn stem(word: &str) -> &str {
    ["ing", "ed", "es", "s", "e", "y"]
        .iter()
        .find_map(|ending| word.strip_suffix(ending))
        .filter(|s| s.len() >= 3)
        .unwrap_or(word)
}

/// Shortcode parts that are codes, not words (`+1`, `clock8`, `m`).
fn is_noise(word: &str) -> bool {
    word.chars().any(|c| c.is_ascii_digit()) || word.chars().count() < 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(emoji: &str) -> String {
        let emoji = emojis::get(emoji).expect(emoji);
        let base = emoji
            .with_skin_tone(emojis::SkinTone::Default)
            .unwrap_or(emoji);
        caption(emoji, base)
    }

    #[test]
    fn captions_read_as_english() {
        assert_eq!(of("🇹🇩"), "flag of Chad");
        assert_eq!(of("🧔"), "person, beard");
        assert_eq!(of("🔟"), "keycap 10, keycap ten");
        assert_eq!(of("👋🏽"), "waving hand, medium skin tone");
    }

    #[test]
    fn shortcodes_add_only_new_words() {
        assert_eq!(of("🎓"), "graduation cap, mortar board");
        assert_eq!(of("🕗"), "eight o’clock");
        assert_eq!(of("😄"), "grinning face with smiling eyes");
        assert_eq!(of("👍"), "thumbs up");
        assert_eq!(of("😂"), "face with tears of joy");
        assert_eq!(of("🇬🇧"), "flag of United Kingdom, gb, uk");
    }

    #[test]
    fn variants_of_one_emoji_share_the_added_words() {
        assert_eq!(of("💁"), "person tipping hand, information desk person");
        assert!(of("💁🏿").ends_with("information desk person"));
        assert_eq!(of("🦹🏿"), "supervillain, dark skin tone");
    }
}
