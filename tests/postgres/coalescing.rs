//! Coalesced queries get the same rows as queries that are run singly.

use std::time::Duration;

use actix::clock::sleep;
use futures_util::future::join_all;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config as Cases, RngAlgorithm, TestRng, TestRunner};
use tributary::actors::domain::DomainHandle;
use tributary::config::{Coalescing, DomainConfig};
use tributary::flow::{QueryError, QueryErrorKind};
use tributary::graph::Query;
use tributary::types::{NodeId, Value};

use crate::fixture::{Domain, LONG, ask, config, database, first, json, query, run, shared_server};
use crate::support::connect;

const SETUP: &str = "
    CREATE TYPE trend AS ENUM ('up', 'flat', 'down');
    CREATE DOMAIN quantity AS numeric(12, 2);
    CREATE TABLE stock (
        id int PRIMARY KEY, product text, qty int, price numeric(9, 2), weight float8, sold_on date, seen timestamptz,
        trend trend, active boolean, code char(4), big bigint, small smallint, extra jsonb, tags text[], key uuid
    );
    INSERT INTO stock SELECT
        n, 'p' || n % 7, CASE WHEN n % 5 > 0 THEN n % 11 END, (n * 1.25)::numeric(9, 2), n / 3.0, date '2024-01-01' + n,
        timestamptz '2024-01-01 00:00Z' + n * interval '1 hour', (ARRAY['up', 'flat', 'down'])[1 + n % 3]::trend,
        n % 2 = 0, 'c' || n % 4, n * 10000000000, n % 100, jsonb_build_object('n', n % 3),
        CASE WHEN n % 4 > 0 THEN ARRAY['t' || n % 2, NULL] END,
        ('00000000-0000-0000-0000-0000000000' || lpad((n % 20)::text, 2, '0'))::uuid
    FROM generate_series(1, 60) AS n;
    CREATE VIEW cheap AS SELECT * FROM stock WHERE price < 30;
    CREATE FUNCTION twice(n int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT n * 2';
    CREATE FUNCTION roll(n int) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT n';
";

/// The number of wrapped queries that are prepared on the domain's only connection.
const WRAPPED: &str = "SELECT count(*) AS n FROM pg_prepared_statements WHERE statement LIKE 'SELECT tri' || 'butary%'";

/// A domain with a single connection, so that queries wait while it is in use.
async fn single(name: &str) -> (Domain, DomainConfig) {
    let server = shared_server();
    let database = database(server, name, SETUP).await;
    let mut config = config(server, &database);
    (config.pool.min, config.pool.max) = (1, 1);
    config.pool.coalesce = Coalescing::Auto;
    (Domain::ready(config.clone()).await, config)
}

type Rows = Result<Vec<Value>, QueryError>;

/// The rows of `text` for each of `asks`: asked one after the other, and asked concurrently, twice.
async fn singly_and_coalesced(handle: &DomainHandle, text: &str, asks: &[Vec<Value>]) -> (Vec<Rows>, Vec<Rows>) {
    let query = query(text);
    let asked = async |params: &Vec<Value>| ask(handle, &query, params, LONG, None).await.map(|answer| answer.rows);
    let mut apart = Vec::new();
    for params in asks {
        apart.push(asked(params).await);
    }
    let mut together = join_all(asks.iter().map(asked)).await;
    together.extend(join_all(asks.iter().map(asked)).await);
    (apart, together)
}

/// Whether the rows are the same, and in the same order where the query orders them.
fn same(text: &str, apart: &Rows, together: &Rows) -> Result<(), String> {
    let shown = |rows: &Rows| match rows {
        Ok(rows) => {
            let mut rows: Vec<String> = rows.iter().map(|row| serde_json::to_string(row).expect("JSON")).collect();
            if !text.contains("ORDER BY") {
                rows.sort();
            }
            rows.join("\n")
        }
        Err(error) => format!("{:?}", error.kind),
    };
    let (apart, together) = (shown(apart), shown(together));
    if apart == together { Ok(()) } else { Err(format!("{text}\nsingly: {apart}\ncoalesced: {together}")) }
}

/// The number of executions of the wrapped query with a custom plan.
const CUSTOM_PLANS: &str =
    "SELECT custom_plans FROM pg_prepared_statements WHERE statement LIKE 'SELECT tri' || 'butary%'";
/// The number of custom plans before PostgreSQL considers the generic plan.
const MAX_CUSTOM_PLANS: i64 = 5;

async fn is_wrapped(domain: &Domain) -> bool {
    domain.value(WRAPPED, &[]).await != json("0")
}

/// A column, its SQL type, and values to compare it with.
fn columns() -> impl Strategy<Value = (&'static str, &'static str, Vec<&'static str>)> {
    prop_oneof![
        Just(("id", "int4", vec!["1", "7", "60", "61", "-1"])),
        Just(("product", "text", vec![r#""p1""#, r#""p6""#, r#""p7""#, r#""""#, r#""it's \"$1\" -- ;""#])),
        Just(("qty", "int4", vec!["0", "3", "10", "99"])),
        Just(("price", "numeric", vec!["1.25", "1.250", "75", "0.00"])),
        Just(("weight", "float8", vec!["1", "0.5", "20"])),
        Just(("sold_on", "date", vec![r#""2024-01-05""#, r#""2025-01-01""#])),
        Just(("seen", "timestamptz", vec![r#""2024-01-01T05:00:00Z""#, r#""2030-01-01T00:00:00Z""#])),
        Just(("trend", "trend", vec![r#""up""#, r#""down""#])),
        Just(("active", "bool", vec!["true", "false"])),
        Just(("code", "bpchar", vec![r#""c1""#, r#""c1  ""#, r#""zz""#])),
        Just(("big", "int8", vec!["10000000000", "5"])),
        Just(("small", "int2", vec!["3", "-3"])),
        Just(("extra", "jsonb", vec![r#"{"n":1}"#, r#"{"n":9}"#, "[1,2]"])),
        Just(("key", "uuid", vec![r#""00000000-0000-0000-0000-000000000007""#])),
    ]
}

/// A query with up to two parameters, and sets of parameters.
fn questions() -> impl Strategy<Value = (String, Vec<Vec<String>>)> {
    let operator = prop::sample::select(vec!["=", "<", ">=", "IS NOT DISTINCT FROM", "<>"]);
    let limit = prop_oneof![Just(String::new()), (0..4_u8).prop_map(|limit| format!(" LIMIT {limit}"))];
    let order = prop::sample::select(vec![" ORDER BY id", " ORDER BY price DESC", " ORDER BY product, id DESC"]);
    let shape = prop::sample::select(vec![
        "SELECT id, product, qty, price, weight, sold_on, seen, trend, active, code, big, small, extra, tags, key \
         FROM stock WHERE {1} AND {2}{order}{limit}",
        "SELECT * FROM stock AS u WHERE {1} OR {2}{order}{limit}",
        "SELECT count(*) AS n, sum(qty) AS total, max(price) AS dearest FROM stock WHERE {1} AND {2}",
        "SELECT product, count(*) AS n FROM stock WHERE {1} GROUP BY product HAVING count(*) > 1",
        "WITH few AS (SELECT * FROM stock WHERE {1}) SELECT id, price, row_number() OVER (ORDER BY id) AS place \
         FROM few ORDER BY id",
        "SELECT DISTINCT product FROM cheap WHERE {1} AND {2}",
        "SELECT (SELECT max(id) FROM stock WHERE {1}) AS highest, EXISTS (SELECT FROM stock WHERE {2}) AS found",
        "SELECT id FROM stock WHERE {1} UNION ALL SELECT -id FROM stock WHERE {2}",
        "SELECT a.id, b.id AS other FROM stock a JOIN stock b ON b.id = a.id + 1 WHERE {1:a}",
        "SELECT $1::{t} AS given, twice(id) AS doubled FROM stock WHERE {1} ORDER BY id",
        "SELECT $1::{t} AS given, $2::{u} AS also",
        "SELECT upper(product) AS p, coalesce(qty, 0) + 1 AS q, '$1 ; (' AS odd FROM stock WHERE {1} ORDER BY id{limit}",
    ]);
    (shape, columns(), columns(), operator, order, limit)
        .prop_flat_map(|(shape, (a, t, of_a), (b, u, of_b), operator, order, limit)| {
            let text = shape
                .replace("{1}", &format!("{a} {operator} $1::{t}"))
                .replace("{1:a}", &format!("a.{a} {operator} $1::{t}"))
                .replace("{2}", &format!("{b} {operator} $2::{u}"))
                .replace("{order}", order)
                .replace("{limit}", &limit)
                .replace("{t}", t)
                .replace("{u}", u);
            let value = |values: Vec<&'static str>| {
                let values: Vec<String> = values.into_iter().map(str::to_owned).collect();
                prop_oneof![1 => Just("null".to_owned()), 5 => prop::sample::select(values)]
            };
            let two = text.contains("$2");
            let ask = (value(of_a), value(of_b)).prop_map(move |(a, b)| if two { vec![a, b] } else { vec![a] });
            (Just(text), vec(ask, 8..90))
        })
        // The order has to be total: equal rows may come in any order.
        .prop_map(|(text, asks)| (text.replace("ORDER BY price DESC", "ORDER BY price DESC, id"), asks))
}

#[actix::test]
async fn generated_queries_give_the_same_rows_coalesced_and_singly() {
    let (domain, _) = single("coalesced").await;
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Cases::default(), rng);
    for _ in 0..120 {
        let (text, asks) = questions().new_tree(&mut runner).expect("a question").current();
        let asks: Vec<Vec<Value>> = asks.iter().map(|ask| ask.iter().map(|value| json(value)).collect()).collect();
        let (apart, together) = singly_and_coalesced(&domain.handle, &text, &asks).await;
        for (apart, together) in apart.iter().cycle().zip(&together) {
            if let Err(error) = apart {
                panic!("{text}: {error:?}");
            }
            same(&text, apart, together).unwrap_or_else(|difference| panic!("{difference}"));
        }
    }
    let Value::Integer(wrapped) = domain.value(WRAPPED, &[]).await else { panic!("no count") };
    assert!(wrapped > 60, "only {wrapped} of 120 queries were coalesced");
    domain.drain().await;
}

/// A query, the values of its parameter, and whether it is coalesced.
const CASES: [(&str, &[&str], bool); 12] = [
    ("SELECT id FROM stock WHERE id = $1", &["1", "2", "99", "null"], true),
    ("SELECT g AS n FROM generate_series(1, $1::int4) AS g ORDER BY g DESC", &["0", "1", "40", "null"], true),
    ("SELECT id FROM stock ORDER BY id LIMIT $1", &["0", "3", "null"], true),
    ("SELECT sum(qty * $1) AS total FROM stock", &["2", "null"], true),
    ("SELECT 1 / $1::int4 AS n", &["1", "2", "0"], true),
    ("SELECT $1::float8 AS n", &["1.5", "2"], true),
    // An aggregate over only a parameter would belong to the outer query.
    ("SELECT max($1::int4) AS n FROM stock", &["1", "2"], false),
    ("SELECT id FROM stock WHERE id = ANY ($1::int4[]) ORDER BY id", &["[1,2]", "[]", "null", "[2]"], false),
    ("SELECT $1::quantity AS n", &["1.5", "2"], false),
    ("SELECT roll($1) AS n", &["1", "2"], false),
    ("SELECT $1::int4 AS n -- as it is", &["1", "2"], false),
    ("VALUES ($1::int4)", &["1", "2"], false),
];

#[actix::test]
async fn each_query_gets_its_own_rows_and_its_own_error_whether_it_can_be_wrapped_or_not() {
    for (number, (text, values, wraps)) in CASES.into_iter().enumerate() {
        let (domain, _) = single(&format!("coalesced_{number}")).await;
        let asks: Vec<Vec<Value>> = values.iter().cycle().take(40).map(|value| vec![json(value)]).collect();
        let (apart, together) = singly_and_coalesced(&domain.handle, text, &asks).await;
        for (apart, together) in apart.iter().cycle().zip(&together) {
            same(text, apart, together).unwrap_or_else(|difference| panic!("{difference}"));
        }
        assert_eq!(is_wrapped(&domain).await, wraps, "{text}");
        domain.drain().await;
    }
}

#[actix::test]
async fn a_value_that_does_not_fit_fails_only_its_own_query() {
    let (domain, _) = single("coalesced_unfit").await;
    let text = "SELECT id FROM stock WHERE id = $1";
    let asks: Vec<Vec<Value>> =
        ["1", "\"one\"", "2", "1.5"].iter().cycle().take(40).map(|value| vec![json(value)]).collect();
    let (_, together) = singly_and_coalesced(&domain.handle, text, &asks).await;
    for (number, rows) in together.iter().enumerate() {
        match rows {
            Ok(rows) => {
                let id = if number % 4 == 0 { 1 } else { 2 };
                assert_eq!((number % 2, rows.iter().map(first).collect()), (0, vec![Value::Integer(id)]));
            }
            Err(error) => {
                assert_eq!(number % 2, 1, "{error}");
                assert!(matches!(error.kind, QueryErrorKind::Parameter { number: 1, .. }), "{error:?}");
            }
        }
    }
    assert!(is_wrapped(&domain).await);
    domain.drain().await;
}

#[actix::test]
async fn nothing_is_coalesced_where_the_domain_or_the_node_turns_it_off() {
    let text = "SELECT id FROM stock WHERE id = $1";
    let asks: Vec<Vec<Value>> = (1..=40_i64).map(|id| vec![Value::Integer(id)]).collect();
    let (domain, mut config) = single("coalescing_off").await;
    let node = Query::new(NodeId::parse("oms_history").expect("a name"), text, Coalescing::Off, 10_000);
    for _ in 0..3 {
        ask(&domain.handle, &node, &asks[0], LONG, None).await.expect("rows");
    }
    join_all(asks.iter().map(|params| ask(&domain.handle, &node, params, LONG, None))).await;
    assert!(!is_wrapped(&domain).await, "a node without coalescing was coalesced");
    config.pool.coalesce = Coalescing::Off;
    domain.set.restart(&config.name.clone(), Some(config)).await.expect("restarted");
    let (_, together) = singly_and_coalesced(&domain.handle, text, &asks).await;
    for (rows, params) in together.iter().zip(asks.iter().cycle()) {
        assert_eq!(rows.as_ref().map(|rows| rows.iter().map(first).collect()), Ok(params.clone()));
    }
    assert!(!is_wrapped(&domain).await, "a domain without coalescing coalesced");
    domain.drain().await;
}

#[actix::test]
async fn a_short_batch_uses_the_generic_plan() {
    let (domain, config) = single("coalesced_plans").await;
    // Large enough that an index scan looks cheaper for fewer keys.
    let rows = "CREATE TABLE many AS SELECT n AS id FROM generate_series(1, 20000) AS n; ALTER TABLE many ADD PRIMARY KEY (id); ANALYZE many";
    run(shared_server(), &config.connection.database, rows).await;
    let query = query("SELECT id FROM many WHERE id = $1");
    for first in (0..200_i64).step_by(4) {
        let asks: Vec<[Value; 1]> = (first..first + 4).map(|id| [Value::Integer(id + 1)]).collect();
        let answers = join_all(asks.iter().map(|params| ask(&domain.handle, &query, params, LONG, None))).await;
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    }
    let planned = domain.value(CUSTOM_PLANS, &[]).await;
    assert!(matches!(planned, Value::Integer(count) if count <= MAX_CUSTOM_PLANS), "custom plans: {planned}");
    domain.drain().await;
}

#[actix::test]
async fn a_query_is_still_coalesced_after_its_tables_have_changed() {
    let (domain, config) = single("coalesced_drift").await;
    let (server, database) = (shared_server(), &config.connection.database);
    let query = query("SELECT * FROM moved WHERE id <= $1 ORDER BY id");
    let asks: Vec<[Value; 1]> = (0..40_i64).map(|id| [Value::Integer(id % 4)]).collect();
    run(server, database, "CREATE TABLE moved AS SELECT n AS id FROM generate_series(1, 3) AS n").await;
    for change in [
        "SELECT 1",
        "ALTER TABLE moved ADD COLUMN shelf text DEFAULT 's'",
        "ALTER TABLE moved ALTER COLUMN shelf TYPE varchar(9)",
        "ALTER TABLE moved ALTER COLUMN id TYPE int8",
        "ALTER TABLE moved DROP COLUMN shelf",
    ] {
        run(server, database, change).await;
        for _ in 0..3 {
            ask(&domain.handle, &query, &asks[1], LONG, None).await.expect("rows");
        }
        let answers = join_all(asks.iter().map(|params| ask(&domain.handle, &query, params, LONG, None))).await;
        for (number, answer) in answers.into_iter().enumerate() {
            let rows = answer.unwrap_or_else(|error| panic!("after {change}: {error:?}")).rows;
            let ids: Vec<Value> = rows.iter().map(first).collect();
            let expected: Vec<Value> = (1..=i64::try_from(number % 4).expect("few")).map(Value::Integer).collect();
            assert_eq!(ids, expected, "after {change}");
        }
    }
    domain.drain().await;
}

#[actix::test]
async fn queries_that_time_out_early_do_not_shift_the_rows_of_the_others() {
    let server = shared_server();
    let database = database(server, "leaves", "CREATE TABLE leaves AS SELECT generate_series(0, 99)::int8 AS n").await;
    let mut config = config(server, &database);
    config.pool.coalesce = Coalescing::Auto;
    let domain = Domain::ready(config).await;
    let asked = query("SELECT n FROM leaves WHERE n = $1");
    for n in 0..20 {
        ask(&domain.handle, &asked, &[Value::Integer(n)], LONG, None).await.expect("rows");
    }
    let holder = connect(&server.url(&database)).await;
    let mut late = 0;
    for _ in 0..10 {
        holder.batch_execute("BEGIN; LOCK TABLE leaves").await.expect("locked");
        let asks = (0..24).map(|n| {
            let (handle, asked) = (domain.handle.clone(), asked.clone());
            async move {
                // Every third has a short timeout.
                let limit = (n % 3 == 0).then_some(Duration::from_millis(20));
                let outcome = ask(&handle, &asked, &[Value::Integer(n)], LONG, limit).await;
                outcome.map(|answer| (n, answer.rows.len(), first(&answer.rows[0])))
            }
        });
        let released = async {
            sleep(Duration::from_millis(60)).await;
            holder.batch_execute("ROLLBACK").await.expect("released");
        };
        let (outcomes, ()) = tokio::join!(join_all(asks), released);
        for outcome in outcomes {
            match outcome {
                Ok((n, rows, value)) => assert_eq!((rows, value), (1, Value::Integer(n))),
                Err(error) => {
                    assert!(matches!(error.kind, QueryErrorKind::Timeout { .. }), "{error:?}");
                    late += 1;
                }
            }
        }
    }
    assert!(late > 0, "some timed out");
    domain.drain().await;
}
