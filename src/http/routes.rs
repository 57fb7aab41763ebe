//! Which handler answers at which path.

use actix_web::web;

use super::console;
use super::handlers::{admin, decide, flows, graph, health, metrics};
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
        for path in ["/livez", "/live", "/healthz"] {
            config.service(get(path, web::get().to(health::live)));
        }
        for path in ["/readyz", "/ready"] {
            config.service(get(path, web::get().to(health::ready)));
        }
        config
            .service(get("/health", web::get().to(health::all)))
            .service(get("/health/{domain}", web::get().to(health::one)))
            .service(get("/metrics", web::get().to(metrics::scrape)))
            .service(get("/flows", web::get().to(flows::list)))
            .service(get("/flows/{flow}/graph", web::get().to(graph::picture)))
            .service(post("/admin/domains/{domain}/restart", web::post().to(admin::restart)))
            .service(post("/admin/reload", web::post().to(admin::reload)))
            .default_service(web::to(decide::decide));
    }
}

/// A path that takes only POST.
pub(super) fn post(path: &str, route: actix_web::Route) -> actix_web::Resource {
    web::resource(path).route(route).default_service(web::to(admin::only_post))
}

/// A path that takes only GET (and HEAD, which actix-web answers from GET where it is routed so).
pub(super) fn get(path: &str, route: actix_web::Route) -> actix_web::Resource {
    web::resource(path).route(route).route(web::head().to(health::live)).default_service(web::to(health::only_get))
}
