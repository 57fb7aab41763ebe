//! Servers, databases and domains for these tests.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tributary::actors::domain::{DomainHandle, QueryRequest};
use tributary::actors::supervision::DomainSet;
use tributary::config::{
    Coalescing, Connection, DomainConfig, Origin, Password, PoolConfig, Protocol, SessionAccess, SessionAttrs,
    Timeouts, Tls,
};
use tributary::flow::{QueryAnswer, QueryError, QueryErrorKind};
use tributary::graph::Query;
use tributary::types::{Deadline, DomainName, NodeId, Value};

use crate::support::{Server, coalescing, sql};
pub(crate) use crate::support::{eventually_async as eventually, shared_server};

/// Longer than anything in these tests should take on a busy machine.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// The time within which a domain that is down fails queries.
pub(crate) const AT_ONCE: Duration = Duration::from_millis(100);

/// The time within which a domain has to serve again after its server or network has recovered. Tests compare the quickest of several
/// recoveries with it: a busy machine can delay one of them, but only the domain delays all of them.
pub(crate) const RECOVERY: Duration = Duration::from_secs(1);

/// A new database on `server`, with `setup` run on it.
pub(crate) async fn database(server: &Server, name: &str, setup: &str) -> String {
    let url = server.url("postgres");
    sql::create_database(&url, name).await.expect("a database");
    run(server, name, setup).await;
    name.to_owned()
}

/// Runs `statements` as the superuser.
pub(crate) async fn run(server: &Server, database: &str, statements: &str) {
    sql::run(&server.url(database), "the test", statements).await.expect("the statements run");
}

/// A small domain on `database` of `server`.
pub(crate) fn config(server: &Server, database: &str) -> DomainConfig {
    DomainConfig {
        name: DomainName::parse("oms_db").expect("a name"),
        origin: Origin::Variables { prefix: "OMS_DB_".to_owned() },
        connection: Connection {
            protocol: Protocol::Postgres,
            hosts: vec![(server.host().to_owned(), server.port())],
            user: "postgres".to_owned(),
            password: Password::None,
            database: database.to_owned(),
            application_name: format!("test of {database}"),
            options: String::new(),
            tls: Tls::default(),
            session_attrs: SessionAttrs::Any,
        },
        access: SessionAccess::ReadOnly,
        write: None,
        pool: PoolConfig { min: 2, max: 4, coalesce: coalescing(), ..PoolConfig::default() },
        timeouts: Timeouts { probe_interval: Duration::from_millis(200), ..Timeouts::default() },
        max_staleness: None,
        time_zone: jiff::tz::TimeZone::UTC,
    }
}

/// A domain with its supervisor.
pub(crate) struct Domain {
    pub(crate) set: DomainSet,
    pub(crate) handle: DomainHandle,
}

impl Domain {
    pub(crate) fn start(config: DomainConfig) -> Self {
        let name = config.name.clone();
        let set = DomainSet::start(vec![config]).expect("a domain");
        set.join();
        let handle = set.get(&name).expect("its handle");
        Self { set, handle }
    }

    pub(crate) async fn ready(config: DomainConfig) -> Self {
        let domain = Self::start(config);
        domain.handle.wait_ready(Deadline::after(LONG)).await.expect("a ready domain");
        domain
    }

    pub(crate) async fn ask(&self, text: &str, params: &[Value]) -> Result<QueryAnswer, QueryError> {
        self.ask_within(text, params, LONG, None).await
    }

    pub(crate) async fn ask_within(
        &self,
        text: &str,
        params: &[Value],
        limit: Duration,
        timeout: Option<Duration>,
    ) -> Result<QueryAnswer, QueryError> {
        ask(&self.handle, &query(text), params, limit, timeout).await
    }

    pub(crate) async fn refused(&self, text: &str, params: &[Value]) -> QueryErrorKind {
        self.ask(text, params).await.expect_err("a refusal").kind
    }

    /// The value of the first column of the only row.
    pub(crate) async fn value(&self, text: &str, params: &[Value]) -> Value {
        let answer = self.ask(text, params).await.expect("an answer");
        assert_eq!(answer.rows.len(), 1, "{text}");
        first(&answer.rows[0])
    }

    pub(crate) async fn drain(self) {
        self.set.drain(LONG).await;
    }
}

pub(crate) fn query(text: &str) -> Arc<Query> {
    query_of(text, 10_000)
}

/// A query of a node that takes at most `max_rows` rows.
pub(crate) fn query_of(text: &str, max_rows: usize) -> Arc<Query> {
    Query::new(NodeId::parse("oms_history").expect("a name"), text, Coalescing::Auto, max_rows)
}

pub(crate) async fn ask(
    handle: &DomainHandle,
    query: &Arc<Query>,
    params: &[Value],
    limit: Duration,
    timeout: Option<Duration>,
) -> Result<QueryAnswer, QueryError> {
    handle.query(request(query, params, limit, timeout)).await
}

/// Asks as a decision of a batch does.
pub(crate) async fn ask_in_bulk(
    handle: &DomainHandle,
    query: &Arc<Query>,
    params: &[Value],
    limit: Duration,
) -> Result<QueryAnswer, QueryError> {
    handle.query(QueryRequest { in_bulk: Some(limit), ..request(query, params, limit, None) }).await
}

fn request(query: &Arc<Query>, params: &[Value], limit: Duration, timeout: Option<Duration>) -> QueryRequest {
    let deadline = Deadline::after(limit);
    QueryRequest {
        query: Arc::clone(query),
        params: params.to_vec(),
        deadline,
        timeout,
        in_bulk: None,
        traceparent: None,
    }
}

pub(crate) fn first(row: &Value) -> Value {
    let Value::Map(record) = row else { panic!("{row} is no row") };
    record.iter().next().expect("a column").1.clone()
}

/// The duration of the quickest of several failed queries of a domain that is down. A busy machine can delay one of them, but only
/// the domain delays all of them.
pub(crate) async fn quickest_refusal(domain: &Domain) -> Duration {
    let mut quickest = Duration::MAX;
    for _ in 0..5 {
        let asked = Instant::now();
        let error = domain.ask("SELECT 1 AS n", &[]).await.expect_err("a refusal");
        assert!(matches!(error.kind, QueryErrorKind::Unavailable { .. }), "{error:?}");
        quickest = quickest.min(asked.elapsed());
    }
    quickest
}

/// The slowest of plain queries over a connection of their own, until `until`: how long this machine delays any query.
pub(crate) async fn stalls(server: &Server, until: Instant) -> Duration {
    let (client, connection) =
        tokio_postgres::connect(&server.url("postgres"), tokio_postgres::NoTls).await.expect("the server answers");
    tokio::spawn(connection);
    let mut longest = Duration::ZERO;
    while Instant::now() < until {
        let asked = Instant::now();
        client.batch_execute("SELECT 1").await.expect("the server answers");
        longest = longest.max(asked.elapsed());
        actix::clock::sleep(Duration::from_millis(5)).await;
    }
    longest
}

/// A lock in a database, for which [`LOCKED`] waits.
pub(crate) struct Gate(tokio_postgres::Client);

/// A query that waits while a [`Gate`] is shut.
pub(crate) const LOCKED: &str = "SELECT 1 AS n FROM pg_advisory_xact_lock_shared(7)";

impl Gate {
    /// Shuts the gate of `database`.
    pub(crate) async fn shut(server: &Server, database: &str) -> Self {
        let (client, connection) =
            tokio_postgres::connect(&server.url(database), tokio_postgres::NoTls).await.expect("the server answers");
        tokio::spawn(connection);
        client.batch_execute("SELECT pg_advisory_lock(7)").await.expect("locked");
        Self(client)
    }

    pub(crate) async fn open(self) {
        self.0.batch_execute("SELECT pg_advisory_unlock(7)").await.expect("unlocked");
    }
}

/// A value, from JSON.
pub(crate) fn json(text: &str) -> Value {
    Value::from_json(&serde_json::from_str(text).expect("JSON")).expect("a value")
}

/// The number of sessions of `database`, without the one that counts them.
pub(crate) async fn sessions(server: &Server, database: &str) -> i64 {
    let (client, connection) =
        tokio_postgres::connect(&server.url("postgres"), tokio_postgres::NoTls).await.expect("the server answers");
    tokio::spawn(connection);
    let count = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1";
    client.query_one(count, &[&database]).await.expect("a count").get(0)
}

/// A domain with one connection: queries that arrive while it is busy are sent together.
pub(crate) async fn single(server: &Server, name: &str, setup: &str) -> (Domain, DomainConfig) {
    let database = database(server, name, setup).await;
    let mut config = config(server, &database);
    (config.pool.min, config.pool.max) = (1, 1);
    config.pool.coalesce = Coalescing::Auto;
    // No query times out while it waits for the connection, however slow the machine is.
    config.timeouts.acquire = LONG;
    (Domain::ready(config.clone()).await, config)
}
