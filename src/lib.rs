//! Tributary turns many PostgreSQL databases into one decision.
//!
//! The floors, each of which imports only from below (`tests/architecture.rs` holds them to it):
//!
//! | floor | rooms | what happens there |
//! |---|---|---|
//! | 5 | [`app`] | the composition root: configuration and flows become actors and a server |
//! | 4 | [`http`] | routes, handlers, problems |
//! | 3 | [`actors`], [`metrics`], [`records`], [`flowtests`] | one supervised actor per database, the coordinator, the rule actors; decisions counted and on record; flows tested without databases |
//! | 2 | [`flow`] | the walk over a compiled graph, outcomes, the trace |
//! | 1 | [`graph`], [`grl`], [`postgres`], [`config`], [`yaml`], [`server`] | files, rules and rows become checked plans and values |
//! | 0 | [`types`], [`diagnostics`] | the words everything else speaks |

pub mod actors;
pub mod app;
pub mod config;
pub mod diagnostics;
pub mod flow;
pub mod flowtests;
pub mod graph;
pub mod grl;
pub mod http;
pub mod metrics;
pub mod postgres;
pub mod records;
pub mod server;
pub mod types;
pub mod yaml;
