//! The relay of events: `tributary relay`.
//!
//! It sends the waiting events of the outboxes to a webhook or to NATS `JetStream`, those of one event key in their order and one at a
//! time, each at least once. [`Relay`] has a task for each database, which finds event keys with waiting events, and one for each such
//! event key, which sends them.
//!
//! An event is marked only after it was acknowledged, and the next one of its event key is sent only after that. So the first delivery
//! of an event is always behind that of the event before it, whichever relay crashes or loses its lock; what is delivered again has
//! the same id. Nothing here writes a payload to the log.

mod backoff;
mod context;
mod delivery;
mod destination;
mod domain;
mod key;
mod nats;
mod outage;
mod places;
mod run;
mod shared;
mod tally;
mod webhook;

pub use destination::DestinationError;
pub use run::Relay;
