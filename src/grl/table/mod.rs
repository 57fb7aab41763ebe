//! Decision tables.
//!
//! A file becomes a `grid` of cells whose places are known; `header`, `cell` and `value` make syntax trees of it, and `compile` a
//! [`Ruleset`](super::Ruleset): a rule for each row, whose condition is the conjunction of its cells, with a [`HitPolicy`] and an
//! index of the rows by the values of the condition columns. `decide` evaluates it, `explain` says why rows did not match, and `proof`
//! finds gaps, overlaps and rows that never give their results.

mod axis;
mod cell;
mod compile;
mod csv;
mod decide;
mod decision;
mod dmn;
mod domain;
mod explain;
mod grid;
mod header;
mod hit;
mod index;
mod place;
mod proof;
mod read;
mod reader;
mod space;
mod value;
mod xlsx;

pub use decision::TableText;
pub use domain::Domain;
pub use hit::{Hit, HitPolicy};
pub use read::Table;

pub(super) use decision::Decision;
