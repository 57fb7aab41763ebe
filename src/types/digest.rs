//! Short digests of texts.

use std::fmt::Write;

use sha2::{Digest as _, Sha256};

/// The SHA-256 of several texts, shortened to its first 16 hexadecimal digits.
#[derive(Debug, Clone, Default)]
pub struct Digest(Sha256);

impl Digest {
    /// Adds a text. Its length is added as well, so that the boundary between two texts counts.
    pub fn add(&mut self, text: impl AsRef<[u8]>) {
        let bytes = text.as_ref();
        self.0.update(bytes.len().to_le_bytes());
        self.0.update(bytes);
    }

    /// The first 16 hexadecimal digits.
    pub fn short(self) -> String {
        format!("{:016x}", self.number())
    }

    /// All 64 hexadecimal digits.
    pub fn long(self) -> String {
        hex(&self.0.finalize())
    }

    /// The first 64 bits, as a number.
    pub fn number(self) -> u64 {
        self.0.finalize().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    /// The digest of one text.
    pub fn of(text: &str) -> String {
        let mut digest = Self::default();
        digest.add(text);
        digest.short()
    }
}

/// `bytes` as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    let mut digits = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a String cannot fail.
        let _written: Result<(), std::fmt::Error> = write!(digits, "{byte:02x}");
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::Digest;

    #[test]
    fn equal_texts_have_equal_digests_and_others_do_not() {
        assert_eq!(Digest::of("a"), Digest::of("a"));
        assert_eq!(Digest::of("a").len(), 16);
        let of = |texts: &[&str]| {
            let mut digest = Digest::default();
            texts.iter().for_each(|text| digest.add(text));
            digest.short()
        };
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
    }
}
