//! Plain text for people: aligned tables, times, sizes, names.

use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Lines of aligned columns, two blanks apart. `right` lists the columns that are aligned to the right. The last column is
/// not padded.
pub(super) fn table(rows: &[Vec<String>], right: &[usize]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let blanks = " ".repeat(widths[column] - cell.chars().count());
            if right.contains(&column) {
                line.push_str(&blanks);
                line.push_str(cell);
            } else {
                line.push_str(cell);
                line.push_str(&blanks);
            }
            line.push_str("  ");
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// Nanoseconds as seconds with three decimals, without a unit.
pub(super) fn seconds(ns: u64) -> String {
    format!("{:.3}", ns as f64 / 1e9)
}

/// Nanoseconds for a sentence: `0.03 s`, `12.3 s`, `3 min 20 s`.
pub(super) fn duration(ns: u64) -> String {
    let s = ns as f64 / 1e9;
    match s {
        s if s < 9.995 => format!("{s:.2} s"),
        s if s < 119.5 => format!("{s:.1} s"),
        s if s < 7199.5 => format!("{} min {} s", s.round() as u64 / 60, s.round() as u64 % 60),
        s => format!("{} h {} min", s as u64 / 3600, s as u64 % 3600 / 60),
    }
}

/// How long ago something was, roughly.
pub(super) fn ago(ns: u64) -> String {
    let s = ns / 1_000_000_000;
    match s {
        0..120 => format!("{s} s ago"),
        120..7200 => format!("{} min ago", s / 60),
        7200..172_800 => format!("{} h ago", s / 3600),
        s => format!("{} days ago", s / 86_400),
    }
}

/// How long ago a time in ms since the epoch was, ns.
pub(super) fn since_ms(ms: u64) -> u64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    let then = Duration::from_millis(ms);
    now.saturating_sub(then).as_nanos() as u64
}

/// `1 object`, `2 objects`.
pub(super) fn count(n: usize, what: &str) -> String {
    match n {
        1 => format!("1 {what}"),
        n => format!("{n} {what}s"),
    }
}

/// Bytes: `812 B`, `12.4 KiB`.
pub(super) fn size(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "KiB", "MiB"] {
        if value < 1000.0 {
            return match unit {
                "B" => format!("{bytes} B"),
                _ => format!("{value:.1} {unit}"),
            };
        }
        value /= 1024.0;
    }
    format!("{value:.1} GiB")
}

/// A path on one line: control characters are escaped, bytes that aren't UTF-8 replaced.
pub(super) fn path(path: &Path) -> String {
    one_line(&path.to_string_lossy())
}

/// Text on one line.
pub(super) fn one_line(text: &str) -> String {
    if !text.chars().any(char::is_control) {
        return text.to_owned();
    }
    text.chars()
        .flat_map(|c| {
            let escaped = c.is_control().then(|| c.escape_default());
            let plain = (!c.is_control()).then_some(c);
            escaped.into_iter().flatten().chain(plain)
        })
        .collect()
}

/// Words as a shell would read them back.
pub(super) fn words<'a>(words: impl IntoIterator<Item = &'a std::ffi::OsString>) -> String {
    let quoted = words.into_iter().map(|w| quote(&w.to_string_lossy()));
    one_line(&quoted.collect::<Vec<_>>().join(" "))
}

fn quote(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_=+./:,@%^".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// The first digits of a key or variant: enough to tell a few apart.
pub(super) fn short(id: &str) -> &str {
    &id[..id.len().min(8)]
}

/// The cause without the number that `io::Error` appends.
pub(super) fn cause(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((cause, _)) => cause.to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let rows = [["a", "10", "x"], ["bcd", "9", ""]].map(|r| r.map(str::to_owned).to_vec());
        assert_eq!(table(&rows, &[1]), "a    10  x\nbcd   9\n");
        assert_eq!(table(&[], &[]), "");
    }

    #[test]
    fn times_and_sizes() {
        assert_eq!(duration(12_340_000), "0.01 s");
        assert_eq!(duration(12_340_000_000), "12.3 s");
        assert_eq!(duration(200_000_000_000), "3 min 20 s");
        assert_eq!(duration(7_300_000_000_000), "2 h 1 min");
        assert_eq!(ago(3_000_000_000), "3 s ago");
        assert_eq!(ago(86_400_000_000_000 * 3), "3 days ago");
        assert_eq!(
            (size(812), size(12_700), size(5 << 30)),
            ("812 B".into(), "12.4 KiB".into(), "5.0 GiB".into())
        );
        assert_eq!(
            (count(1, "link"), count(0, "link")),
            ("1 link".into(), "0 links".into())
        );
    }

    #[test]
    fn odd_names_stay_on_one_line() {
        assert_eq!(path(Path::new("a\nb\tc d")), "a\\nb\\tc d");
        assert_eq!(
            words(&["-DX=a b".into(), "-I.".into(), "it's".into()]),
            r"'-DX=a b' -I. 'it'\''s'"
        );
    }
}
