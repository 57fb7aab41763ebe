//! The console: a page that shows flows, databases and decisions, and what it reads.
//!
//! | file | what it answers |
//! |---|---|
//! | `assets` | the page and its parts, which the binary carries |
//! | `events` | `GET /events`: how the domains are, once a second and whenever a state changes |
//! | `flows` | `GET /console/flows/{flow}`: queries, rules and last timings of a flow's nodes |
//! | `record` | `POST /console/flows/{flow}/test`: a decision as a flow test |
//!
//! [`Console`] is what all of them share: one [`Pulse`] that looks at the domains on behalf of every listener, and the
//! last timings that were seen of each flow. It shows configuration and measurements, never a row; what supposes or
//! changes anything still asks for the admin token.

mod assets;
mod events;
mod flows;
mod pulse;
mod recent;
mod record;

use std::sync::Arc;

use actix_web::web;

use self::pulse::Pulse;
pub(super) use self::recent::Recent;
use super::release::Releases;
use super::routes::{get, post, reading};

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

/// Puts the console's routes into an application.
pub(super) fn configure(config: &mut web::ServiceConfig, console: &Console) {
    let parts = web::scope("/console")
        .service(get("/assets/{version}/{name}", reading().to(assets::part)))
        .service(get("/flows/{flow}", reading().to(flows::one)))
        .service(post("/flows/{flow}/test", web::post().to(record::test)));
    config
        .app_data(web::Data::new(console.clone()))
        .service(get("/", reading().to(assets::page)))
        .service(parts)
        .service(get("/events", web::get().to(events::stream)));
}
