//! The query string.

use actix_web::web;

use crate::http::Problem;

/// The value of `name` in the query string. If it is repeated, the last one counts.
pub(super) fn last(query: &str, name: &str) -> Option<String> {
    if query.is_empty() {
        return None;
    }
    let web::Query(pairs) = web::Query::<Vec<(String, String)>>::from_query(query).ok()?;
    pairs.into_iter().rfind(|(known, _)| known == name).map(|(_, value)| value)
}

/// Whether `name` is set in the query string.
///
/// # Errors
/// A [`Problem`] if its value is not true or false.
pub(super) fn flag(query: &str, name: &str) -> Result<bool, Problem> {
    match last(query, name).as_deref() {
        None | Some("false" | "0") => Ok(false),
        Some("" | "true" | "1") => Ok(true),
        Some(_) => Err(Problem::bad_query(&format!("`{name}` is true or false, such as ?{name}=true"))),
    }
}
