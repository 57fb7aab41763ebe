//! Bounded connections of one domain, whatever its protocol.
//!
//! A [`Pool`] is a deadpool pool whose waits are bounded. [`Connect`] makes its connections, and a session takes one of them for a
//! thread. TLS and the errors of connection attempts are here as well, because every protocol needs them.

mod connections;
mod error;
mod finding;
mod lifetime;
mod manager;
mod open;
mod password;
mod ports;
mod shared;
pub mod tls;

pub use connections::{Contention, IDLE_TIMEOUT, Pool, PoolSetupError, PoolStatus};
pub use error::{ConnectError, DialError, RETRY_AFTER, with_causes};
pub use finding::{Finding, Verdict};
pub use manager::{Object, discard};
pub use open::{OpenConnection, OpenConnections};
pub use password::read_password;
pub use ports::{Birth, Connect, Connected};
pub use shared::{Lease, Shared};
