//! `GET /flows/{flow}/graph`: a flow as a picture, in the language that the client asks for.

use actix_web::http::header::{self, ACCEPT};
use actix_web::{HttpRequest, HttpResponse, web};

use super::answering;
use crate::graph::picture::Picture;
use crate::http::{Problem, Service};

/// The languages: the word of `?format=`, and the media type.
const FORMATS: [(&str, &str); 4] = [
    ("json", "application/json"),
    ("dot", "text/vnd.graphviz"),
    ("mermaid", "text/vnd.mermaid"),
    ("svg", "image/svg+xml"),
];

/// Draws the flow.
pub(in crate::http) async fn picture(
    request: HttpRequest,
    path: web::Path<String>,
    service: web::Data<Service>,
) -> Result<HttpResponse, Problem> {
    draw(&request, &path, &service).map_err(|problem| answering(&request, problem))
}

fn draw(request: &HttpRequest, name: &str, service: &Service) -> Result<HttpResponse, Problem> {
    let release = service.releases.current();
    let flows = release.flows();
    let Some(flow) = flows.iter().find(|flow| flow.flow().name.as_str() == name) else {
        let known: Vec<&str> = flows.iter().map(|flow| flow.flow().name.as_str()).collect();
        return Err(Problem::no_such_flow(name, &known));
    };
    let (format, media_type) = format(request)?;
    let picture = Picture::of(flow.flow(), None);
    let text = match format {
        "dot" => picture.dot(),
        "mermaid" => picture.mermaid(),
        "svg" => picture.svg(),
        _ => picture.json(),
    };
    let media_type =
        if media_type.starts_with("text/") { format!("{media_type}; charset=utf-8") } else { media_type.to_owned() };
    Ok(HttpResponse::Ok().content_type(media_type).insert_header((header::VARY, "Accept")).body(text))
}

/// The language: what `?format=` says, or what is most wanted of `Accept`, or JSON.
fn format(request: &HttpRequest) -> Result<(&'static str, &'static str), Problem> {
    let query = web::Query::<Vec<(String, String)>>::from_query(request.query_string());
    let asked =
        query.ok().and_then(|pairs| pairs.iter().rfind(|(name, _)| name == "format").map(|(_, word)| word.clone()));
    if let Some(word) = asked {
        let words = FORMATS.map(|(word, _)| word).join(", ");
        let found = FORMATS.into_iter().find(|(known, _)| *known == word);
        return found.ok_or_else(|| Problem::bad_query(&format!("`format` is one of: {words}")));
    }
    let accept =
        request.headers().get_all(ACCEPT).filter_map(|value| value.to_str().ok()).collect::<Vec<_>>().join(",");
    if accept.trim().is_empty() {
        return Ok(("json", "application/json"));
    }
    let mut wanted: Vec<(f32, &str)> = accept.split(',').filter_map(weighted).collect();
    // The first of those wanted most; a stable sort keeps the client's order.
    wanted.sort_by(|a, b| b.0.total_cmp(&a.0));
    let fits = |range: &str, media_type: &str| {
        range == "*/*"
            || range == media_type
            || range.strip_suffix("/*").is_some_and(|kind| media_type.split('/').next() == Some(kind))
    };
    let found =
        wanted.into_iter().find_map(|(_, range)| FORMATS.into_iter().find(|(_, media_type)| fits(range, media_type)));
    found.ok_or_else(|| Problem::not_acceptable(&FORMATS.map(|(_, media_type)| media_type)))
}

/// A range of `Accept` with its weight; what is not wanted at all is not given.
fn weighted(part: &str) -> Option<(f32, &str)> {
    let mut pieces = part.split(';').map(str::trim);
    let range = pieces.next().filter(|range| !range.is_empty())?;
    let weight =
        pieces.find_map(|piece| piece.strip_prefix("q=")).map_or(Some(1.0), |text| text.parse::<f32>().ok())?;
    (weight > 0.0).then_some((weight, range))
}
