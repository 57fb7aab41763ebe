//! Many decisions in one request: inputs stream in, decisions stream out, in order.
//!
//! `split` cuts the body into its elements as it comes, `lines` decides up to a `window` of them at once and gives a line for
//! each. An element with a key is written (`keyed`). Only the window and one element are in memory, whatever the size of the batch. While the client does not read, nothing is
//! read from it. An input with an error is a line with the error; the others go on. The
//! command line uses the same for files.

mod keyed;
mod line;
mod lines;
mod shard;
mod split;
mod summary;
mod window;

pub use line::{Line, LineResult, StoredLine};
pub use lines::Batch;
pub use shard::Shard;
pub use split::{Form, SplitError, Splitter};
pub use summary::Summary;
