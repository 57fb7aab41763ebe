//! Tributary turns many PostgreSQL databases into one decision.
//!
//! The floors. A room imports rooms of lower floors only (`tests/architecture` enforces it):
//!
//! | floor | rooms | purpose |
//! |---|---|---|
//! | 10 | [`app`] | the composition root: commands; configuration and flows become actors and a server |
//! | 9 | [`http`], [`demo`] | routes, handlers, problems; the private PostgreSQL of `tributary demo` |
//! | 8 | [`flowtests`] | flows tested without databases |
//! | 7 | [`actors`], [`records`], [`relay`] | one supervised actor per domain, the coordinator, the rule actors; decisions on record; events on their way |
//! | 6 | [`postgres`], [`service`] | adapters: queries on databases; requests to domains that are services |
//! | 5 | [`pool`], [`metrics`] | bounded connections and TLS; counters and histograms |
//! | 4 | [`flow`] | one run of a compiled graph; the ports through which it asks databases and rule engines |
//! | 3 | [`graph`] | flow files, from YAML to a checked plan |
//! | 2 | [`config`] | the service's settings, environment and secrets |
//! | 1 | [`grl`], [`yaml`] | the rule language; YAML with places |
//! | 0 | [`types`], [`diagnostics`] | names, values, time; errors with file, line and caret |

pub mod actors;
pub mod app;
pub mod config;
pub mod demo;
pub mod diagnostics;
pub mod flow;
pub mod flowtests;
pub mod graph;
pub mod grl;
pub mod http;
pub mod metrics;
pub mod pool;
pub mod postgres;
pub mod records;
pub mod relay;
pub mod service;
pub mod types;
pub mod yaml;
