//! What the tasks of one database share.

use std::cell::Cell;
use std::rc::Rc;

use super::shared::Shared;
use crate::postgres::Outbox;
use crate::types::DomainName;

/// What the tasks of one database share while its connection lasts.
pub(super) struct Context {
    pub(super) domain: DomainName,
    pub(super) outbox: Outbox,
    pub(super) shared: Rc<Shared>,
    /// The number of event keys that do not pause.
    at_work: Cell<usize>,
}

/// An event key that does not pause, until it is dropped.
pub(super) struct AtWork<'a>(&'a Cell<usize>);

impl Context {
    pub(super) fn new(domain: DomainName, outbox: Outbox, shared: Rc<Shared>) -> Self {
        Self { domain, outbox, shared, at_work: Cell::new(0) }
    }

    /// The number of event keys that do not pause.
    pub(super) fn at_work(&self) -> usize {
        self.at_work.get()
    }

    /// Counts an event key as one that does not pause.
    pub(super) fn begin_work(&self) -> AtWork<'_> {
        self.at_work.set(self.at_work.get().saturating_add(1));
        AtWork(&self.at_work)
    }
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}
