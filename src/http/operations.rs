//! The operations on a running service: restart a domain, read the files again. The room above implements them; this file
//! has their interface, and checks the admin token.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use futures_util::future::BoxFuture;
use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use subtle::ConstantTimeEq;

use crate::config::digest;
use crate::diagnostics::Diagnostics;
use crate::types::{DomainName, FlowName};

/// The operations on a running service.
pub trait Operations: Send + Sync {
    /// Replaces the actor of a domain without downtime, with its settings read again.
    ///
    /// # Errors
    /// [`OperationError`]. The old actor then still serves.
    fn restart(&self, domain: &str) -> BoxFuture<'_, Result<(), OperationError>>;

    /// Reads graphs, rules and configuration again and serves them, or changes nothing.
    ///
    /// # Errors
    /// [`OperationError`] with all errors. The old release is then still served.
    fn reload(&self) -> BoxFuture<'_, Result<Reloaded, OperationError>>;
}

/// What is served after a reload.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Reloaded {
    /// The flows, with the hashes of graph and rules.
    pub flows: Vec<Version>,
    /// Domains that were started.
    pub added: Vec<DomainName>,
    /// Domains whose connection or limits changed, which were replaced.
    pub restarted: Vec<DomainName>,
    /// Domains that no flow uses any more, which are drained.
    pub removed: Vec<DomainName>,
    /// Flows that were served before and are not in the files any more.
    pub removed_flows: Vec<FlowName>,
    /// Settings that the files have changed and that take effect only when the service is started again.
    pub needs_restart: Vec<String>,
}

/// A flow and what it is made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Version {
    /// Its name.
    pub flow: FlowName,
    /// The hash of its graph file.
    pub graph: String,
    /// The hash of its rule files.
    pub rules: String,
}

/// Why an operation failed.
#[derive(Debug, thiserror::Error)]
pub enum OperationError {
    /// There is no such domain.
    #[error("there is no domain `{name}`")]
    NoSuchDomain {
        /// What was asked for.
        name: String,
        /// The domains there are.
        known: Vec<DomainName>,
    },
    /// The files or variables are wrong.
    #[error("the files are refused:\n{0}")]
    Refused(Diagnostics),
    /// A new actor did not become ready.
    #[error("domain `{domain}`: {why}")]
    NotReplaced {
        /// The domain.
        domain: DomainName,
        /// Why, redacted.
        why: String,
    },
}

/// The current admin token, shared by all workers. Without a token the admin endpoints are off.
///
/// Only its digest is kept, and compared in constant time.
#[derive(Clone, Default)]
pub struct AdminKey(Arc<ArcSwapOption<[u8; 32]>>);

impl AdminKey {
    /// Replaces the token. Returns whether it has changed.
    pub fn set(&self, token: Option<&SecretString>) -> bool {
        let next = token.map(|token| digest(token.expose_secret()));
        let before = self.0.swap(next.map(Arc::new));
        before.as_deref() != next.as_ref()
    }

    fn is_set(&self) -> bool {
        self.0.load().is_some()
    }

    fn fits(&self, token: &str) -> bool {
        self.0.load().as_ref().is_some_and(|known| bool::from(digest(token).ct_eq(known.as_ref())))
    }
}

/// The operations, and the token that they take.
#[derive(Clone)]
pub struct Admin {
    key: AdminKey,
    operations: Arc<dyn Operations>,
}

impl Admin {
    /// Operations for clients that send the token in `key`.
    pub fn new(key: AdminKey, operations: Arc<dyn Operations>) -> Self {
        Self { key, operations }
    }

    /// Whether there is a token.
    pub fn is_on(&self) -> bool {
        self.key.is_set()
    }

    /// The operations, if `token` is the admin token.
    pub fn open(&self, token: Option<&str>) -> Option<&dyn Operations> {
        self.key.fits(token?).then_some(self.operations.as_ref())
    }
}

impl fmt::Debug for AdminKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminKey(..)")
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Admin(..)")
    }
}
