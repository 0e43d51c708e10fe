//! Numbers, durations and times as the pages write them; `web/src/format.ts` follows the same
//! rules, so that a number looks the same before and after the first live update.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Stands for a number that does not exist (yet).
pub(super) const NONE: &str = "–";

/// Four significant digits, without an exponent in the usual range.
pub(super) fn figure(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        NONE.into()
    } else if value == 0.0 {
        "0".into()
    } else if !(1e-4..1e6).contains(&size) {
        scientific(value)
    } else if size >= 1000.0 {
        let sign = if value < 0.0 { "-" } else { "" };
        format!("{sign}{}", grouped(size.round() as u64))
    } else {
        let decimals = (3 - size.log10().floor() as i32).max(0) as usize;
        trimmed(&format!("{value:.decimals$}"))
    }
}

/// The same for a number that may be absent.
pub(super) fn figure_or_none(value: Option<f64>) -> String {
    value.map_or_else(|| NONE.into(), figure)
}

/// A setting's value in full, as it would be typed.
pub(super) fn typed(value: f64) -> String {
    if value != 0.0 && value.abs() < 1e-4 {
        format!("{value:e}")
    } else {
        format!("{value}")
    }
}

/// Groups of three digits, separated by a narrow no-break space.
pub(super) fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() * 2);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// Seconds as `42 s`, `3 min 05 s` or `2 h 10 min`.
pub(super) fn duration(seconds: f64) -> String {
    if !seconds.is_finite() {
        return NONE.into();
    }
    let whole = seconds.round().max(0.0) as u64;
    match whole {
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

/// Bytes in the largest binary unit that keeps the number above 1.
pub(super) fn bytes(count: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    let digits = usize::from(unit > 0 && value < 100.0);
    format!("{value:.digits$} {}", units[unit])
}

/// A share as whole percent.
pub(super) fn percent_of(part: usize, whole: usize) -> String {
    if whole == 0 {
        return NONE.into();
    }
    format!("{:.0} %", 100.0 * part as f64 / whole as f64)
}

/// Local date and time to the minute.
pub(super) fn date_time(time: Timestamp) -> String {
    let local = time.to_zoned_datetime(TimeZone::system());
    local.strftime("%Y-%m-%d %H:%M").to_string()
}

/// Local time of day to the second.
pub(super) fn clock(time: Timestamp) -> String {
    let local = time.to_zoned_datetime(TimeZone::system());
    local.strftime("%H:%M:%S").to_string()
}

fn scientific(value: f64) -> String {
    let text = format!("{value:.2e}");
    match text.split_once('e') {
        Some((digits, power)) if !power.starts_with('-') => format!("{digits}e+{power}"),
        _ => text,
    }
}

fn trimmed(text: &str) -> String {
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_keep_four_digits_and_no_needless_zero() {
        let shown: Vec<String> = [
            0.0,
            4.852_03,
            0.07,
            0.012_345_6,
            123.456,
            999.99,
            1234.5,
            5e-5,
            -3.5,
            2e7,
            f64::NAN,
        ]
        .into_iter()
        .map(figure)
        .collect();
        assert_eq!(
            shown,
            [
                "0",
                "4.852",
                "0.07",
                "0.01235",
                "123.5",
                "1000",
                "1\u{202f}235",
                "5.00e-5",
                "-3.5",
                "2.00e+7",
                "–"
            ]
        );
    }

    #[test]
    fn durations_and_sizes_name_their_unit() {
        assert_eq!(duration(59.4), "59 s");
        assert_eq!(duration(185.0), "3 min 05 s");
        assert_eq!(duration(7800.0), "2 h 10 min");
        assert_eq!(bytes(512), "512 B");
        assert_eq!(bytes(3 * 1024 * 1024 / 2), "1.5 MiB");
        assert_eq!(
            (percent_of(1, 3), percent_of(0, 0)),
            ("33 %".into(), "–".into())
        );
        assert_eq!(grouped(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(typed(0.01), "0.01");
        assert_eq!(typed(1e-6), "1e-6");
    }
}
