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
    let flow = service.flow_named(request, name)?;
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
    let wanted: Vec<(f32, String)> = accept.split(',').filter_map(weighted).collect();
    // Of each form the most specific range counts; of those that are wanted, the one wanted most, and first.
    let ranked = FORMATS.into_iter().filter_map(|(word, media_type)| {
        let fitting = wanted
            .iter()
            .enumerate()
            .filter_map(|(place, (weight, range))| Some((specificity(range, media_type)?, *weight, place)));
        let (_, weight, place) =
            fitting.max_by_key(|(specificity, _, place)| (*specificity, std::cmp::Reverse(*place)))?;
        (weight > 0.0).then_some((weight, place, (word, media_type)))
    });
    let best =
        ranked.reduce(|best, next| if next.0 > best.0 || (next.0 >= best.0 && next.1 < best.1) { next } else { best });
    best.map(|(_, _, format)| format).ok_or_else(|| Problem::not_acceptable(&FORMATS.map(|(_, media_type)| media_type)))
}

/// How closely a range names a media type; `None` where it does not.
fn specificity(range: &str, media_type: &str) -> Option<u8> {
    if range == media_type {
        return Some(2);
    }
    if range.strip_suffix("/*").is_some_and(|kind| media_type.split('/').next() == Some(kind)) {
        return Some(1);
    }
    (range == "*/*").then_some(0)
}

/// A range of `Accept` with its weight.
fn weighted(part: &str) -> Option<(f32, String)> {
    let part = part.to_ascii_lowercase();
    let mut pieces = part.split(';').map(str::trim);
    let range = pieces.next().filter(|range| !range.is_empty())?.to_owned();
    let weight =
        pieces.find_map(|piece| piece.strip_prefix("q=")).map_or(Some(1.0), |text| text.parse::<f32>().ok())?;
    Some((weight, range))
}
