//! The actors: everything that lives longer than a request.
//!
//! | module | actors | owns |
//! |---|---|---|
//! | [`domain`] | one for each database, and workers | its connection pool, probe and state |
//! | [`supervision`] | one | the actors of all domains |
//! | [`coordinator`] | one for each HTTP worker | the decisions in progress |
//! | [`effects`] | none | what requests with a key write |
//! | [`rules`] | one for each thread | the compiled rule engines |
//!
//! Other modules reach actors only through their handles, never by an `Addr`. Every message has a deadline, and every queue is
//! bounded.

mod backoff;
pub mod coordinator;
pub mod domain;
pub mod effects;
pub mod rules;
pub mod supervision;
