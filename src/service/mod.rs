//! Domains that are services: another process answers the queries of their nodes over HTTP.
//!
//! | file | what it is for |
//! |---|---|
//! | `contract` | the messages between this service and one that answers for a domain (`README.md` here is their page) |
//! | `connect` | makes connections: sockets, TLS |
//! | `connection` | one HTTP/1.1 connection: a request and its bounded answer |
//! | `session` | a connection while a thread uses it: several queries of a node as one request |
//! | `post` | posts JSON to one URL, for `tributary relay` |
//! | `examine` | the service step by step, for `tributary doctor` |
//! | `status` | what a status means |
//! | `token` | the token of a service |
//! | `probe` | whether the service answers |
//!
//! This room knows no actors, retries or flows. Values are never pasted into a path: they are in the body.

mod connect;
mod connection;
pub mod contract;
mod examine;
mod post;
mod probe;
mod session;
mod status;
mod token;

pub use connect::Connector;
pub use examine::examine;
pub use post::{PostError, Poster};
pub use probe::Probe;
pub use session::Session;

/// The connections of one service.
pub type Pool = crate::pool::Pool<Connector>;
