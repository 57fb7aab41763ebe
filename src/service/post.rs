//! Posts JSON to one URL: the webhook of `tributary relay`.

use std::time::Duration;

use hyper::header::{HeaderName, HeaderValue};
use hyper::{Method, StatusCode};
use tokio::time::timeout;

use super::Pool;
use super::connect::Connector;
use super::connection::{Failure, Outgoing};
use super::status::{pause, refused_token};
use crate::config::DomainConfig;
use crate::flow::QueryErrorKind;
use crate::pool::PoolSetupError;
use crate::types::Deadline;

/// Posts to one URL, over a pool of connections.
#[derive(Debug)]
pub struct Poster {
    pool: Pool,
    /// What the path of the URL ends with.
    target: &'static str,
}

/// Why a message was not acknowledged.
#[derive(Debug, thiserror::Error)]
pub enum PostError {
    /// It was not sent, because there is no connection.
    #[error("{0}")]
    Unreachable(String),
    /// It was sent, or may have been, and another attempt may be acknowledged.
    #[error("{why}")]
    Failed {
        /// What happened.
        why: String,
        /// The pause that the service asks for.
        pause: Option<Duration>,
    },
    /// The service does not want it.
    #[error("{0}")]
    Refused(String),
}

impl Poster {
    /// Posts to the service of `config`; `target` is what the path ends with.
    ///
    /// # Errors
    /// [`PoolSetupError`].
    pub fn new(config: &DomainConfig, target: &'static str) -> Result<Self, PoolSetupError> {
        Ok(Self { pool: Pool::new(Connector::new(config), config)?, target })
    }

    /// Posts `body`, and waits at most `limit` for a status from 200 to 299. The body of the answer is not kept.
    ///
    /// # Errors
    /// [`PostError`].
    pub async fn post(
        &self,
        headers: &[(&'static str, String)],
        body: String,
        limit: Duration,
    ) -> Result<(), PostError> {
        let late = |_| PostError::Failed { why: format!("no answer within {} ms", limit.as_millis()), pause: None };
        timeout(limit, self.exchange(headers, body, limit)).await.map_err(late)?
    }

    async fn exchange(
        &self,
        headers: &[(&'static str, String)],
        body: String,
        limit: Duration,
    ) -> Result<(), PostError> {
        let lease = self.pool.acquire(Deadline::after(limit)).await;
        let lease = lease.map_err(|error| match error {
            QueryErrorKind::ConnectionLost { detail, .. } => PostError::Unreachable(detail),
            error => PostError::Unreachable(error.to_string()),
        })?;
        let header = |(name, value): &(&'static str, String)| {
            Some((HeaderName::from_static(name), HeaderValue::from_str(value).ok()?))
        };
        let outgoing = Outgoing {
            method: Method::POST,
            target: self.target.to_owned(),
            headers: headers.iter().filter_map(header).collect(),
            body: Some(body.into()),
            // A service that closes connections over one message must not count as unreachable.
            is_idempotent: false,
        };
        let answer = lease.connection.exchange(outgoing).await.map_err(|failure| match failure {
            Failure::NotSent(why) => PostError::Unreachable(why),
            Failure::Broken(why) => PostError::Failed { why, pause: None },
            Failure::TooLong => PostError::Failed { why: "the answer is too long".to_owned(), pause: None },
        })?;
        let status = answer.status();
        let why = format!("the webhook answered with status {}", status.as_u16());
        match status {
            status if status.is_success() => Ok(()),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(PostError::Refused(refused_token(status))),
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
                Err(PostError::Failed { why, pause: pause(answer.headers()) })
            }
            status if status.is_server_error() => Err(PostError::Failed { why, pause: pause(answer.headers()) }),
            _ => Err(PostError::Refused(why)),
        }
    }
}
