//! Functions beyond their examples in the reference: ends of ranges, values of unknown types, refusals.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use proptest::prelude::*;
use tributary::grl::{Expression, ExpressionKind, FactRef, Facts, Limits, Lookup, Owner, Ruleset};
use tributary::types::{Clock, Shape, Type, Value};

use crate::purchasing::{clock, file, scope};

/// The values of `d`, whose types are not known before.
struct Document(Value);

impl Facts for Document {
    fn read(&self, fact: &FactRef) -> Lookup {
        let value = if fact.owner == Owner::Node(9) { self.0.at(fact.path.iter().map(|name| &**name)) } else { None };
        value.map_or(Lookup::Missing, Lookup::Value)
    }
}

const DOCUMENT: &str = r#"{"none": null, "empty": [], "nulls": [1, null, 1.0, null], "mixed": [1, "a"], "deep": [[1, [2, []]], 3],
    "rows": [{"a": 1, "b": "x"}, {"b": "x", "a": 1.00}, {"a": 2, "b": "x"}], "numbers": [3, 1.5, 2], "flags": [true],
    "word": "word", "price": "12.50", "map": {"a": 1}, "zone": "Europe/Berlin", "mode": "half_even"}"#;

/// The value of an expression, as it is written; or why it is refused or has none.
fn value(expression: &str) -> Result<String, String> {
    value_at(expression, &clock())
}

fn value_at(expression: &str, clock: &Clock) -> Result<String, String> {
    let mut scope = scope();
    scope.add_qualified("d", Owner::Node(9), Type::Map(Shape::unknown().into()));
    let (compiled, _) =
        Expression::compile(&file("test.grl", expression), &scope, ExpressionKind::Value, &Limits::default())
            .map_err(|found| found.to_string())?;
    let document = Value::from_json(&serde_json::from_str(DOCUMENT).unwrap()).unwrap();
    let value = compiled.evaluate(&Document(document), clock).map_err(|error| error.to_string())?;
    Ok(value.map_or_else(|| "unknown".to_owned(), |value| value.to_string()))
}

#[track_caller]
fn all_are(cases: &[(&str, &str)]) {
    for (expression, expected) in cases {
        assert_eq!(value(expression).as_deref(), Ok(*expected), "{expression}");
    }
}

/// Each is refused, or fails, with these words.
#[track_caller]
fn all_fail(cases: &[(&str, &str)]) {
    for (expression, words) in cases {
        let Err(error) = value(expression) else { panic!("{expression} has a value") };
        assert!(error.contains(words), "{expression}: {error}");
    }
}

/// Each is refused when the file is read, with these words.
#[track_caller]
fn all_refused(cases: &[(&str, &str)]) {
    for (expression, words) in cases {
        let Err(error) = value(expression) else { panic!("{expression} has a value") };
        assert!(error.contains("error[") && error.contains(words), "{expression}: {error}");
    }
}

#[test]
fn lists_have_places_and_elements_of_any_kind() {
    all_are(&[
        ("index([5, 6, 7], 1)", "5"),
        ("index([5, 6, 7], 3)", "7"),
        ("index([5, 6, 7], 4) == null", "true"),
        ("index([5, 6, 7], -3)", "5"),
        ("index([5, 6, 7], -4) == null", "true"),
        ("index([5, 6, 7], 9223372036854775807) == null", "true"),
        ("index([5, 6, 7], -9223372036854775807 - 1) == null", "true"),
        ("first([]) == null && last([]) == null && index([], 1) == null && median([]) == null", "true"),
        ("first(d.rows)", r#"{"a":1,"b":"x"}"#),
        ("index_of([1, 2.0, 2], 2)", "2"),
        ("index_of(d.nulls, 2) == null", "true"),
        ("index_of(d.rows, last(d.rows))", "3"),
        ("distinct(d.nulls)", "[1,null]"),
        ("distinct(d.rows)", r#"[{"a":1,"b":"x"},{"a":2,"b":"x"}]"#),
        ("distinct(d.mixed)", r#"[1,"a"]"#),
        ("compact(d.nulls)", "[1,1.0]"),
        ("reverse(d.nulls)", "[null,1.0,null,1]"),
        ("append([], 1, 2.5)", "[1,2.5]"),
        ("append(d.empty, d.map)", r#"[{"a":1}]"#),
        ("sum(append(distinct(d.numbers), 4))", "10.5"),
        ("concatenate(d.empty, [1], d.numbers)", "[1,3,1.5,2]"),
        ("flatten(d.deep)", "[1,2,3]"),
        ("flatten([]) == d.empty", "true"),
        ("join(d.mixed, '')", "1a"),
        ("join([1.50, 2], ' + ')", "1.50 + 2"),
        ("join([], ', ')", ""),
        ("median([4, 1, 2])", "2"),
        ("median([4, 1, 2.50, 3])", "2.75"),
        ("median([1, 2])", "1.5"),
    ]);
    all_fail(&[
        ("index([5], 0)", "out of range"),
        ("index(lines.sku, 0)", "certain-error"),
        ("index(d.numbers, 0.5)", "a whole number"),
        ("append([1], [2])", "`concatenate(a, b)`"),
        ("append(d.numbers, d.numbers)", "joined by `concatenate`"),
        ("append([1], 'a')", "takes elements of type integer, as the list has; this is text"),
        ("append([1], null)", "null"),
        ("concatenate([1], 2)", "takes a list; this is integer"),
        ("index_of([1], 'a')", "elements of type integer"),
        ("index_of(d.mixed, 'b')", "two values of one type, not integer and text"),
        ("join(d.nulls, ', ')", "element 2 of the list (`compact(list)` leaves nulls out) is null"),
        ("join(d.rows, ', ')", "single values, not map"),
        ("join(d.deep, ', ')", "a list becomes a text by `join`"),
        ("median(d.mixed)", "two numbers"),
        ("median(['a'])", "a list of numbers"),
        ("first(d.word)", "first takes a list, not text"),
        ("concat('a', d.numbers)", "a list becomes a text by `join`"),
        ("concat(d.map)", "single values, not map"),
    ]);
    all_refused(&[
        ("concat(lines.qty)", "a list becomes a text by `join(list, \", \")`"),
        ("sort(lines)", "a column of rows has a dot before it"),
        ("sort(lines.qty, 'up')", "`sort` takes \"asc\" or \"desc\"; this is \"up\""),
        ("sort(lines.qty, supplier_name)", "written as a text"),
        ("min(1)", "a list of numbers"),
        ("min()", "`min(list) or min(a, b, ...)` is given 0 arguments"),
    ]);
}

#[test]
fn numbers_are_rounded_as_asked() {
    let modes = ["half_up", "half_even", "half_down", "up", "down", "ceiling", "floor"];
    for (number, rounded) in [
        ("2.5", ["3", "2", "2", "3", "2", "3", "2"]),
        ("-2.5", ["-3", "-2", "-2", "-3", "-2", "-2", "-3"]),
        ("3.5", ["4", "4", "3", "4", "3", "4", "3"]),
        ("2.51", ["3", "3", "3", "3", "2", "3", "2"]),
        ("-2.49", ["-2", "-2", "-2", "-3", "-2", "-2", "-3"]),
        ("0.1", ["0", "0", "0", "1", "0", "1", "0"]),
        ("7", ["7"; 7]),
        // Beyond what fits 96 bits.
        (
            "12345678901234567890123456789012.5",
            [
                "12345678901234567890123456789013",
                "12345678901234567890123456789012",
                "12345678901234567890123456789012",
                "12345678901234567890123456789013",
                "12345678901234567890123456789012",
                "12345678901234567890123456789013",
                "12345678901234567890123456789012",
            ],
        ),
    ] {
        for (mode, rounded) in modes.iter().zip(rounded) {
            let of = |call: String| assert_eq!(value(&call).as_deref(), Ok(rounded), "{call}");
            of(format!("round({number}, 0, \"{mode}\")"));
            of(format!("round_to({number}, 1, \"{mode}\")"));
            of(format!("trim_scale(round_to({number} * 0.05, 0.05, \"{mode}\") / 0.05)"));
            of(format!("round(round_to({number} * 1000, 1000, \"{mode}\") / 1000)"));
        }
    }
    all_are(&[
        ("round_to(9.974, 0.05)", "9.95"),
        ("round_to(9.975, 0.05)", "10.00"),
        ("round_to(-9.975, 0.05, 'half_down')", "-9.95"),
        ("round_to(149, 100)", "100"),
        ("round_to(150, 100, 'half_even')", "200"),
        ("round_to(250, 100, 'half_even')", "200"),
        ("round_to(1, 3)", "0"),
        ("round_to(10, 0.3, 'up')", "10.2"),
        ("round(1250, -2, 'half_even')", "1200"),
        ("round(1.005, 2, 'down')", "1.00"),
        ("pow(2, 0.5) == sqrt(2)", "true"),
        ("ln(exp(1))", "1.0000000000000000000000000000"),
    ]);
    all_refused(&[
        ("round(lead_time, 2, 'bank')", "`round` takes a rounding mode (\"half_up\", \"half_even\", "),
        ("round(lead_time, lead_time, 'HALF_UP')", "this is \"HALF_UP\""),
        ("round(lead_time, 2, supplier_name)", "written as a text"),
        ("round(lead_time, 2, 3)", "this is integer"),
        ("round(lead_time, 101)", "out of range"),
        ("round_to(lead_time, 0)", "round_to takes a step above zero, not 0"),
        ("round_to(lead_time, -0.05)", "a step above zero, not -0.05"),
        ("sqrt(-1)", "no real number is the result of sqrt"),
        ("ln(0)", "no real number is the result of ln"),
        ("exp(1000000)", "the result of exp has more than 1000 digits"),
        ("pow(10, 1000)", "the result of pow has more than 1000 digits"),
        ("pow(0, -1)", "division by zero"),
    ]);
}

#[test]
fn texts_are_cut_and_put_together_by_characters() {
    all_are(&[
        ("substring('Größe', 3)", "öße"),
        ("substring('Größe', -3, 2)", "öß"),
        ("substring('ab', -5)", "ab"),
        ("substring('ab', 3)", ""),
        ("substring('ab', 9223372036854775807)", ""),
        ("substring('ab', 2, 9223372036854775807)", "b"),
        ("left('Größe', 3)", "Grö"),
        ("left('ab', 5)", "ab"),
        ("right('Größe', 3)", "öße"),
        ("right('ab', 0)", ""),
        ("right('ab', 5)", "ab"),
        ("substring_before('foobar', 'o')", "f"),
        ("substring_before('foobar', 'x')", ""),
        ("substring_before('foobar', '')", ""),
        ("substring_after('foobar', 'o')", "obar"),
        ("substring_after('foobar', 'x')", ""),
        ("substring_after('foobar', '')", "foobar"),
        ("pad_left('ä', 3, 'ö')", "ööä"),
        ("pad_left('abcd', 3, ' ')", "abcd"),
        ("count(split(pad_left('', 99999, ','), ','))", "100000"),
        ("sort(distinct(split(pad_left('', 99999, ','), ',')))", r#"[""]"#),
        ("split('', ',')", r#"[""]"#),
        ("split('a,,b,', ',')", r#"["a","","b",""]"#),
        ("join(split(d.word, 'r'), 'R')", "woRd"),
        ("sort(split('b a', ' '))", r#"["a","b"]"#),
        ("concat(true, null == null, 1.50)", "truetrue1.50"),
    ]);
    all_refused(&[
        ("substring(supplier_name, 0)", "out of range"),
        ("substring(supplier_name, 1, -1)", "out of range"),
        ("left(supplier_name, -1)", "out of range"),
        ("right(supplier_name, 1.5)", "a whole number"),
        ("pad_left(supplier_name, 3, '')", "one character to pad with"),
        ("pad_left(supplier_name, 3, '00')", "one character to pad with, not \"00\""),
        ("pad_left(supplier_name, 2000000, '0')", "longer than 1048576 bytes"),
        ("split(pad_left('', 100000, ','), ',')", "the result of split has more than 100000 elements"),
        ("split(supplier_name, '')", "split takes a separator, not an empty text"),
    ]);
    all_fail(&[("split(d.numbers, ',')", "split takes a text, not list"), ("left(d.none, 1)", "null")]);
}

#[test]
fn a_number_is_read_as_it_is_written() {
    all_are(&[
        ("number('15.50')", "15.50"),
        ("number('-0.5')", "-0.5"),
        ("number('+7')", "7"),
        ("number('-0')", "0"),
        ("number('9223372036854775808')", "9223372036854775808"),
        ("number(d.price) * 2", "25.00"),
        ("number('7') in [7]", "true"),
    ]);
    for text in ["", " 7", "7 ", "007", "1e3", "1,5", "1.", ".5", "1.2.3", "--1", "+-1", "0x1", "seven", "١"] {
        all_refused(&[(&format!("number(\"{text}\")"), &format!("not \"{text}\""))]);
    }
    all_fail(&[
        ("number(d.word)", "number takes a text such as \"-15.50\""),
        ("number(d.none)", "null"),
        ("number(d.map)", "number takes a text, not map"),
        (&format!("number(\"{}\")", "x".repeat(100)), &format!("not \"{}\"...", "x".repeat(40))),
        (&format!("number(\"{}\")", "9".repeat(1001)), "more than 1000 digits"),
    ]);
}

#[test]
fn values_are_written_by_patterns() {
    for (number, pattern, written) in [
        ("0", "0", "0"),
        ("0.5", "0", "1"),
        ("-0.4", "0", "0"),
        ("-0.004", "0.00", "0.00"),
        ("1234", "0", "1234"),
        ("1234", "#,##0", "1,234"),
        ("123", "#,##0", "123"),
        ("7", "#,000", "007"),
        ("7", "0,000", "0,007"),
        ("1234567", "0,000", "1,234,567"),
        ("1.5", "0.00", "1.50"),
        ("1.5", "0.##", "1.5"),
        ("2.00", "0.##", "2"),
        ("2.345", "0.0#", "2.35"),
        ("2.04", "0.0#", "2.04"),
        ("2.004", "0.0#", "2.0"),
        ("999.995", "#,##0.00", "1,000.00"),
        ("123456789012345678901234567890.5", "#,##0.0", "123,456,789,012,345,678,901,234,567,890.5"),
    ] {
        all_are(&[(&format!("text({number}, \"{pattern}\")"), written)]);
    }
    all_are(&[
        ("text(true)", "true"),
        ("text('a')", "a"),
        ("text(now())", "2026-11-23T10:00:00Z"),
        ("text(date('2026-01-31'), '%d.%m.%Y (%j, %A)')", "31.01.2026 (031, Saturday)"),
        ("text(now(), '%F %T %z')", "2026-11-23 10:00:00 +0000"),
        ("text(d.price)", "12.50"),
        ("text(first(d.numbers), '0.0')", "3.0"),
    ]);
    for pattern in ["", "#", "#.##", "0.", "0,00", ",000", "0.0,0", "00#", "0.#0", "x", "0 EUR", "%Y"] {
        all_refused(&[(&format!("text(moq, \"{pattern}\")"), "`text` takes a pattern (\"#,##0.00\" of a number")]);
    }
    for pattern in ["", "yyyy-MM-dd", "%H:%M", "%!", "%", "0.00"] {
        all_refused(&[(&format!("text(since, \"{pattern}\")"), &format!("this is \"{pattern}\""))]);
    }
    all_refused(&[
        ("text(supplier_name, '0.00')", "takes a pattern"),
        ("text(lines.qty)", "a list becomes a text by `join(list, \", \")`"),
        ("text(d.price, 'yyyy')", "this is \"yyyy\""),
    ]);
    all_fail(&[
        ("text(d.map)", "text takes single values, not map"),
        ("text(d.numbers, '0')", "takes a pattern"),
        ("text(d.price, '%Y')", "text takes a pattern"),
        ("text(first(d.numbers), '%Y')", "not \"%Y\""),
        ("text(d.none, '0')", "null"),
    ]);
}

#[test]
fn matches_of_a_pattern_are_replaced() {
    all_are(&[
        (r"replace_pattern('a1b22', '[0-9]+', '#')", "a#b#"),
        (r"replace_pattern('abc', '', '-')", "-a-b-c-"),
        (r"replace_pattern('Größe', 'ö', 'oe')", "Groeße"),
        (r"replace_pattern('2026-01', '(?<y>\\d+)-(\\d+)', '${2}x$y$$')", "01x2026$"),
        (r"replace_pattern('abc', 'x', '$0')", "abc"),
        (r"replace_pattern(d.word, 'o', '0')", "w0rd"),
    ]);
    all_refused(&[
        ("replace_pattern(supplier_name, '(', '')", "the pattern cannot be read: unclosed group"),
        ("replace_pattern(supplier_name, supplier_name, '')", "takes a pattern, written as a text"),
        ("replace_pattern(supplier_name, '(a)', '$2')", "not \"$2\""),
        ("replace_pattern(supplier_name, '(a)', '$1a')", "`${1}` before a letter"),
        ("replace_pattern(supplier_name, '(a)', '${b}')", "not \"$b\""),
    ]);
    all_fail(&[("replace_pattern(d.none, 'a', '')", "null"), ("replace_pattern(d.numbers, 'a', '')", "takes a text")]);
}

/// What a function takes from a list of rows is a row of the same columns.
#[test]
fn rows_keep_their_columns() {
    let rules = r#"rule "A" no-loop {
        when count(lines) > 1
        then dearest = first(lines); both = append(reverse(lines), dearest); price = dearest.price + sum(both.price);
    }"#;
    let compiled =
        |rules: &str| Ruleset::compile("node", &[file("test.grl", rules)], &scope(), &[], &Limits::default());
    let (ruleset, _) = compiled(rules).unwrap_or_else(|found| panic!("{found}"));
    let ty = |name: &str| ruleset.shape().field(name).map(ToString::to_string);
    assert_eq!((ty("both").as_deref(), ty("price").as_deref()), (Some("list of map"), Some("decimal")));
    let found = compiled(&rules.replace("dearest.price", "dearest.cost")).unwrap_err().to_string();
    assert!(found.contains("`dearest` has no field `cost`"), "{found}");
}

#[test]
fn sorting_is_stable_and_refuses_what_has_no_order() {
    all_are(&[
        ("sort([3, 1.0, 2, 1, 1.00])", "[1.0,1,1.00,2,3]"),
        ("sort([3, 1.0, 2, 1, 1.00], 'desc')", "[3,2,1.0,1,1.00]"),
        ("sort([3, 1], 'asc')", "[1,3]"),
        ("sort(['b', 'B', 'ä', 'a'])", r#"["B","a","b","ä"]"#),
        ("sort([date('2026-02-01'), date('2026-01-31')])", r#"["2026-01-31","2026-02-01"]"#),
        ("sort(d.numbers, 'desc')", "[3,2,1.5]"),
        ("sort(d.empty)", "[]"),
    ]);
    all_fail(&[
        ("sort(d.mixed)", "sort takes two numbers, texts, dates or timestamps, not integer and text"),
        ("sort(d.flags)", "not boolean and boolean"),
        ("sort(d.rows)", "not map and map"),
        ("sort(d.nulls)", "element 2 of the list"),
    ]);
}

#[test]
fn dates_and_timestamps_are_those_of_a_zone() {
    all_are(&[
        ("timestamp(date('2026-03-29'), '02:30', 'Europe/Berlin')", "2026-03-29T01:30:00Z"),
        ("timestamp(date('2026-10-25'), '02:30:15', 'Europe/Berlin')", "2026-10-25T00:30:15Z"),
        // The clocks of Beirut skip the first hour of this day.
        ("timestamp(date('2026-03-29'), 'Asia/Beirut')", "2026-03-28T22:00:00Z"),
        ("timestamp(date('2026-07-01'), d.zone)", "2026-06-30T22:00:00Z"),
        ("date(timestamp('2026-07-01T22:00:00Z'), d.zone)", "2026-07-02"),
        ("date(timestamp('2026-07-01T10:00:00Z'), 'Pacific/Kiritimati')", "2026-07-02"),
        ("date(2024, 2, 29)", "2024-02-29"),
        ("add_duration(date('2026-01-31'), 'P1M1D')", "2026-03-01"),
        ("add_duration(date('2026-03-01'), '-P1W')", "2026-02-22"),
        ("add_duration(now(), 'P1DT1H30M')", "2026-11-24T11:30:00Z"),
        ("hours_between(now(), add_minutes(now(), -61))", "-1"),
        ("minutes_between(now(), add_seconds(now(), 59))", "0"),
        ("seconds_between(now(), add_hours(now(), 1))", "3600"),
        ("week_of_year(date('2026-12-31')) == 53 && week_of_year(date('2024-12-30')) == 1", "true"),
        ("day_of_year(date('2024-12-31'))", "366"),
        ("last_day_of_month(date('2024-02-01'))", "2024-02-29"),
    ]);
    all_refused(&[
        ("timestamp(since, 'Berlin')", "`timestamp` takes a time zone such as \"Europe/Berlin\"; this is \"Berlin\""),
        ("date(now(), '+02:00')", "a time zone such as"),
        ("timestamp(since, '24:00', 'UTC')", "a time such as \"14:30\""),
        ("timestamp(since, '2:30', 'UTC')", "a time such as"),
        ("timestamp(since, '12:30:60', 'UTC')", "a time such as"),
        ("add_duration(since, 'PT1H')", "to a timestamp also \"PT4H30M\"; this is \"PT1H\""),
        ("add_duration(since, '1 month')", "an ISO 8601 duration"),
        ("add_duration(now(), 'P')", "an ISO 8601 duration"),
        ("add_duration(supplier_name, 'P1D')", "a date or a timestamp"),
        ("add_years(since, 20000)", "out of range"),
        ("add_hours(since, 1)", "`add_hours` takes a timestamp; this is date"),
        ("hours_between(now(), since)", "takes a timestamp; this is date"),
        ("date(2026, 2, 30)", "date takes a day of the calendar, not year 2026, month 2, day 30"),
        ("date(2026, 1)", "takes a timestamp; this is integer"),
        ("date(1, 2, 3, 4)", "is given 4 arguments"),
    ]);
    all_fail(&[
        (
            "timestamp(date('2026-07-01'), d.word)",
            "timestamp takes a time zone such as \"Europe/Berlin\", not \"word\"",
        ),
        ("timestamp(date('2026-07-01'), d.word, 'UTC')", "timestamp takes a time such as"),
        ("add_duration(now(), d.word)", "add_duration takes an ISO 8601 duration"),
        ("add_duration(today(), 'PT1H')", "add_duration"),
        ("hour(d.word)", "hour takes a timestamp, not text"),
    ]);
}

/// What depends on the zone of the service is computed in it, although its arguments are constant.
#[test]
fn what_depends_on_the_service_s_zone_is_not_computed_before() {
    let clock = Clock::fixed(clock().now(), TimeZone::get("Europe/Berlin").unwrap());
    for (expression, expected) in [
        ("hour(timestamp('2026-07-01T22:10:00Z'))", "0"),
        ("minute(timestamp('2026-07-01T22:10:00Z'))", "10"),
        ("text(timestamp('2026-07-01T22:10:00Z'), '%d.%m. %H:%M')", "02.07. 00:10"),
        // A day of 23 hours, and one of 24.
        ("add_duration(timestamp('2026-03-28T11:00:00Z'), 'P1D')", "2026-03-29T10:00:00Z"),
        ("add_duration(timestamp('2026-03-28T11:00:00Z'), 'PT24H')", "2026-03-29T11:00:00Z"),
        ("date(timestamp('2026-07-01T22:10:00Z'))", "2026-07-02"),
    ] {
        assert_eq!(value_at(expression, &clock).as_deref(), Ok(expected), "{expression}");
    }
}

/// Dates of all the calendar, its ends and the ends of months among them.
fn dates() -> impl Strategy<Value = Date> {
    let any = (-9999_i16..=9999, 1_i8..=12, 1_i8..=31).prop_map(|(year, month, day)| {
        let first = Date::new(year, month, 1).unwrap();
        first.with().day(day.min(first.days_in_month())).build().unwrap()
    });
    let leap = Date::constant(2024, 2, 29);
    prop_oneof![6 => any, 1 => Just(Date::MIN), 1 => Just(Date::MAX), 1 => Just(leap)]
}

fn written(date: Date) -> String {
    format!("date({}, {}, {})", date.year(), date.month(), date.day())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn months_between_are_the_most_that_can_be_added(a in dates(), b in dates()) {
        let (from, to) = (written(a.min(b)), written(a.max(b)));
        let months: i64 = value(&format!("months_between({from}, {to})")).unwrap().parse().unwrap();
        let reaches = |months: i64| value(&format!("add_months({from}, {months}) <= {to}")).is_ok_and(|holds| holds == "true");
        prop_assert!(reaches(months), "{} {}", from, to);
        prop_assert!(!reaches(months + 1), "{} {}", from, to);
        for (expression, expected) in [
            (format!("months_between({to}, {from})"), -months),
            (format!("years_between({from}, {to})"), months / 12),
            (format!("years_between({to}, {from})"), -(months / 12)),
        ] {
            prop_assert_eq!(value(&expression), Ok(expected.to_string()), "{}", expression);
        }
        let years = months / 12;
        let reaches = |years: i64| value(&format!("add_years({from}, {years}) <= {to}")).is_ok_and(|holds| holds == "true");
        prop_assert!(reaches(years), "{} {}", from, to);
        prop_assert!(!reaches(years + 1), "{} {}", from, to);
    }

    /// They have a value or an error, and do not panic.
    #[test]
    fn functions_of_dates_have_a_value_or_an_error_everywhere(
        a in dates(),
        b in dates(),
        count in prop_oneof![-40_i64..40, Just(i64::MAX), Just(-i64::MAX), -200_000_i64..200_000],
        zone in prop_oneof![Just("Pacific/Kiritimati"), Just("Etc/GMT+12"), Just("America/New_York"), Just("UTC")],
        end in prop_oneof![Just("9999-12-30T22:00:00Z"), Just("-009999-01-02T01:59:59Z"), Just("1969-12-31T23:59:59.999Z")],
    ) {
        let (a, b, end) = (written(a), written(b), format!("timestamp(\"{end}\")"));
        for number in ["week_of_year", "day_of_year", "weekday", "year", "month", "day", "last_day_of_month"] {
            prop_assert!(value(&format!("{number}({a})")).is_ok(), "{}({})", number, a);
        }
        for call in [
            format!("add_days({a}, {count})"),
            format!("add_months({a}, {count})"),
            format!("add_years({a}, {count})"),
            format!("add_duration({a}, \"P{}Y{}M{}D\")", count % 20_000, count % 300, count % 400),
            format!("timestamp({a}, \"{zone}\")"),
            format!("timestamp({a}, \"23:59:59\", \"{zone}\")"),
            format!("date({end}, \"{zone}\")"),
            format!("add_duration({end}, \"P1Y{}MT{}H\")", count.unsigned_abs() % 300, count.unsigned_abs() % 100_000),
            format!("add_hours({end}, {count})"),
            format!("add_minutes({end}, {count})"),
            format!("add_seconds({end}, {count})"),
            format!("text({a}, \"%Y %G-%V %j %A\")"),
            format!("text({end}, \"%c %Q\")"),
        ] {
            if let Err(error) = value(&call) {
                let known = ["out of range", "ISO 8601", "unexpected-word"].iter().any(|known| error.contains(known));
                prop_assert!(known, "{}: {}", call, error);
            }
        }
        for call in [
            format!("days_between({a}, {b})"),
            format!("hours_between({end}, now())"),
            format!("seconds_between(now(), {end})"),
            format!("hour({end}) + minute({end})"),
            format!("date({end})"),
        ] {
            prop_assert!(value(&call).is_ok(), "{}: {:?}", call, value(&call));
        }
    }
}
