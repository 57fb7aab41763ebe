//! Decisions on record, and what another version of the rules would have made of them.
//!
//! A record is one line of JSON that holds what a decision was made from (inputs, the rows of every node, the clock, the
//! hashes of graph and rules) and what it was: enough to make it again without a database. `record` makes it of a run, writes
//! it and reads it; `typed` keeps the types that JSON loses, such as dates. The [`Recorder`] takes finished runs from the
//! threads that decide to a thread that writes, over a bounded queue. Where the disk is too slow, records are dropped and
//! counted, or decisions wait and that is counted, as the configuration says. [`Replay`] decides records again with the flows of
//! today, through the same walk as the service, and `compare` lists the fields that change. This room asks no database and
//! speaks no HTTP.

mod chain;
mod compare;
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
mod write;

pub use chain::{ChainError, Link, PublicKey};
pub use compare::{Change, changes, unmet};
pub use entry::Entry;
pub use overlay::overlay;
pub use record::{Record, RecordError, RecordedError, RecordedNode};
pub use recorder::{Recorder, RecorderStatus};
pub use replay::{Replay, Replayed};
pub use sink::RecorderError;
pub use summary::{FieldSummary, Summary};
pub use table::TABLE;
pub use typed::{hints, restore};
pub use verify::{Broken, Verified, verify};
pub use write::{RecordedStatement, RecordedWrite};
