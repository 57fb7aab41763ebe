//! The first steps: resolve the hosts, connect, TLS, log in.

use std::error::Error;
use std::net::SocketAddr;

use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_postgres::error::{DbError, SqlState};

use super::{Examination, Verdict};
use crate::config::{Password, SslMode};
use crate::pool::{ConnectError, tls};
use crate::postgres::addresses::look_up;
use crate::postgres::connect::Connector;
use crate::postgres::connection::ServerConnection;
use crate::postgres::failure::of_attempt;

/// The remedy for a server that accepts a connection and does not answer.
const NO_ANSWER_REMEDY: &str = "check that PostgreSQL listens there, and that it is not overloaded";

impl Examination<'_> {
    /// Resolves every host and connects to each of its addresses. `true` if any accepts a connection.
    pub(super) async fn reach(&mut self) -> bool {
        let (mut any, config) = (false, self.config);
        for (host, port) in &config.connection.hosts {
            if host.starts_with('/') {
                any = true;
                continue;
            }
            let Ok(addresses) = look_up(host, *port, config.timeouts.connect).await else {
                let remedy = format!("correct {} or the name service", self.setting("HOST", "host"));
                self.find("resolve", Verdict::Failure, format!("{host} has no address"), Some(&remedy));
                continue;
            };
            let listed: Vec<String> = addresses.iter().map(|at| at.ip().to_string()).collect();
            self.find("resolve", Verdict::Ok, format!("{host} is {}", listed.join(", ")), None);
            for address in &addresses {
                let ip = if addresses.len() > 1 { format!(" at {}", address.ip()) } else { String::new() };
                any |= self.reach_address(*address, &format!("{host}:{port}{ip}")).await;
            }
        }
        any
    }

    async fn reach_address(&mut self, address: SocketAddr, at: &str) -> bool {
        let limit = self.config.timeouts.connect;
        let failure = match timeout(limit, TcpStream::connect(address)).await {
            Ok(Ok(_)) => {
                self.find("connect", Verdict::Ok, format!("{at} listens"), None);
                return true;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => ConnectError::timed_out(limit).to_string(),
        };
        let remedy = format!("start the server, open the firewall, or correct {}", self.setting("PORT", "port"));
        self.find("connect", Verdict::Failure, format!("{at}: {failure}"), Some(&remedy));
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
                self.report_login_error(&*error);
                None
            }
        }
    }

    /// Reports why there is no session: TLS failed, or the login after it.
    fn report_login_error(&mut self, error: &(dyn Error + 'static)) {
        let why = of_attempt(error).to_string();
        if tls::is_tls_error(error) {
            let remedy = tls::remedy(error, &self.config.origin);
            self.find("TLS", Verdict::Failure, why, Some(&remedy));
            return;
        }
        let (mode, hosts) = (self.config.connection.tls.mode, &self.config.connection.hosts);
        let has_tls =
            !matches!(mode, SslMode::Disable | SslMode::Prefer) && !hosts.iter().any(|at| at.0.starts_with('/'));
        if has_tls && tls::find_cause::<DbError>(error).is_some() {
            self.find("TLS", Verdict::Ok, format!("as sslmode {} requires", mode.word()), None);
        }
        let remedy = self.login_remedy(error, &why);
        self.find("log in", Verdict::Failure, why, Some(&remedy));
    }

    /// The remedy for a rejected login.
    fn login_remedy(&self, error: &(dyn Error + 'static), why: &str) -> String {
        let connection = &self.config.connection;
        let (user, database) = (&connection.user, &connection.database);
        let password = self.config.password_setting();
        let rules = format!("the server's pg_hba.conf: does it have a line for {user}, {database} and this address?");
        let by_role = |code: &SqlState| match *code {
            SqlState::INVALID_PASSWORD => {
                format!("check {password}: the server has another password for {user}, or none")
            }
            SqlState::INVALID_CATALOG_NAME => {
                format!("create the database, or correct {}", self.setting("NAME", "database"))
            }
            SqlState::INSUFFICIENT_PRIVILEGE => format!("GRANT CONNECT ON DATABASE {database} TO {user}"),
            SqlState::TOO_MANY_CONNECTIONS => {
                format!("raise the server's max_connections, or lower `pool.max` of {}", self.config.name)
            }
            SqlState::CANNOT_CONNECT_NOW => "wait until the server has started".to_owned(),
            _ => format!("check {} and {rules}", self.config.user_setting()),
        };
        match tls::find_cause(error).map(DbError::code) {
            Some(code) => by_role(code),
            None if why.contains("no answer within") => NO_ANSWER_REMEDY.to_owned(),
            None if why.contains("channel binding") => {
                let binding = self.setting("CHANNEL_BINDING", "channel_binding");
                format!("check {binding}: it requires TLS and a login by scram-sha-256; and {rules}")
            }
            None if why.contains("asked as the primary") => {
                format!("add the primary to {}, behind the replicas", self.setting("HOST", "host"))
            }
            None if why.contains("max_staleness_ms") => {
                "see pg_stat_replication of the primary for why the replica is behind".to_owned()
            }
            None if why.contains("target_session_attrs") => {
                format!(
                    "correct {} or {}",
                    self.setting("TARGET_SESSION_ATTRS", "target_session_attrs"),
                    self.setting("HOST", "host")
                )
            }
            None if matches!(connection.password, Password::File(_) | Password::None) => {
                format!("check {password}, and {rules}")
            }
            None => format!("check {rules}"),
        }
    }
}
