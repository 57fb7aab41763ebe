//! What a domain's actor can be asked. One message a file.

mod describe;
mod drain;
mod fault;
mod join;
mod probe;
mod query;
mod recycle;

pub(in crate::actors) use describe::Describe;
pub(in crate::actors) use drain::Drain;
pub use fault::Fault;
pub(in crate::actors) use join::Join;
pub(in crate::actors) use probe::Probe;
pub(in crate::actors) use query::Query;
pub(in crate::actors) use recycle::Recycle;
