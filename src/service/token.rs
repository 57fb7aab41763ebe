//! The token of a service. Its file is read for each connection, and again where the service refuses the token, so that a rotated
//! one takes effect without a failed query.

use arc_swap::ArcSwapOption;
use hyper::header::HeaderValue;
use secrecy::ExposeSecret;

use crate::config::{self, DomainConfig};
use crate::pool::read_password;

/// The token of one service, as all its connections send it.
#[derive(Debug)]
pub(super) struct Token {
    secret: config::Password,
    /// Its setting, for messages.
    source: Box<str>,
    header: ArcSwapOption<HeaderValue>,
}

impl Token {
    pub(super) fn new(config: &DomainConfig) -> Self {
        let (secret, source) = (config.connection.password.clone(), config.origin.of_token().into());
        Self { secret, source, header: ArcSwapOption::empty() }
    }

    /// Reads it again.
    ///
    /// # Errors
    /// What is wrong with its file, or with the token. The last one stays.
    pub(super) async fn read(&self) -> Result<(), String> {
        let header = match read_password(&self.secret, &self.source).await? {
            None => None,
            Some(token) => {
                let unfit = |_| format!("the token has a character that a header may not have; see {}", self.source);
                let mut header = HeaderValue::try_from(format!("Bearer {}", token.expose_secret())).map_err(unfit)?;
                header.set_sensitive(true);
                Some(header)
            }
        };
        if self.header().as_ref() != header.as_ref() {
            self.header.store(header.map(Into::into));
        }
        Ok(())
    }

    /// The value of the header `Authorization`.
    pub(super) fn header(&self) -> Option<HeaderValue> {
        self.header.load().as_deref().cloned()
    }
}
