//! A message without what changes from one failure to the next: numbers, ids, addresses and
//! quoted texts give way to a word for their kind.
//!
//! The rules are part of what a fingerprint means, and so of the API: see
//! `docs/dead-letters.md`. A change of them parts groups that were one.

/// The longest normal form, in bytes: what stands behind tells nothing new.
pub const NORMAL_BYTES_MAX: usize = 1_024;

const TEXT: &str = "<text>";
const URL: &str = "<url>";
const ADDRESS: &str = "<address>";
const ID: &str = "<id>";
const NUMBER: &str = "<n>";

/// Characters that a mixed word of letters and digits has at least, to be an id.
const ID_CHARS_MIN: usize = 8;
/// Changes between letters and digits that such a word has at least, unless it is hexadecimal.
const ID_CHANGES_MIN: usize = 3;

/// The message with every variable part replaced by the word for its kind, and every run of
/// white space by one blank.
#[must_use]
pub fn normal(message: &str) -> String {
    let mut shown = String::new();
    let mut rest = message;
    let mut before = None;
    while let Some(first) = rest.chars().next() {
        if shown.len() >= NORMAL_BYTES_MAX {
            break;
        }
        let taken = if first.is_whitespace() {
            if !shown.ends_with(' ') {
                shown.push(' ');
            }
            first.len_utf8()
        } else if let Some(length) = quoted(rest, before) {
            shown.push_str(TEXT);
            length
        } else if is_part_of_word(first) {
            let end = rest.find(|own: char| !is_part_of_word(own)).unwrap_or(rest.len());
            word(&rest[..end], &mut shown);
            end
        } else {
            shown.push(first);
            first.len_utf8()
        };
        before = rest[..taken].chars().next_back();
        rest = &rest[taken..];
    }
    let end = shown.floor_char_boundary(NORMAL_BYTES_MAX);
    shown.truncate(end);
    shown.trim().to_owned()
}

/// The length of the quoted text that begins here, with its marks. An apostrophe within a word
/// neither begins nor ends one.
fn quoted(text: &str, before: Option<char>) -> Option<usize> {
    let mark = text.chars().next().filter(|own| matches!(own, '"' | '`' | '\''))?;
    let in_word = |own: Option<char>| mark == '\'' && own.is_some_and(char::is_alphanumeric);
    if in_word(before) {
        return None;
    }
    let inside = &text[mark.len_utf8()..];
    let closing = |(at, _): &(usize, &str)| !in_word(inside[at + 1..].chars().next());
    let (at, _) = inside.match_indices(mark).find(closing)?;
    Some(mark.len_utf8() + at + mark.len_utf8())
}

/// What stands between blanks, quotes and brackets.
fn is_part_of_word(own: char) -> bool {
    own.is_alphanumeric() || "-_.:/@%+&?#~[]=".contains(own)
}

fn word(word: &str, shown: &mut String) {
    let core = word.trim_end_matches(['.', ':', '?', '=']);
    let end = &word[core.len()..];
    // `order=812` is a name and a value.
    if !core.contains("://")
        && let Some((name, value)) = core.split_once('=')
    {
        plain(name, shown);
        shown.push('=');
        self::word(value, shown);
    } else if core.contains("://") {
        shown.push_str(URL);
    } else if core.contains('@') || is_address(core) {
        shown.push_str(ADDRESS);
    } else if is_uuid(core) {
        shown.push_str(ID);
    } else {
        plain(core, shown);
    }
    shown.push_str(end);
}

/// `10.0.0.7`, `10.0.0.7:80`, `[::1]:80`, `::1`, `host.name:80`.
fn is_address(word: &str) -> bool {
    let bare = word.trim_start_matches('[').trim_end_matches(']');
    if is_ipv4(bare) || is_ipv6(bare) {
        return true;
    }
    let Some((host, port)) = word.rsplit_once(':') else { return false };
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let named = host.contains(|own: char| own.is_ascii_alphabetic())
        && host.chars().all(|own| own.is_ascii_alphanumeric() || "-._".contains(own))
        && (host.contains('.') || host == "localhost");
    (named || is_ipv4(host) || bracketed.is_some_and(is_ipv6)) && port.parse::<u16>().is_ok()
}

fn is_ipv4(word: &str) -> bool {
    let parts: Vec<_> = word.split('.').collect();
    parts.len() == 4 && parts.iter().all(|part| part.parse::<u8>().is_ok())
}

/// Eight groups, or fewer with a gap: a time such as `12:30:45` is none.
fn is_ipv6(word: &str) -> bool {
    let groups: Vec<_> = word.split(':').collect();
    let group = |own: &&str| own.len() <= 4 && own.bytes().all(|byte| byte.is_ascii_hexdigit());
    let whole = groups.len() == 8 && !groups.contains(&"");
    let gap = groups.len() <= 8 && word.contains("::") && word.len() > 2;
    groups.iter().all(group) && (whole || gap)
}

/// Hexadecimal digits in groups of 8, 4, 4, 4 and 12.
fn is_uuid(word: &str) -> bool {
    let groups = word.split('-').map(|group| {
        let hex = group.bytes().all(|byte| byte.is_ascii_hexdigit());
        if hex { group.len() } else { 0 }
    });
    groups.eq([8, 4, 4, 4, 12])
}

/// Each run of letters and digits by itself; what stands between stays.
fn plain(word: &str, shown: &mut String) {
    let mut rest = word;
    while let Some(first) = rest.chars().next() {
        if !first.is_alphanumeric() {
            shown.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let end = rest.find(|own: char| !own.is_alphanumeric()).unwrap_or(rest.len());
        let run = &rest[..end];
        if run.bytes().all(|byte| byte.is_ascii_digit()) {
            shown.push_str(NUMBER);
            rest = decimals(&rest[end..]);
            continue;
        }
        if is_id(run) {
            shown.push_str(ID)
        } else {
            numbered(run, shown)
        }
        rest = &rest[end..];
    }
}

/// What follows behind the decimals of a number.
fn decimals(rest: &str) -> &str {
    let Some(behind) = rest.strip_prefix('.') else { return rest };
    let end = behind.find(|own: char| !own.is_ascii_digit()).unwrap_or(behind.len());
    let whole = end > 0 && !behind[end..].starts_with(char::is_alphanumeric);
    if whole { &behind[end..] } else { rest }
}

/// Whether letters and digits are mixed as in ids only.
fn is_id(run: &str) -> bool {
    let digit = |own: char| own.is_ascii_digit();
    if run.chars().count() < ID_CHARS_MIN || !run.contains(digit) {
        return false;
    }
    let kinds: Vec<bool> = run.chars().map(digit).collect();
    let changes = kinds.windows(2).filter(|pair| pair[0] != pair[1]).count();
    run.bytes().all(|byte| byte.is_ascii_hexdigit()) || changes >= ID_CHANGES_MIN
}

/// A word with its numbers replaced: `attempt3` is `attempt<n>`.
fn numbered(run: &str, shown: &mut String) {
    let mut in_number = false;
    for own in run.chars() {
        if !own.is_ascii_digit() {
            shown.push(own);
        } else if !in_number {
            shown.push_str(NUMBER);
        }
        in_number = own.is_ascii_digit();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_changes_gives_way_to_the_word_of_its_kind() {
        for (message, expected) in [
            ("no answer within 30000 ms", "no answer within <n> ms"),
            ("took 1.5 s of 2.25s", "took <n> s of <n>.<n>s"),
            ("order 8812 is \"paid already\"", "order <n> is <text>"),
            ("can't read `a b` or 'it's gone'", "can't read <text> or <text>"),
            ("user 550e8400-e29b-41d4-a716-446655440000 is locked", "user <id> is locked"),
            ("exec_0003000000000000000000000000000000ff failed", "exec_<id> failed"),
            ("connecting to 10.0.0.7:5432: refused", "connecting to <address>: refused"),
            ("no route to [::1]:80 or fe80::1.", "no route to <address> or <address>."),
            ("db.internal:5432 is down, ask ops@example.org", "<address> is down, ask <address>"),
            ("POST http://psp/charges/8812 answered 503", "POST <url> answered <n>"),
            ("/orders/8812/lines is gone", "/orders/<n>/lines is gone"),
            ("token 9f8a7b6c5d4e expired", "token <id> expired"),
            ("key xJ3kd9LmQ2 is unknown", "key <id> is unknown"),
            ("order=812 attempt3", "order=<n> attempt<n>"),
            ("a  lot\n of   space ", "a lot of space"),
            ("an \"open quote", "an \"open quote"),
            ("IPv4 and utf8 stay words", "IPv<n> and utf<n> stay words"),
            (
                "deadbeef is a word, 2026-01-31 is a date",
                "deadbeef is a word, <n>-<n>-<n> is a date",
            ),
            ("", ""),
        ] {
            assert_eq!(normal(message), expected, "{message}");
        }
    }

    proptest! {
        #[test]
        fn any_text_has_a_bounded_normal_form_that_is_stable(message in ".{0,200}") {
            let once = normal(&message);
            prop_assert!(once.len() <= NORMAL_BYTES_MAX);
            prop_assert_eq!(normal(&message), once);
        }

        #[test]
        fn numbers_and_ids_make_no_difference(
            one in any::<u64>(), other in any::<u64>(), id in any::<u128>(), to in any::<u128>(),
        ) {
            let uuid = |own: u128| {
                let hex = format!("{own:032x}");
                let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
                parts.join("-")
            };
            let of = |n: u64, id: u128| {
                normal(&format!("line {n} of {}: host-{n} says {}", uuid(id), n % 7))
            };
            prop_assert_eq!(of(one, id), of(other, to));
        }
    }
}
