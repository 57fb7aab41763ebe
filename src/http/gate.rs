//! Who may ask which flow, and from which side: the tokens of the moment, and the listener that the admin endpoints keep to.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

use actix_web::HttpRequest;
use actix_web::http::header::AUTHORIZATION;
use arc_swap::ArcSwapOption;
use jiff::Timestamp;

use super::connection::Client;
use super::problem::Problem;
use crate::config::Access;
use crate::types::FlowName;

/// The tokens of the moment, shared by all workers; everybody may ask where there are none.
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<ArcSwapOption<Access>>);

impl Gate {
    /// A gate for these tokens.
    pub fn new(access: Option<Access>) -> Self {
        Self(Arc::new(ArcSwapOption::from_pointee(access)))
    }

    /// From now on these tokens are good. Requests that are under way stay so. Whether they are others than before.
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
    /// A [`Problem`] of status 401 without a token that is good now, of 403 with one for other flows.
    pub fn admit(&self, request: &HttpRequest, flow: &FlowName) -> Result<(), Problem> {
        self.check(request, |may| if may(flow) { Ok(()) } else { Err(Problem::forbidden(flow)) })
    }

    /// Those of `flows` that the request may ask.
    ///
    /// # Errors
    /// A [`Problem`] of status 401 without a token that is good now.
    pub fn visible<'a, T>(
        &self,
        request: &HttpRequest,
        flows: Vec<T>,
        name: impl Fn(&T) -> &'a FlowName,
    ) -> Result<Vec<T>, Problem> {
        self.check(request, |may| Ok(flows.into_iter().filter(|flow| may(name(flow))).collect()))
    }

    fn check<T>(
        &self,
        request: &HttpRequest,
        pass: impl FnOnce(&dyn Fn(&FlowName) -> bool) -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        let Some(access) = self.0.load_full() else { return pass(&|_| true) };
        let token = bearer(request).ok_or_else(Problem::no_token)?;
        let caller = access.caller(token, Timestamp::now()).ok_or_else(Problem::no_token)?;
        tracing::debug!(caller = caller.name, "token accepted");
        pass(&|flow| caller.may_ask(flow))
    }
}

/// The token that the request carries.
pub(super) fn bearer(request: &HttpRequest) -> Option<&str> {
    let header = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The listener that the admin endpoints keep to, once it is known; every listener where there is none of their own.
#[derive(Debug, Clone, Default)]
pub struct AdminSide(Arc<OnceLock<SocketAddr>>);

impl AdminSide {
    /// The admin endpoints keep to the listener at `address`.
    pub fn keep_to(&self, address: SocketAddr) {
        // It is told once, before the first request.
        self.0.get_or_init(|| address);
    }

    /// Whether the request came in where the admin endpoints are.
    pub fn is(&self, request: &HttpRequest) -> bool {
        let client = request.conn_data::<Rc<Client>>();
        self.0.get().is_none_or(|address| client.is_some_and(|client| client.address == *address))
    }
}
