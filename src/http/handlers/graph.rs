//! `GET /flows/{flow}/graph`: a flow as a picture, in the language that the client asks for.

use actix_web::http::header::{ACCEPT, Accept, Header, Quality, VARY};
use actix_web::{HttpRequest, HttpResponse, web};
use schemars::{Schema, SchemaGenerator, json_schema};

use super::query::last;
use crate::graph::picture::Picture;
use crate::http::endpoint::{Access, Endpoint, Operation, Parameter, Values, schema};
use crate::http::problem::kinds;
use crate::http::{Problem, Service};

/// The languages: the word of `?format=`, and the media type.
const FORMATS: [(&str, &str); 4] = [
    ("json", "application/json"),
    ("dot", "text/vnd.graphviz"),
    ("mermaid", "text/vnd.mermaid"),
    ("svg", "image/svg+xml"),
];

/// Draws a flow.
pub(in crate::http) const PICTURE: Endpoint = Endpoint::get("/flows/{flow}/graph", |route| route.to(picture))
    .documented(Operation {
        id: "picture",
        summary: "A flow as a picture",
        access: Access::Caller,
        parameters: &[
            Parameter { name: "flow", description: "The flow", values: Values::Flow },
            Parameter {
                name: "format",
                description: "The language; without it, `Accept` decides",
                values: Values::OneOf(&[FORMATS[0].0, FORMATS[1].0, FORMATS[2].0, FORMATS[3].0]),
            },
        ],
        headers: &[("Vary", "Accept")],
        content: &[
            (FORMATS[0].1, json),
            (FORMATS[1].1, schema::<String>),
            (FORMATS[2].1, schema::<String>),
            (FORMATS[3].1, schema::<String>),
        ],
        problems: &[kinds::BAD_QUERY, kinds::NO_SUCH_FLOW, kinds::NOT_ACCEPTABLE],
        ..Operation::PLAIN
    });

fn json(_: &mut SchemaGenerator) -> Schema {
    let objects = json_schema!({ "type": "array", "items": { "type": "object" } });
    json_schema!({
        "type": "object",
        "required": ["flow", "width", "height", "boxes", "arrows", "domains"],
        "properties": {
            "flow": { "type": "string" }, "description": { "type": "string" },
            "width": { "type": "number" }, "height": { "type": "number" },
            "boxes": objects, "arrows": objects, "domains": objects
        }
    })
}

async fn picture(
    request: HttpRequest,
    path: web::Path<String>,
    service: web::Data<Service>,
) -> Result<HttpResponse, Problem> {
    let flow = service.flow_named(&request, &path)?;
    let (format, media_type) = format(&request)?;
    let picture = Picture::of(flow.flow(), None);
    let text = match format {
        "dot" => picture.dot(),
        "mermaid" => picture.mermaid(),
        "svg" => picture.svg(),
        _ => picture.json(),
    };
    let media_type =
        if media_type.starts_with("text/") { format!("{media_type}; charset=utf-8") } else { media_type.to_owned() };
    Ok(HttpResponse::Ok().content_type(media_type).insert_header((VARY, "Accept")).body(text))
}

/// The language: of `?format=`, or the most wanted one of `Accept`, or JSON.
fn format(request: &HttpRequest) -> Result<(&'static str, &'static str), Problem> {
    if let Some(word) = last(request.query_string(), "format") {
        let words = FORMATS.map(|(word, _)| word).join(", ");
        let found = FORMATS.into_iter().find(|(known, _)| *known == word);
        return found.ok_or_else(|| Problem::bad_query(&format!("`format` is one of: {words}")));
    }
    // Ranges that are malformed are ignored.
    let Accept(wanted) = Accept::parse(request).unwrap_or_else(|_| Accept(Vec::new()));
    if wanted.is_empty() && request.headers().get(ACCEPT).is_none_or(|sent| sent.as_bytes().trim_ascii().is_empty()) {
        return Ok(FORMATS[0]);
    }
    // Of each form the most specific range counts; of those that are wanted, the one wanted most, and first.
    let ranked = FORMATS.into_iter().filter_map(|(word, media_type)| {
        let fitting = wanted.iter().enumerate().filter_map(|(place, range)| {
            Some((specificity(range.item.essence_str(), media_type)?, range.quality, place))
        });
        let (_, weight, place) =
            fitting.max_by_key(|(specificity, _, place)| (*specificity, std::cmp::Reverse(*place)))?;
        (weight > Quality::ZERO).then_some((weight, place, (word, media_type)))
    });
    let best =
        ranked.reduce(|best, next| if next.0 > best.0 || (next.0 >= best.0 && next.1 < best.1) { next } else { best });
    best.map(|(_, _, format)| format).ok_or_else(|| Problem::not_acceptable(&FORMATS.map(|(_, media_type)| media_type)))
}

/// How closely a range names a media type; `None` if it does not.
fn specificity(range: &str, media_type: &str) -> Option<u8> {
    match range.split_once('/') {
        _ if range == media_type => Some(2),
        Some(("*", "*")) => Some(0),
        Some((kind, "*")) if media_type.split('/').next() == Some(kind) => Some(1),
        _ => None,
    }
}
