//! The paths that a Rust source names (`std::fs::File`, also from `use std::{fs, net}`), enough of
//! the language for rules about who names what. It resolves nothing: aliases stay as written.

/// One path and the line it starts on. A single name counts only inside of `use`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) line: usize,
    pub(super) path: String,
}

impl Named {
    /// Whether the path is the prefix or goes on from it.
    pub(super) fn starts_with(&self, prefix: &str) -> bool {
        self.path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Name(String),
    Colons,
    Sign(char),
}

pub(super) fn named(text: &str) -> Vec<Named> {
    let tokens = tokens(&code_only(text));
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let is_use = matches!(&tokens[at].1, Token::Name(name) if name == "use");
        if is_use {
            at = collect(&tokens, at + 1, "", true, &mut found);
        } else {
            at = collect(&tokens, at, "", false, &mut found).max(at + 1);
        }
    }
    found
}

/// Collects the path that starts here, with its groups; answers where it ends.
fn collect(
    tokens: &[(usize, Token)],
    start: usize,
    prefix: &str,
    in_use: bool,
    found: &mut Vec<Named>,
) -> usize {
    let mut at = start;
    let mut path = prefix.to_owned();
    let mut names = 0;
    while let Some((line, token)) = tokens.get(at) {
        match token {
            Token::Colons => at += 1,
            Token::Name(name) if names == 0 || tokens[at - 1].1 == Token::Colons => {
                path.push_str(if path.is_empty() { "" } else { "::" });
                path.push_str(name);
                names += 1;
                at += 1;
            }
            Token::Sign('{') if in_use => {
                at += 1;
                while !matches!(tokens.get(at), None | Some((_, Token::Sign('}')))) {
                    at = collect(tokens, at, &path, true, found).max(at + 1);
                }
                return at + 1;
            }
            _ => {
                if names > 0 && (in_use || path.contains("::")) {
                    found.push(Named { line: *line, path });
                }
                let is_alias = in_use && *token == Token::Name("as".to_owned());
                return if is_alias { at + 2 } else { at };
            }
        }
    }
    at
}

fn tokens(code: &str) -> Vec<(usize, Token)> {
    let mut tokens = Vec::new();
    let mut line = 1;
    let mut chars = code.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\n' {
            line += 1;
        } else if c.is_alphabetic() || c == '_' {
            let mut name = String::from(c);
            while let Some(more) = chars.next_if(|c| c.is_alphanumeric() || *c == '_') {
                name.push(more);
            }
            tokens.push((line, Token::Name(name)));
        } else if c == ':' && chars.next_if_eq(&':').is_some() {
            tokens.push((line, Token::Colons));
        } else if !c.is_whitespace() {
            tokens.push((line, Token::Sign(c)));
        }
    }
    tokens
}

/// The text with comments and the insides of literals blanked; lines stay where they are.
fn code_only(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skipped = comment_length(rest).or_else(|| literal_length(rest, &code));
        let length = skipped.unwrap_or(first.len_utf8());
        match skipped {
            Some(_) => code.extend(rest[..length].chars().map(|c| if c == '\n' { c } else { ' ' })),
            None => code.push(first),
        }
        rest = &rest[length..];
    }
    code
}

fn comment_length(rest: &str) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    rest.starts_with("/*").then(|| rest.find("*/").map_or(rest.len(), |end| end + 2))
}

fn literal_length(rest: &str, before: &str) -> Option<usize> {
    let in_name = before.chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_');
    if let (Some(raw), false) = (rest.strip_prefix('r'), in_name) {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        let opened = raw[hashes..].strip_prefix('"')?;
        let end = format!("\"{}", "#".repeat(hashes));
        let inside = opened.find(&end).unwrap_or(opened.len().saturating_sub(end.len()));
        return Some(2 + hashes + inside + end.len());
    }
    if let Some(opened) = rest.strip_prefix('"') {
        return Some(1 + quoted_length(opened, '"'));
    }
    // A quote that closes after one character is a literal, any other a lifetime.
    let opened = rest.strip_prefix('\'')?;
    let is_character = opened.starts_with('\\') || opened.chars().nth(1) == Some('\'');
    is_character.then(|| 1 + quoted_length(opened, '\''))
}

fn quoted_length(opened: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in opened.char_indices() {
        match c {
            '\\' if !escaped => escaped = true,
            _ if c == quote && !escaped => return at + 1,
            _ => escaped = false,
        }
    }
    opened.len()
}

#[cfg(test)]
mod tests {
    use super::{Named, named};

    fn check(text: &str, expected: &[(usize, &str)]) {
        let expected: Vec<Named> = (expected.iter())
            .map(|(line, path)| Named { line: *line, path: (*path).to_owned() })
            .collect();
        assert_eq!(named(text), expected, "{text}");
    }

    #[test]
    fn uses_and_groups() {
        check("use sled;", &[(1, "sled")]);
        check("pub use sled as store;", &[(1, "sled")]);
        check("use std::{io as fs, mem};", &[(1, "std::io"), (1, "std::mem")]);
        check(
            "use std::{fs::{self, File}, net};\nuse ::tokio::main;",
            &[(1, "std::fs::self"), (1, "std::fs::File"), (1, "std::net"), (2, "tokio::main")],
        );
        check("use super::*;\nuse a::{b::*, c};", &[(1, "super"), (2, "a::b"), (2, "a::c")]);
    }

    #[test]
    fn paths_in_code() {
        check(
            "fn f() -> bincode::Result {\n  let x = crate::sled::open::<u8>(rand);\n}",
            &[(1, "bincode::Result"), (2, "crate::sled::open")],
        );
        check("#[tokio::test]\nstruct S { a: u8, b: T }", &[(1, "tokio::test")]);
    }

    #[test]
    fn comments_and_literals_do_not_count() {
        check("// sled::Db\n/* sled::Db\n */ let a = 'x'; b::c()", &[(3, "b::c")]);
        check(r##"let t = "a \" sled::Db"; let u = r#"sled::"Db""#; d::e();"##, &[(1, "d::e")]);
        check("fn f<'a>(x: &'a str) -> char { let q = '\\''; g::h() }", &[(1, "g::h")]);
    }

    #[test]
    fn a_prefix_ends_at_a_segment() {
        let named = Named { line: 1, path: "std::fs::File".to_owned() };
        assert!(named.starts_with("std::fs") && named.starts_with("std::fs::File"));
        assert!(!named.starts_with("std::f"));
    }
}
