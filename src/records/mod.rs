//! Decisions on record, and what another version of the rules would have made of them.
//!
//! A record is one line of JSON that holds what a decision was made from (inputs, the rows of every node, the clock, the
//! hashes of graph and rules) and what it was: enough to make it again without a database. `entry` writes one, `record`
//! reads it, and `typed` keeps apart what JSON alone would confuse: a date from a text, a decimal from an integer. The
//! [`Recorder`] takes finished runs from the threads that decide to a thread that writes, over a bounded queue: where the
//! disk is too slow, records are dropped and counted, or decisions wait and that is told, as the configuration says.
//! [`Replay`] decides records again with the flows of today, through the same walk as the service, and tells what changes.
//! This room asks no database and speaks no HTTP.

mod chain;
mod entry;
mod file;
mod overlay;
mod record;
mod recorder;
mod replay;
mod sink;
mod summary;
mod table;
mod typed;
mod verify;

pub use chain::{ChainError, Link, PublicKey};
pub use entry::Entry;
pub use overlay::overlay;
pub use record::{Ended, Record, RecordError, RecordedNode};
pub use recorder::{Recorder, RecorderError, RecorderStatus};
pub use replay::{Change, Replay, Replayed};
pub use summary::{FieldSummary, Summary};
pub use table::TABLE;
pub use typed::{hints, restore};
pub use verify::{Broken, Verified, verify};
