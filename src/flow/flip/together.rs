//! The smallest change of several numbers together at which the outcome changes.
//!
//! A change moves each number up, down or not at all, all by the same share of their values. For each choice of directions the
//! share grows in steps that double until the run ends with another decision, and the interval is then halved down to
//! 0.1 percent. Of the smallest share that was found, each number goes back as far as the other decision allows. Every
//! change that is reported was tried. A change is smaller than another if the largest share by which it moves a number is.
//!
//! The search looks along these directions only, so there may be smaller changes. They are a box around the present values. Its
//! parts are halved until `proof` shows of each that no run in it ends with another decision, or a single change is left, which is
//! tried. So the smallest change is found, and proved to be the smallest in steps of the last digits, where the rules are linear in
//! the facts, and, whatever the rules are, where there are few smaller changes. A change that was tried and ended in an error, and
//! a query that depends on a number, leave it to the search: the next time there might be another decision.

use std::cell::{Cell, RefCell};

use num_bigint::BigInt;
use num_traits::{Signed, Zero};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value as Json};

use super::proof::{Proof, Seen};
use super::{Number, Tries};
use crate::flow::options::RunOptions;
use crate::flow::report::Report;
use crate::types::Value;

/// How often the share doubles, from 0.1 percent to about 130 times the value.
const DOUBLINGS: u32 = 18;
/// The shares in the value of a number.
const SHARES: u64 = 1_000;
/// How many runs a search may make.
const MOST_RUNS: usize = 5_000;

/// The smallest change of several facts together that a search found.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Together {
    /// The facts.
    pub facts: Vec<String>,
    /// How the run ends now.
    pub ending: String,
    /// How the change was found: by `search`, which may miss a smaller one, or by `proof`, after which there is no smaller one
    /// in steps of the last digits.
    #[schemars(extend("enum" = ["search", "proof"]))]
    pub found_by: &'static str,
    /// The smallest change that was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<Change>,
    /// How many runs the search made.
    pub runs: usize,
    /// Why the search ended before it was complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cut_off: Option<String>,
}

/// A change with which the run ends with another decision.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Change {
    /// The facts that change.
    pub facts: Vec<Changed>,
    /// How the run ends with all of them.
    pub ending: String,
    /// The decision that it makes.
    #[schemars(with = "Map<String, Json>")]
    pub decision: Json,
}

/// A fact that changes.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Changed {
    /// The fact.
    pub fact: String,
    /// Its value now.
    #[schemars(with = "Json")]
    pub before: Value,
    /// Its value after the change.
    #[schemars(with = "Json")]
    pub after: Value,
}

impl Together {
    /// Searches the smallest change of all `numbers`, with whose present values the run ends as `here`.
    pub(super) async fn search<A: AsyncFn(RunOptions) -> Report>(
        tries: &Tries<'_, A>,
        numbers: &[Number],
        here: &str,
    ) -> Self {
        let (runs, has_untried, cut_off) = (Cell::new(0), Cell::new(false), RefCell::new(None));
        let space = Space { tries, numbers, here, runs, has_untried, cut_off };
        let (change, is_proved) = space.smallest().await.unzip();
        Self {
            facts: numbers.iter().map(|number| number.fact.clone()).collect(),
            ending: here.to_owned(),
            found_by: if is_proved == Some(true) { "proof" } else { "search" },
            change,
            runs: space.runs.get(),
            cut_off: space.cut_off.into_inner(),
        }
    }
}

/// Where each number is moved, in units of its last digit.
type Moves = Vec<BigInt>;

/// By how many units a number is moved at least and at most.
type Side = (BigInt, BigInt);

/// A box of changes: a side for each number.
type Region = Vec<Side>;

/// Another decision, and how the run ends.
type Other = (String, Json);

struct Space<'a, A> {
    tries: &'a Tries<'a, A>,
    numbers: &'a [Number],
    here: &'a str,
    runs: Cell<usize>,
    /// Whether a change could not be tried, or ended in an error: the next time it might end in a decision.
    has_untried: Cell<bool>,
    /// Why no further run is made.
    cut_off: RefCell<Option<String>>,
}

impl<A: AsyncFn(RunOptions) -> Report> Space<'_, A> {
    /// The smallest change that was found, and whether it is proved that there is no smaller one.
    async fn smallest(&self) -> Option<(Change, bool)> {
        let mut best: Option<(u64, Moves, Other)> = None;
        for directions in directions(self.numbers.len()) {
            let below = best.as_ref().map(|(share, ..)| *share);
            if let Some(found) = self.along(&directions, below).await {
                best = Some(found);
            }
        }
        let (_, moves, other) = best?;
        let (moves, other) = self.without_needless(moves, other).await;
        let (smallest, other, is_proved) = self.exhausted(moves.clone(), other).await;
        let (moves, (ending, decision)) =
            if smallest == moves { (smallest, other) } else { self.without_needless(smallest, other).await };
        let changed = self.numbers.iter().zip(&moves).filter(|(_, by)| !by.is_zero());
        let changed = changed.filter_map(|(number, by)| {
            let after = number.at(&(&number.unscaled + by))?;
            Some(Changed { fact: number.fact.clone(), before: number.value.clone(), after })
        });
        Some((Change { facts: changed.collect(), ending, decision }, is_proved))
    }

    /// The smallest share along `directions`, if it is below `least`.
    async fn along(&self, directions: &[i32], least: Option<u64>) -> Option<(u64, Moves, Other)> {
        let mut near = 0;
        let mut found: Option<(u64, Moves, Other)> = None;
        let far: Vec<u64> = match least {
            Some(least) => vec![least.checked_sub(1).filter(|share| *share > 0)?],
            None => (0..DOUBLINGS).map(|doubling| 1 << doubling).collect(),
        };
        for share in far {
            let moves = self.moves(directions, share);
            if let Some(other) = self.other(&moves).await {
                found = Some((share, moves, other));
                break;
            }
            near = share;
        }
        let mut found = found?;
        while found.0 - near > 1 {
            let share = near.midpoint(found.0);
            let moves = self.moves(directions, share);
            match self.other(&moves).await {
                Some(other) => found = (share, moves, other),
                None => near = share,
            }
        }
        Some(found)
    }

    /// The moves with each number as near to its present value as the other decision allows.
    async fn without_needless(&self, mut moves: Moves, mut other: Other) -> (Moves, Other) {
        for place in 0..moves.len() {
            let Some(full) = moves.get(place).cloned() else { continue };
            let sign = full.signum();
            // As many units as are known to be too few, and as are known to be enough.
            let (mut few, mut enough) = (BigInt::from(-1), full.abs());
            while &enough - &few > BigInt::from(1) {
                let middle: BigInt = (&few + &enough) / 2;
                let mut tried = moves.clone();
                if let Some(by) = tried.get_mut(place) {
                    *by = &middle * &sign;
                }
                match self.other(&tried).await {
                    Some(found) => (moves, other, enough) = (tried, found, middle),
                    None => few = middle,
                }
            }
        }
        (moves, other)
    }

    /// The smallest change that is found among those smaller than `moves`, and whether there is no smaller one. They are a box, of
    /// which parts are halved until a proof covers them, or they are points, which are tried.
    async fn exhausted(&self, mut moves: Moves, mut other: Other) -> (Moves, Other, bool) {
        let Tries { search, answers, field, .. } = self.tries;
        let facts = self.numbers.iter().map(|number| number.fact.as_str());
        let proof = Proof::new(search, answers, facts, (*field, self.here)).filter(|_| !self.tries.has_asked.get());
        self.has_untried.set(false);
        let mut open: Vec<Region> = self.below(&moves).map(|most| around(&most)).into_iter().collect();
        while let Some(region) = open.pop() {
            tokio::task::yield_now().await;
            let is_late = self.tries.is_in_time().map_err(|why| self.cut_off.replace(Some(why))).is_err();
            if is_late || self.runs.get() >= MOST_RUNS {
                return (moves, other, false);
            }
            let is_point = region.iter().all(|(low, high)| low == high);
            let seen = match (&proof, self.sides(&region)) {
                _ if is_point => Seen::Other,
                (Some(proof), Some(sides)) => proof.look(&sides),
                _ => Seen::Unknown(0),
            };
            let of = match seen {
                Seen::Same => continue,
                Seen::Unknown(of) => of,
                Seen::Other => {
                    let nearest: Moves = region.iter().map(nearest).collect();
                    if let Some(found) = self.other(&nearest).await {
                        (moves, other) = (nearest, found);
                        let smaller = self.below(&moves).map(|most| around(&most)).unwrap_or_default();
                        open = open.iter().filter_map(|region| common(region, &smaller)).collect();
                        continue;
                    }
                    if is_point {
                        continue;
                    }
                    u8::MAX
                }
            };
            let halves = self.halves(&region, of);
            open.push(region);
            let are_few = || open.iter().map(points).sum::<BigInt>() <= BigInt::from(MOST_RUNS - self.runs.get());
            let halves = halves.or_else(|| if are_few() { self.halves(open.last()?, u8::MAX) } else { None });
            let Some(halves) = halves else { return (moves, other, false) };
            open.pop();
            open.extend(halves);
        }
        (moves, other, !self.has_untried.get() && !self.tries.has_asked.get())
    }

    /// The least and the greatest value of each number in the region.
    fn sides(&self, region: &Region) -> Option<Vec<(Value, Value)>> {
        let at = |number: &Number, by: &BigInt| number.at(&(&number.unscaled + by));
        self.numbers
            .iter()
            .zip(region)
            .map(|(number, (low, high))| Some((at(number, low)?, at(number, high)?)))
            .collect()
    }

    /// Halves the region along the longest side, in shares, of those of the bits `of`; the half nearer to the present values is the
    /// last one. `None` where none of them can be halved.
    fn halves(&self, region: &Region, of: u8) -> Option<[Region; 2]> {
        let lengths = region.iter().map(|(low, high)| high - low).zip(self.numbers).enumerate();
        let lengths = lengths.filter(|(place, (length, _))| of >> place & 1 == 1 && !length.is_zero());
        let (place, _) = lengths.max_by(|(_, (a, of_a)), (_, (b, of_b))| (a * of_b.size()).cmp(&(b * of_a.size())))?;
        let (mut lower, mut upper) = (region.clone(), region.clone());
        let (first, second) = (lower.get_mut(place)?, upper.get_mut(place)?);
        let middle = &first.0 + (&first.1 - &first.0) / 2;
        second.0 = &middle + 1;
        first.1 = middle;
        let is_upper_nearer = nearest(second).magnitude() < nearest(first).magnitude();
        Some(if is_upper_nearer { [lower, upper] } else { [upper, lower] })
    }

    /// By how many units each number moves at most in a change smaller than `moves`.
    fn below(&self, moves: &Moves) -> Option<Moves> {
        let sizes: Moves = self.numbers.iter().map(Number::size).collect();
        let shares = moves.iter().map(BigInt::abs).zip(&sizes);
        let (by, of) = shares.max_by(|(a, size), (b, other)| (a * *other).cmp(&(b * *size)))?;
        Some(sizes.iter().map(|size| (&by * size - 1) / of).collect())
    }

    /// A share of each number, rounded up to its last digit; of zero so many units.
    fn moves(&self, directions: &[i32], share: u64) -> Moves {
        let of = |number: &Number, direction: i32| (number.size() * share + SHARES - 1_u64) / SHARES * direction;
        self.numbers.iter().zip(directions).map(|(number, direction)| of(number, *direction)).collect()
    }

    /// The end of the run with these moves, if it is another decision.
    async fn other(&self, moves: &Moves) -> Option<Other> {
        let why = if self.runs.get() >= MOST_RUNS {
            Some(format!("it is limited to {MOST_RUNS} runs"))
        } else {
            self.tries.is_in_time().err()
        };
        if why.is_some() {
            self.has_untried.set(true);
            self.cut_off.replace(why);
            return None;
        }
        self.runs.set(self.runs.get() + 1);
        let values: Moves = self.numbers.iter().zip(moves).map(|(number, by)| &number.unscaled + by).collect();
        let Ok((ending, Some(decision))) = self.tries.ending(self.numbers.iter().zip(&values)).await else {
            self.has_untried.set(true);
            return None;
        };
        (ending != self.here).then_some((ending, decision))
    }
}

impl Number {
    /// What its shares are of, in units: its value, or so many units if that is zero.
    fn size(&self) -> BigInt {
        if self.unscaled.is_zero() { BigInt::from(SHARES) } else { self.unscaled.abs() }
    }
}

/// The region in which no number is moved by more than `most`.
fn around(most: &Moves) -> Region {
    most.iter().map(|most| (-most, most.clone())).collect()
}

/// What two regions have in common.
fn common(a: &Region, b: &Region) -> Option<Region> {
    let side = |((low, high), (least, most)): (&Side, &Side)| {
        let (low, high) = (low.max(least).clone(), high.min(most).clone());
        (low <= high).then_some((low, high))
    };
    a.iter().zip(b).map(side).collect()
}

fn points(region: &Region) -> BigInt {
    region.iter().map(|(low, high)| high - low + 1).product()
}

/// What is nearest to zero.
fn nearest((low, high): &Side) -> BigInt {
    if low.is_positive() { low.clone() } else { high.clone().min(BigInt::zero()) }
}

/// All directions of so many numbers, without the one that moves none.
fn directions(numbers: usize) -> Vec<Vec<i32>> {
    let mut all: Vec<Vec<i32>> = vec![Vec::new()];
    for _ in 0..numbers {
        let longer = |before: Vec<i32>| [1, -1, 0].map(|next| before.iter().copied().chain([next]).collect());
        all = all.into_iter().flat_map(longer).collect();
    }
    all.retain(|directions| directions.iter().any(|direction| *direction != 0));
    all
}
