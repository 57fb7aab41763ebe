//! A connection to the server of a domain: its protocol, hosts, role, password and TLS.

use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};

use super::tls::{SessionAttrs, Tls};

/// How to connect to the server of a domain. Its `Debug` shows no password.
#[derive(Debug, Clone)]
pub struct Connection {
    /// The protocol. For HTTP, `user`, `database` and `options` are empty, and `password` is the token.
    pub protocol: Protocol,
    /// Host names, addresses, or directories of Unix sockets, each with its port, in the order to try them.
    pub hosts: Vec<(String, u16)>,
    /// The role.
    pub user: String,
    /// Where its password comes from.
    pub password: Password,
    /// The database.
    pub database: String,
    /// `application_name`, as `pg_stat_activity` shows it.
    pub application_name: String,
    /// libpq's `options`, empty for none.
    pub options: String,
    /// TLS; Unix sockets do not use it.
    pub tls: Tls,
    /// Which of several hosts is accepted.
    pub session_attrs: SessionAttrs,
}

/// The protocol of a domain's server.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Protocol {
    /// The domain is a PostgreSQL database.
    #[default]
    Postgres,
    /// The domain is a service.
    Http {
        /// What its paths begin with, without a `/` at the end.
        base: String,
    },
}

/// Where a password comes from. A file is read at each connect, so that a rotated password takes effect.
#[derive(Debug, Clone)]
pub enum Password {
    /// There is no password.
    None,
    /// The password itself.
    Given(SecretString),
    /// The file that has the password on one line.
    File(PathBuf),
}

/// The role that writes effects.
#[derive(Debug, Clone)]
pub struct WriteRole {
    /// Its name.
    pub user: String,
    /// Where its password comes from.
    pub password: Password,
}

impl WriteRole {
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.user == other.user && self.password.is_same(&other.password)
    }
}

impl Password {
    pub(super) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::None, Self::None) => true,
            (Self::Given(a), Self::Given(b)) => a.expose_secret() == b.expose_secret(),
            (Self::File(a), Self::File(b)) => a == b,
            _ => false,
        }
    }
}
