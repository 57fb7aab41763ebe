//! The composition root.
//!
//! The one place that knows everything: it reads files into a checked [`Project`], brings it to life as a [`Core`] of
//! actors, and puts a server in front ([`App`]). The commands of the command line are here too, a file each. Nothing
//! below imports from here.

pub mod cli;
mod commands;
mod core;
mod operator;
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
