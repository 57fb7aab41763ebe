//! PostgreSQL access.
//!
//! A [`Pool`] bounds the connections of one domain, a [`Session`] is one of them while somebody holds it, a [`Probe`]
//! asks whether the database is there. What a thread knows of a query is its [`QueryState`]. Rows become values by the type of their columns and values become parameters by
//! the type that PREPARE finds (the table of types is in `codec`). Nothing here knows actors, retries, health or flows,
//! and nothing pastes a value into SQL.

mod addresses;
mod append;
mod backends;
mod coalesce;
mod codec;
mod connect;
pub mod examination;
mod failure;
mod lifetime;
mod manager;
mod notices;
mod pool;
mod probe;
mod session;
mod sqlstate;
mod statements;
mod tls;
mod words;

pub use append::{AppendError, AppendedRow, Appender};
pub use coalesce::{QueryState, Rows, Together};
#[doc(hidden)]
pub use codec::round_trip;
pub use connect::Connector;
pub use examination::{Finding, Verdict};
pub use failure::ConnectError;
pub use notices::NOTICES;
pub use pool::{IDLE, Pool, PoolSetupError, PoolStatus};
pub use probe::Probe;
pub use session::Session;
