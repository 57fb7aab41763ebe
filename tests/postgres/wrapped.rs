//! Wrapped queries give each query its own answer, also after tables have changed.

use std::sync::Arc;

use futures_util::future::join_all;
use tributary::config::DomainConfig;
use tributary::flow::{QueryError, QueryErrorKind};
use tributary::graph::Query;
use tributary::types::Value;

use crate::fixture::{Domain, LONG, ask, eventually, query, run, shared_server, single};

const STOCK: &str = "
    CREATE TABLE stock (product_id text PRIMARY KEY, reserved int NOT NULL, available int NOT NULL);
    INSERT INTO stock SELECT 'P' || n, 0, 1000 + n FROM generate_series(0, 99) AS n;
";
/// Swaps the columns, as a restore with another order does.
const SWAP: &str = "
    CREATE TABLE stock_new (product_id text PRIMARY KEY, available int NOT NULL, reserved int NOT NULL);
    INSERT INTO stock_new SELECT product_id, available, reserved FROM stock;
    ALTER TABLE stock RENAME TO stock_old;
    ALTER TABLE stock_new RENAME TO stock;
";
const PRICE: &str = "
    CREATE TABLE price (product_id text PRIMARY KEY, p1 text NOT NULL, p2 text NOT NULL, ord int, n int, c1 text);
    INSERT INTO price SELECT 'P' || n, 'A' || n, 'B' || n, n, n, 'C' || n FROM generate_series(0, 99) AS n;
";

async fn change(config: &DomainConfig, statements: &str) {
    run(shared_server(), &config.connection.database, statements).await;
}

/// The rows as JSON with the number of queries of their statement, or an error.
type Outcome = Result<(String, usize), QueryErrorKind>;

/// Asks for `P0`, `P1`, ... concurrently, with further parameters.
async fn concurrently(domain: &Domain, query: &Arc<Query>, further: &[Value]) -> Vec<Outcome> {
    let asks: Vec<Vec<Value>> =
        (0..40).map(|n| product(n).into_iter().chain(further.iter().cloned()).collect()).collect();
    let answers = join_all(asks.iter().map(|params| ask(&domain.handle, query, params, LONG, None))).await;
    let outcome = |answer: Result<tributary::flow::QueryAnswer, QueryError>| match answer {
        Ok(answer) => Ok((serde_json::to_string(&answer.rows).expect("JSON"), answer.together)),
        Err(error) => Err(error.kind),
    };
    answers.into_iter().map(outcome).collect()
}

fn product(n: i64) -> Vec<Value> {
    vec![Value::Text(format!("P{n}").into())]
}

/// Asks until queries are coalesced. Each answer has to be as expected.
async fn coalesced(domain: &Domain, query: &Arc<Query>, further: &[Value], expected: impl Fn(i64) -> String) {
    eventually(&format!("{} is coalesced", query.text()), async || {
        let outcomes = concurrently(domain, query, further).await;
        for (n, outcome) in (0..).zip(&outcomes) {
            let (row, _) = outcome.as_ref().expect("an answer");
            assert_eq!(*row, expected(n), "{}", query.text());
        }
        outcomes.iter().flatten().any(|(_, together)| *together > 1)
    })
    .await;
}

fn uncoalesced(domain: &Domain) -> u64 {
    domain.handle.health().batches.uncoalesced
}

#[actix::test]
async fn columns_that_are_swapped_keep_their_values() {
    let (domain, config) = single(shared_server(), "wrapped_places", STOCK).await;
    for (number, text) in
        ["SELECT * FROM stock WHERE product_id = $1", "SELECT * FROM stock WHERE product_id = $1 ORDER BY product_id"]
            .into_iter()
            .enumerate()
    {
        if number > 0 {
            change(&config, "DROP TABLE stock; ALTER TABLE stock_old RENAME TO stock").await;
        }
        let query = query(text);
        let before = |n| format!(r#"[{{"product_id":"P{n}","reserved":0,"available":{}}}]"#, 1000 + n);
        coalesced(&domain, &query, &[], before).await;
        change(&config, SWAP).await;
        let after = |n| format!(r#"[{{"product_id":"P{n}","available":{},"reserved":0}}]"#, 1000 + n);
        coalesced(&domain, &query, &[], after).await;
    }
    domain.drain().await;
}

#[actix::test]
async fn columns_of_the_same_type_that_are_renamed_have_their_new_names() {
    let (domain, config) = single(shared_server(), "wrapped_names", STOCK).await;
    let (all, named) = (
        query("SELECT * FROM stock WHERE product_id = $1"),
        query("SELECT reserved, available FROM stock WHERE product_id = $1"),
    );
    let names = |n| format!(r#"[{{"reserved":0,"available":{}}}]"#, 1000 + n);
    coalesced(&domain, &all, &[], |n| format!(r#"[{{"product_id":"P{n}","reserved":0,"available":{}}}]"#, 1000 + n))
        .await;
    coalesced(&domain, &named, &[], names).await;
    let swap = "ALTER TABLE stock RENAME available TO x; ALTER TABLE stock RENAME reserved TO available; \
                ALTER TABLE stock RENAME x TO reserved";
    change(&config, swap).await;
    coalesced(&domain, &all, &[], |n| format!(r#"[{{"product_id":"P{n}","available":0,"reserved":{}}}]"#, 1000 + n))
        .await;
    coalesced(&domain, &named, &[], |n| format!(r#"[{{"reserved":{},"available":0}}]"#, 1000 + n)).await;
    domain.drain().await;
}

#[actix::test]
async fn a_column_that_no_longer_exists_is_an_error_and_never_a_parameter() {
    for (number, column) in ["p1", "p2", "ord", "n", "c1"].into_iter().enumerate() {
        let (domain, config) = single(shared_server(), &format!("wrapped_capture_{number}"), PRICE).await;
        let text = format!(
            "SELECT product_id, {column} AS price_list FROM price WHERE product_id = $1 AND $2 <> '' ORDER BY 1"
        );
        let (query, customer) = (query(&text), [Value::Text("customer".into())]);
        let before = |n: i64| match column {
            "p1" => format!(r#"[{{"product_id":"P{n}","price_list":"A{n}"}}]"#),
            "p2" => format!(r#"[{{"product_id":"P{n}","price_list":"B{n}"}}]"#),
            "c1" => format!(r#"[{{"product_id":"P{n}","price_list":"C{n}"}}]"#),
            _ => format!(r#"[{{"product_id":"P{n}","price_list":{n}}}]"#),
        };
        coalesced(&domain, &query, &customer, before).await;
        change(&config, &format!("ALTER TABLE price RENAME COLUMN {column} TO second_price_list")).await;
        for _ in 0..3 {
            for outcome in concurrently(&domain, &query, &customer).await {
                let Err(QueryErrorKind::Sql { sqlstate, .. }) = outcome else { panic!("{column}: {outcome:?}") };
                assert_eq!(sqlstate, "42703");
            }
        }
        assert!(uncoalesced(&domain) > 0, "rejected queries are counted");
        change(&config, &format!("ALTER TABLE price RENAME COLUMN second_price_list TO {column}")).await;
        coalesced(&domain, &query, &customer, before).await;
        domain.drain().await;
    }
}

#[actix::test]
async fn queries_are_coalesced_again_after_a_column_has_another_type() {
    let (domain, config) = single(shared_server(), "wrapped_wider", STOCK).await;
    let query = query("SELECT product_id, available FROM stock WHERE product_id = $1");
    let expected = |n| format!(r#"[{{"product_id":"P{n}","available":{}}}]"#, 1000 + n);
    coalesced(&domain, &query, &[], expected).await;
    for wider in ["bigint", "int", "bigint"] {
        change(&config, &format!("ALTER TABLE stock ALTER COLUMN available TYPE {wider}")).await;
        coalesced(&domain, &query, &[], expected).await;
    }
    domain.drain().await;
}

#[actix::test]
async fn queries_are_coalesced_again_after_a_type_was_renamed_or_replaced() {
    let setup = "CREATE TYPE trend AS ENUM ('up', 'down');
        CREATE TABLE product (product_id text PRIMARY KEY, trend trend NOT NULL);
        INSERT INTO product SELECT 'P' || n, 'up' FROM generate_series(0, 99) AS n";
    let (domain, config) = single(shared_server(), "wrapped_types", setup).await;
    let query = query("SELECT product_id, trend FROM product WHERE product_id = $1 AND trend = $2");
    let expected = |n| format!(r#"[{{"product_id":"P{n}","trend":"up"}}]"#);
    let up = [Value::Text("up".into())];
    coalesced(&domain, &query, &up, expected).await;
    for changes in [
        "ALTER TYPE trend RENAME TO tendency",
        "CREATE SCHEMA types; ALTER TYPE tendency SET SCHEMA types",
        "CREATE TYPE trend AS ENUM ('up'); ALTER TABLE product ALTER trend TYPE trend USING trend::text::trend;
         DROP TYPE types.tendency",
    ] {
        change(&config, changes).await;
        eventually("each query is answered", async || {
            concurrently(&domain, &query, &up).await.iter().all(Result::is_ok)
        })
        .await;
        coalesced(&domain, &query, &up, expected).await;
    }
    domain.drain().await;
}

#[actix::test]
async fn a_value_fits_again_after_its_type_is_changed_back() {
    let (domain, config) =
        single(shared_server(), "wrapped_fit", "CREATE TABLE part AS SELECT n AS id FROM generate_series(0, 99) AS n")
            .await;
    let query = query("SELECT id FROM part WHERE id = $1");
    let asks: Vec<[Value; 1]> = (0..40).map(|n| [Value::Integer(n)]).collect();
    let ask_all = async || join_all(asks.iter().map(|params| ask(&domain.handle, &query, params, LONG, None))).await;
    for (id, fits) in [("int", true), ("text", false), ("int", true)] {
        change(&config, &format!("ALTER TABLE part ALTER id TYPE {id} USING id::{id}")).await;
        for answers in [ask_all().await, ask_all().await] {
            for answer in answers {
                match answer {
                    Ok(answer) => assert_eq!((answer.rows.len(), fits), (1, true)),
                    Err(error) => assert!(!fits && error.kind.code() == "bad_parameter", "{id}: {error:?}"),
                }
            }
        }
    }
    domain.drain().await;
}

#[actix::test]
async fn a_partition_that_only_the_wrapped_query_reads_fails_no_query() {
    let setup = "CREATE EXTENSION postgres_fdw;
        CREATE TABLE sale (product_id text NOT NULL, region int NOT NULL, amount int NOT NULL) PARTITION BY LIST (region);
        CREATE TABLE sale_near PARTITION OF sale FOR VALUES IN (1);
        INSERT INTO sale SELECT 'P' || n, 1, n FROM generate_series(0, 99) AS n;
        CREATE SERVER away FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '1', dbname 'gone');
        CREATE USER MAPPING FOR CURRENT_USER SERVER away OPTIONS (user 'nobody')";
    let (domain, config) = single(shared_server(), "wrapped_partitions", setup).await;
    let query = query("SELECT amount FROM sale WHERE product_id = $1 AND region = $2");
    let (near, expected) = ([Value::Integer(1)], |n| format!(r#"[{{"amount":{n}}}]"#));
    coalesced(&domain, &query, &near, expected).await;
    change(&config, "CREATE FOREIGN TABLE sale_far PARTITION OF sale FOR VALUES IN (2) SERVER away").await;
    eventually("the wrapped query was rejected", async || {
        for (n, outcome) in (0..).zip(concurrently(&domain, &query, &near).await) {
            assert_eq!(outcome.expect("an answer").0, expected(n));
        }
        uncoalesced(&domain) > 0
    })
    .await;
    change(&config, "ALTER TABLE sale DETACH PARTITION sale_far").await;
    coalesced(&domain, &query, &near, expected).await;
    domain.drain().await;
}

#[actix::test]
async fn a_changed_volatility_of_a_function_is_detected() {
    let function = |volatility: &str| {
        format!("CREATE OR REPLACE FUNCTION tell(id text) RETURNS text LANGUAGE sql {volatility} AS 'SELECT id'")
    };
    let (domain, config) = single(shared_server(), "wrapped_volatile", &function("VOLATILE")).await;
    let query = query("SELECT tell($1) AS it");
    let expected = |n| format!(r#"[{{"it":"P{n}"}}]"#);
    let none_coalesced =
        async || concurrently(&domain, &query, &[]).await.iter().flatten().all(|(_, together)| *together == 1);
    for _ in 0..3 {
        assert!(none_coalesced().await);
    }
    change(&config, &function("STABLE")).await;
    coalesced(&domain, &query, &[], expected).await;
    change(&config, &function("VOLATILE")).await;
    eventually("it is run singly again", none_coalesced).await;
    domain.drain().await;
}
