//! What `tributary relay` needs of the files: the outboxes of the flows, and where their events go. Only the databases that effects
//! write events to need to be configured.

use std::collections::BTreeMap;

use super::project::{Sources, keep, read};
use crate::config::{Config, Destination, DomainConfig, Protocol, prefix};
use crate::diagnostics::{Diagnostic, Diagnostics, Place, Span};
use crate::graph::Flow;
use crate::types::DomainName;

/// The outboxes of the flows, and where their events go.
#[derive(Debug)]
pub struct Outboxes {
    /// The service configuration.
    pub config: Config,
    /// The databases, as their write roles see them.
    pub domains: Vec<DomainConfig>,
    /// Where the events go.
    pub destination: Destination,
}

impl Outboxes {
    /// Reads and checks all files.
    ///
    /// # Errors
    /// All errors of all files and variables.
    pub fn load(sources: &Sources) -> Result<(Self, Diagnostics), Diagnostics> {
        let mut found = Diagnostics::new();
        let Some((config, flows)) = read(sources, None, &mut found) else {
            found.sort();
            return Err(found);
        };
        let domains = domains(&config, &flows, &mut found);
        let destination = keep(config.destination(), &mut found);
        if let Some(None) = destination {
            let message = "there is nowhere to send events: `relay.to` is `off`";
            let error = Diagnostic::error("relay-off", Place::File("relay.to".to_owned()), message);
            found.push(error.help("set it to `webhook` or `nats`, and `relay.url` to where events go"));
        }
        match destination.flatten() {
            Some(destination) => found.into_result(Self { config, domains, destination }),
            None => {
                found.sort();
                Err(found)
            }
        }
    }
}

/// The domains that effects write events to.
fn domains(config: &Config, flows: &[Flow], found: &mut Diagnostics) -> Vec<DomainConfig> {
    let mut named: BTreeMap<&DomainName, &Span> = BTreeMap::new();
    let mut inline = BTreeMap::new();
    for flow in flows {
        inline.extend(flow.connections.iter().map(|(name, connection)| (name, connection)));
        for effect in flow.effects.iter().filter(|effect| effect.event.is_some()) {
            named.entry(&effect.domain).or_insert(&effect.span);
        }
    }
    if named.is_empty() {
        let message = "no effect of the flows has an event";
        let error = Diagnostic::error("no-events", Place::Argument("--graph".to_owned()), message);
        found.push(error.help("name the files of the flows that have one"));
    }
    let mut domains = Vec::new();
    for (name, span) in named {
        let domain = match inline.get(name) {
            Some(connection) => Some(config.inline_domain(name.clone(), (*connection).clone())),
            None => keep(config.domain(name, Some(span)), found),
        };
        let Some(domain) = domain.filter(|domain| domain.connection.protocol == Protocol::Postgres) else { continue };
        match domain.for_writes() {
            Some(domain) => domains.push(domain),
            None => {
                let prefix = prefix(name);
                let message = format!("the events of `{name}` cannot be marked as sent: it has no write role");
                let help = format!("set {prefix}WRITE_USER, and {prefix}WRITE_PASSWORD or {prefix}WRITE_PASSWORD_FILE");
                found.push(Diagnostic::error("no-write-role", span, message).help(help));
            }
        }
    }
    domains
}
