//! Names that are checked once, where they are read, and trusted afterwards.

use std::fmt;
use std::sync::Arc;

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The text is empty.
    #[error("a {kind} name may not be empty")]
    Empty {
        /// What was to be named.
        kind: &'static str,
    },
    /// The text is longer than 63 bytes, PostgreSQL's own limit for identifiers.
    #[error("a {kind} name may have at most 63 characters; `{name}` has {length}")]
    TooLong {
        /// What was to be named.
        kind: &'static str,
        /// The refused text.
        name: String,
        /// Its length in bytes.
        length: usize,
    },
    /// The text has a character a name may not have.
    #[error(
        "a {kind} name starts with a letter or `_` and continues with letters, digits{extra}: `{name}` has {found:?}"
    )]
    Character {
        /// What was to be named.
        kind: &'static str,
        /// The refused text.
        name: String,
        /// The first character that does not belong.
        found: char,
        /// What else is allowed after the first character.
        extra: &'static str,
    },
}

/// The longest name, in bytes.
const MAX_LENGTH: usize = 63;

fn check(kind: &'static str, name: &str, dashes: bool) -> Result<(), NameError> {
    let mut characters = name.chars();
    let Some(first) = characters.next() else {
        return Err(NameError::Empty { kind });
    };
    let stray = if first.is_ascii_alphabetic() || first == '_' {
        characters.find(|c| !(c.is_ascii_alphanumeric() || *c == '_' || (dashes && *c == '-')))
    } else {
        Some(first)
    };
    if let Some(found) = stray {
        let extra = if dashes { ", `_` and `-`" } else { " and `_`" };
        return Err(NameError::Character { kind, name: name.to_owned(), found, extra });
    }
    if name.len() > MAX_LENGTH {
        return Err(NameError::TooLong { kind, name: name.to_owned(), length: name.len() });
    }
    Ok(())
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $kind:literal, dashes: $dashes:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $type(Arc<str>);

        impl $type {
            /// Checks `name` and keeps it.
            ///
            /// # Errors
            /// [`NameError`] where the text is empty, too long, or has a character that does not belong.
            pub fn parse(name: &str) -> Result<Self, NameError> {
                check($kind, name, $dashes)?;
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
    NodeId, "node", dashes: false
);
name!(
    /// A domain: one PostgreSQL database and the actor that owns it.
    DomainName, "domain", dashes: false
);
name!(
    /// A flow: one graph file.
    FlowName, "flow", dashes: true
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_refused_with_the_character_that_does_not_belong() {
        for (text, refused) in [
            ("oms_history", None),
            ("_x9", None),
            ("", Some("may not be empty")),
            ("9lives", Some("'9'")),
            ("oms-history", Some("'-'")),
            ("a.b", Some("'.'")),
            ("größe", Some("'ö'")),
        ] {
            match (NodeId::parse(text), refused) {
                (Ok(id), None) => assert_eq!(id.as_str(), text),
                (Err(error), Some(part)) => assert!(error.to_string().contains(part), "{error}"),
                (outcome, _) => panic!("{text:?} gave {outcome:?}"),
            }
        }
        assert!(FlowName::parse("daily-orders").is_ok());
        assert!(NodeId::parse(&"n".repeat(64)).is_err());
    }
}
