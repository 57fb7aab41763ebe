//! What one run is given beside its inputs.

use super::overrides::Overrides;
use super::trace::Detail;
use crate::types::{Clock, Deadline};

/// What one run is given beside its inputs.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// The moment the decision is made at.
    pub clock: Clock,
    /// When the decision is due.
    pub deadline: Deadline,
    /// How much it notes of what it does.
    pub detail: Detail,
    /// Facts that are replaced.
    pub overrides: Overrides,
    /// Whether the report keeps the facts that the effect of the decision is written from.
    pub concludes: bool,
}

impl RunOptions {
    /// A plain run: no notes, nothing replaced.
    pub fn new(clock: Clock, deadline: Deadline) -> Self {
        Self { clock, deadline, detail: Detail::Decision, overrides: Overrides::none(), concludes: false }
    }
}
