//! YAML with the place of every node.
//!
//! [`parse`] reads one document into a tree of [`Marked`] nodes with their places in the file. It refuses what
//! YAML parsers usually accept: a duplicate key, a second document, a key that is not text, an unknown tag, an
//! alias bomb. [`deserialize`] checks a node against the schema of a type, reports every error with its place, and makes
//! the value by `serde_yaml`. An expression in a scalar keeps its place in the file ([`Marked::snippet`]).
//!
//! Plain scalars follow the core schema of YAML 1.2: `no` and `on` are text. Numbers keep the digits they were written
//! with ([`Scalar::decimal`]): `0.1` becomes a binary fraction only where a type is a float.
//! This room does not know the keys of any file.

mod builder;
mod check;
mod deserialize;
mod formats;
mod limits;
mod marked;
mod merge;
mod parse;
mod pieces;
mod scalar;
#[cfg(test)]
mod tests;

pub use check::schema_of;
pub use deserialize::{Any, checked, deserialize};
pub use formats::socket_address;
pub use limits::Limits;
pub use marked::{Entry, Kind, Marked};
pub use parse::parse;
pub use scalar::{Scalar, ScalarKind, Style};
