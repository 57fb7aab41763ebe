//! Generated expressions, evaluated by the service and by a second evaluator that was written from the reference alone:
//! numbers as fractions of whole numbers, quotients by long division, logic by truth tables.

use std::cmp::Ordering;
use std::sync::Arc;

use num_bigint::{BigInt, Sign};
use num_traits::{Signed, Zero};
use proptest::prelude::*;
use tributary::grl::{Expression, ExpressionKind, FactRef, Facts, Limits, Lookup, Owner, Scope};
use tributary::types::{FieldName, Shape, Type, Value};

use crate::purchasing::{clock, file};

/// `digits` with the last `scale` of them behind the point.
#[derive(Debug, Clone)]
struct Number {
    digits: BigInt,
    scale: u32,
}

impl Number {
    fn parse(text: &str) -> Self {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        Self { digits: format!("{whole}{fraction}").parse().unwrap(), scale: fraction.len().try_into().unwrap() }
    }

    /// Both with as many digits behind the point.
    fn aligned(&self, other: &Self) -> (BigInt, BigInt, u32) {
        let scale = self.scale.max(other.scale);
        let stretch = |number: &Self| &number.digits * BigInt::from(10).pow(scale - number.scale);
        (stretch(self), stretch(other), scale)
    }

    fn order(&self, other: &Self) -> Ordering {
        let (a, b, _) = self.aligned(other);
        a.cmp(&b)
    }

    /// By long division, a digit at a time: all of them where it ends, else 28 that count after the integer part, the last
    /// rounded half away from zero.
    fn divided_by(&self, other: &Self) -> Self {
        let (a, b, _) = self.aligned(other);
        let negative = (a.sign() == Sign::Minus) != (b.sign() == Sign::Minus);
        let (a, b) = (a.abs(), b.abs());
        let long = |stop: &dyn Fn(&BigInt, u32) -> bool| {
            let (mut digits, mut rest, mut scale) = (&a / &b, &a % &b, 0);
            while !rest.is_zero() && !stop(&digits, scale) {
                rest *= 10;
                digits = digits * 10 + &rest / &b;
                rest %= &b;
                scale += 1;
            }
            (digits, rest, scale)
        };
        // A quotient that ends does so within as many digits as the divisor has bits.
        let bits = u32::try_from(b.bits()).unwrap();
        let (mut digits, mut rest, mut scale) = long(&|_, scale| scale > bits);
        if !rest.is_zero() {
            let whole = &a / &b;
            let counts =
                |digits: &BigInt, scale| if whole.is_zero() { digits.to_string().len() } else { scale as usize };
            (digits, rest, scale) = long(&|digits, scale| !digits.is_zero() && counts(digits, scale) == 28);
            digits += i32::from(rest * 2 >= b);
        }
        Self { digits: if negative { -digits } else { digits }, scale }
    }

    /// To `places` behind the point, half away from zero.
    fn rounded(&self, places: u32) -> Self {
        let Some(excess) = self.scale.checked_sub(places) else { return self.clone() };
        let unit = BigInt::from(10).pow(excess);
        let up = (self.digits.abs() % &unit) * 2 >= unit;
        let digits = (self.digits.abs() / unit) + i32::from(up && excess > 0);
        Self { digits: if self.digits.is_negative() { -digits } else { digits }, scale: places }
    }
}

/// What the second evaluator finds.
#[derive(Debug, Clone)]
enum Found {
    Number(Number),
    Truth(bool),
    Text(&'static str),
    Null,
    Unknown,
    Error,
}

#[derive(Debug, Clone)]
enum Tree {
    Leaf(&'static str, Found),
    Literal(String),
    Binary(&'static str, Box<Tree>, Box<Tree>),
    Prefix(char, Box<Tree>),
    Call(&'static str, Vec<Tree>),
    In(Box<Tree>, Vec<Tree>),
}

const FACTS: [(&str, Option<&str>); 6] = [
    ("whole", Some("7")),
    ("price", Some("15.50")),
    ("below", Some("-0.125")),
    ("huge", Some("9223372036854775807")),
    ("nothing", None),
    ("zero", Some("0")),
];

/// Makes a tree from a tape of random bytes: an empty tape gives leaves.
struct Tape<'a>(std::slice::Iter<'a, u8>);

impl Tape<'_> {
    fn choose(&mut self, count: u8) -> u8 {
        self.0.next().map_or(0, |byte| byte % count)
    }

    fn number(&mut self, depth: u32) -> Tree {
        if depth == 0 {
            return self.number_leaf();
        }
        let deeper = depth - 1;
        match self.choose(12) {
            0..=2 => self.number_leaf(),
            3 => Tree::Prefix('-', Box::new(self.number(deeper))),
            4 => Tree::Call("abs", vec![self.number(deeper)]),
            5 => {
                let places = self.choose(4).to_string();
                Tree::Call("round", vec![self.number(deeper), Tree::Literal(places)])
            }
            6 => {
                let name = ["max", "min"][usize::from(self.choose(2))];
                Tree::Call(name, vec![self.number(deeper), self.number(deeper), self.number(deeper)])
            }
            7 => Tree::Call("coalesce", vec![self.number(deeper), self.number(deeper)]),
            choice => {
                let operator = ["+", "-", "*", "/"][usize::from(choice - 8)];
                let operator = if operator == "/" && self.choose(3) == 0 { "%" } else { operator };
                Tree::Binary(operator, Box::new(self.number(deeper)), Box::new(self.number(deeper)))
            }
        }
    }

    fn number_leaf(&mut self) -> Tree {
        match self.choose(10) {
            choice @ 0..=5 => {
                let (name, value) = FACTS[usize::from(choice)];
                Tree::Leaf(name, value.map_or(Found::Null, |text| Found::Number(Number::parse(text))))
            }
            6 => Tree::Leaf("unset", Found::Unknown),
            7 => Tree::Literal(self.choose(255).to_string()),
            _ => Tree::Literal(format!("{}.{:03}", self.choose(20), u16::from(self.choose(250)) * 4)),
        }
    }

    fn truth(&mut self, depth: u32) -> Tree {
        let deeper = depth.saturating_sub(1);
        match self.choose(if depth == 0 { 4 } else { 12 }) {
            0 => Tree::Leaf("yes", Found::Truth(true)),
            1 => Tree::Leaf("no", Found::Truth(false)),
            2 => Tree::Leaf("perhaps", Found::Unknown),
            3 => Tree::Leaf("null_truth", Found::Null),
            4 => Tree::Prefix('!', Box::new(self.truth(deeper))),
            5 | 6 => Tree::Binary("&&", Box::new(self.truth(deeper)), Box::new(self.truth(deeper))),
            7 | 8 => Tree::Binary("||", Box::new(self.truth(deeper)), Box::new(self.truth(deeper))),
            9 => Tree::In(Box::new(self.number(deeper)), vec![self.number(deeper), self.number(deeper)]),
            10 => {
                let operator = ["startsWith", "contains", "==", "<"][usize::from(self.choose(4))];
                Tree::Binary(operator, Box::new(self.text()), Box::new(self.text()))
            }
            _ => {
                let operator = ["==", "!=", "<", "<=", ">", ">="][usize::from(self.choose(6))];
                Tree::Binary(operator, Box::new(self.number(deeper)), Box::new(self.number(deeper)))
            }
        }
    }

    fn text(&mut self) -> Tree {
        let (name, text) = [("size", "Größe"), ("start", "Gr"), ("empty", "")][usize::from(self.choose(3))];
        Tree::Leaf(name, Found::Text(text))
    }
}

fn power(operator: &str) -> u8 {
    match operator {
        "||" => 1,
        "&&" => 2,
        "+" | "-" => 4,
        "*" | "/" | "%" => 5,
        _ => 3,
    }
}

impl Tree {
    /// As somebody would write it: tight, spaced, over several lines or with comments, here and there with parentheses
    /// that it does not take.
    fn written(&self, least: u8) -> String {
        let list = |items: &[Self]| items.iter().map(|item| item.written(0)).collect::<Vec<_>>().join(", ");
        match self {
            Self::Leaf(name, _) => (*name).to_owned(),
            Self::Literal(text) => text.clone(),
            Self::Prefix(symbol, of) => format!("{symbol}{}", of.written(6)),
            Self::Call(name, arguments) => format!("{name}({})", list(arguments)),
            Self::In(of, items) => closed(format!("{} in [{}]", of.written(4), list(items)), 3 < least),
            Self::Binary(operator, left, right) => {
                let power = power(operator);
                // Comparisons do not chain.
                let left = left.written(if power == 3 { 4 } else { power });
                let right = right.written(power + 1);
                let word = operator.starts_with(char::is_alphabetic);
                let space = ["", " ", "\n\t", " /* \" */ "][(left.len() + right.len()) % 4];
                let space = if word && space.is_empty() { " " } else { space };
                let text = format!("{left}{space}{operator}{space}{right}");
                let close = power < least || text.len() % 7 == 0;
                closed(text, close)
            }
        }
    }

    fn found(&self) -> Found {
        match self {
            Self::Leaf(_, value) => value.clone(),
            Self::Literal(text) => Found::Number(Number::parse(text)),
            Self::Prefix('!', of) => match of.found() {
                Found::Truth(truth) => Found::Truth(!truth),
                Found::Null => Found::Error,
                other => other,
            },
            Self::Prefix(_, of) => match of.found() {
                Found::Number(number) => Found::Number(Number { digits: -number.digits, ..number }),
                Found::Null => Found::Error,
                other => other,
            },
            Self::Binary("&&", left, right) => logic(left, right, false),
            Self::Binary("||", left, right) => logic(left, right, true),
            Self::Binary(operator, left, right) => match (left.found(), operator) {
                (Found::Error, _) => Found::Error,
                (Found::Unknown, _) => Found::Unknown,
                (left, operator) => match right.found() {
                    Found::Error => Found::Error,
                    Found::Unknown => Found::Unknown,
                    right => operate(operator, &left, &right),
                },
            },
            Self::Call(name, arguments) => call(name, arguments),
            Self::In(of, items) => is_in(of, items),
        }
    }
}

fn closed(text: String, close: bool) -> String {
    if close { format!("({text})") } else { text }
}

/// `deciding` decides; behind an unknown part an error does not count.
fn logic(left: &Tree, right: &Tree, deciding: bool) -> Found {
    match (left.found(), right) {
        (Found::Truth(truth), _) if truth == deciding => Found::Truth(deciding),
        (Found::Truth(_), right) => match right.found() {
            Found::Truth(truth) => Found::Truth(truth),
            Found::Unknown => Found::Unknown,
            _ => Found::Error,
        },
        (Found::Unknown, right) => match right.found() {
            Found::Truth(truth) if truth == deciding => Found::Truth(deciding),
            _ => Found::Unknown,
        },
        _ => Found::Error,
    }
}

fn operate(operator: &str, left: &Found, right: &Found) -> Found {
    match (left, right) {
        (Found::Number(a), Found::Number(b)) => compute(operator, a, b),
        (Found::Text(a), Found::Text(b)) => Found::Truth(match operator {
            "startsWith" => a.starts_with(b),
            "contains" => a.contains(b),
            "==" => a == b,
            _ => a < b,
        }),
        (Found::Null, Found::Null) if operator == "==" || operator == "!=" => Found::Truth(operator == "=="),
        (Found::Null, _) | (_, Found::Null) if operator == "==" || operator == "!=" => Found::Truth(operator == "!="),
        _ => Found::Error,
    }
}

fn compute(operator: &str, a: &Number, b: &Number) -> Found {
    let (x, y, scale) = a.aligned(b);
    let order = x.cmp(&y);
    let digits = match operator {
        "+" => x + y,
        "-" => x - y,
        "*" => return Found::Number(Number { digits: &a.digits * &b.digits, scale: a.scale + b.scale }),
        "/" | "%" if y.is_zero() => return Found::Error,
        "/" => return Found::Number(a.divided_by(b)),
        "%" => x % y,
        "==" => return Found::Truth(order.is_eq()),
        "!=" => return Found::Truth(order.is_ne()),
        "<" => return Found::Truth(order.is_lt()),
        "<=" => return Found::Truth(order.is_le()),
        ">" => return Found::Truth(order.is_gt()),
        _ => return Found::Truth(order.is_ge()),
    };
    Found::Number(Number { digits, scale })
}

fn call(name: &str, arguments: &[Tree]) -> Found {
    let mut values = Vec::new();
    for argument in arguments {
        match argument.found() {
            Found::Number(number) => values.push(Some(number)),
            Found::Null if name == "coalesce" => values.push(None),
            Found::Unknown => return Found::Unknown,
            _ => return Found::Error,
        }
    }
    let mut numbers = values.iter().flatten();
    match name {
        "coalesce" => numbers.next().cloned().map_or(Found::Null, Found::Number),
        "min" => numbers.min_by(|a, b| a.order(b)).cloned().map_or(Found::Null, Found::Number),
        "max" => numbers.max_by(|a, b| a.order(b)).cloned().map_or(Found::Null, Found::Number),
        "abs" => numbers
            .next()
            .map_or(Found::Null, |number| Found::Number(Number { digits: number.digits.abs(), scale: number.scale })),
        _ => {
            let places = numbers.nth(1).unwrap().digits.to_string().parse().unwrap();
            values[0].as_ref().map_or(Found::Null, |number| Found::Number(number.rounded(places)))
        }
    }
}

fn is_in(of: &Tree, items: &[Tree]) -> Found {
    let of = of.found();
    if matches!(of, Found::Error | Found::Unknown) {
        return of;
    }
    let mut found = false;
    for item in items {
        match (&of, item.found()) {
            (_, Found::Error) => return Found::Error,
            (_, Found::Unknown) => return Found::Unknown,
            (of, item) => found |= matches!(operate("==", of, &item), Found::Truth(true)),
        }
    }
    Found::Truth(found)
}

struct Row;

impl Facts for Row {
    fn read(&self, fact: &FactRef) -> Lookup {
        let name = &*fact.path[0];
        Lookup::Value(match name {
            "yes" => Value::Boolean(true),
            "no" => Value::Boolean(false),
            "size" => Value::text("Größe"),
            "start" => Value::text("Gr"),
            "empty" => Value::text(""),
            "unset" | "perhaps" => return Lookup::Unset,
            name => match FACTS.iter().find(|(known, _)| *known == name).and_then(|(_, value)| *value) {
                Some(number) => Value::from_number(number).unwrap(),
                None => Value::Null,
            },
        })
    }
}

impl Tree {
    fn parts(&self) -> Vec<&Self> {
        match self {
            Self::Leaf(..) | Self::Literal(_) => Vec::new(),
            Self::Binary(_, left, right) => vec![left, right],
            Self::Prefix(_, of) => vec![of],
            Self::Call(_, arguments) => arguments.iter().collect(),
            Self::In(value, items) => std::iter::once(&**value).chain(items).collect(),
        }
    }

    fn is_constant(&self) -> bool {
        !matches!(self, Self::Leaf(..)) && self.parts().into_iter().all(Self::is_constant)
    }

    /// Whether a part has no value whatever the facts are: a constant one, or a quotient by a constant zero.
    fn errs_certainly(&self) -> bool {
        let by_zero = match self {
            Self::Binary("/" | "%", _, right) if right.is_constant() => {
                matches!(right.found(), Found::Number(divisor) if divisor.digits.is_zero())
            }
            _ => false,
        };
        by_zero
            || (self.is_constant() && matches!(self.found(), Found::Error))
            || self.parts().into_iter().any(Self::errs_certainly)
    }
}

fn scope() -> Scope {
    let ty = |name: &str| match name {
        "whole" | "huge" | "zero" => Type::Integer,
        "yes" | "no" | "perhaps" | "null_truth" => Type::Boolean,
        "size" | "start" | "empty" => Type::Text,
        _ => Type::Decimal,
    };
    let names = FACTS.iter().map(|(name, _)| *name);
    let names = names.chain(["unset", "perhaps", "yes", "no", "null_truth", "size", "start", "empty"]);
    let mut scope = Scope::new();
    let shape = Shape::closed(names.map(|name| (FieldName::from(name), ty(name))));
    scope.add("row", Owner::Node(0), Type::Map(Arc::new(shape)));
    scope
}

fn agree(tree: &Tree) {
    let text = tree.written(0);
    let compiled = Expression::compile(&file("test.grl", &text), &scope(), ExpressionKind::Value, &Limits::default());
    let (expression, _) = match compiled {
        Ok(compiled) => compiled,
        Err(found) => {
            assert!(found.iter().all(|error| error.code == "certain-error"), "{found}");
            assert!(tree.errs_certainly(), "{text}\n has no part that always fails: {found}");
            return;
        }
    };
    let given = expression.evaluate(&Row, &clock());
    let expected = tree.found();
    let agrees = match (&given, &expected) {
        (Err(_), Found::Error) | (Ok(None), Found::Unknown) | (Ok(Some(Value::Null)), Found::Null) => true,
        (Ok(Some(Value::Boolean(given))), Found::Truth(expected)) => given == expected,
        (Ok(Some(value @ (Value::Integer(_) | Value::Decimal(_)))), Found::Number(expected)) => {
            Number::parse(&value.to_string()).order(expected).is_eq()
        }
        _ => false,
    };
    assert!(agrees, "{text}\n gives {given:?}\n should be {expected:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn conditions_agree_with_a_second_evaluator(tape in proptest::collection::vec(any::<u8>(), 0..120)) {
        agree(&Tape(tape.iter()).truth(5));
    }

    #[test]
    fn numbers_agree_with_a_second_evaluator(tape in proptest::collection::vec(any::<u8>(), 0..120)) {
        agree(&Tape(tape.iter()).number(5));
    }
}
