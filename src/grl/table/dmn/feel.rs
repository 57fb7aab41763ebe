//! Writes FEEL, the language of DMN, in the language of rules.
//!
//! Names with spaces and signs become names with `_`; functions get their names here, `and`, `or`, `not(...)` and `=` their operators. What
//! has no counterpart is left as it is, and the parser refuses it with its place.

/// Text with the place in the file of each stretch that was copied.
#[derive(Default)]
pub(super) struct Text {
    pub(super) text: String,
    pub(super) pieces: Vec<(usize, usize)>,
}

impl Text {
    pub(super) fn push(&mut self, text: &str, at: usize) {
        self.pieces.push((self.text.len(), at));
        self.text.push_str(text);
    }
}

/// Functions of FEEL, with those of this language.
const FUNCTIONS: [(&str, &str); 9] = [
    ("date and time", "timestamp"),
    ("string length", "len"),
    ("upper case", "upper"),
    ("lower case", "lower"),
    ("distinct values", "distinct"),
    ("day of week", "weekday"),
    ("ceiling", "ceil"),
    ("mean", "avg"),
    ("string", "text"),
];

/// What is written in FEEL.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// An expression.
    Expression,
    /// The tests of an input entry.
    Tests,
}

/// `stretches` of FEEL, in the language of rules. `names` are those of the model that are no plain names.
pub(super) fn translated(stretches: &[(String, usize)], kind: Kind, names: &[String]) -> Text {
    let whole: String = stretches.iter().map(|(text, _)| text.as_str()).collect();
    // By byte of the whole: its place in the file.
    let place = |at: usize| {
        let mut left = at;
        for (text, start) in stretches {
            if left < text.len() {
                return start + left;
            }
            left -= text.len();
        }
        stretches.last().map_or(0, |(text, start)| start + text.len())
    };
    let mut out = Text::default();
    let mut at = 0;
    while let Some(rest) = whole.get(at..).filter(|rest| !rest.is_empty()) {
        let (length, written) = next(rest, whole.get(..at).unwrap_or(""), kind, names);
        out.push(&written, place(at));
        at += length.max(1);
    }
    out
}

/// The next part of `rest`, behind `before`: its length, and what stands for it.
fn next(rest: &str, before: &str, kind: Kind, names: &[String]) -> (usize, String) {
    let first = rest.chars().next().unwrap_or(' ');
    let same = |length: usize| (length, rest.get(..length).unwrap_or(rest).to_owned());
    if first == '"' {
        return same(quoted(rest));
    }
    if first == '@' && rest.get(1..).is_some_and(|text| text.starts_with('"')) {
        let length = 1 + quoted(rest.get(1..).unwrap_or(""));
        let text = rest.get(1..length).unwrap_or("");
        let function = if text.contains('T') { "timestamp" } else { "date" };
        return (length, format!("{function}({text})"));
    }
    if first == '.'
        && rest.get(1..).is_some_and(|text| text.starts_with(|c: char| c.is_ascii_digit()))
        && !before.ends_with(|c: char| c.is_alphanumeric() || c == '.' || c == '_')
    {
        return (1, "0.".to_owned());
    }
    if first.is_alphabetic() || first == '_' {
        return word(rest, kind, names);
    }
    if first.is_ascii_digit() {
        let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        return same(length);
    }
    if first == '=' && kind == Kind::Expression && !before.ends_with(['<', '>', '!', '=']) {
        return (1, "==".to_owned());
    }
    same(first.len_utf8())
}

/// The length of the text in quotes at the beginning of `rest`.
fn quoted(rest: &str) -> usize {
    let mut characters = rest.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => {
                characters.next();
            }
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

fn word(rest: &str, kind: Kind, names: &[String]) -> (usize, String) {
    let ends = |length: usize| {
        !rest.get(length..).is_some_and(|rest| rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
    };
    // The longest name of the model goes first.
    let known =
        names.iter().filter(|name| rest.starts_with(name.as_str()) && ends(name.len())).max_by_key(|name| name.len());
    if let Some(name) = known {
        return (name.len(), plain(name));
    }
    let call = |length: usize| rest.get(length..).is_some_and(|rest| rest.trim_start().starts_with('('));
    if let Some((feel, ours)) =
        FUNCTIONS.iter().find(|(feel, _)| rest.starts_with(feel) && ends(feel.len()) && call(feel.len()))
    {
        return (feel.len(), (*ours).to_owned());
    }
    let one = |rest: &str| rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    let length = one(rest);
    let text = rest.get(..length).unwrap_or(rest);
    match text {
        "and" if kind == Kind::Expression => return (length, "&&".to_owned()),
        "or" if kind == Kind::Expression => return (length, "||".to_owned()),
        "not" if kind == Kind::Expression && call(length) => return (length, "!".to_owned()),
        _ if is_keyword(text) => return (length, text.to_owned()),
        _ => {}
    }
    // Words behind each other are one name.
    let mut end = length;
    let mut name = text.to_owned();
    while let Some(behind) = rest.get(end..) {
        let space = behind.len() - behind.trim_start_matches(' ').len();
        let next = behind.trim_start_matches(' ');
        let length = one(next);
        let next = next.get(..length).unwrap_or("");
        if space == 0 || next.is_empty() || is_keyword(next) {
            break;
        }
        name.push('_');
        name.push_str(next);
        end += space + length;
    }
    (end, name)
}

fn is_keyword(word: &str) -> bool {
    const KEYWORDS: [&str; 19] = [
        "and",
        "or",
        "not",
        "in",
        "between",
        "if",
        "then",
        "else",
        "for",
        "return",
        "some",
        "every",
        "satisfies",
        "instance",
        "of",
        "true",
        "false",
        "null",
        "function",
    ];
    KEYWORDS.contains(&word)
}

/// A name of a model as a name of a fact: what no name has becomes `_`.
pub(super) fn plain(name: &str) -> String {
    let words: String = name.trim().chars().map(|c| if c.is_alphanumeric() || c == '_' { c } else { ' ' }).collect();
    words.split_whitespace().collect::<Vec<_>>().join("_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_operators_and_functions_are_those_of_the_language() {
        let names = ["Post-bureau risk".to_owned()];
        for (feel, kind, expected) in [
            ("Applicant Age", Kind::Expression, "Applicant_Age"),
            ("Applicant.Monthly Income * .5", Kind::Expression, "Applicant.Monthly_Income * 0.5"),
            ("Post-bureau risk = \"a and b\"", Kind::Expression, "Post_bureau_risk == \"a and b\""),
            ("a and not(b or c >= 1)", Kind::Expression, "a && !(b || c >= 1)"),
            ("string length(name) < ceiling(1.5)", Kind::Expression, "len(name) < ceil(1.5)"),
            ("date and time(\"2026-01-31T08:00:00Z\")", Kind::Tests, "timestamp(\"2026-01-31T08:00:00Z\")"),
            ("not(\"a\", [1..2.5])", Kind::Tests, "not(\"a\", [1..2.5])"),
            ("< @\"2026-01-31\"", Kind::Tests, "< date(\"2026-01-31\")"),
            ("= other value", Kind::Tests, "= other_value"),
            ("[.5..1]", Kind::Tests, "[0.5..1]"),
        ] {
            let text = translated(&[(feel.to_owned(), 10)], kind, &names);
            assert_eq!(text.text, expected);
            assert_eq!(text.pieces.first(), Some(&(0, 10)));
        }
    }
}
