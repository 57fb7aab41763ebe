//! PostgreSQL access.
//!
//! A [`Connector`] makes the connections of one domain, and [`Pool`] bounds them. A [`Session`] is one of them while a thread uses it. A [`Probe`]
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
mod effects;
pub mod examination;
mod failure;
mod notices;
mod outbox;
mod primary;
mod probe;
mod session;
mod sql;
mod sqlstate;
mod staleness;
mod statements;
mod transaction;

pub use append::{AppendError, AppendedRow, Appender};
pub use coalesce::{BatchOutcome, QueryState, Rows};
#[doc(hidden)]
pub use codec::round_trip;
pub use connect::Connector;
pub use effects::{EFFECT_TABLES, EVENT_CHANNEL, EffectStatements};
pub use notices::NOTICES;
pub use outbox::{EventKey, Outbox, OutboxError, OutboxEvent};
pub use probe::Probe;
pub use session::Session;
pub use staleness::StalenessHealth;
pub use transaction::{Call, CommitError, Transaction, WriteResult, Written};

/// The connections of one database.
pub type Pool = crate::pool::Pool<Connector>;
