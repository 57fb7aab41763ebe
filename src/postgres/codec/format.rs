//! What the formats of all types share: reading bytes, and why a value cannot be decoded or encoded.

use std::borrow::Cow;

use crate::types::Value;

/// Why a column's value cannot be represented: completes the sentence "column `c` of type t ...".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(in crate::postgres) struct Unreadable(pub(in crate::postgres) &'static str);

/// The bytes do not match the binary format of the type.
pub(super) const MALFORMED: Unreadable = Unreadable("did not come in the format of its type");
pub(super) const INFINITY: Unreadable = Unreadable("holds infinity");
pub(super) const NAN: Unreadable = Unreadable("holds NaN");
pub(super) const TOO_LONG: Unreadable = Unreadable("holds a number of too many digits");

/// What was given instead of the type of the parameter: completes "parameter $1 takes t, not ...". It never contains the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(in crate::postgres) struct Unfit(pub(in crate::postgres) Cow<'static, str>);

impl Unfit {
    pub(super) fn because(what: &'static str) -> Self {
        Self(Cow::Borrowed(what))
    }

    pub(super) fn kind(value: &Value) -> Self {
        Self::because(value.type_name())
    }
}

/// The bytes of a type of fixed size.
pub(super) fn fixed<const N: usize>(raw: &[u8]) -> Result<[u8; N], Unreadable> {
    raw.try_into().map_err(|_| MALFORMED)
}

/// Reads big-endian numbers and slices from the front of the remaining bytes.
pub(super) struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    /// How many bytes remain.
    pub(super) fn remaining(&self) -> usize {
        self.0.len()
    }

    pub(super) fn new(raw: &'a [u8]) -> Self {
        Self(raw)
    }

    pub(super) fn take<const N: usize>(&mut self) -> Result<[u8; N], Unreadable> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(MALFORMED)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(super) fn slice(&mut self, length: usize) -> Result<&'a [u8], Unreadable> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(MALFORMED)?;
        self.0 = rest;
        Ok(taken)
    }
}
