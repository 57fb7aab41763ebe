//! Making connections: where to, as whom, how safely, with which session settings, and how they end.
//!
//! The password file and those of TLS are read at each connect. Hosts are tried in the order they are configured, and the
//! addresses of a host in the order the name service gives them. As in libpq, the connect timeout is that of one address, login
//! included. At most eight addresses of a host are tried (`addresses`), so that connecting ends in bounded time. An address that gave
//! no answer is tried last until it answers. Sessions are read only and bounded by `statement_timeout` from their first
//! message on: the settings travel in the startup packet, so there is no moment without them and no round trip for them.
//! (`client_connection_check_interval` is not among them: servers before PostgreSQL 14 refuse it, and what is abandoned
//! here is cancelled.) This module never builds a connection string.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use deadpool_postgres::Connect;
use secrecy::ExposeSecret;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::config::{ChannelBinding as PgChannelBinding, SslMode as PgSslMode};
use tokio_postgres::error::SqlState;
use tokio_postgres::{CancelToken, Client, Config, Connection as PgConnection, NoTls, SimpleQueryMessage, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::addresses::{in_turn, late, look_up};
use super::backends::{Backends, POOLED, Place, UNSETTLED};
use super::error::QueryErrorKind;
use super::failure::{ConnectError, OVERLOAD_PAUSE};
use super::notices::drive;
use super::refusal::refuse;
use super::sqlstate::is_farewell;
use super::tls;
use crate::config::{
    ChannelBinding, Connection, DomainConfig, Password, SessionAttrs, SslMode, Statements, secret_of_bytes,
};
use crate::types::DomainName;

/// A connection whose client is gone may take this long to say goodbye.
const FAREWELL: Duration = Duration::from_secs(1);
/// Silence after which the kernel asks whether the other side still lives.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(15);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_RETRIES: u32 = 3;
/// How long bytes may stay unacknowledged before the kernel gives the connection up.
const UNACKNOWLEDGED: Duration = Duration::from_secs(15);

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Makes the connections of one domain. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Connector {
    domain: DomainName,
    to: Arc<Connection>,
    /// Where the password is written.
    password_at: Arc<str>,
    options: Arc<str>,
    timeout: Duration,
    /// Whether each connection has a session of its own: no pooler gives each transaction another.
    owns_sessions: bool,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    server_version: ArcSwapOption<String>,
    open: watch::Sender<usize>,
    farewells: AtomicU64,
    backends: Arc<Backends>,
    /// By host: how many addresses it had when it was last looked up.
    addresses: Box<[AtomicUsize]>,
    /// The last address that gave no answer.
    silent: ArcSwapOption<SocketAddr>,
    /// Whether the last connection went without TLS although the server offers it.
    fell_back: AtomicBool,
}

impl Connector {
    /// Connections as `config` describes them.
    pub fn new(config: &DomainConfig) -> Self {
        Self {
            domain: config.name.clone(),
            to: Arc::new(config.connection.clone()),
            password_at: config.origin.of_password(&config.connection.password).into(),
            options: match config.pool.statements {
                Statements::Prepared => session_options(config).into(),
                // A pooler takes none: its sessions are everybody's.
                Statements::Unprepared => config.connection.options.as_str().into(),
            },
            timeout: config.timeouts.connect,
            owns_sessions: config.pool.statements == Statements::Prepared,
            shared: Arc::new(Shared {
                server_version: ArcSwapOption::empty(),
                open: watch::Sender::new(0),
                farewells: AtomicU64::new(0),
                backends: Arc::default(),
                addresses: config.connection.hosts.iter().map(|_| AtomicUsize::new(1)).collect(),
                silent: ArcSwapOption::empty(),
                fell_back: AtomicBool::new(false),
            }),
        }
    }

    /// The version of the server that was last connected to.
    pub fn server_version(&self) -> Option<Arc<String>> {
        self.shared.server_version.load_full()
    }

    /// How many connections are open, those that are being closed included.
    pub fn open(&self) -> usize {
        *self.shared.open.borrow()
    }

    /// How many connections the server has ended so far with a word of its own.
    pub(super) fn farewells(&self) -> u64 {
        self.shared.farewells.load(Ordering::Relaxed)
    }

    /// A session has been ended by the server with a word of its own.
    pub(super) fn note_farewell(&self) {
        self.shared.farewells.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether nothing may be asked any more, because a pooler was noticed that answers to other questions.
    pub(super) fn is_pooled(&self) -> bool {
        self.shared.backends.are_pooled()
    }

    /// Whether a connection still stands before a session that a connection took.
    pub(super) async fn knows_session_of(&self, client: &Client) -> Result<bool, tokio_postgres::Error> {
        self.shared.backends.know(client).await
    }

    /// Each connection has a session to itself again.
    pub(super) fn note_no_pooler(&self) {
        self.shared.backends.note_no_pooler();
    }

    /// A session has answered as only one of such a pooler's does; what whoever asked is told.
    pub(super) fn note_pooler(&self) -> QueryErrorKind {
        self.shared.backends.note_pooler();
        pooled()
    }

    /// Waits until every connection has been closed.
    pub async fn closed(&self) {
        // The sender is in `self`, so waiting cannot fail.
        drop(self.shared.open.subscribe().wait_for(|open| *open == 0).await);
    }

    /// The longest that making a connection can take: every known address may take its time, each time it is tried. It grows
    /// where a lookup finds more addresses.
    pub fn patience(&self) -> Duration {
        let addresses: usize = self.shared.addresses.iter().map(|count| count.load(Ordering::Relaxed)).sum();
        let attempts = addresses.saturating_mul(self.passes().len());
        self.timeout.saturating_mul(u32::try_from(attempts).unwrap_or(u32::MAX).max(1))
    }

    /// The roles that the hosts are tried for, one after the other.
    fn passes(&self) -> &'static [Role] {
        match self.to.session_attrs {
            SessionAttrs::Any => &[Role::Any],
            SessionAttrs::Primary => &[Role::Primary],
            SessionAttrs::Standby => &[Role::Standby],
            SessionAttrs::PreferStandby => &[Role::Standby, Role::Any],
        }
    }

    /// Makes a connection. The task ends it: aborted, it says goodbye to the server first.
    pub(super) async fn dial(&self) -> Result<Dialled, tokio_postgres::Error> {
        let mut settings = self.settings();
        match &self.to.password {
            Password::None => {}
            Password::Given(secret) => {
                settings.password(secret.expose_secret());
            }
            Password::File(path) => {
                let read = tokio::fs::read(path).await;
                // Its path is for those alone who may see the variables.
                let read = read.map_err(|error| (error.kind(), format!("the password file cannot be read: {error}")));
                let secret = read.and_then(|bytes| {
                    secret_of_bytes(bytes).map_err(|why| (io::ErrorKind::InvalidData, format!("the password: {why}")))
                });
                match secret {
                    Ok(secret) => drop(settings.password(secret.expose_secret())),
                    Err((kind, why)) => {
                        let why = format!("{why}; see {}", self.password_at);
                        return Err(refuse(io::Error::new(kind, why)).await);
                    }
                }
            }
        }
        self.dial_in_order(&settings).await
    }

    /// Tries the hosts in their order; those that are wanted first, where others will do as well.
    async fn dial_in_order(&self, settings: &Config) -> Result<Dialled, tokio_postgres::Error> {
        let mut failure = None;
        for role in self.passes() {
            for (index, (host, port)) in self.to.hosts.iter().enumerate() {
                let mut settings = settings.clone();
                settings.host(host).port(*port);
                match self.dial_addresses(&settings, index, *role).await {
                    Ok(dialled) => return Ok(dialled),
                    Err(error) => failure = Some(error),
                }
            }
        }
        match failure {
            Some(failure) => Err(failure),
            None => Err(refuse(io::Error::new(io::ErrorKind::InvalidInput, "no host is configured")).await),
        }
    }

    /// Tries the addresses of the host at `index` one after the other.
    async fn dial_addresses(
        &self,
        settings: &Config,
        index: usize,
        role: Role,
    ) -> Result<Dialled, tokio_postgres::Error> {
        let Some((host, port)) = self.to.hosts.get(index) else {
            return Err(refuse(io::Error::new(io::ErrorKind::InvalidInput, "no host is configured")).await);
        };
        if host.starts_with('/') {
            return match timeout(self.timeout, self.dial_host(settings, host, role)).await {
                Ok(dialled) => dialled,
                Err(_) => Err(refuse(late(self.timeout)).await),
            };
        }
        let addresses = match look_up(host, *port, self.timeout).await {
            Ok(addresses) => addresses,
            Err(error) => return Err(refuse(error).await),
        };
        if let Some(count) = self.shared.addresses.get(index) {
            count.store(addresses.len(), Ordering::Relaxed);
        }
        let attempt = |address: SocketAddr| {
            let mut settings = settings.clone();
            settings.hostaddr(address.ip());
            async move { self.dial_host(&settings, host, role).await }
        };
        match in_turn(&addresses, &self.shared.silent, self.timeout, attempt).await {
            Ok(dialled) => Ok(dialled),
            Err(Some(error)) => Err(error),
            Err(None) => Err(refuse(late(self.timeout)).await),
        }
    }

    /// Connects to one address of a host, and sees whether it is in the role that is wanted.
    async fn dial_host(&self, settings: &Config, host: &str, role: Role) -> Result<Dialled, tokio_postgres::Error> {
        let (client, task, settled) = self.dial_as_safely_as_asked(settings, host).await?;
        if self.owns_sessions {
            let why = match settled {
                Settled::Otherwise => Some(UNSETTLED),
                Settled::At(place) if !place.take(&client).await? => Some(POOLED),
                Settled::At(_) => None,
            };
            if let Some(why) = why {
                task.abort();
                return Err(refuse(io::Error::other(why)).await);
            }
        }
        let in_recovery = match role {
            Role::Any => return Ok((client, task)),
            // Under no name, for poolers.
            Role::Primary | Role::Standby => client.simple_query("SELECT pg_catalog.pg_is_in_recovery()").await,
        };
        let (is, wanted) = match in_recovery {
            Ok(answer) if answer.iter().any(says_true) => ("a standby", Role::Standby),
            Ok(_) => ("a primary", Role::Primary),
            Err(error) => {
                task.abort();
                return Err(error);
            }
        };
        if wanted == role {
            return Ok((client, task));
        }
        task.abort();
        let asked = self.to.session_attrs.word();
        let why = format!("it is {is}, and target_session_attrs asks for `{asked}`");
        Err(refuse(io::Error::new(io::ErrorKind::Unsupported, why)).await)
    }

    /// With TLS or without, as `sslmode` says. As libpq does, `prefer` goes without where TLS or the login with it fails.
    async fn dial_as_safely_as_asked(
        &self,
        settings: &Config,
        host: &str,
    ) -> Result<(Client, JoinHandle<()>, Settled), tokio_postgres::Error> {
        let mode = if host.starts_with('/') { SslMode::Disable } else { self.to.tls.mode };
        let (mut settings, mut refused) = (settings.clone(), None);
        if mode != SslMode::Disable {
            let prefers = mode == SslMode::Prefer;
            settings.ssl_mode(if prefers { PgSslMode::Prefer } else { PgSslMode::Require });
            let tls = match self.tls().await {
                Ok(tls) => tls,
                Err(error) => return Err(refuse(error).await),
            };
            match settings.connect(tls).await {
                Ok((client, connection)) => {
                    self.shared.fell_back.store(false, Ordering::Relaxed);
                    let (task, settled) = self.tend(connection);
                    return Ok((client, task, settled));
                }
                Err(error) if prefers && may_do_without_tls(&error) => refused = Some(error),
                Err(error) => return Err(error),
            }
        }
        settings.ssl_mode(PgSslMode::Disable);
        let (client, connection) = settings.connect(NoTls).await?;
        if let Some(error) = refused {
            self.note_fallback(&error);
        }
        let (task, settled) = self.tend(connection);
        Ok((client, task, settled))
    }

    /// Warns once that `prefer` goes without TLS although the server offers it.
    fn note_fallback(&self, error: &tokio_postgres::Error) {
        if !self.shared.fell_back.swap(true, Ordering::Relaxed) {
            let why = ConnectError::of(error).to_string();
            tracing::warn!(
                domain = %self.domain,
                why,
                "postgres.tls.fallback: sslmode prefer sends everything in plain text, though the server offers TLS"
            );
        }
    }

    /// Asks the server to stop what the session of `token` runs; a pooler is not asked, since `PgBouncer` 1.18 (Debian 12) dies of
    /// it for all its clients: there the role's `statement_timeout` ends it.
    pub(super) async fn cancel(&self, token: &CancelToken) -> Result<(), tokio_postgres::Error> {
        if !self.owns_sessions {
            return Ok(());
        }
        if self.to.tls.mode == SslMode::Disable {
            return token.cancel_query(NoTls).await;
        }
        match self.tls().await {
            // The token knows whether its session uses TLS.
            Ok(tls) => token.cancel_query(tls).await,
            Err(_) => token.cancel_query(NoTls).await,
        }
    }

    /// What makes TLS connections. Files that it needs are read on a thread that nobody else waits for.
    async fn tls(&self) -> io::Result<MakeRustlsConnect> {
        if self.to.tls.root.is_none() && self.to.tls.identity.is_none() {
            return tls::connector(&self.to.tls);
        }
        let to = Arc::clone(&self.to);
        tokio::task::spawn_blocking(move || tls::connector(&to.tls)).await.map_err(io::Error::other)?
    }

    /// Runs the connection on a task of its own; the returned task stands for the client's interest in it.
    fn tend<S>(&self, connection: PgConnection<Socket, S>) -> (JoinHandle<()>, Settled)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        if let Some(version) = connection.parameter("server_version") {
            self.shared.server_version.store(Some(Arc::new(version.to_owned())));
        }
        let place = Arc::new(Place::before(&self.shared.backends));
        let settled = match connection.parameter("default_transaction_read_only") {
            Some("off") => Settled::Otherwise,
            _ => Settled::At(Arc::clone(&place)),
        };
        let (interest, lost) = oneshot::channel::<Infallible>();
        let open = OpenConnection::count(Arc::clone(&self.shared));
        tokio::spawn(async move {
            let mut connection = std::pin::pin!(drive(connection));
            let ended = tokio::select! {
                ended = &mut connection => ended,
                _ = lost => {
                    place.give_up();
                    match timeout(FAREWELL, &mut connection).await {
                        Ok(ended) => ended,
                        Err(_) => return,
                    }
                }
            };
            place.give_up();
            if let Err(error) = ended {
                if is_farewell(&error) {
                    open.0.farewells.fetch_add(1, Ordering::Relaxed);
                }
                tracing::debug!(error = &error as &dyn std::error::Error, "postgres.connection.broke");
            }
        });
        let interested = tokio::spawn(async move {
            let _interest = interest;
            std::future::pending::<()>().await;
        });
        (interested, settled)
    }

    fn settings(&self) -> Config {
        let mut settings = Config::new();
        settings
            .user(&self.to.user)
            .dbname(&self.to.database)
            .application_name(&self.to.application_name)
            .connect_timeout(self.timeout)
            .keepalives(true)
            .keepalives_idle(KEEPALIVE_IDLE)
            .keepalives_interval(KEEPALIVE_INTERVAL)
            .keepalives_retries(KEEPALIVE_RETRIES)
            .channel_binding(match self.to.tls.channel_binding {
                ChannelBinding::Disable => PgChannelBinding::Disable,
                ChannelBinding::Prefer => PgChannelBinding::Prefer,
                ChannelBinding::Require => PgChannelBinding::Require,
            })
            .tcp_user_timeout(UNACKNOWLEDGED);
        if !self.options.is_empty() {
            settings.options(&*self.options);
        }
        settings
    }
}

impl Connect for Connector {
    fn connect(&self, _: &Config) -> BoxFuture<'_, Result<Dialled, tokio_postgres::Error>> {
        Box::pin(self.dial())
    }
}

/// A connection, and the task that ends it.
type Dialled = (Client, JoinHandle<()>);

/// How the session of a new connection is.
enum Settled {
    /// As far as its server says, as it was asked to be, with a place before it.
    At(Arc<Place>),
    /// Not read only, though it was asked to be.
    Otherwise,
}

/// What is said instead of an answer that might be one to another question.
pub(super) fn pooled() -> QueryErrorKind {
    QueryErrorKind::Unavailable { why: POOLED.to_owned(), retry_after: OVERLOAD_PAUSE }
}

fn says_true(message: &SimpleQueryMessage) -> bool {
    matches!(message, SimpleQueryMessage::Row(row) if row.get(0) == Some("t"))
}

/// The role of a server that is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Any,
    Primary,
    Standby,
}

/// Whether the same login might work without TLS: the handshake failed, or the server's rules refuse logins with it.
fn may_do_without_tls(error: &tokio_postgres::Error) -> bool {
    match error.code() {
        Some(code) => *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
        None => tls::explain(error).is_some(),
    }
}

/// The server's own keepalives: a session whose client vanished without a word ends within a minute and frees its slot,
/// where by default it keeps it for two hours.
const SERVER_KEEPALIVES: &str = "-c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3";

/// What the user's own options may change, those, and what they may not.
fn session_options(config: &DomainConfig) -> String {
    let (own, limit) = (config.connection.options.as_str(), config.timeouts.query.as_millis().max(1));
    let zone = config.time_zone.iana_name().unwrap_or("UTC");
    let ours = format!("-c default_transaction_read_only=on -c statement_timeout={limit} -c TimeZone={zone}");
    [SERVER_KEEPALIVES, own, &ours].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Counts one connection for as long as it lives.
struct OpenConnection(Arc<Shared>);

impl OpenConnection {
    fn count(shared: Arc<Shared>) -> Self {
        shared.open.send_modify(|open| *open += 1);
        Self(shared)
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.open.send_modify(|open| *open = open.saturating_sub(1));
    }
}
