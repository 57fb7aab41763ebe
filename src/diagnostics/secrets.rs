//! Covers secrets in messages and excerpts: tokens, passwords, keys, and passwords in URLs.
//!
//! A secret is recognised by its form (a URL with a password, a token of `tributary token`, a PEM block, a long run of letters and
//! digits) or by the key before it (`password: ...`). In a guarded source, only the values of known keys are shown.

use std::ops::Range;

use super::nearest::nearest;

/// The shortest run of letters and digits that counts as a token.
const TOKEN_LENGTH: usize = 20;
/// The digits that such a run has at least: words and dates have fewer.
const TOKEN_DIGITS: usize = 3;
/// How tokens of `tributary token` begin.
const PREFIX: &str = "trb_";
/// Parts of the names of secrets' keys.
const SECRET_KEYS: [&str; 9] =
    ["passw", "pasw", "pwd", "secret", "token", "sha256", "credential", "apikey", "privatekey"];

/// Whether a text is a secret by its form.
pub fn is_secret(text: &str) -> bool {
    !by_form(text).is_empty()
}

/// `text` with every secret that has the form of one replaced by as many `*`.
pub fn covered(text: &str) -> String {
    cover(text, by_form(text))
}

/// An excerpt, in which the values of secrets' keys are covered too; with `keys`, the values of all other keys.
pub(super) fn excerpt(text: &str, keys: Option<&[String]>) -> String {
    let mut ranges = by_form(text);
    for (start, line) in lines(text) {
        ranges.extend(behind_keys(line).into_iter().map(|range| start + range.start..start + range.end));
    }
    ranges.extend(keys.map(|keys| unknown_values(text, keys)).unwrap_or_default());
    cover(text, ranges)
}

fn cover(text: &str, ranges: Vec<Range<usize>>) -> String {
    let mut shown = text.to_owned();
    for range in ranges {
        // A reference (`${NAME}`) is not a secret.
        if text.get(range.clone()).is_some_and(|secret| !is_references(secret)) {
            // Offsets and lines stay the same.
            let stars: String = shown.get(range.clone()).into_iter().flat_map(str::bytes).map(covering).collect();
            shown.replace_range(range, &stars);
        }
    }
    shown
}

fn covering(byte: u8) -> char {
    if byte == b'\n' { '\n' } else { '*' }
}

fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split_inclusive('\n').scan(0, |offset, line| {
        let start = *offset;
        *offset += line.len();
        Some((start, line.trim_end_matches(['\n', '\r'])))
    })
}

fn is_references(text: &str) -> bool {
    let mut rest = text;
    while let Some((name, after)) = rest.strip_prefix("${").and_then(|inside| inside.split_once('}')) {
        if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return false;
        }
        rest = after;
    }
    rest.is_empty()
}

fn by_form(text: &str) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    for (start, line) in lines(text) {
        let found = in_urls(line).into_iter().chain(parameters(line)).chain(tokens(line));
        ranges.extend(found.map(|range| start + range.start..start + range.end));
    }
    for (start, _) in text.match_indices("-----BEGIN") {
        let block = text.get(start..).unwrap_or("");
        let end = block.find("-----END").map_or(text.len(), |length| start + length);
        ranges.push(start..end);
    }
    ranges.retain(|range| range.start < range.end);
    ranges
}

/// The passwords of URLs. In a PostgreSQL URL the password ends at the last `@` of the line: it may contain spaces and quotes.
fn in_urls(line: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for (at, separator) in line.match_indices("://") {
        let start = at + separator.len();
        let (before, rest) = (line.get(..at).unwrap_or(""), line.get(start..).unwrap_or(""));
        let ends_word = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`');
        let word = rest.split(ends_word).next().unwrap_or("");
        let is_postgres = before.ends_with("postgres") || before.ends_with("postgresql");
        let reach = if is_postgres { rest } else { word };
        let password = match reach.rfind('@') {
            Some(end) => reach.get(..end).and_then(|userinfo| userinfo.find(':')).map(|colon| colon + 1..end),
            None if is_postgres => behind_port(word).map(|from| from..rest.len()),
            None => None,
        };
        found.extend(password.map(|range| start + range.start..start + range.end));
    }
    found
}

/// The start of a password in a URL without `@`: after a colon that is not followed by a port.
fn behind_port(word: &str) -> Option<usize> {
    let colon = word.find(':')?;
    let port = word.get(colon + 1..)?.split(['/', '?', ',']).next()?;
    (!port.is_empty() && port.parse::<u16>().is_err() && !port.starts_with("${")).then_some(colon + 1)
}

/// The values of `password=` and similar parameters, in a URL or a connection string.
fn parameters(line: &str) -> Vec<Range<usize>> {
    let lower = line.to_ascii_lowercase();
    let mut found = Vec::new();
    for name in ["password=", "passwd=", "pwd="] {
        for (at, _) in lower.match_indices(name) {
            let start = at + name.len();
            let rest = line.get(start..).unwrap_or("");
            if !rest.starts_with('=') {
                let value = rest.split('&').next().unwrap_or("");
                found.push(start..start + value.trim_end_matches([' ', '\'', '"', '`', '}', ']', ',']).len());
            }
        }
    }
    found
}

/// Tokens: those of `tributary token`, and long runs of letters and digits.
fn tokens(line: &str) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut start = None;
    for (at, c) in line.char_indices().chain([(line.len(), ' ')]) {
        match (start, c.is_ascii_alphanumeric() || matches!(c, '_' | '+' | '=')) {
            (None, true) => start = Some(at),
            (Some(from), false) => {
                found.extend(line.get(from..at).filter(|run| is_token(run)).map(|_| from..at));
                start = None;
            }
            _ => {}
        }
    }
    found
}

fn is_token(run: &str) -> bool {
    let is_random = |part: &str| {
        let digits = part.bytes().filter(u8::is_ascii_digit).count();
        let has_letters = part.bytes().any(|byte| byte.is_ascii_alphabetic());
        part.len() >= TOKEN_LENGTH && digits >= TOKEN_DIGITS && has_letters
    };
    run.starts_with(PREFIX) && run.len() > PREFIX.len() || run.split(['_', '=']).any(is_random)
}

/// The value after `key: ` or `KEY=` if the key is that of a secret. A list or a mapping is not a value.
fn behind_keys(line: &str) -> Option<Range<usize>> {
    let is_key_char = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    line.match_indices([':', '=']).find_map(|(at, separator)| {
        let before = line.get(..at)?.trim_end_matches(['"', '\'']);
        let key = before.get(before.rfind(|c| !is_key_char(c)).map_or(0, |last| last + 1)..)?;
        let rest = line.get(at + 1..)?;
        let is_pair = match separator {
            ":" => rest.is_empty() || rest.starts_with([' ', '\t']),
            _ => key.bytes().any(|byte| byte.is_ascii_uppercase()) && !rest.starts_with('='),
        };
        let value = rest.trim();
        let is_plain = !value.is_empty() && value != "null" && !value.starts_with(['{', '[', '|', '>', '&']);
        let start = at + 1 + (rest.len() - rest.trim_start().len());
        (is_pair && is_plain && is_secret_key(key)).then(|| start..start + value.len())
    })
}

fn is_secret_key(key: &str) -> bool {
    let plain = key.to_ascii_lowercase().replace(['_', '-'], "");
    // `tokens` names a file, and what is pasted in its place is known by its form.
    plain != "tokens"
        && (SECRET_KEYS.iter().any(|part| plain.contains(part)) || nearest(&plain, ["password", "secret"]).is_some())
}

/// The words of a YAML text that are neither keys nor values of `keys`, and its comments.
fn unknown_values(text: &str, keys: &[String]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut is_known = false;
    for (start, line) in lines(text) {
        let mut at = 0;
        let mut in_comment = false;
        for word in line.split_inclusive([' ', '\t', '{', '}', '[', ']', ',', '"', '\'']) {
            let (from, next) = (at, at + word.len());
            at = next;
            let word = word.trim_end_matches([' ', '\t', '{', '}', '[', ']', ',', '"', '\'']);
            let after = line.get(from + word.len()..).unwrap_or("").trim_start_matches(['"', '\'']);
            if word == ":" {
                // It belongs to a key in quotes.
                continue;
            }
            in_comment |= word.starts_with('#');
            let key = if in_comment { None } else { word.strip_suffix(':').or(after.starts_with(':').then_some(word)) };
            if let Some(key) = key {
                is_known = keys.iter().any(|known| known == key);
            } else if (in_comment || !is_known || word.starts_with('!'))
                && !word.chars().all(|c| matches!(c, '-' | '#' | ':'))
            {
                found.push(start + from..start + from + word.len());
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_covered_by_their_form_and_nothing_moves() {
        let token = "trb_9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
        let stars = "*".repeat(token.len());
        for (text, shown) in [
            ("a: 1\n", "a: 1\n"),
            ("c: 'postgres://u:hunter2@h/d' # x", "c: 'postgres://u:*******@h/d' # x"),
            ("c: 'postgres://u:hun ter'2@h/d'", "c: 'postgres://u:*********@h/d'"),
            ("c: \"postgres://u:hunter2\"\n  h", "c: \"postgres://u:********\n  h"),
            ("c: postgres://h:5432/d", "c: postgres://h:5432/d"),
            ("c: postgres://u:a@b:c@h/d?password=pä&x=1", "c: postgres://u:*****@h/d?password=***&x=1"),
            ("c: postgres://${U}:${P}@h/d", "c: postgres://${U}:${P}@h/d"),
            ("c: postgres://${U}:${P}x@h/d", "c: postgres://${U}:*****@h/d"),
            ("c: 'host=h password=hunter2'", "c: 'host=h password=*******'"),
            ("see https://example.org:80/x and a@b", "see https://example.org:80/x and a@b"),
            ("see https://u:hunter2@example.org/x", "see https://u:*******@example.org/x"),
            ("`target_session_attributes` 2026-01-31T08:00:00Z", "`target_session_attributes` 2026-01-31T08:00:00Z"),
            (&format!("unknown key `{token}`"), &format!("unknown key `{stars}`")),
            ("-----BEGIN KEY-----\nMIIB\n-----END KEY-----", "*******************\n****\n-----END KEY-----"),
        ] {
            assert_eq!(covered(text), shown, "{text}");
        }
    }

    #[test]
    fn an_excerpt_shows_nothing_behind_the_key_of_a_secret() {
        for (text, shown) in [
            ("  password: hunter2 # mine", "  password: **************"),
            ("a: { pasword: hunter2 }", "a: { pasword: *********"),
            ("\"admin_token\": 'hunter2'", "\"admin_token\": *********"),
            ("password: ${OMS_PASSWORD}", "password: ${OMS_PASSWORD}"),
            ("tokens: tokens.yaml", "tokens: tokens.yaml"),
            ("token: { type: text }", "token: { type: text }"),
            ("export OMS_DB_PASSWORD=hunter2", "export OMS_DB_PASSWORD=*******"),
            ("when r.password == \"x\"", "when r.password == \"x\""),
        ] {
            assert_eq!(excerpt(text, None), shown, "{text}");
        }
    }

    #[test]
    fn a_guarded_excerpt_shows_the_values_of_known_keys_only() {
        let keys = ["name", "flows"].map(str::to_owned);
        for (text, shown) in [
            ("- { name: erp, key: hunter2, flows: [a, b] }", "- { name: erp, key: *******, flows: [a, b] }"),
            ("tokens:\n- hunter2\n", "tokens:\n- *******\n"),
            ("flows:\n- purchasing # hunter2", "flows:\n- purchasing # *******"),
            ("\"name\": erp\nhunter2\"", "\"name\": erp\nhunter2\""),
            ("secret hunter2", "****** *******"),
        ] {
            assert_eq!(excerpt(text, Some(&keys)), shown, "{text}");
        }
    }
}
