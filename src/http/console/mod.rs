//! The console: a page that shows flows, databases and decisions, and what it reads.
//!
//! | file | what it answers |
//! |---|---|
//! | `assets` | the page and its parts, which the binary carries |
//! | `events` | `GET /events`: how the domains are, once a second and whenever a state changes |
//! | `flows` | `GET /console/flows/{flow}`: queries, rules and last timings of a flow's nodes |
//! | `record` | `POST /console/flows/{flow}/test`: a decision as a flow test |
//!
//! All of them share [`Console`]: one [`Pulse`] that samples the domains for all listeners, and the last timings
//! of each flow. It shows configuration and measurements, never a row. Replacing facts and changing anything still takes
//! the admin token.

pub(super) mod assets;
pub(super) mod events;
pub(super) mod flows;
mod pulse;
mod recent;
pub(super) mod record;

use std::sync::Arc;

use self::pulse::Pulse;
pub(in crate::http) use self::recent::Recent;
use super::release::Releases;

/// What the handlers of the console share. Cheap to clone.
#[derive(Clone)]
pub struct Console {
    pulse: Arc<Pulse>,
    recent: Arc<Recent>,
}

impl Console {
    /// A console over `releases`, and the task that looks at them for as long as the console is there.
    ///
    /// Must be called inside an actix system.
    pub fn start(releases: Releases) -> Self {
        let recent = Arc::new(Recent::default());
        let pulse = Pulse::start(releases, Arc::clone(&recent));
        Self { pulse, recent }
    }

    /// Ends every stream of events, which would otherwise hold up a service that stops.
    pub fn close(&self) {
        self.pulse.close();
    }

    /// The last timings of each flow.
    pub(super) fn recent(&self) -> &Recent {
        &self.recent
    }
}
