//! The composition root.
//!
//! It reads files into a checked [`Project`], starts the actors ([`Core`]) and the server ([`App`]). Each command has a file.

pub mod cli;
mod commands;
mod core;
mod operator;
mod outboxes;
mod project;
mod server;
mod signals;
pub mod stderr;
pub mod telemetry;
mod traces;
mod watch;

pub use self::commands::{Exit, begin, execute};
pub use self::core::{Core, CoreError, ServiceFactory};
pub use self::project::{Project, Sources};
pub use self::server::{App, StartError};
pub use self::signals::{Hangup, Signals};
