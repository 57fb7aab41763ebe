//! The page and its parts, which the binary carries: `src/http/console/page/`.
//!
//! The path of each part contains a digest of all parts, so browsers may cache it for ever. The page names the parts, and is
//! validated at each request (`ETag`). The page loads nothing from other servers, and its security policy allows nothing else.

use std::io::Write;
use std::sync::LazyLock;

use actix_web::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, ETAG, HeaderName, IF_NONE_MATCH, VARY,
};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::http::Problem;
use crate::http::endpoint::{Endpoint, Method};
use crate::types::Digest;

const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
                   base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// The placeholder in the page for the name of the directory of the parts.
const VERSION: &str = "{version}";
const INDEX: &str = include_str!("page/index.html");

/// A part as it is served.
struct Asset {
    name: &'static str,
    kind: &'static str,
    plain: web::Bytes,
    packed: web::Bytes,
}

macro_rules! parts {
    ($($name:literal),* $(,)?) => { [$(($name, include_str!(concat!("page/", $name)))),*] };
}

/// The parts by name.
const PARTS: [(&str, &str); 23] = parts![
    "anatomy.js",
    "api.js",
    "app.js",
    "approvals.js",
    "chart.js",
    "code.js",
    "dialogs.js",
    "dom.js",
    "domains.js",
    "flip.js",
    "flow.js",
    "form.js",
    "format.js",
    "graph.js",
    "icon.svg",
    "json.js",
    "live.js",
    "overview.js",
    "placing.js",
    "playground.js",
    "shapes.js",
    "style.css",
    "views.css",
];

/// All that is served, made once.
struct Site {
    version: String,
    page: Asset,
    parts: Vec<Asset>,
}

static SITE: LazyLock<Site> = LazyLock::new(Site::make);

impl Site {
    fn make() -> Self {
        let mut digest = Digest::default();
        digest.add(INDEX);
        for (name, text) in PARTS {
            digest.add(name);
            digest.add(text);
        }
        let version = digest.short();
        let page = Asset::new("", "text/html; charset=utf-8", INDEX.replace(VERSION, &version).into_bytes());
        let parts = PARTS.iter().map(|(name, text)| Asset::new(name, media_type(name), text.as_bytes().to_vec()));
        Self { version, page, parts: parts.collect() }
    }
}

impl Asset {
    fn new(name: &'static str, kind: &'static str, plain: Vec<u8>) -> Self {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        // Memory takes what is written; were that otherwise, the plain text is served.
        let packed = encoder.write_all(&plain).and_then(|()| encoder.finish()).unwrap_or_default();
        Self { name, kind, plain: plain.into(), packed: packed.into() }
    }

    /// Answers with the part, packed where the client can unpack it.
    fn answer(&self, request: &HttpRequest, mut response: HttpResponseBuilder) -> HttpResponse {
        response.content_type(self.kind).insert_header((VARY, "Accept-Encoding"));
        if takes_gzip(request) && !self.packed.is_empty() {
            response.insert_header((CONTENT_ENCODING, "gzip"));
            return response.body(self.packed.clone());
        }
        response.body(self.plain.clone())
    }
}

/// The page.
pub(in crate::http) const PAGE: Endpoint =
    Endpoint { path: "/", aliases: &[], method: Method::Get, handler: |route| route.to(page), operation: None };

pub(in crate::http) async fn page(request: HttpRequest) -> HttpResponse {
    let tag = format!("\"{}\"", SITE.version);
    let known = request.headers().get(IF_NONE_MATCH).and_then(|value| value.to_str().ok()).unwrap_or("");
    let is_known = known.split(',').any(|known| known.trim().trim_start_matches("W/") == tag);
    let mut response = if is_known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    guard(&mut response).insert_header((ETAG, tag)).insert_header((CACHE_CONTROL, "no-cache"));
    if is_known { response.finish() } else { SITE.page.answer(&request, response) }
}

/// A part of the page.
pub(in crate::http) const PART: Endpoint = Endpoint::get("/console/assets/{version}/{name}", |route| route.to(part));

async fn part(request: HttpRequest, path: web::Path<(String, String)>) -> Result<HttpResponse, Problem> {
    let (version, name) = path.into_inner();
    let found = SITE.parts.iter().find(|part| part.name == name).filter(|_| version == SITE.version);
    let found = found.ok_or_else(|| Problem::no_such_path(request.path()))?;
    let mut response = HttpResponse::Ok();
    guard(&mut response).insert_header((CACHE_CONTROL, "public, max-age=31536000, immutable"));
    Ok(found.answer(&request, response))
}

/// The security headers of the page.
fn guard(response: &mut HttpResponseBuilder) -> &mut HttpResponseBuilder {
    response
        .insert_header((CONTENT_SECURITY_POLICY, CSP))
        .insert_header((HeaderName::from_static("x-content-type-options"), "nosniff"))
        .insert_header((HeaderName::from_static("referrer-policy"), "no-referrer"))
        .insert_header((HeaderName::from_static("cross-origin-opener-policy"), "same-origin"))
        .insert_header((HeaderName::from_static("x-frame-options"), "DENY"))
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        _ => "image/svg+xml",
    }
}

/// Whether the client says that it unpacks gzip.
fn takes_gzip(request: &HttpRequest) -> bool {
    let accepted = request.headers().get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or("");
    accepted.split(',').any(|coding| {
        let mut pieces = coding.split(';').map(str::trim);
        pieces.next() == Some("gzip") && !pieces.any(|weight| matches!(weight, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
    })
}
