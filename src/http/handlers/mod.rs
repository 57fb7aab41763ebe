//! One file for each concern. A handler reads its request, asks a handle and writes the answer. Those at fixed paths have
//! their [`Endpoint`](super::endpoint::Endpoint) beside them.

pub(super) mod admin;
pub(super) mod approvals;
pub(super) mod batch;
pub(super) mod body;
pub(super) mod decide;
pub(super) mod flip;
pub(super) mod flows;
mod gauges;
pub(super) mod graph;
pub(super) mod health;
mod key;
pub(super) mod metrics;
pub(super) mod nodes;
pub(super) mod openapi;
pub(super) mod options;
pub(super) mod path;
mod query;
