//! Floor 3: actors.

mod backoff;
pub mod domain;
pub mod supervision;
