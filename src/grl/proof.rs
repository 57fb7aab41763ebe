//! Proofs about conditions: that nothing makes one true, or that one holds whenever another does.
//!
//! A claim is proved by refuting its opposite (an analytic tableau). A [`Demand`] on a condition is broken down into demands
//! on its comparisons. A comparison with a constant limits its subject: a fact, or an expression over facts. The constants
//! that a subject is compared with divide its values into cells: each constant, the values between two neighbours, null, a
//! value of another type, and no value (unset, unknown or an error). Within a cell a comparison has one truth. Any other part
//! of a condition is a subject that is true or false. A branch is refuted when a subject has no cell left.
//!
//! What is not refuted within [`MOST_STEPS`] is not proved. Cells without values, such as whole numbers between 1 and 2, make
//! proofs fail and never succeed.

use std::cmp::Ordering;
use std::collections::HashMap;

use super::ast::Compare;
use super::operators::order_for;
use super::program::Node;
use crate::types::{Type, Value};

/// How many parts a proof looks at.
const MOST_STEPS: usize = 2_000;
/// How many comparisons the conditions of a proof may have.
const MOST_TESTS: usize = 256;

/// What a slot is called; two slots of one name are one fact.
pub(super) type Name<'a> = &'a dyn Fn(usize) -> String;

/// Whether nothing makes all of `conditions` have this truth.
pub(super) fn are_never<'a>(truth: bool, conditions: impl IntoIterator<Item = &'a Node>, name: Name<'_>) -> bool {
    let demand = if truth { Demand::HOLDS } else { Demand::FAILS };
    refutes(conditions.into_iter().map(|condition| (condition, demand, name)))
}

/// Whether `condition` is true or an error whenever `premise` is true.
pub(super) fn follows(condition: (&Node, Name<'_>), premise: (&Node, Name<'_>)) -> bool {
    refutes([(premise.0, Demand::HOLDS, premise.1), (condition.0, Demand::FAILS.or_none(), condition.1)])
}

/// What a part of a condition must be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Demand {
    truth: bool,
    /// Whether it may also have no truth: it is unknown or an error.
    or_none: bool,
}

impl Demand {
    pub(super) const HOLDS: Self = Self { truth: true, or_none: false };
    pub(super) const FAILS: Self = Self { truth: false, or_none: false };

    /// The same, or no truth.
    pub(super) fn or_none(self) -> Self {
        Self { or_none: true, ..self }
    }

    fn accepts(self, truth: Option<bool>) -> bool {
        truth.map_or(self.or_none, |truth| truth == self.truth)
    }
}

/// Demands that can be refuted.
enum Goal<'a> {
    All(Vec<Goal<'a>>),
    Any(Vec<Goal<'a>>),
    Test { subject: usize, test: Test<'a>, demand: Demand },
}

/// What is asked of a subject.
#[derive(Clone, Copy)]
enum Test<'a> {
    IsTrue,
    Compare(Compare, &'a Value),
    Among(&'a [Value]),
}

/// The cells of a subject. From the fourth on, the values below the first constant, that constant, the values up to the second
/// one, and so on.
const NONE: usize = 0;
const NULL: usize = 1;
const OTHER: usize = 2;
const FIRST: usize = 3;

/// Whether nothing meets all of `demands`.
pub(super) fn refutes<'a>(demands: impl IntoIterator<Item = (&'a Node, Demand, Name<'a>)>) -> bool {
    let mut builder = Builder { subjects: HashMap::new(), constants: Vec::new(), tests: 0 };
    let demands = demands.into_iter();
    let goals: Vec<Goal<'_>> = demands.map(|(node, demand, name)| builder.goal(node, demand, name, false)).collect();
    if builder.tests > MOST_TESTS {
        return false;
    }
    let axes: Vec<Axis> = builder.constants.into_iter().map(Axis::of).collect();
    let cells = axes.iter().map(Axis::cells).collect();
    Search { axes: &axes, steps: 0 }.refutes(goals.iter().collect(), Vec::new(), cells)
}

/// Makes goals of demands, and collects the constants that each subject is compared with.
struct Builder {
    subjects: HashMap<String, usize>,
    constants: Vec<Vec<Value>>,
    tests: usize,
}

impl Builder {
    /// `is_below`: the part is below a conjunction of demands that may be met by an error.
    fn goal<'a>(&mut self, node: &'a Node, demand: Demand, name: Name<'_>, is_below: bool) -> Goal<'a> {
        match node {
            Node::Constant(Value::Boolean(truth)) if demand.accepts(Some(*truth)) => Goal::All(Vec::new()),
            Node::Constant(Value::Boolean(_)) => Goal::Any(Vec::new()),
            Node::Not(of, _) => self.goal(of, Demand { truth: !demand.truth, ..demand }, name, is_below),
            Node::And(items) | Node::Or(items) => {
                let is_all = matches!(node, Node::And(_)) == demand.truth;
                // `a || b` that is an error may have a true part. The claim allows an error of the whole condition, but an
                // error of a part may be hidden behind an unknown one.
                if is_all && demand.or_none && is_below {
                    return Goal::All(Vec::new());
                }
                let is_below = is_below || (is_all && demand.or_none);
                let goals = items.iter().map(|(item, _)| self.goal(item, demand, name, is_below)).collect();
                if is_all { Goal::All(goals) } else { Goal::Any(goals) }
            }
            part => self.test(part, demand, name),
        }
    }

    fn test<'a>(&mut self, part: &'a Node, demand: Demand, name: Name<'_>) -> Goal<'a> {
        let Node::Compare { operator, left, right, each: false, .. } = part else {
            return self.truth(key(part, name), demand);
        };
        let (left_key, right_key) = (|| key(left, name), || key(right, name));
        match (&**left, &**right, *operator) {
            (_, Node::Constant(Value::List(items)), Compare::In) if items.iter().all(is_scalar) => {
                self.on(left_key(), Test::Among(items), items, demand)
            }
            (_, Node::Constant(value), operator) if is_order(operator) && is_scalar(value) => {
                self.on(left_key(), Test::Compare(operator, value), std::slice::from_ref(value), demand)
            }
            (Node::Constant(value), _, operator) if is_order(operator) && is_scalar(value) => {
                self.on(right_key(), Test::Compare(operator.flipped(), value), std::slice::from_ref(value), demand)
            }
            // The order of two subjects is one subject, however it is asked for.
            (_, _, Compare::Greater) => self.truth(format!("{} > {}", left_key(), right_key()), demand),
            (_, _, Compare::Less) => self.truth(format!("{} > {}", right_key(), left_key()), demand),
            (_, _, Compare::LessEqual) => {
                self.truth(format!("{} > {}", left_key(), right_key()), Demand { truth: !demand.truth, ..demand })
            }
            (_, _, Compare::GreaterEqual) => {
                self.truth(format!("{} > {}", right_key(), left_key()), Demand { truth: !demand.truth, ..demand })
            }
            (_, _, Compare::Equal | Compare::NotEqual) => {
                let mut keys = [left_key(), right_key()];
                keys.sort();
                let truth = (*operator == Compare::Equal) == demand.truth;
                self.truth(keys.join(" == "), Demand { truth, ..demand })
            }
            _ => self.truth(key(part, name), demand),
        }
    }

    fn truth<'a>(&mut self, subject: String, demand: Demand) -> Goal<'a> {
        self.on(subject, Test::IsTrue, &[Value::Boolean(true)], demand)
    }

    fn on<'a>(&mut self, subject: String, test: Test<'a>, constants: &[Value], demand: Demand) -> Goal<'a> {
        self.tests += constants.len().max(1);
        let next = self.subjects.len();
        let subject = *self.subjects.entry(subject).or_insert(next);
        if subject == next {
            self.constants.push(Vec::new());
        }
        if let Some(known) = self.constants.get_mut(subject)
            && self.tests <= MOST_TESTS
        {
            known.extend(constants.iter().filter(|value| !value.is_null()).cloned());
        }
        Goal::Test { subject, test, demand }
    }
}

fn is_scalar(value: &Value) -> bool {
    !matches!(value, Value::List(_) | Value::Map(_))
}

fn is_order(operator: Compare) -> bool {
    use Compare::{Equal, Greater, GreaterEqual, Less, LessEqual, NotEqual};
    matches!(operator, Equal | NotEqual | Less | LessEqual | Greater | GreaterEqual)
}

/// The constants of a subject in their order; `None` where they are of several types, and nothing is known.
struct Axis(Option<Vec<Value>>);

impl Axis {
    fn of(mut constants: Vec<Value>) -> Self {
        let ty = constants.first().map_or(Type::Any, Value::ty);
        if !constants.iter().all(|value| value.ty().comparable_with(&ty)) {
            return Self(None);
        }
        if ty == Type::Boolean {
            return Self(Some(vec![Value::Boolean(false), Value::Boolean(true)]));
        }
        constants.sort_by(order);
        constants.dedup();
        Self(Some(constants))
    }

    /// Which cells there are.
    fn cells(&self) -> Vec<bool> {
        let constants = self.0.as_deref().unwrap_or_default();
        let is_boolean = matches!(constants.first(), Some(Value::Boolean(_)));
        (0..=FIRST + 2 * constants.len()).map(|cell| cell < FIRST || cell % 2 == 0 || !is_boolean).collect()
    }

    fn cell(&self, value: &Value) -> Option<usize> {
        let place = self.0.as_ref()?.binary_search_by(|known| order(known, value)).ok()?;
        Some(FIRST + 2 * place + 1)
    }

    /// The truth of a test for the values of a cell.
    fn truth(&self, test: Test<'_>, cell: usize) -> Option<bool> {
        let equals = |value: &Value| if value.is_null() { cell == NULL } else { self.cell(value) == Some(cell) };
        match test {
            _ if cell == NONE => None,
            Test::IsTrue if cell < FIRST => None,
            Test::IsTrue => Some(equals(&Value::Boolean(true))),
            Test::Compare(Compare::Equal, value) if cell != OTHER || value.is_null() => Some(equals(value)),
            Test::Compare(Compare::NotEqual, value) if cell != OTHER || value.is_null() => Some(!equals(value)),
            Test::Compare(operator, value) if cell >= FIRST => {
                let order = cell.cmp(&self.cell(value)?);
                Some(match operator {
                    Compare::Less => order.is_lt(),
                    Compare::LessEqual => order.is_le(),
                    Compare::Greater => order.is_gt(),
                    _ => order.is_ge(),
                })
            }
            Test::Compare(..) => None,
            Test::Among(values) if cell == OTHER && !values.iter().all(Value::is_null) => None,
            Test::Among(values) => Some(values.iter().any(equals)),
        }
    }
}

/// The order of two constants of one type.
fn order(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Boolean(a), Value::Boolean(b)) => a.cmp(b),
        _ => order_for("<", a, b).unwrap_or(Ordering::Equal),
    }
}

struct Search<'a> {
    axes: &'a [Axis],
    steps: usize,
}

impl<'a> Search<'a> {
    /// Whether nothing meets all of `open` and one of each of `choices`, within `cells`.
    fn refutes(
        &mut self,
        mut open: Vec<&'a Goal<'a>>,
        mut choices: Vec<&'a [Goal<'a>]>,
        mut cells: Vec<Vec<bool>>,
    ) -> bool {
        while let Some(goal) = open.pop() {
            self.steps += 1;
            if self.steps > MOST_STEPS {
                return false;
            }
            match goal {
                Goal::All(goals) => open.extend(goals),
                Goal::Any(goals) => choices.push(goals),
                Goal::Test { subject, test, demand } => {
                    let (Some(axis), Some(cells)) = (self.axes.get(*subject), cells.get_mut(*subject)) else {
                        continue;
                    };
                    if axis.0.is_none() {
                        continue;
                    }
                    for (cell, is_open) in cells.iter_mut().enumerate() {
                        *is_open = *is_open && demand.accepts(axis.truth(*test, cell));
                    }
                    if !cells.contains(&true) {
                        return true;
                    }
                }
            }
        }
        let Some(goals) = choices.pop() else { return false };
        goals.iter().all(|goal| self.refutes(vec![goal], choices.clone(), cells.clone()))
    }
}

/// What is the same for two parts that always have the same value.
fn key(node: &Node, name: Name<'_>) -> String {
    let mut out = String::new();
    write_key(node, name, &mut out);
    out
}

fn write_key(node: &Node, name: Name<'_>, out: &mut String) {
    let all = |before: &str, items: &[&Node], out: &mut String| {
        out.push_str(before);
        out.push('(');
        for item in items {
            write_key(item, name, out);
            out.push(',');
        }
        out.push(')');
    };
    match node {
        Node::Constant(value) => out.push_str(&format!("{value:?}")),
        Node::Slot { slot, .. } => out.push_str(&name(*slot)),
        Node::Below { slot, path, .. } => out.push_str(&format!("{}.{}", name(*slot), path.join("."))),
        Node::List(items, _) => all("list", &items.iter().collect::<Vec<_>>(), out),
        Node::And(items) => all("&&", &items.iter().map(|(item, _)| item).collect::<Vec<_>>(), out),
        Node::Or(items) => all("||", &items.iter().map(|(item, _)| item).collect::<Vec<_>>(), out),
        Node::Not(of, _) => all("!", &[of], out),
        Node::Negate(of, _) => all("-", &[of], out),
        Node::Compare { operator, left, right, each, .. } => {
            all(&format!("{} {each}", operator.text()), &[left, right], out);
        }
        Node::Matches { of, pattern, each, .. } => all(&format!("matches {pattern:?} {each}"), &[of], out),
        Node::Bound { number, path, .. } => out.push_str(&format!("bound {number} {}", path.join("."))),
        Node::Apply { name, arguments, .. } => all(&format!("own {name}"), &arguments.iter().collect::<Vec<_>>(), out),
        Node::Map { names, values, .. } => all(&format!("map {names:?}"), &values.iter().collect::<Vec<_>>(), out),
        Node::If { .. } | Node::For { .. } => {
            let mut parts = Vec::new();
            node.parts(&mut |part| parts.push(part));
            let kind = if matches!(node, Node::For { condition: Some(_), .. }) { "for where" } else { "for" };
            all(if matches!(node, Node::If { .. }) { "if" } else { kind }, &parts, out);
        }
        Node::Call { function, arguments, .. } => all(function.name, &arguments.iter().collect::<Vec<_>>(), out),
        Node::Arithmetic { first, rest, .. } => {
            all("", &[first], out);
            rest.iter().for_each(|(operator, operand)| all(operator.text(), &[operand], out));
        }
    }
}
