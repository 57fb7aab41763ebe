//! The names of the variables of domains.

use crate::types::DomainName;

/// The domain of nodes that do not name one.
pub const DEFAULT_DOMAIN: &str = "default";

/// The settings a domain may have.
pub(super) const KEYS: [&str; 22] = [
    "HOST",
    "PORT",
    "USER",
    "PASSWORD",
    "PASSWORD_FILE",
    "WRITE_USER",
    "WRITE_PASSWORD",
    "WRITE_PASSWORD_FILE",
    "NAME",
    "URL",
    "URL_FILE",
    "TOKEN",
    "TOKEN_FILE",
    "APPLICATION_NAME",
    "CONNECT_TIMEOUT",
    "OPTIONS",
    "SSLMODE",
    "SSLROOTCERT",
    "SSLCERT",
    "SSLKEY",
    "CHANNEL_BINDING",
    "TARGET_SESSION_ATTRS",
];

/// What the variables of a domain begin with: `OMS_DB_` for `oms_db`, `DB_` for `default`.
pub fn prefix(domain: &DomainName) -> String {
    if domain.as_str() == DEFAULT_DOMAIN { "DB_".to_owned() } else { format!("{}_", domain.as_str().to_uppercase()) }
}

/// Whether the name of a variable makes it a setting of a domain: `DB_HOST`, `OMS_DB_PASSWORD`, ...
pub(super) fn is_domain_variable(name: &str) -> bool {
    split(name).is_some_and(|(owner, _)| owner == "DB" || owner.ends_with("_DB"))
}

/// `OMS_DB_HOST` is the key `HOST` of `OMS_DB`. The longest key that fits, so `OMS_DB_WRITE_USER` is a key of `OMS_DB`, too.
pub(super) fn split(name: &str) -> Option<(&str, &'static str)> {
    let owner = |key: &str| name.strip_suffix(key)?.strip_suffix('_').filter(|owner| !owner.is_empty());
    KEYS.into_iter().filter_map(|key| Some((owner(key)?, key))).max_by_key(|(_, key)| key.len())
}
