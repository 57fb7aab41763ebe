//! HTTP.
//!
//! Routes, handlers and problems. A handler reads its request, asks a handle and writes the answer; it decides nothing.
//! Every failure leaves as `application/problem+json` through `problem`, the only place that knows status codes.
//! Fixed endpoints are routes; flows are looked up by path in the current [`Release`], so that a new release can bring
//! new paths without a new server.

mod admin;
pub mod batch;
mod connection;
mod console;
mod gate;
mod handlers;
mod limits;
pub mod openapi;
mod problem;
mod release;
mod request_id;
mod routes;
mod service;
mod span;
mod tls;

pub use admin::{Admin, AdminKey, OperationError, Operations, Reloaded, Version};
pub use connection::{Acceptor, ClientTimeouts, share_client, track_request};
pub use console::Console;
pub use gate::{AdminSide, Asker, Gate};
pub use limits::{HeadLimits, limit_head};
pub use problem::Problem;
pub use release::{Release, Releases, Settings};
pub use request_id::{DECISION_ID, GRAPH_VERSION, RULES_VERSION, RequestId, tag_request};
pub use routes::{RESERVED_ENDINGS, RESERVED_PATHS, configure};
pub use service::{Label, Service};
pub use span::RequestSpan;
pub use tls::{Certificate, TlsError};
