//! What the status of an answer means for the query that was asked. `config/README.md` has the table.

use std::time::{Duration, Instant};

use hyper::header::RETRY_AFTER;
use hyper::{HeaderMap, StatusCode};
use jiff::Timestamp;
use jiff::fmt::rfc2822;

use crate::flow::QueryErrorKind;
use crate::pool;

/// The longest pause that an answer may ask for.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(3_600);

/// The longest time for which a service is not asked because it said so.
const LONGEST_REST: Duration = Duration::from_secs(60);

/// A service asked for a pause: it is not asked until then.
#[derive(Debug)]
pub(super) struct Pause {
    until: Instant,
    status: StatusCode,
}

impl Pause {
    /// The pause that an answer asks for: status 429 or 503 with `Retry-After`.
    pub(super) fn asked_by(status: StatusCode, headers: &HeaderMap) -> Option<Self> {
        let is_busy = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        let pause = pause(headers).filter(|_| is_busy)?;
        Some(Self { until: Instant::now() + pause.min(LONGEST_REST), status })
    }

    /// The error of a query during the pause; `None` once it is over.
    pub(super) fn error(&self) -> Option<QueryErrorKind> {
        let retry_after = self.until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
        Some(if self.status == StatusCode::TOO_MANY_REQUESTS {
            QueryErrorKind::Overloaded { retry_after }
        } else {
            let why = format!("the service answered with status {} and asked for a pause", self.status.as_u16());
            QueryErrorKind::Unavailable { why, retry_after }
        })
    }
}

/// The error of a query that was answered with `status`; `None` for a success.
pub(super) fn error(status: StatusCode, headers: &HeaderMap, limit: Duration) -> Option<QueryErrorKind> {
    let retry_after = || pause(headers).unwrap_or(pool::RETRY_AFTER);
    let why = || format!("the service answered with status {}", status.as_u16());
    Some(match status.as_u16() {
        200..=299 => return None,
        300..=399 => QueryErrorKind::Request { why: format!("{}: redirects are not followed", why()) },
        401 | 403 => QueryErrorKind::Unavailable { why: refused_token(status), retry_after: retry_after() },
        408 | 504 => QueryErrorKind::Timeout { after: limit },
        429 => QueryErrorKind::Overloaded { retry_after: retry_after() },
        502 | 503 => QueryErrorKind::Unavailable { why: why(), retry_after: retry_after() },
        _ => QueryErrorKind::Request { why: why() },
    })
}

/// The service does not accept the token.
pub(super) fn refused_token(status: StatusCode) -> String {
    format!("the service refuses the token, or needs one (status {})", status.as_u16())
}

/// `Retry-After`: a number of seconds, or a date.
pub(super) fn pause(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let pause = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let date = rfc2822::parse(text).ok()?.timestamp();
            Duration::try_from(date.duration_since(Timestamp::now())).unwrap_or_default()
        }
    };
    Some(pause.min(LONGEST_PAUSE))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(retry_after: &str) -> HeaderMap {
        HeaderMap::from_iter([(RETRY_AFTER, retry_after.parse().unwrap())])
    }

    #[test]
    fn each_status_has_one_meaning() {
        for (status, code) in [
            (200, None),
            (204, None),
            (302, Some("request_failed")),
            (400, Some("request_failed")),
            (401, Some("domain_unavailable")),
            (403, Some("domain_unavailable")),
            (404, Some("request_failed")),
            (408, Some("timeout")),
            (429, Some("domain_overloaded")),
            (500, Some("request_failed")),
            (502, Some("domain_unavailable")),
            (503, Some("domain_unavailable")),
            (504, Some("timeout")),
        ] {
            let found = error(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), Duration::ZERO);
            assert_eq!(found.map(|kind| kind.code()), code, "{status}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_bounded() {
        let found = |text: &str| pause(&headers(text));
        assert_eq!(found("7"), Some(Duration::from_secs(7)));
        assert_eq!(found("99999999"), Some(LONGEST_PAUSE));
        assert_eq!(found("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        assert_eq!(found("soon"), None);
    }
}
