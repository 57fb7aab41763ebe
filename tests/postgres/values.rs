//! Columns become values and values become parameters, for every type that has a mapping.

use tributary::flow::QueryErrorKind;
use tributary::types::{Deadline, Type, Value};

use crate::fixture::{Domain, LONG, config, database, json, query, shared_server};

const TYPES: &str = "
    CREATE TYPE trend AS ENUM ('increasing', 'stable', 'decreasing');
    CREATE DOMAIN quantity AS numeric(12, 4) CHECK (VALUE >= 0);
    CREATE DOMAIN quantities AS int[];
    CREATE TYPE place AS (row int, shelf text);
    CREATE EXTENSION IF NOT EXISTS citext;
";

async fn domain(name: &str) -> Domain {
    let server = shared_server();
    let database = database(server, name, TYPES).await;
    Domain::ready(config(server, &database)).await
}

#[actix::test]
async fn columns_of_every_mapped_type_are_decoded() {
    let domain = domain("columns").await;
    for (expression, ty, expected) in [
        ("true", "bool", "true"),
        ("'-32768'", "int2", "-32768"),
        ("2147483647", "int4", "2147483647"),
        ("'-9223372036854775808'", "int8", "-9223372036854775808"),
        ("4294967295", "oid", "4294967295"),
        ("0.1", "float4", "0.1"),
        ("0.1", "float8", "0.1"),
        ("1e300", "float8", &format!("1{}", "0".repeat(300))),
        ("5e-324", "float8", &format!("0.{}5", "0".repeat(323))),
        ("15.50", "numeric", "15.50"),
        ("'0.00'", "numeric", "0.00"),
        ("'-0.0001'", "numeric", "-0.0001"),
        ("1e20", "numeric", "100000000000000000000"),
        ("'1e-40'", "numeric", "0.0000000000000000000000000000000000000001"),
        ("'123456789012345678901234567890.123456789'", "numeric", "123456789012345678901234567890.123456789"),
        ("10000", "numeric", "10000"),
        ("12", "numeric(10, 4)", "12.0000"),
        ("'größe'", "text", "\"größe\""),
        ("'a'", "char(3)", "\"a\""),
        ("'abc'", "varchar(10)", "\"abc\""),
        ("'abc'", "name", "\"abc\""),
        ("'x'", "\"char\"", "\"x\""),
        ("'Mixed'", "citext", "\"Mixed\""),
        ("'67e55044-10b1-426f-9247-bb680e5fe0c8'", "uuid", "\"67e55044-10b1-426f-9247-bb680e5fe0c8\""),
        ("'2024-02-29'", "date", "\"2024-02-29\""),
        ("'0001-01-01 BC'", "date", "\"0000-01-01\""),
        ("'08:30'", "time", "\"08:30:00\""),
        ("'08:30+02'", "timetz", "\"08:30:00+02:00\""),
        ("'2024-02-29 12:00:00.25'", "timestamp", "\"2024-02-29T12:00:00.25Z\""),
        ("'2024-02-29 12:00:00+02'", "timestamptz", "\"2024-02-29T10:00:00Z\""),
        ("'1 year 2 mons -3 days 04:05:06.5'", "interval", "\"P1Y2M-3DT4H5M6.5S\""),
        ("'{\"a\": [1.50, null]}'", "json", "{\"a\":[1.50,null]}"),
        ("'{\"a\": [1.50, null]}'", "jsonb", "{\"a\":[1.50,null]}"),
        ("'increasing'", "trend", "\"increasing\""),
        ("12.5", "quantity", "12.5000"),
        ("'{1,2}'", "quantities", "[1,2]"),
        ("'{}'", "int4[]", "[]"),
        ("'{1,NULL,3}'", "int4[]", "[1,null,3]"),
        ("'{{1,2},{3,4}}'", "int2[]", "[[1,2],[3,4]]"),
        ("'{1.50,2}'", "numeric[]", "[1.50,2]"),
        ("'{a,\"b,c\",\"\"}'", "text[]", "[\"a\",\"b,c\",\"\"]"),
        ("'{stable,NULL}'", "trend[]", "[\"stable\",null]"),
        ("'{1,2.5}'", "quantity[]", "[1.0000,2.5000]"),
        ("'{2024-01-31}'", "date[]", "[\"2024-01-31\"]"),
        ("ARRAY['[1]'::jsonb]", "jsonb[]", "[[1]]"),
    ] {
        let read = domain.value(&format!("SELECT ({expression})::{ty} AS c"), &[]).await;
        assert_eq!(serde_json::to_string(&read).expect("JSON"), expected, "{expression}::{ty}");
        let null = domain.value(&format!("SELECT NULL::{ty} AS c"), &[]).await;
        assert!(null.is_null(), "{ty}");
    }
    domain.drain().await;
}

#[actix::test]
async fn values_of_every_mapped_type_are_unchanged_as_parameters() {
    let domain = domain("params").await;
    let long = format!("\"{}\"", "x".repeat(100_000));
    for (ty, given, expected) in [
        ("bool", "false", "false"),
        ("int2", "-5", "-5"),
        ("int4", "12.00", "12"),
        ("int8", "9223372036854775807", "9223372036854775807"),
        ("float4", "0.1", "0.1"),
        ("float8", "12345.678", "12345.678"),
        ("float8", "3", "3"),
        ("numeric", "0", "0"),
        ("numeric", "7.00", "7.00"),
        ("numeric", "-0.00001", "-0.00001"),
        ("numeric", "100000000", "100000000"),
        (
            "numeric",
            "98765432109876543210.0123456789012345678901234567",
            "98765432109876543210.0123456789012345678901234567",
        ),
        ("text", "\"O'Brien; DROP TABLE oms_history; --\"", "\"O'Brien; DROP TABLE oms_history; --\""),
        ("text", "\"\"", "\"\""),
        ("text", &long, &long),
        ("varchar", "\"größe\"", "\"größe\""),
        ("citext", "\"Mixed\"", "\"Mixed\""),
        ("\"char\"", "\"x\"", "\"x\""),
        ("uuid", "\"67e55044-10b1-426f-9247-bb680e5fe0c8\"", "\"67e55044-10b1-426f-9247-bb680e5fe0c8\""),
        ("date", "\"2024-02-29\"", "\"2024-02-29\""),
        ("time", "\"23:59:59.999999\"", "\"23:59:59.999999\""),
        ("timestamp", "\"2024-02-29T12:00:00Z\"", "\"2024-02-29T12:00:00Z\""),
        ("timestamptz", "\"2024-02-29T12:00:00+02:00\"", "\"2024-02-29T10:00:00Z\""),
        ("json", "{\"a\":[1.50,\"b\",null]}", "{\"a\":[1.50,\"b\",null]}"),
        ("jsonb", "\"text\"", "\"text\""),
        ("trend", "\"stable\"", "\"stable\""),
        ("quantity", "2.5", "2.5000"),
        ("int4[]", "[1,null,3]", "[1,null,3]"),
        ("int4[]", "[]", "[]"),
        ("int8[]", "[[1,2],[3,4]]", "[[1,2],[3,4]]"),
        ("text[]", "[\"a\",\"b,c\",\"{}\"]", "[\"a\",\"b,c\",\"{}\"]"),
        ("quantity[]", "[1.5]", "[1.5000]"),
        ("trend[]", "[\"stable\"]", "[\"stable\"]"),
        ("quantities", "[1,2]", "[1,2]"),
        ("int4[]", "null", "null"),
        ("text", "null", "null"),
    ] {
        let read = domain.value(&format!("SELECT $1::{ty} AS c"), &[json(given)]).await;
        assert_eq!(serde_json::to_string(&read).expect("JSON"), expected, "{given} as {ty}");
    }
    domain.drain().await;
}

#[actix::test]
async fn the_error_of_a_value_that_does_not_fit_does_not_show_it() {
    let domain = domain("refusals").await;
    for (ty, given, expected, found) in [
        ("int2", "40000", "int2", "an integer out of its range"),
        ("int4", "1.5", "int4", "a decimal that is not whole, or out of its range"),
        ("int4", "\"secret\"", "int4", "text"),
        ("text", "5", "text", "integer"),
        ("text", "\"sec\\u0000ret\"", "text", "text with a NUL character"),
        ("jsonb", "{\"a\":\"\\u0000\"}", "jsonb", "text with a NUL character"),
        ("bool", "1", "bool", "integer"),
        ("uuid", "\"secret\"", "uuid", "text that is no UUID"),
        ("date", "\"secret\"", "date", "text that is no date"),
        ("numeric", "true", "numeric", "boolean"),
        ("int4[]", "[1,\"secret\"]", "int4[]", "a list with text"),
        ("int4[]", "5", "int4[]", "integer"),
        ("interval", "\"P1D\"", "interval", "text (cast it in the query: `$n::text::interval`)"),
        ("bytea", "\"secret\"", "bytea", "text: the type has no mapping"),
        ("place", "null", "place", "null: the type has no mapping"),
    ] {
        let refused = domain.ask(&format!("SELECT $1::{ty} IS NULL AS c"), &[json(given)]).await;
        let error = refused.expect_err("a refusal");
        let (expected, found) = (expected.to_owned(), found.to_owned());
        assert_eq!(error.kind, QueryErrorKind::Parameter { number: 1, expected, found });
        assert!(!error.to_string().contains("secret"), "{error}");
    }
    let count = domain.refused("SELECT $1::int + $2::int AS c", &[json("1")]).await;
    assert_eq!(count, QueryErrorKind::ParameterCount { expected: 2, given: 1 });
    domain.drain().await;
}

#[actix::test]
async fn the_error_of_an_unreadable_value_names_its_column() {
    let domain = domain("unreadable").await;
    for (expression, ty, reason) in [
        ("'NaN'::numeric", "numeric", "holds NaN"),
        ("'Infinity'::numeric", "numeric", "holds infinity"),
        ("'-Infinity'::float8", "float8", "holds infinity"),
        ("'NaN'::float4", "float4", "holds NaN"),
        ("10::numeric ^ 1001", "numeric", "holds a number of too many digits"),
        ("'infinity'::date", "date", "holds infinity"),
        ("'-infinity'::timestamptz", "timestamptz", "holds infinity"),
        ("'5874897-12-31'::date", "date", "holds a date beyond the years -9999 to 9999"),
        ("ARRAY['NaN'::numeric]", "numeric[]", "holds NaN"),
        ("repeat('[', 1000)::text || repeat(']', 1000)", "json", "holds JSON nested too deeply to read"),
        ("'\\x00'::bytea", "bytea", "has no mapping: cast it in the query"),
        ("ROW(1, 'a')::place", "place", "has no mapping: cast it in the query"),
        ("'10.0.0.1'::inet", "inet", "has no mapping: cast it in the query"),
        ("int4range(1, 2)", "int4range", "has no mapping: cast it in the query"),
    ] {
        let refused = domain.refused(&format!("SELECT 1 AS fine, ({expression})::{ty} AS c"), &[]).await;
        let (column, ty, reason) = ("c".to_owned(), ty.to_owned(), reason.to_owned());
        assert_eq!(refused, QueryErrorKind::Column { column, ty, reason });
        // The session can still be used.
        assert_eq!(domain.value("SELECT 1 AS c", &[]).await, json("1"));
    }
    let twice = domain.refused("SELECT 1 AS a, 2 AS b, 3 AS a", &[]).await;
    assert!(matches!(&twice, QueryErrorKind::Column { column, .. } if column == "a"), "{twice:?}");
    domain.drain().await;
}

#[actix::test]
async fn a_description_has_the_types_of_parameters_and_columns() {
    let domain = domain("descriptions").await;
    let text = "SELECT $1::int AS n, $2::text || 'x' AS t, '{}'::quantity[] AS q, now() AS at, '{}'::jsonb AS j, \
                '\\x'::bytea AS b WHERE $3::date > '2024-01-01'";
    let description = domain.handle.describe(&query(text), Deadline::after(LONG)).await.expect("a description");
    let params: Vec<_> = description.params.iter().map(|param| (param.name.as_str(), param.ty.clone())).collect();
    assert_eq!(params, [("int4", Some(Type::Integer)), ("text", Some(Type::Text)), ("date", Some(Type::Date))]);
    let columns = description.columns.iter().map(|column| {
        let ty = column.ty.ty.as_ref().map_or("none".to_owned(), ToString::to_string);
        format!("{} {} {ty}", column.name, column.ty.name)
    });
    assert_eq!(
        columns.collect::<Vec<_>>(),
        [
            "n int4 integer",
            "t text text",
            "q quantity[] list of decimal",
            "at timestamptz timestamp",
            "j jsonb any",
            "b bytea none"
        ]
    );
    for (text, sqlstate) in
        [("SELECT * FROM nowhere", "42P01"), ("SELECT nothing FROM pg_class", "42703"), ("SELEC 1", "42601")]
    {
        let error = domain.handle.describe(&query(text), Deadline::after(LONG)).await.expect_err("a refusal");
        let QueryErrorKind::Sql { sqlstate: found, detail } = &error.kind else { panic!("{error:?}") };
        assert_eq!(found, sqlstate);
        assert!(!detail.is_empty() && !error.to_string().contains(detail), "{error}");
    }
    let twice = domain.handle.describe(&query("SELECT 1 AS a, 2 AS a"), Deadline::after(LONG)).await;
    assert!(matches!(twice.expect_err("a refusal").kind, QueryErrorKind::Column { .. }));
    domain.drain().await;
}

#[actix::test]
async fn rows_of_one_query_share_their_column_names() {
    let domain = domain("shared_names").await;
    let answer = domain.ask("SELECT n, n * 1.5 AS m FROM generate_series(1, 3) AS n", &[]).await.expect("rows");
    let names: Vec<_> = answer
        .rows
        .iter()
        .map(|row| match row {
            Value::Map(record) => record.names(),
            other => panic!("{other} is no row"),
        })
        .collect();
    assert!(names.windows(2).all(|pair| std::sync::Arc::ptr_eq(pair[0], pair[1])));
    assert_eq!(serde_json::to_string(&answer.rows[1]).expect("JSON"), r#"{"n":2,"m":3.0}"#);
    domain.drain().await;
}
