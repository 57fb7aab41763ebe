//! What the flows of one worker ask at the same moment goes to a domain's actor in one message a query.
//!
//! A worker that wakes up finds several requests to begin and several answers to go on with, and all of them ask before it
//! rests. Their queries are gathered until whatever was ready to run on the thread has run, which is no time at all for a
//! request that comes alone. A message, a future and a timer for each query took more of the processor than what the
//! queries are for.
//!
//! Nothing is decided here: a query that cannot be asked so, or whose message is lost with its actor, is asked by itself.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use futures_util::future::join_all;

use super::handle::DomainHandle;
use super::messages::Join;
use crate::postgres::{Ask, Query};

/// One worker's. Cheap to clone; all clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Gatherer(Rc<RefCell<Vec<Bundle>>>);

/// What is asked of one query.
#[derive(Debug)]
struct Bundle {
    domain: DomainHandle,
    query: Arc<Query>,
    asks: Vec<Ask>,
}

impl Gatherer {
    /// Adds to what is sent when the thread has run what is ready to run. Must be called on a thread of an actix system.
    pub(super) fn add(&self, domain: &DomainHandle, query: &Arc<Query>, ask: Ask) {
        let mut bundles = self.0.borrow_mut();
        if bundles.is_empty() {
            actix::spawn(self.clone().send());
        }
        match bundles.iter_mut().find(|bundle| bundle.query.id() == query.id()) {
            Some(bundle) => bundle.asks.push(ask),
            None => {
                bundles.push(Bundle { domain: domain.clone(), query: Arc::clone(query), asks: vec![ask] });
            }
        }
    }

    async fn send(self) {
        let bundles = self.0.take();
        let sent = bundles.into_iter().map(async |Bundle { domain, query, asks }| {
            domain.join(Join { what: query, asks }).await;
        });
        join_all(sent).await;
    }
}
