//! Domains by name: the connection comes from the environment, the pool and the timeouts from the file.

use std::time::Duration;

use super::domain::{DomainConfig, DomainSettings, SessionAccess, Statements};
use super::env::Env;
use super::keys;
use super::origin::Origin;
use super::service::Config;
use super::url::UrlConnection;
use super::variables::{self, Configured};
use crate::diagnostics::{Diagnostic, Diagnostics, Place, Span, nearest};
use crate::types::DomainName;

impl Config {
    /// The configuration of `domain`, which a flow names at `used_at`.
    ///
    /// # Errors
    /// `unknown-domain` with the configured names where nothing configures it; no other database replaces it. Otherwise
    /// every error in its variables, and `shared-sessions` where effects cannot be written through its pooler.
    pub fn domain(&self, domain: &DomainName, used_at: Option<&Span>) -> Result<DomainConfig, Diagnostics> {
        let configured = variables::read(domain, &self.env)?;
        let configured = configured.ok_or_else(|| self.unknown(domain, used_at))?;
        let config = self.configured(domain.clone(), configured);
        if config.write.is_some() && config.pool.statements == Statements::Unprepared {
            return Err(self.shared_sessions(domain).into());
        }
        Ok(config)
    }

    /// The error of a domain that has a write role and a pooler in transaction mode.
    fn shared_sessions(&self, domain: &DomainName) -> Diagnostic {
        let variable = format!("{}WRITE_USER", keys::prefix(domain));
        let message = format!(
            "effects need sessions of their own, and `pool.statements` of the domain `{domain}` is `unprepared`"
        );
        let help = format!(
            "connect the domain to the server itself, or to a pooler in session mode, and set `pool: {{ statements: prepared }}`; \
             or remove {variable}"
        );
        self.env.error(&variable, "shared-sessions", &message).help(help)
    }

    /// The domain of this connection, with the settings of the file.
    fn configured(&self, name: DomainName, configured: Configured) -> DomainConfig {
        let Configured { connection, connect_timeout, origin, write } = configured;
        let DomainSettings { pool, mut timeouts, max_staleness } = self.settings(&name);
        if let Some(connect) = connect_timeout {
            timeouts.connect = connect;
        }
        let (max_staleness, time_zone) = (max_staleness.map(Duration::from_millis), self.time_zone.clone());
        let access = SessionAccess::ReadOnly;
        DomainConfig { name, connection, origin, access, write, pool, timeouts, max_staleness, time_zone }
    }

    /// The configurations of several domains, or the errors of all of them.
    ///
    /// # Errors
    /// As [`Self::domain`].
    pub fn domains<'a>(
        &self,
        domains: impl IntoIterator<Item = (&'a DomainName, Option<&'a Span>)>,
    ) -> Result<Vec<DomainConfig>, Diagnostics> {
        let (mut configs, mut errors) = (Vec::new(), Diagnostics::new());
        for (domain, used_at) in domains {
            match self.domain(domain, used_at) {
                Ok(config) => configs.push(config),
                Err(diagnostics) => errors.extend(diagnostics),
            }
        }
        errors.into_result(configs).map(|(configs, _)| configs)
    }

    /// The configuration of a domain made for an inline `connection:`.
    pub fn inline_domain(&self, name: DomainName, url: UrlConnection) -> DomainConfig {
        let UrlConnection { connection, connect_timeout, .. } = url;
        self.configured(name, Configured { connection, connect_timeout, origin: Origin::Graph, write: None })
    }

    /// The domains that the environment configures, judged by the names of variables.
    pub fn configured_domains(&self) -> Vec<DomainName> {
        variables::configured(&self.env)
    }

    /// Warnings about settings without effect, and about sections for domains that no flow uses, which may be misspelt.
    pub fn domain_warnings<'a>(&self, used: impl IntoIterator<Item = &'a DomainName>) -> Diagnostics {
        let used: Vec<&DomainName> = used.into_iter().collect();
        let unused = self.sections.iter().filter(|(name, _)| !used.contains(&name));
        unused
            .map(|(name, span)| {
                let meant = nearest(name.as_str(), used.iter().map(|name| name.as_str()));
                let help = meant.map(|meant| format!("did you mean `{meant}`?"));
                let message = format!("no flow uses the domain `{name}`, so these settings have no effect");
                Diagnostic::warning("unused-domain", span, message).maybe_help(help)
            })
            .chain(self.warnings.iter().cloned())
            .collect()
    }

    /// The environment, whose variables replace references (`${NAME}`).
    pub fn env(&self) -> &Env {
        &self.env
    }

    fn settings(&self, domain: &DomainName) -> DomainSettings {
        *self.domains.named.get(domain.as_str()).unwrap_or(&self.domains.defaults)
    }

    fn unknown(&self, domain: &DomainName, used_at: Option<&Span>) -> Diagnostics {
        let prefix = keys::prefix(domain);
        let known = self.configured_domains();
        let place = used_at.map_or_else(|| Place::Variable(format!("{prefix}HOST")), Place::from);
        let meant = nearest(domain.as_str(), known.iter().map(DomainName::as_str));
        let meant = meant.map(|meant| format!("did you mean `{meant}`? ")).unwrap_or_default();
        let known = if known.is_empty() {
            "no domain is configured".to_owned()
        } else {
            let names: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
            format!("configured domains: {}", names.join(", "))
        };
        let help = format!("{meant}set {prefix}HOST, {prefix}NAME, ... or {prefix}URL; {known}");
        Diagnostic::error("unknown-domain", place, format!("nothing configures the domain `{domain}`"))
            .label(format!("no variable {prefix}* is set"))
            .help(help)
            .into()
    }
}
