//! Which handler answers at which path.

use actix_web::guard;
use actix_web::web;

use super::console;
use super::handlers::{admin, answering, decide, flows, graph, health, metrics, openapi};
use super::problem::Problem;
use super::service::Service;

/// The first segments of paths that no flow may take.
pub const RESERVED_PATHS: &[&str] = &[
    "admin",
    "console",
    "events",
    "flows",
    "health",
    "healthz",
    "live",
    "livez",
    "metrics",
    "openapi.json",
    "ready",
    "readyz",
];

/// What stands behind a flow's path for its other endpoints, and so ends no path of a flow.
pub const RESERVED_ENDINGS: &[&str] = &["batch", "graph", "what-if"];

/// Puts the routes into an application of `service`.
pub fn configure(service: Service) -> impl FnOnce(&mut web::ServiceConfig) {
    move |config| {
        if let Some(console) = &service.console {
            console::configure(config, console);
        }
        config.app_data(web::Data::new(service));
        // What cannot even be read as a name is the name of nothing.
        config.app_data(
            web::PathConfig::default()
                .error_handler(|_, request| answering(request, Problem::no_such_path(request.path())).into()),
        );
        for path in ["/livez", "/live", "/healthz"] {
            config.service(get(path, reading().to(health::live)));
        }
        for path in ["/readyz", "/ready"] {
            config.service(get(path, reading().to(health::ready)));
        }
        // Every request for a flow passes over all of these. A scope is passed over by comparing its beginning, a path with names
        // in it by running a regular expression: so those stand in scopes.
        let health = web::scope("/health")
            .service(get("", reading().to(health::all)))
            .service(get("/{domain}", reading().to(health::one)));
        let flows = web::scope("/flows")
            .service(get("", reading().to(flows::list)))
            .service(get("/{flow}/graph", reading().to(graph::picture)));
        let admin = web::scope("/admin")
            .service(post("/domains/{domain}/restart", web::post().to(admin::restart)))
            .service(post("/reload", web::post().to(admin::reload)));
        config
            .service(health)
            .service(flows)
            .service(admin)
            .service(get("/metrics", reading().to(metrics::scrape)))
            .service(get("/openapi.json", reading().to(openapi::contract)))
            .default_service(web::to(decide::decide));
    }
}

/// A path that takes only POST.
pub(super) fn post(path: &str, route: actix_web::Route) -> actix_web::Resource {
    web::resource(path).route(route).default_service(web::to(admin::only_post))
}

/// A path that takes only GET, and HEAD, which is answered as GET is but for the body.
pub(super) fn get(path: &str, route: actix_web::Route) -> actix_web::Resource {
    web::resource(path).route(route).default_service(web::to(health::only_get))
}

/// For GET and HEAD.
pub(super) fn reading() -> actix_web::Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}
