//! PostgreSQL access.
//!
//! A [`Pool`] bounds the connections of one domain. A [`Session`] is one of its connections while a thread uses it. A [`Probe`]
//! checks whether the database answers. A [`QueryState`] is what one thread knows about a query. Rows are converted to values by
//! the types of their columns, and values to parameters by the types that PREPARE reports (`codec` lists the types). This module
//! does not depend on actors, retries, health or flows, and never writes a value into SQL text.

mod addresses;
mod append;
mod backends;
mod cancel;
mod coalesce;
mod codec;
mod connect;
mod connection;
pub mod examination;
mod failure;
mod lifetime;
mod manager;
mod notices;
mod pool;
mod probe;
mod session;
mod shared;
mod sql;
mod sqlstate;
mod statements;
mod tls;

pub use append::{AppendError, AppendedRow, Appender};
pub use coalesce::{BatchOutcome, QueryState, Rows};
#[doc(hidden)]
pub use codec::round_trip;
pub use connect::Connector;
pub use examination::{Finding, Verdict};
pub use failure::ConnectError;
pub use notices::NOTICES;
pub use pool::{IDLE_TIMEOUT, Pool, PoolSetupError, PoolStatus};
pub use probe::Probe;
pub use session::Session;
