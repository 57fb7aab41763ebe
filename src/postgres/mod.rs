//! Floor 1: PostgreSQL access.
//!
//! A [`Pool`] keeps the connections of one domain, a [`Session`] is one of them for the time of one query, a [`Probe`]
//! asks whether the database is there. [`Lanes`] have quick queries share sessions. Rows become values by the type of their columns and values become parameters by
//! the type that PREPARE finds (the table of types is in `codec`). Nothing here knows actors, retries, health or flows,
//! and nothing pastes a value into SQL.

mod addresses;
mod append;
mod backends;
mod coalesce;
mod codec;
mod connect;
mod error;
pub mod examination;
mod failure;
mod lanes;
mod lifetime;
mod manager;
mod notices;
mod pool;
mod probe;
mod query;
mod session;
mod sqlstate;
mod statements;
mod tls;
mod verification;
mod words;

pub use append::{AppendError, AppendedRow, Appender};
#[doc(hidden)]
pub use codec::round_trip;
pub use connect::Connector;
pub use error::{QueryError, QueryErrorKind};
pub use examination::{Finding, Verdict};
pub use failure::ConnectError;
pub use lanes::{Ask, BatchCounts, Lanes, Manner, Told};
pub use notices::NOTICES;
pub use pool::{Pool, PoolSetupError, PoolStatus};
pub use probe::Probe;
pub use query::{Answer, Column, ColumnType, Description, Query};
pub use session::Session;
