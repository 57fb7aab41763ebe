//! Service configuration, environment and secrets.
//!
//! [`Config`] is read once at start, from the command line, the environment, `.env` and `config/service.yaml`, in this
//! order of precedence; all errors are reported at once. [`Config::domain`] gives the connection of a domain: it never
//! replaces a name that nothing configures by another database. No `Debug`, message or log shows a secret. Nothing here
//! sets a variable of the process or opens a connection. `service.rs` declares the settings.

mod access;
mod connection;
mod destination;
mod domain;
mod domains;
mod dotenv;
mod env;
mod file;
mod hosts;
mod interpolate;
mod keys;
mod load;
mod origin;
mod relay;
mod secret;
mod service;
mod service_url;
mod settings;
mod subject;
mod tls;
mod traces;
mod url;
mod values;
mod variables;

pub use access::{Access, Caller, Cors, Right, TlsFiles, digest, new_token};
pub use connection::{Connection, Password, Protocol, WriteRole};
pub use destination::{Destination, NatsConfig, NatsLogin};
pub use domain::{Coalescing, DomainConfig, PoolConfig, SessionAccess, Statements, Timeouts};
pub use env::Env;
pub use hosts::HostError;
pub use interpolate::ReferenceError;
pub use keys::{DEFAULT_DOMAIN, prefix};
pub use load::{Arguments, log_format};
pub use origin::Origin;
pub use relay::{RelayConfig, RelayTo};
pub use secret::{read_secret, secret_of_bytes};
pub use service::{
    Config, ConsoleConfig, EffectsConfig, GraphConfig, HttpConfig, LogConfig, LogFormat, McpConfig, RecordsConfig,
    RecordsTo, RulesConfig, WhenFull,
};
pub use subject::{SubjectError, SubjectTemplate};
pub use tls::{ChannelBinding, Identity, RootCert, SessionAttrs, SslMode, Tls, TlsConfigError};
pub use traces::{Share, SpanBatches, TracesConfig};
pub use url::{UrlConnection, UrlError};
pub use values::Threads;

/// The JSON Schema (2020-12) of `config/service.yaml`, for editors. It does not know the names of domains.
pub fn schema() -> String {
    format!("{:#}\n", crate::yaml::schema_of::<Config>())
}
