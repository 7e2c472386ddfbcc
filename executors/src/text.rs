//! Cutting texts of any size down to what a message or a detail may hold.

/// The first bytes of a text, cut between characters; what is no UTF-8 shows as `�`.
pub(crate) fn beginning(bytes: &[u8], bytes_max: usize) -> String {
    let mut text = String::from_utf8_lossy(&bytes[..bytes.len().min(bytes_max)]).into_owned();
    if bytes.len() > bytes_max {
        while text.ends_with(char::REPLACEMENT_CHARACTER) {
            text.pop();
        }
        text.push('…');
    }
    text
}

/// The text with its control characters blanked, so that it stays on one line of a log.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(beginning("häuser".as_bytes(), 100), "häuser");
        assert_eq!(beginning("häuser".as_bytes(), 2), "h…");
        assert_eq!(beginning("häuser".as_bytes(), 3), "hä…");
    }

    #[test]
    fn a_line_stays_a_line() {
        assert_eq!(one_line("a\r\nb\tc\u{1b}[1m"), "a  b c [1m");
    }
}
