//! What may be done to the running service: restart a domain, read the files again. How it is done is the business of
//! the floor above; here is only who may ask, and in which words.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
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
    /// [`OperationError`]; then the old actor still serves.
    fn restart(&self, domain: &str) -> BoxFuture<'_, Result<(), OperationError>>;

    /// Reads graphs, rules and configuration again and serves them, or changes nothing.
    ///
    /// # Errors
    /// [`OperationError`] with everything that is wrong; then what was served before still is.
    fn reload(&self) -> BoxFuture<'_, Result<Reloaded, OperationError>>;
}

/// What is served after a reload.
#[derive(Debug, Clone, Serialize)]
pub struct Reloaded {
    /// The flows, with the hashes of graph and rules.
    pub flows: Vec<Version>,
    /// Domains that were started.
    pub added: Vec<DomainName>,
    /// Domains whose connection or limits changed, which were replaced.
    pub restarted: Vec<DomainName>,
    /// Domains that no flow uses any more, which are drained.
    pub removed: Vec<DomainName>,
}

/// A flow and what it is made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Version {
    /// Its name.
    pub flow: FlowName,
    /// The hash of its graph file.
    pub graph: String,
    /// The hash of its rule files.
    pub rules: String,
}

/// Why an operation was not done.
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

/// Who may ask for operations, and who does them.
#[derive(Clone)]
pub struct Admin {
    /// The digest of the token: compared in constant time, and of no use to whoever sees it.
    token: [u8; 32],
    operations: Arc<dyn Operations>,
}

impl Admin {
    /// Operations for whoever sends `token`.
    pub fn new(token: &SecretString, operations: Arc<dyn Operations>) -> Self {
        Self { token: digest(token.expose_secret()), operations }
    }

    /// The operations, where `token` is the one.
    pub fn open(&self, token: Option<&str>) -> Option<&dyn Operations> {
        let matches = bool::from(digest(token?).ct_eq(&self.token));
        matches.then_some(self.operations.as_ref())
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Admin(..)")
    }
}
