//! Events as messages of NATS `JetStream`.
//!
//! A message is published as a request, which a stream answers once it has stored it (ADR-1 of NATS). The header `Nats-Msg-Id` lets
//! the stream drop a repeated one. A client that has lost its connection is replaced, so that files of credentials and certificates
//! are read again.

use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, ConnectOptions, HeaderMap, Request, RequestErrorKind};
use secrecy::ExposeSecret;
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::delivery::{Delivery, Undelivered};
use crate::config::{NatsConfig, NatsLogin, Password, SslMode};
use crate::pool::{read_password, tls, with_causes};

/// Publishes to the streams of one cluster.
#[derive(Debug)]
pub(super) struct Nats {
    config: NatsConfig,
    client: Mutex<Option<Client>>,
}

/// The answer of a stream to a message.
#[derive(Debug, Deserialize)]
struct Acknowledgement {
    stream: Option<String>,
    seq: Option<serde_json::Number>,
    error: Option<ErrorOfStream>,
}

/// Why a stream did not store a message.
#[derive(Debug, Deserialize)]
struct ErrorOfStream {
    description: Option<String>,
}

impl Nats {
    pub(super) fn new(config: NatsConfig) -> Self {
        Self { config, client: Mutex::default() }
    }

    /// Publishes an event and waits until a stream has stored it.
    pub(super) async fn send(&self, delivery: &Delivery<'_>, limit: Duration) -> Result<(), Undelivered> {
        let client = self.client().await.map_err(Undelivered::Unreachable)?;
        let mut headers = HeaderMap::new();
        for (name, value) in delivery.headers() {
            headers.insert(name, value.as_str());
        }
        headers.insert("content-type", "application/json");
        headers.insert("Nats-Msg-Id", delivery.event.id.as_str());
        let (event, key) = (delivery.event, delivery.key);
        let subject = self.config.subject.render(&event.kind, &key.aggregate_type, &key.aggregate_id);
        let request = Request::new().headers(headers).payload(event.payload.clone().into()).timeout(Some(limit));
        match client.send_request(subject, request).await {
            Ok(answer) => stored(&answer.payload),
            Err(_) if client.connection_state() != State::Connected => {
                Err(Undelivered::Unreachable("the connection to NATS was lost".to_owned()))
            }
            Err(error) => Err(match error.kind() {
                RequestErrorKind::NoResponders => Undelivered::Refused(
                    "no stream of NATS has the subject; create one, or correct relay.subject".to_owned(),
                ),
                RequestErrorKind::MaxPayloadExceeded => {
                    Undelivered::Refused("the event is larger than max_payload of the server of NATS".to_owned())
                }
                RequestErrorKind::InvalidSubject => Undelivered::Refused("NATS does not accept the subject".to_owned()),
                RequestErrorKind::TimedOut => {
                    Undelivered::Failed(format!("no answer of a stream within {} ms", limit.as_millis()), None)
                }
                RequestErrorKind::Other => Undelivered::Failed(with_causes(&error), None),
            }),
        }
    }

    /// The client, connected.
    async fn client(&self) -> Result<Client, String> {
        let mut client = self.client.lock().await;
        if let Some(connected) = client.as_ref().filter(|client| client.connection_state() == State::Connected) {
            return Ok(connected.clone());
        }
        *client = None;
        let limit = self.config.timeout;
        let made = timeout(limit, self.connect()).await;
        let made = made.unwrap_or_else(|_| Err(format!("NATS did not answer within {} ms", limit.as_millis())))?;
        Ok(client.insert(made).clone())
    }

    async fn connect(&self) -> Result<Client, String> {
        let mut options = match &self.config.login {
            NatsLogin::Token(token) => match read_password(token, "RELAY_TOKEN_FILE").await? {
                Some(token) => ConnectOptions::with_token(token.expose_secret().to_owned()),
                None => ConnectOptions::new(),
            },
            NatsLogin::User(user, password) => {
                let password = secret(password, "RELAY_PASSWORD_FILE").await?;
                ConnectOptions::with_user_and_password(user.clone(), password)
            }
            NatsLogin::Credentials(file) => ConnectOptions::with_credentials_file(file).await.map_err(|error| {
                format!("the file of credentials cannot be used: {error}; see RELAY_CREDENTIALS_FILE")
            })?,
        };
        if self.config.tls.mode != SslMode::Disable {
            let config = tls::client(&self.config.tls).map_err(|error| with_causes(&error))?;
            options = options.tls_client_config(config);
        }
        // The client after this one reconnects.
        let options = options.name("tributary relay").max_reconnects(1).connection_timeout(self.config.timeout);
        options.connect(self.config.servers.clone()).await.map_err(|error| with_causes(&error))
    }
}

async fn secret(password: &Password, source: &str) -> Result<String, String> {
    let secret = read_password(password, source).await?;
    Ok(secret.map(|secret| secret.expose_secret().to_owned()).unwrap_or_default())
}

/// Whether a stream has stored the message. Another subscriber of the subject may have answered instead.
fn stored(answer: &[u8]) -> Result<(), Undelivered> {
    let odd = "the answer is not that of a stream: another subscriber of the subject may answer";
    match serde_json::from_slice::<Acknowledgement>(answer) {
        Ok(Acknowledgement { stream: Some(_), seq: Some(_), error: None }) => Ok(()),
        Ok(Acknowledgement { error: Some(error), .. }) => {
            let why = error.description.unwrap_or_else(|| "the stream did not store the event".to_owned());
            Err(Undelivered::Failed(why, None))
        }
        _ => Err(Undelivered::Failed(odd.to_owned(), None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_answer_of_a_stream_acknowledges_an_event() {
        assert!(stored(br#"{"stream":"EVENTS","seq":7}"#).is_ok());
        assert!(stored(br#"{"stream":"EVENTS","seq":7,"duplicate":true}"#).is_ok());
        for answer in [
            &br#"{"error":{"code":503,"err_code":10077,"description":"maximum messages exceeded"},"stream":"EVENTS","seq":0}"#[..],
            br#"{"stream":"EVENTS"}"#,
            b"+OK",
            b"",
        ] {
            assert!(matches!(stored(answer), Err(Undelivered::Failed(..))));
        }
    }
}
