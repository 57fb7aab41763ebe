//! A table gives what its rows say: the reading of each row by a plain loop, written here once more.

use proptest::prelude::*;
use tributary::grl::{Hit, HitPolicy, RuleError};
use tributary::types::Value;

use crate::reading::{evaluate, hit, preferring, table};

/// One test of a column of numbers.
#[derive(Debug, Clone)]
pub enum Test {
    Value(i64),
    Less(i64),
    AtMost(i64),
    More(i64),
    AtLeast(i64),
    Not(i64),
    Range(i64, i64, bool, bool),
    /// Less than the input `limit`.
    BelowLimit,
}

/// A cell: any, one of these tests, or none of them.
#[derive(Debug, Clone)]
pub struct Cell {
    pub tests: Vec<Test>,
    pub negated: bool,
}

impl Test {
    fn holds(&self, number: i64, limit: i64) -> bool {
        match *self {
            Self::Value(value) => number == value,
            Self::Less(value) => number < value,
            Self::AtMost(value) => number <= value,
            Self::More(value) => number > value,
            Self::AtLeast(value) => number >= value,
            Self::Not(value) => number != value,
            Self::Range(low, high, with_low, with_high) => {
                (if with_low { number >= low } else { number > low })
                    && (if with_high { number <= high } else { number < high })
            }
            Self::BelowLimit => number < limit,
        }
    }

    fn written(&self) -> String {
        match *self {
            Self::Value(value) => value.to_string(),
            Self::Less(value) => format!("< {value}"),
            Self::AtMost(value) => format!("<= {value}"),
            Self::More(value) => format!("> {value}"),
            Self::AtLeast(value) => format!(">={value}"),
            Self::Not(value) => format!("!= {value}"),
            Self::Range(low, high, with_low, with_high) => {
                format!("{}{low}..{high}{}", if with_low { '[' } else { '(' }, if with_high { ']' } else { ')' })
            }
            Self::BelowLimit => "< limit".to_owned(),
        }
    }
}

impl Cell {
    pub fn holds(&self, number: i64, limit: i64) -> bool {
        self.tests.is_empty() || self.tests.iter().any(|test| test.holds(number, limit)) != self.negated
    }

    fn written(&self) -> String {
        let tests: Vec<String> = self.tests.iter().map(Test::written).collect();
        match (tests.is_empty(), self.negated) {
            (true, _) => "-".to_owned(),
            (false, true) => format!("not({})", tests.join(", ")),
            (false, false) => tests.join(", "),
        }
    }
}

/// A row: cells of two columns of numbers, words of a column of texts (none: any), and a result.
#[derive(Debug, Clone)]
pub struct Row {
    pub quantity: Cell,
    pub weight: Cell,
    pub regions: Vec<&'static str>,
    pub result: i64,
}

pub const REGIONS: [&str; 4] = ["EU", "US", "New York", "JP"];

impl Row {
    pub fn holds(&self, (quantity, weight, region, limit): (i64, i64, &str, i64)) -> bool {
        self.quantity.holds(quantity, limit)
            && self.weight.holds(weight, limit)
            && (self.regions.is_empty() || self.regions.contains(&region))
    }

    pub fn written(&self) -> String {
        let regions = if self.regions.is_empty() { "-".to_owned() } else { self.regions.join(", ") };
        format!("{};{};{regions};{}\n", self.quantity.written(), self.weight.written(), self.result)
    }
}

fn small() -> impl Strategy<Value = i64> {
    -2_i64..5
}

fn cell() -> impl Strategy<Value = Cell> {
    let range = (small(), small(), any::<bool>(), any::<bool>());
    let test = prop_oneof![
        small().prop_map(Test::Value),
        small().prop_map(Test::Less),
        small().prop_map(Test::AtMost),
        small().prop_map(Test::More),
        small().prop_map(Test::AtLeast),
        small().prop_map(Test::Not),
        range.prop_map(|(low, high, with_low, with_high)| Test::Range(low, high, with_low, with_high)),
        Just(Test::BelowLimit),
    ];
    (proptest::collection::vec(test, 0..3), any::<bool>()).prop_map(|(tests, negated)| Cell { tests, negated })
}

pub fn row() -> impl Strategy<Value = Row> {
    let regions = proptest::sample::subsequence(REGIONS.to_vec(), 0..3);
    (cell(), cell(), regions, 0_i64..4).prop_map(|(quantity, weight, regions, result)| Row {
        quantity,
        weight,
        regions,
        result,
    })
}

const POLICIES: [HitPolicy; 11] = [
    HitPolicy::Unique,
    HitPolicy::Any,
    HitPolicy::Priority,
    HitPolicy::First,
    HitPolicy::RuleOrder,
    HitPolicy::OutputOrder,
    HitPolicy::Collect,
    HitPolicy::Sum,
    HitPolicy::Min,
    HitPolicy::Max,
    HitPolicy::Count,
];

/// The order of preference of these tests.
const PREFERRED: [i64; 4] = [2, 0, 3, 1];

fn policy(policy: HitPolicy) -> Hit {
    let values: Vec<Value> = PREFERRED.into_iter().map(Value::Integer).collect();
    if policy.needs_preference() { preferring(policy, "fee", &values) } else { hit(policy) }
}

/// What a policy makes of the results of the rows that match, in their order; `Err` where they must not match together.
fn expected(policy: HitPolicy, results: &[i64]) -> Result<Option<Value>, ()> {
    let number = |number: i64| Ok(Some(Value::Integer(number)));
    let list = |results: &[i64]| Ok(Some(Value::list(results.iter().copied().map(Value::Integer))));
    let place = |result: &i64| PREFERRED.iter().position(|known| known == result);
    match (policy, results) {
        (HitPolicy::RuleOrder | HitPolicy::Collect, _) => list(results),
        (HitPolicy::OutputOrder, _) => {
            let mut sorted = results.to_vec();
            sorted.sort_by_key(place);
            list(&sorted)
        }
        (HitPolicy::Count, _) => number(i64::try_from(results.len()).unwrap()),
        (_, []) => Ok(None),
        (HitPolicy::Unique, [only]) | (HitPolicy::First, [only, ..]) => number(*only),
        (HitPolicy::Any, [first, ..]) if results.iter().all(|result| result == first) => number(*first),
        (HitPolicy::Unique | HitPolicy::Any, _) => Err(()),
        (HitPolicy::Priority, _) => number(*results.iter().min_by_key(|result| place(result)).unwrap()),
        (HitPolicy::Sum, _) => number(results.iter().sum()),
        (HitPolicy::Min, _) => number(*results.iter().min().unwrap()),
        (HitPolicy::Max, _) => number(*results.iter().max().unwrap()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_hit_policy_gives_what_a_loop_over_the_rows_gives(
        rows in proptest::collection::vec(row(), 1..8),
        facts in proptest::collection::vec((-3_i64..6, -3_i64..6, 0_usize..5, -1_i64..4), 1..6),
    ) {
        let text = rows.iter().fold("when quantity;when weight;when region;then fee\n".to_owned(), |text, row| text + &row.written());
        for kind in POLICIES {
            let rates = table(&text, &policy(kind));
            for (quantity, weight, region, limit) in &facts {
                let region = REGIONS.get(*region).copied().unwrap_or("elsewhere");
                let results: Vec<i64> =
                    rows.iter().filter(|row| row.holds((*quantity, *weight, region, *limit))).map(|row| row.result).collect();
                let inputs = [
                    ("quantity", Some(Value::Integer(*quantity))),
                    ("weight", Some(Value::Decimal((*weight).into()))),
                    ("region", Some(Value::text(region))),
                    ("limit", Some(Value::Integer(*limit))),
                ];
                let found = evaluate(&rates, &inputs).map(|evaluation| evaluation.facts.at(["fee"]));
                match (found, expected(kind, &results)) {
                    (Ok(found), Ok(expected)) => prop_assert_eq!(found, expected, "{:?} of\n{}", kind, text),
                    (Err(RuleError::Rows { .. }), Err(())) => {}
                    (found, expected) => prop_assert!(false, "{kind:?}: {found:?}, not {expected:?} of\n{text}"),
                }
            }
        }
    }
}
