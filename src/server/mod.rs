//! Private PostgreSQL servers, for `tributary demo` and for the tests.
//!
//! [`Binaries`] finds PostgreSQL's programs, [`Server`] runs one, the
//! [`sql`] functions give it databases and rows, and [`Demo`] does all of that for the shipped purchasing flow. A server
//! belongs to the process that started it and ends with it, even when that process is killed with SIGKILL.
//!
//! This room never touches a server that somebody else runs, and never downloads anything. Its calls block for some
//! milliseconds unless they are `async`.

mod account;
mod binaries;
mod cluster;
mod demo;
mod error;
mod family;
mod home;
mod launch;
mod port;
mod postmaster;
pub mod sql;
mod watchdog;

pub use binaries::{Binaries, Version};
pub use demo::{DATABASES, Demo, SampleDatabase};
pub use error::ServerError;
pub use launch::{Purpose, Server, ServerOptions};
pub use port::Port;
