//! HTTP: routes, handlers and problems.
//!
//! A handler reads its request, asks a handle and writes the answer; it decides nothing. Every failure leaves as
//! `application/problem+json` through `problem`, the only place that knows status codes. Endpoints at fixed paths are
//! declared once, beside their handlers, and listed in `routes`; flows are looked up by path in the current [`Release`],
//! so that a new release can bring new paths without a new server.

pub mod batch;
mod connection;
mod console;
mod decision_log;
mod endpoint;
mod event_stream;
mod gate;
mod handlers;
mod keyed;
mod mcp;
mod middleware;
mod nodes;
pub mod openapi;
mod operations;
mod problem;
mod release;
mod request;
mod routes;
mod service;
mod span;
mod tls;

pub use connection::{Acceptor, ClientTimeouts, share_client, track_request};
pub use console::Console;
pub use gate::{AdminSide, Asker, Gate};
pub use keyed::{KeyedAnswer, KeyedDecision};
pub use mcp::converse;
pub use middleware::{HeadLimits, RequestSettings, limit_head, tag_request};
pub use nodes::{Nodes, NodesOf};
pub use operations::{Admin, AdminKey, OperationError, Operations, Reloaded, Version};
pub use problem::Problem;
pub use release::{Release, Releases, Settings};
pub use request::{DECISION_ID, GRAPH_VERSION, Label, REPLAYED, RULES_VERSION};
pub use routes::{RESERVED_ENDINGS, configure, document, document_of_domain, is_reserved};
pub use service::{Service, Shared, Stopping};
pub use span::RequestSpan;
pub use tls::{Certificate, TlsError};
