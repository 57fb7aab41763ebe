//! The way in: a name, somebody who listens, TLS, a login.

use std::error::Error;
use std::net::SocketAddr;

use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_postgres::error::{DbError, SqlState};

use super::{Examination, Verdict};
use crate::config::{Password, SslMode};
use crate::postgres::addresses::look_up;
use crate::postgres::connect::Connector;
use crate::postgres::failure::ConnectError;
use crate::postgres::manager::ServerConnection;
use crate::postgres::tls;

/// What to do about a server that takes a connection and says nothing.
const SILENT: &str = "see whether what listens there is PostgreSQL, and whether it is overloaded";

impl Examination<'_> {
    /// Whether any host has an address.
    pub(super) async fn resolve(&mut self) -> bool {
        let (mut any, config) = (false, self.config);
        for (host, port) in &config.connection.hosts {
            if host.starts_with('/') {
                any = true;
                continue;
            }
            match look_up(host, *port, config.timeouts.connect).await {
                Ok(addresses) => {
                    any = true;
                    let addresses: Vec<String> = addresses.iter().map(|at| at.ip().to_string()).collect();
                    self.find("resolve", Verdict::Ok, format!("{host} is {}", addresses.join(", ")), None);
                }
                Err(_) => {
                    let remedy = format!("mend {} or the name service", self.setting("HOST", "host"));
                    self.find("resolve", Verdict::Failure, format!("{host} has no address"), Some(&remedy));
                }
            }
        }
        any
    }

    /// Whether anything listens at any address of any host.
    pub(super) async fn reach(&mut self) -> bool {
        let (mut any, config) = (false, self.config);
        for (host, port) in &config.connection.hosts {
            if host.starts_with('/') {
                any = true;
                continue;
            }
            let addresses = look_up(host, *port, config.timeouts.connect).await.unwrap_or_default();
            let several = addresses.len() > 1;
            for address in addresses {
                let at = if several { format!("{host}:{port} at {}", address.ip()) } else { format!("{host}:{port}") };
                any |= self.reach_address(address, &at).await;
            }
        }
        any
    }

    async fn reach_address(&mut self, address: SocketAddr, at: &str) -> bool {
        let limit = self.config.timeouts.connect;
        let seen = match timeout(limit, TcpStream::connect(address)).await {
            Ok(Ok(_)) => {
                self.find("connect", Verdict::Ok, format!("{at} listens"), None);
                return true;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => ConnectError::late(limit).to_string(),
        };
        let remedy = format!("start the server, open the way to it, or mend {}", self.setting("PORT", "port"));
        self.find("connect", Verdict::Failure, format!("{at}: {seen}"), Some(&remedy));
        false
    }

    pub(super) async fn log_in(&mut self) -> Option<ServerConnection> {
        let connector = Connector::new(self.config);
        match connector.dial().await {
            Ok(connection) => {
                let (user, database) = (&self.config.connection.user, &self.config.connection.database);
                self.find("log in", Verdict::Ok, format!("as {user} to {database}"), None);
                Some(connection)
            }
            Err(error) => {
                self.was_refused(&*error);
                None
            }
        }
    }

    /// There is no session: either TLS failed, or the login did once there was TLS.
    fn was_refused(&mut self, error: &(dyn Error + 'static)) {
        let why = ConnectError::of(error).to_string();
        if tls::is_at_fault(error) {
            let remedy = tls::remedy(error, &self.config.origin);
            self.find("TLS", Verdict::Failure, why, Some(&remedy));
            return;
        }
        let (mode, hosts) = (self.config.connection.tls.mode, &self.config.connection.hosts);
        let has_tls =
            !matches!(mode, SslMode::Disable | SslMode::Prefer) && !hosts.iter().any(|at| at.0.starts_with('/'));
        if has_tls && tls::found::<DbError>(error).is_some() {
            self.find("TLS", Verdict::Ok, format!("as sslmode {} asks", mode.word()), None);
        }
        let remedy = self.way_in(error, &why);
        self.find("log in", Verdict::Failure, why, Some(&remedy));
    }

    /// What to do where the server does not let us in.
    fn way_in(&self, error: &(dyn Error + 'static), why: &str) -> String {
        let connection = &self.config.connection;
        let (user, database) = (&connection.user, &connection.database);
        let password = self.config.origin.of_password(&connection.password);
        let rules = format!("the server's pg_hba.conf: does it have a line for {user}, {database} and this address?");
        let by_role = |code: &SqlState| match *code {
            SqlState::INVALID_PASSWORD => {
                format!("see {password}: the server knows another password of {user}, or none")
            }
            SqlState::INVALID_CATALOG_NAME => {
                format!("create the database, or mend {}", self.setting("NAME", "database"))
            }
            SqlState::INSUFFICIENT_PRIVILEGE => format!("GRANT CONNECT ON DATABASE {database} TO {user}"),
            SqlState::TOO_MANY_CONNECTIONS => {
                format!("raise the server's max_connections, or lower `pool.max` of {}", self.config.name)
            }
            SqlState::CANNOT_CONNECT_NOW => "wait until the server has started".to_owned(),
            _ => format!("see {} and {rules}", self.setting("USER", "user")),
        };
        match tls::found(error).map(DbError::code) {
            Some(code) => by_role(code),
            None if why.contains("no answer within") => SILENT.to_owned(),
            None if why.contains("channel binding") => {
                let binding = self.setting("CHANNEL_BINDING", "channel_binding");
                format!("see {binding}: it takes TLS and a login by scram-sha-256; and {rules}")
            }
            None if why.contains("target_session_attrs") => {
                format!(
                    "mend {} or {}",
                    self.setting("TARGET_SESSION_ATTRS", "target_session_attrs"),
                    self.setting("HOST", "host")
                )
            }
            None if matches!(connection.password, Password::File(_) | Password::None) => {
                format!("see {password}, and {rules}")
            }
            None => format!("see {rules}"),
        }
    }
}
