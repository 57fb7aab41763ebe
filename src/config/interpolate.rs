//! References in values: `${NAME}` is replaced by the variable of that name, verbatim; `$${` is a literal `${`.
//!
//! A variable that is not set is an error and not an empty text, which would be tried as a password.

/// Why a reference cannot be replaced. No message repeats a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// There is no such variable.
    #[error("`${{{name}}}` is not set")]
    Unset {
        /// The variable.
        name: String,
    },
    /// Variables refer to each other in a cycle.
    #[error("variables refer to each other in a cycle: {chain}")]
    Cycle {
        /// The cycle: `A -> B -> A`.
        chain: String,
    },
    /// A `${` without a name and a `}` after it.
    #[error("a `${{` needs the name of a variable and a `}}` after it")]
    Syntax,
    /// The variable is not Unicode text.
    #[error("`${{{name}}}` is not valid UTF-8")]
    NotUnicode {
        /// The variable.
        name: String,
    },
}

impl ReferenceError {
    /// The remedy.
    pub fn help(&self) -> String {
        match self {
            Self::Unset { name } | Self::NotUnicode { name } => {
                format!("set {name} in the environment or in .env; a literal `${{` is written `$${{`")
            }
            Self::Cycle { .. } => "give one of them a value of its own".to_owned(),
            Self::Syntax => "write `${NAME}` with letters, digits and `_`; a literal `${` is written `$${`".to_owned(),
        }
    }
}

/// A part of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    Literal(&'a str),
    Reference(&'a str),
}

/// Whether `text` has anything to replace.
pub(super) fn has_references(text: &str) -> bool {
    text.contains("${")
}

/// The parts of `text`.
pub(super) fn pieces(text: &str) -> Result<Vec<Piece<'_>>, ReferenceError> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, from) = rest.split_at(at);
        if let Some(before) = before.strip_suffix('$') {
            pieces.push(Piece::Literal(before));
            pieces.push(Piece::Literal("${"));
            rest = from.get(2..).unwrap_or("");
            continue;
        }
        let (name, after) = from.get(2..).and_then(|inside| inside.split_once('}')).ok_or(ReferenceError::Syntax)?;
        if !is_name(name) {
            return Err(ReferenceError::Syntax);
        }
        pieces.push(Piece::Literal(before));
        pieces.push(Piece::Reference(name));
        rest = after;
    }
    pieces.push(Piece::Literal(rest));
    pieces.retain(|piece| *piece != Piece::Literal(""));
    Ok(pieces)
}

fn is_name(name: &str) -> bool {
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    starts && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::Piece::{Literal, Reference};
    use super::*;

    #[test]
    fn only_a_dollar_with_braces_is_a_reference() {
        for (text, expected) in [
            ("", Ok(vec![])),
            ("plain $HOME $", Ok(vec![Literal("plain $HOME $")])),
            ("${A}", Ok(vec![Reference("A")])),
            ("x${A_1}y${b}", Ok(vec![Literal("x"), Reference("A_1"), Literal("y"), Reference("b")])),
            ("a$${B}", Ok(vec![Literal("a"), Literal("${"), Literal("B}")])),
            ("$$${B}", Ok(vec![Literal("$"), Literal("${"), Literal("B}")])),
            ("${", Err(ReferenceError::Syntax)),
            ("${}", Err(ReferenceError::Syntax)),
            ("${A:-b}", Err(ReferenceError::Syntax)),
            ("${1A}", Err(ReferenceError::Syntax)),
            ("${Ä}", Err(ReferenceError::Syntax)),
        ] {
            assert_eq!(pieces(text), expected, "{text}");
        }
    }
}
