//! Values of each mapped type, modelled on PostgreSQL's regression tests, are read as psql shows them, or fail with a reason.

use std::process::Command;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use tributary::demo::Binaries;
use tributary::flow::QueryErrorKind;
use tributary::types::{Decimal, Value};

use crate::fixture::{Domain, LONG, ask, config, database, json, query, shared_server};

const TYPES: &str = "
    CREATE TYPE mood AS ENUM ('sad', 'ok', 'größer als \"ok\"', '');
    CREATE DOMAIN amount AS numeric(20, 6);
    CREATE DOMAIN code AS char(4);
    CREATE DOMAIN codes AS code[];
    CREATE EXTENSION citext;
";

/// A type and some of its literals.
const VALUES: [(&str, &[&str]); 38] = [
    ("bool", &["t", "f", " TRUE ", "off"]),
    ("int2", &["0", "-32768", "32767", "1234"]),
    ("int4", &["0", "-2147483648", "2147483647", "123456"]),
    ("int8", &["0", "-9223372036854775808", "9223372036854775807", "4567890123456789"]),
    ("oid", &["0", "4294967295", "5", "-1"]),
    (
        "float4",
        &[
            "0",
            "-0",
            "1004.30",
            "-34.84",
            "1.2345678901234e+20",
            "1.2345678901234e-20",
            "3.4028235e38",
            "-3.4028235e38",
            "1.17549435e-38",
            "1.4e-45",
            "-1.4e-45",
            "0.1",
            "16777217",
            "9999999",
            "1e15",
            "123456.789",
            "5.0706e-44",
            "8388608",
            "33554436",
            "8589973000",
            "1.34217728e8",
            "8.5e9",
            "67108868",
            "5e10",
            "2.5e10",
        ],
    ),
    (
        "float8",
        &[
            "0",
            "-0",
            "1004.30",
            "-34.84",
            "1.2345678901234e+200",
            "1.2345678901234e-200",
            "1.7976931348623157e308",
            "-1.7976931348623157e308",
            "2.2250738585072014e-308",
            "4.9406564584124654e-324",
            "-4.9406564584124654e-324",
            "0.1",
            "0.3",
            "1e15",
            "1e16",
            "123456789012345678",
            "9007199254740993",
            "1.0000000000000002e23",
            "2e18",
            "9223372036854775807",
            "5e22",
            "8.41e21",
            "2.0019e13",
            "1e22",
            "1e23",
            "2.2250738585072011e-308",
        ],
    ),
    (
        "numeric",
        &[
            "0",
            "-0",
            "0.00",
            "-0.00",
            "-34338492.215397047",
            "4.31",
            "7799461.4119",
            "16397.038491",
            "93901.57763026",
            "-83028485",
            "74881",
            "-24926804.045047420",
            "1e-130",
            "1e400",
            "-1e-40",
            "0.0001",
            "10000",
            "1e8",
            "99999999.99999999",
            "99999.9999",
            "9999.99990000",
            "0.000000000000000000000000000000000001",
            "1234567890123456789012345678901234567890.12345678901234567890",
            "  12.50  ",
            "1.23e5",
            "1.0e-3",
        ],
    ),
    ("numeric(12, 4)", &["12", "-0.00004", "99999999.9999", "0.00005"]),
    ("numeric(3, -2)", &["12345", "-99900", "49"]),
    ("numeric(3, 6)", &["0.000999", "-0.000001"]),
    (
        "text",
        &[
            "",
            " ",
            "this is a text string",
            "größe \u{1F600} e\u{301}",
            "tab\tand\nline",
            "{a,b}",
            "\\x00",
            "null",
            "trailing  ",
        ],
    ),
    ("varchar", &["", "a ", "größe"]),
    ("varchar(4)", &["abcd", "ab", "a  "]),
    ("name", &["1234567890ABCDEFGHIJKLMNOPQRSTUVWXYZ1234567890ABCDEFGHIJKLMNOPQRSTUVWXYZ", "größe", ""]),
    ("\"char\"", &["a", "A", "", " ", "abc"]),
    ("citext", &["MiXed", "", "ÄÖ "]),
    ("mood", &["sad", "größer als \"ok\"", ""]),
    ("amount", &["1.5", "-0.0000004", "99999999999999.999999"]),
    (
        "uuid",
        &[
            "00000000-0000-0000-0000-000000000000",
            "{A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11}",
            "ffffffffffffffffffffffffffffffff",
        ],
    ),
    (
        "date",
        &[
            "1957-04-09",
            "1996-02-29",
            "2000-04-01",
            "2039-04-09",
            "2040-04-10 BC",
            "0001-01-01",
            "0001-01-01 BC",
            "0044-03-15 BC",
            "0099-01-08",
            "9999-12-31",
            "4714-11-24 BC",
            "1582-10-04",
            "1582-10-15",
            "epoch",
            "1900-02-28",
        ],
    ),
    (
        "time",
        &[
            "00:00",
            "01:00",
            "02:03 PST",
            "11:59 EDT",
            "12:00",
            "12:01",
            "23:59",
            "11:59:59.99 PM",
            "24:00:00",
            "23:59:59.999999",
            "00:00:00.000001",
        ],
    ),
    ("time(2)", &["12:34:56.789", "23:59:59.999"]),
    (
        "timetz",
        &[
            "00:01 PDT",
            "23:59:59.99+05:30",
            "24:00:00-08",
            "00:00:00+15:59:59",
            "12:00:00-15:59:59",
            "08:30-00:00:30",
            "08:30-03:30",
        ],
    ),
    (
        "timestamp",
        &[
            "1997-02-10 17:32:01.4",
            "0097-02-16 17:32:01",
            "0097-02-16 17:32:01 BC",
            "1997-12-31 17:32:01.999999",
            "epoch",
            "2000-01-01",
            "1999-12-31 23:59:59.999999",
            "4714-11-24 00:00:00 BC",
            "5097-02-16 17:32:01",
            "9999-12-30 21:59:59.999999",
            "0001-01-01 00:00:00 BC",
            "1969-12-31 23:59:59.5",
        ],
    ),
    ("timestamp(0)", &["1997-02-10 17:32:01.5", "2024-02-29 23:59:59.9"]),
    (
        "timestamptz",
        &[
            "1997-02-10 17:32:01-08",
            "0097-02-16 17:32:01 BC",
            "2000-03-15 08:14:01 GMT+8",
            "2024-02-29 12:00:00+15:59:59",
            "epoch",
            "1883-11-18 12:03:57.999999 America/New_York",
            "4714-11-24 00:00:00+00 BC",
            "2038-01-19 03:14:08+00",
        ],
    ),
    (
        "interval",
        &[
            "1 minute",
            "5 hour",
            "10 day",
            "34 year",
            "3 months",
            "-14 seconds ago",
            "1 day 2 hours 3 minutes 4 seconds",
            "6 years",
            "5 months 12 hours",
            "-1 days +02:03:00",
            "1 year -2 mons +3 days -04:05:06.5",
            "0",
            "-0.000001 s",
            "178956970 years 7 months",
            "-178956970 years -8 months",
            "2147483647 days",
            "-2147483648 days",
            "2562047788:00:54.775807",
            "-2562047788:00:54.775807",
            "1.5 months",
            "-13 months",
            "59.999999 s",
            "-59.999999 s",
            "90 s",
        ],
    ),
    (
        "json",
        &[
            "null",
            "true",
            "\"\"",
            "\"a\\u00e4\\n\\\"\"",
            "{}",
            "[]",
            "[1, 2.50, -0, 1e3, 1E-2, -0.0]",
            "{\"a\": {\"b\": [null, \"x\"]}}",
            "12345678901234567890123456789.000",
            "{\"one\": 1, \"\": 2}",
            "  [ 1 ]  ",
            "\"\\ud83d\\ude00\"",
            "{\"a\": 1, \"a\": 2}",
        ],
    ),
    (
        "jsonb",
        &[
            "null",
            "-0",
            "1e5",
            "1e-7",
            "[1.50, \"größe\"]",
            "{\"b\": 1, \"a\": {\"c\": []}}",
            "\"A \"",
            "123456789012345678901234567890.5",
        ],
    ),
    ("bool[]", &["{t,f,NULL}"]),
    ("int2[]", &["{}", "{{1,2},{3,4}}", "[0:1]={-32768,32767}", "[5:5][-1:0]={{1,2}}"]),
    ("int8[]", &["{9223372036854775807,NULL}", "{{{{{{1}}}}}}"]),
    ("numeric[]", &["{1.50,-0.000,1e20,NULL}"]),
    ("text[]", &["{}", "{\"\",NULL,\"NULL\",\"a,b\",\"{}\",\"q\\\"uo\\\\te\",größe}", "{{a,b},{c,NULL}}"]),
    ("mood[]", &["{sad,\"\",NULL}"]),
    ("date[]", &["{2024-02-29,0001-01-01,NULL}"]),
    ("interval[]", &["{1 day,NULL}"]),
];

/// A type, a literal, and the reason why it cannot be read.
const REFUSED: [(&str, &str, &str); 21] = [
    ("float4", "NaN", "holds NaN"),
    ("float8", "Infinity", "holds infinity"),
    ("float8", "-inf", "holds infinity"),
    ("numeric", "NaN", "holds NaN"),
    ("numeric", "-Infinity", "holds infinity"),
    ("numeric", "1e1001", "holds a number of too many digits"),
    ("numeric", "1e-16383", "holds a number of too many digits"),
    ("numeric[]", "{1,NaN}", "holds NaN"),
    ("json", "1e5000", "holds a number of too many digits"),
    ("date", "infinity", "holds infinity"),
    ("date", "-infinity", "holds infinity"),
    ("date", "10000-01-01", "holds a date beyond the years -9999 to 9999"),
    ("date", "5874897-12-31", "holds a date beyond the years -9999 to 9999"),
    ("timestamp", "infinity", "holds infinity"),
    ("timestamp", "294276-12-31 23:59:59", OFF_TIMELINE),
    ("timestamptz", "9999-12-31 23:59:59+00", OFF_TIMELINE),
    ("bytea", "\\xdeadbeef", "has no mapping: cast it in the query"),
    ("money", "12.34", "has no mapping: cast it in the query"),
    ("inet", "192.168.1.226/24", "has no mapping: cast it in the query"),
    ("bit", "1", "has no mapping: cast it in the query"),
    ("point", "(1,2)", "has no mapping: cast it in the query"),
];

const OFF_TIMELINE: &str =
    "holds a timestamp beyond -9999-01-02 01:59:59 to 9999-12-30 22:00 UTC: cast it to date or text in the query";

/// The output of psql for each of these statements.
fn psql(server: &crate::support::Server, database: &str, statements: &str) -> Vec<String> {
    let program = Binaries::find().expect("PostgreSQL").dir().join("psql");
    let output = Command::new(program)
        .args(["--no-psqlrc", "--tuples-only", "--no-align", "--record-separator-zero", "--set=ON_ERROR_STOP=1"])
        .arg(format!("--command={statements}"))
        .arg(server.url(database))
        .env("PGOPTIONS", "-c intervalstyle=iso_8601 -c timezone=UTC -c datestyle=ISO -c client_encoding=UTF8")
        .output()
        .expect("psql runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.strip_suffix('\0').expect("records").split('\0').map(str::to_owned).collect()
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A date as psql shows it: without a year 0, and with years BC.
fn day(date: Date) -> (String, &'static str) {
    let (year, era) = if date.year() > 0 { (date.year(), "") } else { (1 - date.year(), " BC") };
    (format!("{year:04}-{:02}-{:02}", date.month(), date.day()), era)
}

/// `value` of type `ty` as psql shows it. Floats are equal by value; other numbers also by their zeros.
fn as_psql(value: &Value, ty: &str, shown: &str) -> String {
    match value {
        Value::Boolean(true) => "t".to_owned(),
        Value::Boolean(false) => "f".to_owned(),
        Value::Decimal(decimal) => {
            let same = shown.parse::<Decimal>().is_ok_and(|shown| shown == *decimal);
            // psql shows exponents and negative zero, which values do not have.
            let has_other_form = ty.starts_with("float") && (shown.contains('e') || shown == "-0");
            if same && has_other_form { shown.to_owned() } else { decimal.to_string() }
        }
        Value::Date(date) => {
            let (day, era) = day(*date);
            format!("{day}{era}")
        }
        Value::Timestamp(at) => {
            let at: DateTime = TimeZone::UTC.to_datetime(*at);
            let (day, era) = day(at.date());
            let zone = if ty.starts_with("timestamptz") { "+00" } else { "" };
            format!("{day} {}{zone}{era}", at.time())
        }
        Value::Text(text) if ty == "timetz" => {
            let text = text.strip_suffix(":00").unwrap_or(text);
            text.strip_suffix(":00").filter(|text| text.len() > 8).unwrap_or(text).to_owned()
        }
        other => other.to_string(),
    }
}

#[actix::test]
async fn every_mapped_value_is_read_as_psql_shows_it() {
    let server = shared_server();
    let database = database(server, "as_psql", TYPES).await;
    let domain = Domain::ready(config(server, &database)).await;
    let cases: Vec<(&str, &str)> =
        VALUES.iter().flat_map(|(ty, literals)| literals.iter().map(|literal| (*ty, *literal))).collect();
    // Lists are compared as JSON.
    let of = |ty: &str, text: &str| format!("{}::{ty}", literal(text));
    let shown = cases.iter().map(|(ty, text)| {
        if ty.ends_with("[]") {
            format!("SELECT to_json({});", of(ty, text))
        } else {
            format!("SELECT {};", of(ty, text))
        }
    });
    let shown = psql(server, &database, &shown.collect::<String>());
    assert_eq!(shown.len(), cases.len());
    let mut wrong = Vec::new();
    for ((ty, text), shown) in cases.iter().zip(shown) {
        let value = domain.value(&format!("SELECT {} AS c", of(ty, text)), &[]).await;
        let right = match *ty {
            "json" | "jsonb" => value == json(&shown),
            _ if ty.ends_with("[]") => json(&serde_json::to_string(&value).expect("JSON")) == json(&shown),
            _ => as_psql(&value, ty, &shown) == shown,
        };
        if !right {
            wrong.push(format!("{} is {value}, and psql shows {shown}", of(ty, text)));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    domain.drain().await;
}

#[actix::test]
async fn values_that_cannot_be_read_fail_with_a_reason() {
    let server = shared_server();
    let database = database(server, "not_as_psql", TYPES).await;
    let domain = Domain::ready(config(server, &database)).await;
    for (ty, text, expected) in REFUSED {
        let refused = domain.refused(&format!("SELECT {}::{ty} AS c", literal(text)), &[]).await;
        let QueryErrorKind::Column { column, reason, .. } = &refused else { panic!("{ty} {text}: {refused:?}") };
        assert_eq!((column.as_str(), reason.as_str()), ("c", expected), "{ty} {text}");
    }
    domain.drain().await;
}

#[actix::test]
async fn negative_zero_of_any_type_is_zero() {
    let server = shared_server();
    let database = database(server, "negative_zero", "").await;
    let domain = Domain::ready(config(server, &database)).await;
    for expression in
        ["'-0'::float8", "'-0'::float4", "'-0'::numeric", "'-0'::json", "'-0'::jsonb", "'-0.0'::json -> 0 IS NULL"]
    {
        let value = domain.value(&format!("SELECT {expression} AS c"), &[]).await;
        let text = serde_json::to_string(&value).expect("JSON");
        assert!(!text.contains('-'), "{expression} is {text}");
    }
    let list = domain.value("SELECT ARRAY['-0'::float8, -0.0] AS c", &[]).await;
    assert_eq!(list, json("[0, 0]"));
    assert!(!list.to_string().contains('-'), "{list}");
    domain.drain().await;
}

/// PostgreSQL drops the padding of `char(n)` where it is compared with text, cast to text or concatenated.
#[actix::test]
async fn char_n_has_no_padding_as_a_column_an_element_a_domain_and_a_parameter() {
    let server = shared_server();
    let setup = "CREATE TABLE product (id char(8) PRIMARY KEY, status char(2), tags char(3)[], code code, list codes);
         INSERT INTO product SELECT 'P' || n, CASE WHEN n % 2 = 0 THEN 'A' END, ARRAY['x', NULL, ' y'], 'ab', '{c,dddd}'
         FROM generate_series(1, 50) AS n;";
    let database = database(server, "padding", &format!("{TYPES}{setup}")).await;
    let domain = Domain::ready(config(server, &database)).await;
    let row = query(
        "SELECT id, status, tags, code, list, id::text AS cast_id, status = 'A' AS is_a FROM product WHERE id = $1",
    );
    let mut together = 0;
    for _ in 0..20 {
        let asks = (1..=50_i64).map(async |number| {
            // The same key with other padding.
            let key = format!("P{number}{}", " ".repeat(usize::try_from(number % 3).expect("few")));
            let answer = ask(&domain.handle, &row, &[Value::text(key)], LONG, None).await.expect("rows");
            let status = if number % 2 == 0 { "\"A\"" } else { "null" };
            let is_a = if number % 2 == 0 { "true" } else { "null" };
            let expected = format!(
                r#"{{"id":"P{number}","status":{status},"tags":["x",null," y"],"code":"ab","list":["c","dddd"],"cast_id":"P{number}","is_a":{is_a}}}"#
            );
            assert_eq!(serde_json::to_string(&answer.rows[0]).expect("JSON"), expected);
            assert_eq!(answer.rows.len(), 1);
            answer.together
        });
        together = together.max(futures_util::future::join_all(asks).await.into_iter().max().expect("some"));
    }
    if crate::support::coalescing() == tributary::config::Coalescing::Auto {
        assert!(together > 1, "some queries were coalesced");
    }
    let any = domain
        .value("SELECT count(*) AS n FROM product WHERE id = ANY ($1::char(8)[])", &[json(r#"["P1", "P2  "]"#)])
        .await;
    assert_eq!(any, json("2"));
    domain.drain().await;
}
