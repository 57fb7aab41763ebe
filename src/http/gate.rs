//! Access: who may ask which flow for what, by the current tokens, and the listener that the admin endpoints keep to.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

use actix_web::HttpRequest;
use actix_web::http::header::AUTHORIZATION;
use arc_swap::ArcSwapOption;
use jiff::Timestamp;

use super::connection::Client;
use super::problem::Problem;
use crate::config::{Access, Caller, Right};
use crate::types::FlowName;

/// Who makes a request.
#[derive(Debug, Clone)]
pub enum Asker {
    /// Anybody: the service has no tokens.
    Anybody,
    /// The caller of a token.
    Caller(Caller),
    /// A client with the admin token.
    Admin,
}

impl Asker {
    /// The name for logs, records and traces.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Anybody => None,
            Self::Caller(caller) => Some(caller.name()),
            Self::Admin => Some("admin"),
        }
    }

    /// Refuses a caller whose token lacks `right`.
    ///
    /// # Errors
    /// A [`Problem`] of status 403 that names the right.
    pub fn needs(&self, right: Right) -> Result<(), Problem> {
        match self {
            Self::Caller(caller) if !caller.has(right) => Err(Problem::no_right(right)),
            _ => Ok(()),
        }
    }
}

/// The current tokens, shared by all workers. Without tokens everybody may ask.
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<ArcSwapOption<Access>>);

impl Gate {
    /// A gate for these tokens.
    pub fn new(access: Option<Access>) -> Self {
        Self(Arc::new(ArcSwapOption::from_pointee(access)))
    }

    /// Replaces the tokens for later requests. Returns whether they have changed.
    pub fn set(&self, access: Option<Access>) -> bool {
        let next = access.map(Arc::new);
        self.0.swap(next.clone()) != next
    }

    /// Whether a token is needed to ask.
    pub fn is_closed(&self) -> bool {
        self.0.load().is_some()
    }

    /// Lets a request for `flow` pass.
    ///
    /// # Errors
    /// A [`Problem`] of status 401 without a valid token, of 403 with one for other flows or without `right`.
    pub fn admit(&self, request: &HttpRequest, flow: &FlowName, right: Right) -> Result<Asker, Problem> {
        let Some(access) = self.0.load_full() else { return Ok(Asker::Anybody) };
        let caller = caller(&access, request).ok_or_else(Problem::no_token)?;
        if !caller.may_ask(flow) {
            return Err(Problem::forbidden(flow));
        }
        let asker = Asker::Caller(caller);
        asker.needs(right).map(|()| asker)
    }

    /// Whether the request carries a token of a caller.
    pub fn knows(&self, request: &HttpRequest) -> bool {
        self.0.load_full().is_some_and(|access| caller(&access, request).is_some())
    }

    /// Those of `flows` that the request may ask.
    ///
    /// # Errors
    /// A [`Problem`] of status 401 without a valid token.
    pub fn visible<'a, T>(
        &self,
        request: &HttpRequest,
        flows: Vec<T>,
        name: impl Fn(&T) -> &'a FlowName,
    ) -> Result<Vec<T>, Problem> {
        let Some(access) = self.0.load_full() else { return Ok(flows) };
        let caller = caller(&access, request).ok_or_else(Problem::no_token)?;
        Ok(flows.into_iter().filter(|flow| caller.may_ask(name(flow))).collect())
    }
}

/// The caller of the token that the request carries; its span has the name from here on.
fn caller(access: &Access, request: &HttpRequest) -> Option<Caller> {
    let caller = access.caller(bearer(request)?, Timestamp::now())?;
    tracing::Span::current().record("caller", caller.name());
    Some(caller)
}

/// The token that the request carries.
pub(super) fn bearer(request: &HttpRequest) -> Option<&str> {
    let header = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The listener of the admin endpoints, once it is known. Without one of their own they are at every listener.
#[derive(Debug, Clone, Default)]
pub struct AdminSide(Arc<OnceLock<SocketAddr>>);

impl AdminSide {
    /// The admin endpoints keep to the listener at `address`.
    pub fn keep_to(&self, address: SocketAddr) {
        // It is set once, before the first request.
        self.0.get_or_init(|| address);
    }

    /// Whether the request came in where the admin endpoints are.
    pub fn is(&self, request: &HttpRequest) -> bool {
        let client = request.conn_data::<Rc<Client>>();
        self.0.get().is_none_or(|address| client.is_some_and(|client| client.address == *address))
    }
}
