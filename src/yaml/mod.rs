//! YAML with places.
//!
//! [`parse`] reads one document into a tree of [`Marked`] nodes that know where they stand in the file, refusing what
//! YAML readers usually let pass: a key written twice, a second document, a key that is not text, an unknown tag, an
//! alias bomb. [`deserialize`] makes a typed value of a node through `serde_yaml` and gives back every complaint with
//! its place, not the first alone. An expression in a scalar stays tied to the file by [`Marked::snippet`].
//!
//! Plain scalars follow the core schema of YAML 1.2: `no` and `on` are text. Numbers keep the digits they were written
//! with ([`Scalar::decimal`]); nothing here turns `0.1` into a binary fraction unless a type asks for one.
//! This room knows no key of any file.

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
