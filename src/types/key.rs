//! The key of a request that writes (`Idempotency-Key` of the IETF draft of the HTTP API working group).

/// The longest key.
const MAX_LENGTH: usize = 255;

/// A key: 1 to 255 printable characters of ASCII.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(Box<str>);

/// Why a text is not a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It is empty.
    #[error("the key is empty: send 1 to {MAX_LENGTH} printable characters of ASCII, such as a UUID")]
    Empty,
    /// It is too long.
    #[error("the key has {0} characters, and may have {MAX_LENGTH}")]
    TooLong(usize),
    /// It has another character.
    #[error("the key has a character that is not printable ASCII, at position {0}")]
    Character(usize),
    /// It is not a text.
    #[error("the key is not a text: write it as a JSON string")]
    NotText,
    /// There are several.
    #[error("there are several keys: send one")]
    Several,
}

impl IdempotencyKey {
    /// Checks `text`. Quotes around it, as the draft writes them, are not part of the key.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
        if let Some(position) = text.chars().position(|character| !matches!(character, ' '..='~')) {
            return Err(KeyError::Character(position + 1));
        }
        match text.len() {
            0 => Err(KeyError::Empty),
            length if length > MAX_LENGTH => Err(KeyError::TooLong(length)),
            _ => Ok(Self(text.into())),
        }
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_printable_ascii_with_or_without_quotes() {
        let key = |text: &str| IdempotencyKey::parse(text).map(|key| key.as_str().to_owned());
        assert_eq!(key("\"8e03978e-40d5\""), Ok("8e03978e-40d5".to_owned()));
        assert_eq!(key("8e03978e-40d5"), Ok("8e03978e-40d5".to_owned()));
        assert_eq!(key(&"k".repeat(255)), Ok("k".repeat(255)));
        for (text, error) in [
            ("", KeyError::Empty),
            ("\"\"", KeyError::Empty),
            ("  ", KeyError::Empty),
            ("a\u{7}b", KeyError::Character(2)),
            ("a\tb", KeyError::Character(2)),
            ("ä", KeyError::Character(1)),
        ] {
            assert_eq!(key(text), Err(error), "{text:?}");
        }
        assert_eq!(key(&"k".repeat(256)), Err(KeyError::TooLong(256)));
    }
}
