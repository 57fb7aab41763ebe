//! An endpoint at a fixed path, declared once: path, method, handler, who may ask, and its entry in the OpenAPI document.
//!
//! Each handler has its [`Endpoint`] beside it in its file, and `routes` lists them all. Routing, the paths that no flow
//! may take, and the document are made from that list.

use actix_web::{HttpRequest, HttpResponse, Resource, Route, guard, web};
use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::problem::Problem;
use super::problem::kinds::Kind;

/// An endpoint at a fixed path.
#[derive(Clone, Copy)]
pub(super) struct Endpoint {
    /// The path, with parameters in braces.
    pub(super) path: &'static str,
    /// Other paths that do the same. The document omits them.
    pub(super) aliases: &'static [&'static str],
    /// The method it takes.
    pub(super) method: Method,
    /// Gives a route its handler.
    pub(super) handler: fn(Route) -> Route,
    /// Its entry in the document; `None` for an endpoint of the console.
    pub(super) operation: Option<Operation>,
}

/// The method that an endpoint takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    /// GET, and HEAD.
    Get,
    /// GET without HEAD, for an endless stream.
    Stream,
    /// POST.
    Post,
}

/// An endpoint's entry in the document.
#[derive(Clone, Copy)]
pub(super) struct Operation {
    /// Its stable name.
    pub(super) id: &'static str,
    /// What it is for.
    pub(super) summary: &'static str,
    /// Who may ask.
    pub(super) access: Access,
    /// The parameters of its path and query string.
    pub(super) parameters: &'static [Parameter],
    /// The schema of the body of the request, which is JSON.
    pub(super) body: Option<SchemaOf>,
    /// The statuses other than those of problems, with their meaning.
    pub(super) statuses: &'static [(u16, &'static str)],
    /// Headers of the response that have one value.
    pub(super) headers: &'static [(&'static str, &'static str)],
    /// The media types of the response, each with the schema of its body.
    pub(super) content: &'static [(&'static str, SchemaOf)],
    /// The problems it may answer with, beside those of [`Access`], of every request's head and of a body.
    pub(super) problems: &'static [Kind],
}

/// Who may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Everybody.
    Open,
    /// Callers: they need a token if the service has tokens.
    Caller,
    /// Everybody, where the admin endpoints are.
    AdminSide,
    /// Callers with the right to approve, and clients with the admin token, where a flow has effects.
    Approver,
    /// Clients with the admin token.
    Admin,
}

/// A parameter of a path or query string.
pub(super) struct Parameter {
    /// Its name.
    pub(super) name: &'static str,
    /// What it is for.
    pub(super) description: &'static str,
    /// Its values.
    pub(super) values: Values,
}

/// The values of a parameter.
pub(super) enum Values {
    /// In the query string: true or false, or without a value for true.
    Flag,
    /// In the query string: one of these words.
    OneOf(&'static [&'static str]),
    /// In the path: the name of a flow.
    Flow,
    /// In the path: the name of a domain.
    Domain,
    /// In the path: the name of a node.
    Node,
    /// In the path: a UUID.
    Uuid,
}

/// Makes the schema of a body.
pub(super) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// The schema of `T`.
pub(super) fn schema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

impl Operation {
    /// What an operation has unless it says otherwise.
    pub(super) const PLAIN: Self = Self {
        id: "",
        summary: "",
        access: Access::Open,
        parameters: &[],
        body: None,
        statuses: &[(200, "The answer")],
        headers: &[],
        content: &[],
        problems: &[],
    };
}

impl Endpoint {
    /// An endpoint of GET that the document omits.
    pub(super) const fn get(path: &'static str, handler: fn(Route) -> Route) -> Self {
        Self { path, aliases: &[], method: Method::Get, handler, operation: None }
    }

    /// An endpoint of POST that the document omits.
    pub(super) const fn post(path: &'static str, handler: fn(Route) -> Route) -> Self {
        Self { method: Method::Post, ..Self::get(path, handler) }
    }

    /// The endpoint with its entry in the document.
    pub(super) const fn documented(self, operation: Operation) -> Self {
        Self { operation: Some(operation), ..self }
    }

    /// All its paths.
    pub(super) fn paths(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.path).chain(self.aliases.iter().copied())
    }

    fn route(&self) -> Route {
        (self.handler)(match self.method {
            Method::Get => web::route().guard(guard::Any(guard::Get()).or(guard::Head())),
            Method::Stream => web::get(),
            Method::Post => web::post(),
        })
    }
}

/// The resource of the endpoints at `path`, which refuses all other methods.
pub(super) fn resource(path: &str, endpoints: &[&Endpoint]) -> Resource {
    let takes = |post: bool| endpoints.iter().any(|endpoint| (endpoint.method == Method::Post) == post);
    let allowed = match (takes(false), takes(true)) {
        (true, true) => "GET, HEAD, POST",
        (false, true) => "POST",
        _ => "GET, HEAD",
    };
    let refuse = move |request: HttpRequest| async move {
        Err::<HttpResponse, _>(Problem::method_not_allowed(request.method().as_str(), allowed))
    };
    let resource = endpoints.iter().fold(web::resource(path), |resource, endpoint| resource.route(endpoint.route()));
    resource.default_service(web::to(refuse))
}
