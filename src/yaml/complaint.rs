//! What serde says of a value, in words for the author of a file. Serde's own sentences name Rust types and repeat
//! values; these do neither.

/// What serde complained of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Complaint {
    /// A key that the mapping may not have.
    UnknownKey { key: String, known: Vec<String> },
    /// A key that the mapping must have.
    MissingKey { key: String },
    /// A word that is none of these.
    UnknownWord { known: Vec<String> },
    /// A value of another type or out of range: `expected` in words, and whether the type itself is wrong.
    Unexpected { expected: String, wrong_type: bool },
    /// What a type's own check said.
    Other { message: String },
}

impl Complaint {
    /// Reads serde's standard sentences (`serde::de::Error`); any other is a check's own.
    pub(super) fn read(message: &str) -> Self {
        let quoted = || message.split('`').skip(1).step_by(2).map(str::to_owned);
        if message.starts_with("unknown field `") {
            let mut names = quoted();
            return Self::UnknownKey { key: names.next().unwrap_or_default(), known: names.collect() };
        }
        if message.starts_with("missing field `") {
            return Self::MissingKey { key: quoted().next().unwrap_or_default() };
        }
        if message.starts_with("unknown variant `") {
            // The refused word may itself hold backticks: the known ones are what follows the last "expected".
            let known = message.rsplit_once("expected ").map_or("", |(_, known)| known);
            return Self::UnknownWord { known: known.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
        }
        let wrong_type = message.starts_with("invalid type: ");
        if wrong_type || message.starts_with("invalid value: ") || message.starts_with("invalid length ") {
            let expected = message.rsplit_once("expected ").map_or("another value", |(_, expected)| expected);
            return Self::Unexpected { expected: in_words(expected), wrong_type };
        }
        Self::Other { message: message.to_owned() }
    }
}

/// Without Rust's words.
fn in_words(expected: &str) -> String {
    let words = match expected {
        "a string" | "string" | "str" | "a character" | "a borrowed string" => "text",
        "a boolean" | "bool" => "true or false",
        "a map" | "map" => "a mapping",
        "a sequence" | "sequence" | "an array" => "a list",
        "f32" | "f64" | "a floating point number" => "a number",
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65,535",
        "u32" => "a whole number from 0 to 4,294,967,295",
        "u64" | "u128" | "usize" => "a whole number that is not negative",
        "i8" | "i16" | "i32" | "i64" | "i128" | "isize" => "a whole number",
        "a nonzero u16" | "a nonzero u32" | "a nonzero u64" | "a nonzero usize" => "a whole number from 1 up",
        "unit" | "unit struct" => "nothing",
        _ if expected.starts_with("struct ") => "a mapping",
        _ if expected.starts_with("a sequence of") || expected.starts_with("a tuple") => "a list",
        _ if expected.starts_with("tuple ") => "a list",
        _ if expected.contains("enum") || expected.contains("variant") => "one of the known words",
        _ if expected.contains("::") || expected.is_empty() => "another kind of value",
        _ => expected,
    };
    words.to_owned()
}

/// `a`, `a` or `b`, `a`, `b` or `c`.
pub(super) fn list(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [only] => format!("`{only}`"),
        [rest @ .., last] => {
            let rest: Vec<String> = rest.iter().map(|name| format!("`{name}`")).collect();
            format!("{} or `{last}`", rest.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serdes_sentences_are_understood() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let unexpected =
            |expected: &str, wrong_type| Complaint::Unexpected { expected: expected.to_owned(), wrong_type };
        for (message, complaint) in [
            (
                "unknown field `hots`, expected one of `host`, `port`",
                Complaint::UnknownKey { key: "hots".into(), known: names(&["host", "port"]) },
            ),
            ("unknown field `x`, there are no fields", Complaint::UnknownKey { key: "x".into(), known: names(&[]) }),
            ("missing field `port`", Complaint::MissingKey { key: "port".into() }),
            (
                "unknown variant `expected `x``, expected `json` or `pretty`",
                Complaint::UnknownWord { known: names(&["json", "pretty"]) },
            ),
            ("invalid type: string \"x\", expected u16", unexpected("a whole number from 0 to 65,535", true)),
            ("invalid value: integer `70000`, expected u16", unexpected("a whole number from 0 to 65,535", false)),
            ("invalid type: integer `1`, expected struct Secret", unexpected("a mapping", true)),
            ("invalid length 3, expected a tuple of size 2", unexpected("a list", false)),
            ("the pool is too small", Complaint::Other { message: "the pool is too small".into() }),
        ] {
            assert_eq!(Complaint::read(message), complaint, "{message}");
        }
    }

    #[test]
    fn names_are_listed_as_one_would_say_them() {
        for (names, text) in
            [(&["a"][..], "`a`"), (&["a", "b"], "`a` or `b`"), (&["a", "b", "c"], "`a`, `b` or `c`"), (&[], "")]
        {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(list(&names), text);
        }
    }
}
