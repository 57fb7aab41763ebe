//! What the service counts and times for Prometheus.
//!
//! Everything that happens for each decision has its counter resolved once, when a release is bound: a decision then pays
//! for some atomic additions and no look-up, no allocation and no lock. What lives in states anyway (pools, domains, records)
//! is not kept here again: it is read when a scrape is answered. Labels are names of the configuration (flows, nodes,
//! rules, domains, outcomes) and fixed codes, never anything that a client sent; what a reload removes disappears.
//!
//! Names and units follow Prometheus' guide: base units, `_total` for counters, `_seconds` for times.

mod batches;
mod families;
mod flow;
mod registry;
mod tally;

pub use batches::{BatchCounts, Batches};
pub use flow::{FlowMetrics, QueryMetrics, RulesMetrics};
pub use registry::{Metrics, MetricsError};
pub use tally::{Tally, Totals};
