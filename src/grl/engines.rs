//! Engines, made when they are first needed and kept as long as their rules are in use. One thread's.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Weak};

use super::engine::Engine;
use super::error::RuleError;
use super::limits::Limits;
use super::ruleset::Ruleset;

/// One thread's engines.
#[derive(Default)]
pub struct Engines {
    /// By the address of the ruleset, which the weak pointer keeps from being reused while the entry is here.
    made: HashMap<*const Ruleset, (Weak<Ruleset>, Engine)>,
}

impl Engines {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The engine of `ruleset`. Where it has to be made, it has these limits, and those whose rules nobody has any more go.
    ///
    /// # Errors
    /// [`RuleError::Engine`] where rust-rule-engine refuses the rules.
    pub fn of(&mut self, ruleset: &Arc<Ruleset>, limits: &Limits) -> Result<&mut Engine, RuleError> {
        let key = Arc::as_ptr(ruleset);
        if !self.made.contains_key(&key) {
            self.made.retain(|_, (ruleset, _)| ruleset.strong_count() > 0);
        }
        match self.made.entry(key) {
            Entry::Occupied(entry) => Ok(&mut entry.into_mut().1),
            Entry::Vacant(entry) => {
                let engine = Engine::new(Arc::clone(ruleset), limits)?;
                Ok(&mut entry.insert((Arc::downgrade(ruleset), engine)).1)
            }
        }
    }

    /// Throws all engines away: one broke, and may have left anything behind.
    pub fn clear(&mut self) {
        self.made.clear();
    }
}
