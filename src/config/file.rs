//! `config/service.yaml`: from text to the values that replace the defaults.

use std::path::Path;
use std::sync::Arc;

use serde_yaml::{Mapping, Value};

use super::env::Env;
use super::interpolate;
use super::service::{Config, RecordsTo};
use super::settings::{merge, resolve_paths};
use crate::diagnostics::{Diagnostic, Diagnostics, Place, Source, Span};
use crate::types::DomainName;
use crate::yaml::{self, Marked, schema_of};

/// The key of `domains` that is not a domain.
const DEFAULTS: &str = "defaults";

/// The contents of the file.
#[derive(Default)]
pub(super) struct File {
    /// Its settings; each domain has the defaults that it does not replace.
    pub(super) value: Value,
    /// The sections of single domains.
    pub(super) sections: Vec<(DomainName, Span)>,
    /// About settings without effect.
    pub(super) warnings: Vec<Diagnostic>,
}

impl File {
    /// Reads `source`; errors go to `found`.
    pub(super) fn read(source: &Arc<Source>, env: &Env, found: &mut Diagnostics) -> Self {
        let root = match yaml::parse(source, yaml::Limits::default()) {
            Ok(root) => root,
            Err(errors) => {
                found.extend(errors);
                return Self::default();
            }
        };
        let (root, unresolved) = expand(&root, env, found);
        let mut misread = Diagnostics::new();
        let value = yaml::checked::<Config>(&root, &mut misread);
        // A value whose reference cannot be replaced is reported once.
        let resolved = |diagnostic: &Diagnostic| !unresolved.iter().any(|span| diagnostic.place == Place::from(span));
        found.extend(misread.into_iter().filter(resolved));
        let Some(mut value) = value else { return Self::default() };
        let mut file = Self::default();
        if let Some(domains) = value.get_mut("domains").and_then(Value::as_mapping_mut) {
            file.domains(domains, &root, found);
        }
        resolve_paths(&schema_of::<Config>(), &mut value, Path::new(source.name()).parent().unwrap_or(Path::new("")));
        if let Ok(config) = serde_yaml::from_value(value.clone()) {
            check_records(&config, &root, found);
            check_pools(&config, &root, found);
        }
        Self { value, ..file }
    }

    /// Completes the section of each domain with the defaults.
    fn domains(&mut self, domains: &mut Mapping, root: &Marked, found: &mut Diagnostics) {
        let defaults = domains.get(DEFAULTS).cloned().unwrap_or_default();
        for entry in root.get("domains").map(Marked::entries).unwrap_or_default() {
            self.warnings.extend(obsolete(entry.value()));
            if entry.key() == DEFAULTS {
                continue;
            }
            match DomainName::parse(entry.key()) {
                Ok(name) => self.sections.push((name, entry.key_span().clone())),
                Err(error) => found.push(Diagnostic::error("bad-name", entry.key_span(), error.to_string())),
            }
            if let Some(settings) = domains.get_mut(entry.key()) {
                let own = std::mem::replace(settings, defaults.clone());
                merge(settings, own);
            }
        }
    }
}

/// Replaces references in texts; also gives the places where that failed.
fn expand(root: &Marked, env: &Env, found: &mut Diagnostics) -> (Marked, Vec<Span>) {
    let mut unresolved = Vec::new();
    let expanded = root.map_text(&mut |node, text| {
        if !interpolate::has_references(text) {
            return None;
        }
        let refused = |error: interpolate::ReferenceError| {
            found.push(Diagnostic::error("bad-reference", node.head(), error.to_string()).help(error.help()));
            unresolved.push(node.head());
        };
        env.expand(text).map_err(refused).ok()
    });
    (expanded, unresolved)
}

fn check_records(config: &Config, root: &Marked, found: &mut Diagnostics) {
    let records = &config.records;
    let mut refuse = |key: &str, code, message, help| {
        let place = root.get("records").and_then(|section| section.get(key)).map(Marked::head);
        found.extend(place.map(|place| Diagnostic::error(code, place, message).help(help)));
    };
    if records.signing_key.is_some() && !records.chain {
        let message = "`records.signing_key` signs a chain, and there is no chain";
        refuse("signing_key", "needs-chain", message, "set `records.chain: true`, or remove the key");
    }
    if records.chain && records.to != RecordsTo::File {
        let message = "`records.chain` links the lines of a file, and records do not go to a file";
        refuse("chain", "needs-file", message, "set `records.to: file`, or remove `chain`");
    }
}

fn check_pools(config: &Config, root: &Marked, found: &mut Diagnostics) {
    for entry in root.get("domains").map(Marked::entries).unwrap_or_default() {
        let domain = config.domains.named.get(entry.key()).unwrap_or(&config.domains.defaults);
        let pool = domain.pool;
        if pool.min <= pool.max {
            continue;
        }
        let key = |name| entry.value().get("pool").and_then(|pool| pool.get(name));
        // Otherwise the section of the defaults has the error.
        let Some(place) = key("min").or_else(|| key("max")).map(Marked::head) else { continue };
        let message = format!("`pool.min` is {} and more than `pool.max`, which is {}", pool.min, pool.max);
        found.push(
            Diagnostic::error("bad-pool", place, message).help("a value that is not given is that of `defaults`"),
        );
    }
}

fn obsolete(domain: &Marked) -> Option<Diagnostic> {
    let entry = domain.get("pool")?.entry("max_waiting").filter(|entry| !entry.value().is_null())?;
    let message = "`pool.max_waiting` has no effect: queries wait for a connection for `acquire_ms`";
    let warning = Diagnostic::warning("obsolete-setting", entry.key_span(), message);
    Some(warning.help("remove it; `http.max_in_flight` bounds what waits"))
}
