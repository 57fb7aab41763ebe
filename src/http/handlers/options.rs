//! The caller of a decision, its rights, and the options in the query string: an explanation, another clock.

use actix_web::HttpRequest;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::query::{flag, last};
use crate::config::Right;
use crate::http::{Asker, Problem, Service};
use crate::types::{Clock, FlowName, parse_moment};

/// The option for an explanation.
const EXPLAIN: &str = "explain";
/// The option that sets the clock of a decision.
const AS_OF: &str = "as_of";

/// Who asks for a decision, and how.
pub(super) struct DecisionOptions {
    /// Who asks.
    pub(super) asker: Asker,
    /// Whether the answer is explained.
    pub(super) explains: bool,
    /// The clock of the decision, if it is not the current time.
    pub(super) as_of: Option<Timestamp>,
}

impl DecisionOptions {
    /// Reads what `request` asks of `flow`, and checks that it may. `supposes`: it replaces facts.
    ///
    /// # Errors
    /// A [`Problem`] if it may not, or an option is wrong.
    pub(super) fn read(
        request: &HttpRequest,
        service: &Service,
        flow: &FlowName,
        supposes: bool,
    ) -> Result<Self, Problem> {
        let query = request.query_string();
        let as_of = last(query, AS_OF);
        let needs_admin = supposes || as_of.is_some() && !service.gate.is_closed();
        let asker = if needs_admin {
            privileged(request, service, flow, Right::WhatIf)?
        } else {
            service.gate.admit(request, flow, Right::Decide)?
        };
        let explains = flag(query, EXPLAIN)?;
        if explains {
            asker.needs(Right::Explain)?;
        }
        if as_of.is_some() {
            asker.needs(Right::WhatIf)?;
        }
        let refused =
            "`as_of` is a timestamp with its offset, such as ?as_of=2026-01-31T08:00:00Z; a `+` is written %2B";
        let as_of = as_of.map(|text| parse_moment(&text).map_err(|_| Problem::bad_query(refused))).transpose()?;
        Ok(Self { asker, explains, as_of })
    }

    /// The clock of its decision.
    pub(super) fn clock(&self, zone: &TimeZone) -> Clock {
        self.as_of.map_or_else(|| Clock::system(zone.clone()), |moment| Clock::fixed(moment, zone.clone()))
    }
}

/// Admits a request that needs more than to decide: with a token that has the right to, or the admin token.
///
/// # Errors
/// A [`Problem`] if it has neither.
pub(in crate::http) fn privileged(
    request: &HttpRequest,
    service: &Service,
    flow: &FlowName,
    right: Right,
) -> Result<Asker, Problem> {
    if service.gate.knows(request) {
        return service.gate.admit(request, flow, right);
    }
    let takes_admin = service.admin_side.is(request) && service.has_admin();
    if service.gate.is_closed() && !takes_admin {
        return Err(Problem::no_token());
    }
    service.authorize(request)?;
    tracing::Span::current().record("caller", Asker::Admin.name());
    Ok(Asker::Admin)
}
