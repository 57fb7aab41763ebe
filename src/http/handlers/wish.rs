//! Who asks for a decision, whether they may, and what they ask for beside it: the reasons, another clock, other facts.

use actix_web::HttpRequest;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{admin, asks_for, last};
use crate::config::Right;
use crate::http::{Asker, Problem, Service};
use crate::types::{Clock, FlowName, parse_moment};

/// What the query string asks for the reasons with.
const EXPLAIN: &str = "explain";
/// What it sets the clock of a decision with.
const AS_OF: &str = "as_of";

/// Who asks for a decision, and how.
pub(super) struct Wish {
    /// Who asks.
    pub(super) asker: Asker,
    /// Whether the answer says why.
    pub(super) explains: bool,
    /// The moment that the decision is made at, where it is not now.
    pub(super) as_of: Option<Timestamp>,
}

impl Wish {
    /// Reads what `request` asks of `flow`, and whether it may: to make a decision, or one that `supposes` facts.
    pub(super) fn read(
        request: &HttpRequest,
        service: &Service,
        flow: &FlowName,
        supposes: bool,
    ) -> Result<Self, Problem> {
        let sets_clock = last(request.query_string(), AS_OF).is_some();
        let needs_admin = supposes || sets_clock && !service.gate.is_closed();
        let asker = if needs_admin {
            suppose(request, service, flow)?
        } else {
            service.gate.admit(request, flow, Right::Decide)?
        };
        let explains = asks_for(request.query_string(), EXPLAIN)?;
        if explains {
            asker.needs(Right::Explain)?;
        }
        if sets_clock {
            asker.needs(Right::WhatIf)?;
        }
        Ok(Self { asker, explains, as_of: as_of(request.query_string())? })
    }

    /// The clock of its decision.
    pub(super) fn clock(&self, zone: &TimeZone) -> Clock {
        self.as_of.map_or_else(|| Clock::system(zone.clone()), |moment| Clock::fixed(moment, zone.clone()))
    }
}

/// Lets a request pass that replaces facts or sets the clock: with a token that has the right to, or the admin token.
fn suppose(request: &HttpRequest, service: &Service, flow: &FlowName) -> Result<Asker, Problem> {
    if service.gate.knows(request) {
        return service.gate.admit(request, flow, Right::WhatIf);
    }
    let takes_admin = service.admin_side.is(request) && service.has_admin();
    if service.gate.is_closed() && !takes_admin {
        return Err(Problem::no_token());
    }
    admin::authorize(request, service)?;
    tracing::Span::current().record("caller", Asker::Admin.name());
    Ok(Asker::Admin)
}

/// The moment that the query string sets the clock to.
fn as_of(query: &str) -> Result<Option<Timestamp>, Problem> {
    let Some(text) = last(query, AS_OF) else { return Ok(None) };
    let refused = "`as_of` is a timestamp with its offset, such as ?as_of=2026-01-31T08:00:00Z; a `+` is written %2B";
    parse_moment(&text).map(Some).map_err(|_| Problem::bad_query(refused))
}
