//! Rows to values, for every type that has a mapping: a thousand rows of one column from a server on this machine, read
//! by a session, and by the driver alone, which decodes nothing. The difference is what decoding costs.

use std::time::Duration;

use crate::server::{Server, sql};
use criterion::{BenchmarkId, Criterion, Throughput};
use tokio::runtime::Runtime;
use tokio_postgres::NoTls;
use tributary::config::{
    Coalescing, Connection, DomainConfig, Origin, Password, PoolConfig, Protocol, SessionAccess, SessionAttrs,
    Timeouts, Tls,
};
use tributary::graph::Query;
use tributary::postgres::{Connector, Pool, QueryState, Session};
use tributary::types::{Deadline, DomainName, NodeId};

/// Rows of an answer.
const ROWS: u64 = 1_000;

/// Types, and a value of each that differs from row to row.
const TYPES: [(&str, &str); 20] = [
    ("bool", "n % 2 = 0"),
    ("int2", "n"),
    ("int4", "n * 1000"),
    ("int8", "n * 10000000000"),
    ("oid", "n"),
    ("float4", "n * 0.1"),
    ("float8", "n * 0.1"),
    ("numeric", "n * 1.01"),
    ("text", "'product ' || n"),
    ("varchar", "'product ' || n"),
    ("uuid", "md5(n::text)"),
    ("date", "'2024-01-01'::date + n"),
    ("time", "'08:30'::time + n * interval '1 second'"),
    ("timetz", "'08:30+02'"),
    ("timestamp", "'2024-01-01'::timestamp + n * interval '1 second'"),
    ("timestamptz", "'2024-01-01'::timestamptz + n * interval '1 second'"),
    ("interval", "n * interval '1 second'"),
    ("jsonb", "json_build_object('n', n, 'name', 'product ' || n)"),
    ("int4[]", "ARRAY[n, n + 1, n + 2]"),
    ("text[]", "ARRAY['a', 'product ' || n]"),
];

pub fn measure(criterion: &mut Criterion) {
    let server = Server::disposable(&[]).expect("a server");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(sql::run(&server.url("postgres"), "the rows", &tables())).expect("the tables");
    let client = driver(&runtime, &server.url("postgres"));
    let config = config(&server);
    let pool = runtime.block_on(async { Pool::new(Connector::new(&config), &config).expect("a pool") });
    let session = runtime.block_on(pool.acquire(Deadline::after(LIMIT))).expect("a session");
    let session = Session::from(session);
    let mut group = criterion.benchmark_group("rows");
    group.throughput(Throughput::Elements(ROWS));
    for (number, (ty, _)) in TYPES.iter().enumerate() {
        let text = format!("SELECT c FROM t{number}");
        let query = QueryState::new(Query::new(
            NodeId::parse("rows").expect("a name"),
            text.as_str(),
            Coalescing::Off,
            100_000,
        ));
        group.bench_function(BenchmarkId::new("values", ty), |bench| {
            bench.iter(|| {
                let rows = runtime.block_on(session.query(&query, &[], LIMIT)).expect("rows");
                assert_eq!(rows.len() as u64, ROWS);
            });
        });
        let statement = runtime.block_on(client.prepare(&text)).expect("a statement");
        group.bench_function(BenchmarkId::new("driver alone", ty), |bench| {
            bench.iter(|| {
                let rows = runtime.block_on(client.query(&statement, &[])).expect("rows");
                assert_eq!(rows.len() as u64, ROWS);
            });
        });
    }
    group.finish();
    drop(session);
    runtime.block_on(async { pool.close() });
}

fn tables() -> String {
    let tables = TYPES.iter().enumerate().map(|(number, (ty, value))| {
        format!("CREATE TABLE t{number} AS SELECT ({value})::{ty} AS c FROM generate_series(1, {ROWS}) n;\n")
    });
    tables.collect()
}

fn driver(runtime: &Runtime, url: &str) -> tokio_postgres::Client {
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("a connection");
        drop(tokio::spawn(connection));
        client
    })
}

fn config(server: &Server) -> DomainConfig {
    DomainConfig {
        name: DomainName::parse("rows_db").expect("a name"),
        origin: Origin::Graph,
        connection: Connection {
            protocol: Protocol::Postgres,
            hosts: vec![(server.host().to_owned(), server.port())],
            user: "postgres".to_owned(),
            password: Password::None,
            database: "postgres".to_owned(),
            application_name: "parts".to_owned(),
            options: String::new(),
            tls: Tls::default(),
            session_attrs: SessionAttrs::Any,
        },
        access: SessionAccess::ReadOnly,
        write: None,
        pool: PoolConfig { min: 1, max: 1, ..PoolConfig::default() },
        timeouts: Timeouts::default(),
        max_staleness: None,
        time_zone: jiff::tz::TimeZone::UTC,
    }
}

/// No longer than the session allows anyway (`Timeouts::query`): more would be a statement of its own.
const LIMIT: Duration = Duration::from_secs(4);
