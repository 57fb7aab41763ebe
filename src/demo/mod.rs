//! The private PostgreSQL server of `tributary demo`.
//!
//! [`Binaries`] finds PostgreSQL's programs, [`Server`] runs them on a data directory, and [`Demo`] does both for a
//! flow, with its databases and sample rows. A server belongs to the process that started it and ends
//! with it, even when that process is killed with SIGKILL.
//!
//! This room never touches a server that somebody else runs, and never downloads anything. Its calls block for some
//! milliseconds unless they are `async`.

mod account;
mod binaries;
mod cluster;
mod databases;
mod error;
mod postmaster;
mod sample;
mod server;
mod sql;
mod watchdog;

pub use account::Account;
pub use binaries::{Binaries, Version};
pub use cluster::init;
pub use databases::{DATABASES, SampleDatabase, WRITER};
pub use error::ServerError;
pub use sample::Demo;
pub use server::{HOST, SUPERUSER, Server, ServerOptions};
