//! `tributary relay`: the events of effects, from the outboxes to a webhook or to NATS.

use super::{Exit, SERVICE_FILTER, passed, sources};
use crate::app::cli::{Format, Relay as Arguments};
use crate::app::outboxes::Outboxes;
use crate::app::signals::{Hangup, Request, Signals};
use crate::app::{stderr, telemetry};
use crate::relay::Relay;

pub(super) async fn execute(arguments: &Arguments) -> anyhow::Result<Exit> {
    let mut signals = Signals::listen(Hangup::Stops)?;
    let Some(sources) = sources(&arguments.files, None, Format::Text)? else { return Ok(Exit::Refused) };
    stderr::expect(sources.log_format());
    let Some((outboxes, _)) = passed(Outboxes::load(&sources), Format::Text)? else { return Ok(Exit::Refused) };
    let Outboxes { config, domains, destination } = outboxes;
    telemetry::start(&config.log, SERVICE_FILTER, None)?;
    let relay = Relay::new(domains, config.relay, destination)?;
    // Only the supervisor of the process is notified, so a failure changes nothing.
    drop(sd_notify::notify(&[sd_notify::NotifyState::Ready]));
    relay.run(async { while signals.next().await != Request::Stop {} }).await;
    Ok(Exit::Success)
}
