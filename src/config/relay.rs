//! The settings of the relay of events.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::values::MOST;
use crate::types::Milliseconds;

/// Where `tributary relay` sends the events of effects, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RelayConfig {
    /// Where events are sent.
    #[schemars(extend("x-env" = ["TRIBUTARY_RELAY_TO"]))]
    pub to: RelayTo,
    /// The URL of the webhook, or of one or more servers of NATS, separated by commas.
    #[schemars(extend("x-env" = ["TRIBUTARY_RELAY_URL"]))]
    pub url: Option<String>,
    /// With `to: nats`: the subject of an event, with `{type}`, `{aggregatetype}` and `{aggregateid}`.
    pub subject: String,
    /// Events of one event key that are read, and then marked as sent, at once.
    #[schemars(range(min = 1, max = 10_000))]
    pub batch: usize,
    /// Events in flight at once, each of another event key.
    #[schemars(range(min = 1, max = 1_000))]
    pub max_in_flight: usize,
    /// For the destination to acknowledge one event.
    #[serde(rename = "timeout_ms", with = "Milliseconds")]
    pub timeout: Duration,
    /// Between two looks for waiting events where no notification arrives.
    #[serde(rename = "poll_ms", with = "Milliseconds")]
    pub poll: Duration,
    /// For how many seconds sent events stay in the table.
    #[serde(rename = "keep_sent_s")]
    #[schemars(range(min = 0, max = MOST))]
    pub keep_sent: u64,
}

/// Where events are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RelayTo {
    /// Nowhere.
    #[default]
    Off,
    /// To a URL, by HTTP POST.
    Webhook,
    /// To a stream of NATS `JetStream`.
    Nats,
}

impl Default for RelayConfig {
    fn default() -> Self {
        Self {
            to: RelayTo::Off,
            url: None,
            subject: "events.{aggregatetype}.{type}".to_owned(),
            batch: 100,
            max_in_flight: 32,
            timeout: Duration::from_secs(10),
            poll: Duration::from_secs(1),
            keep_sent: 7 * 24 * 60 * 60,
        }
    }
}
