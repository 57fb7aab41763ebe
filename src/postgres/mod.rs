//! Floor 1: PostgreSQL access.

mod error;
mod query;

pub use error::{QueryError, QueryErrorKind};
pub use query::{Answer, Column, ColumnType, Description, Query};
