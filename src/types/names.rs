//! Names that are checked once, where they are read. Rules, inputs, columns and mappings share one
//! definition of a name, [`check_name`].

use std::fmt;
use std::sync::Arc;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use unicode_normalization::is_nfc;

use super::invisible::is_invisible;

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The text is empty.
    #[error("the name of the {kind} is empty")]
    Empty {
        /// What the name is for.
        kind: &'static str,
    },
    /// The text is longer than 63 bytes, PostgreSQL's own limit for identifiers.
    #[error("a name has at most 63 bytes; `{name}`, that of the {kind}, has {length}")]
    TooLong {
        /// What the name is for.
        kind: &'static str,
        /// The refused text.
        name: String,
        /// Its length in bytes.
        length: usize,
    },
    /// The text has a character a name may not have.
    #[error(
        "a name starts with a letter or `_` and continues with letters, digits{extra}: `{name}`, that of the {kind}, has {found:?}"
    )]
    Character {
        /// What the name is for.
        kind: &'static str,
        /// The refused text.
        name: String,
        /// The first character that does not belong.
        found: char,
        /// What else is allowed after the first character.
        extra: &'static str,
    },
    /// The text is not in Unicode normalization form C: the same letters in form C would be another name.
    #[error(
        "`{name}`, the name of the {kind}, is written with separate accents; write `{composed}` (Unicode form NFC)"
    )]
    Decomposed {
        /// What the name is for.
        kind: &'static str,
        /// The refused text.
        name: String,
        /// The same text in form C.
        composed: String,
    },
}

/// The longest name, in bytes.
const MAX_LENGTH: usize = 63;

/// Whether a name may start with this character: a letter of any script, or `_`.
pub fn starts_name(character: char) -> bool {
    (character.is_alphabetic() || character == '_') && !is_invisible(character)
}

/// Whether a name may continue with this character: a letter, a digit or a combining mark of any script, or `_`.
pub fn continues_name(character: char) -> bool {
    (character.is_alphanumeric() || character == '_' || is_combining_mark(character)) && !is_invisible(character)
}

/// Checks that `name` is a name of rules: of a node, an input, an alias, a fact or a column that an expression reads.
///
/// # Errors
/// [`NameError`].
pub fn check_name(kind: &'static str, name: &str) -> Result<(), NameError> {
    check(kind, name, " and `_`", starts_name, continues_name)
}

/// As [`check_name`], for names that are part of environment variables or URLs: ASCII only.
fn check_ascii(kind: &'static str, name: &str, dashes: bool) -> Result<(), NameError> {
    let extra = if dashes { ", `_` and `-`, all ASCII" } else { " and `_`, all ASCII" };
    let starts = |c: char| c.is_ascii_alphabetic() || c == '_';
    check(kind, name, extra, starts, |c| c.is_ascii_alphanumeric() || c == '_' || (dashes && c == '-'))
}

fn check(
    kind: &'static str,
    name: &str,
    extra: &'static str,
    starts: impl Fn(char) -> bool,
    continues: impl Fn(char) -> bool,
) -> Result<(), NameError> {
    let mut characters = name.chars();
    let Some(first) = characters.next() else {
        return Err(NameError::Empty { kind });
    };
    let stray = if starts(first) { characters.find(|c| !continues(*c)) } else { Some(first) };
    if let Some(found) = stray {
        return Err(NameError::Character { kind, name: name.to_owned(), found, extra });
    }
    if !is_nfc(name) {
        return Err(NameError::Decomposed { kind, name: name.to_owned(), composed: name.nfc().collect() });
    }
    if name.len() > MAX_LENGTH {
        return Err(NameError::TooLong { kind, name: name.to_owned(), length: name.len() });
    }
    Ok(())
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $kind:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, schemars::JsonSchema)]
        #[schemars(inline)]
        pub struct $type(Arc<str>);

        impl $type {
            /// Checks `name` and keeps it.
            ///
            /// # Errors
            /// [`NameError`] where the text is empty, too long, or has a character that does not belong.
            pub fn parse(name: &str) -> Result<Self, NameError> {
                $check($kind, name)?;
                Ok(Self(Arc::from(name)))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($type), "({})"), self.0)
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }
    };
}

name!(
    /// A node of a flow: an identifier that rules can write, so no dashes.
    NodeId, "node", check_name
);
name!(
    /// A domain: one PostgreSQL database and the actor that owns it.
    DomainName, "domain", |kind, name| check_ascii(kind, name, false)
);
name!(
    /// A flow: one graph file.
    FlowName, "flow", |kind, name| check_ascii(kind, name, true)
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_letters_digits_and_underscores_of_any_script_in_form_c() {
        for (text, refused) in [
            ("oms_history", None),
            ("_x9", None),
            ("größe", None),
            ("数量", None),
            ("कर्म", None),
            ("", Some("is empty")),
            ("9lives", Some("'9'")),
            ("oms-history", Some("'-'")),
            ("a.b", Some("'.'")),
            ("a\u{200b}b", Some("'\\u{200b}'")),
            ("gro\u{308}ße", Some("write `größe`")),
        ] {
            match (NodeId::parse(text), refused) {
                (Ok(id), None) => assert_eq!(id.as_str(), text),
                (Err(error), Some(part)) => assert!(error.to_string().contains(part), "{error}"),
                (outcome, _) => panic!("{text:?} gave {outcome:?}"),
            }
        }
        assert!(NodeId::parse(&"n".repeat(63)).is_ok() && NodeId::parse(&"n".repeat(64)).is_err());
    }

    #[test]
    fn names_in_variables_and_urls_are_ascii() {
        assert!(FlowName::parse("daily-orders").is_ok() && DomainName::parse("oms_db").is_ok());
        for text in ["größe", "daily-orders"] {
            assert!(DomainName::parse(text).is_err(), "{text}");
        }
        assert!(FlowName::parse("größe").is_err());
    }
}
