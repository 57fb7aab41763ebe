//! The values of one number at which the ending changes.
//!
//! The search moves away from the present value in steps that double, up and down, until the ending differs, and then halves
//! the interval down to the last digit of the fact. Where the ending changes more than once, it finds one of the changes, not
//! always the nearest.

use num_bigint::{BigInt, BigUint};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value as Json};

use super::{Number, Tried, Tries};
use crate::flow::options::RunOptions;
use crate::flow::report::Report;
use crate::types::Value;

/// How often the step doubles: from one unit to about 4.6 quintillion.
const DOUBLINGS: u32 = 62;

/// What changes the decision if this fact alone is another.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Flip {
    /// The fact.
    pub fact: String,
    /// Its value.
    #[schemars(with = "Json")]
    pub value: Value,
    /// How the run ends with this value: its outcome, or the value of the field that is searched.
    pub ending: String,
    /// The change at lower values, where there is one.
    pub below: Option<Edge>,
    /// The change at higher values, where there is one.
    pub above: Option<Edge>,
    /// Where the search of lower values stopped, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub below_bound: Option<Bound>,
    /// Where the search of higher values stopped, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub above_bound: Option<Bound>,
}

/// The end of an incomplete search.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Bound {
    /// The last value that could be tried. Its ending is the present one.
    #[schemars(with = "Json")]
    pub last: Value,
    /// Why the next value could not be tried.
    pub why: String,
}

/// Two neighbouring values with different endings.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Edge {
    /// The farthest value with the present ending.
    #[schemars(with = "Json")]
    pub last: Value,
    /// The next value, whose ending differs.
    #[schemars(with = "Json")]
    pub first: Value,
    /// How the run ends with that.
    pub ending: String,
    /// The decision that it makes; absent where it makes none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Map<String, Json>")]
    pub decision: Option<Json>,
}

impl Flip {
    /// Searches around the present value of `number`, with which the run ends as `here`.
    pub(super) async fn search<A: AsyncFn(RunOptions) -> Report>(
        tries: &Tries<'_, A>,
        number: &Number,
        here: &str,
    ) -> Self {
        let line = Line { tries, number, here };
        let (below, below_bound) = line.side(-1).await.parts();
        let (above, above_bound) = line.side(1).await.parts();
        let Number { fact, value, .. } = number.clone();
        Self { fact, value, ending: here.to_owned(), below, above, below_bound, above_bound }
    }
}

/// What a search in one direction found.
enum Side {
    Edge(Edge),
    Bound(Bound),
    /// No change within the range of the search.
    Nothing,
}

impl Side {
    fn parts(self) -> (Option<Edge>, Option<Bound>) {
        match self {
            Self::Edge(edge) => (Some(edge), None),
            Self::Bound(bound) => (None, Some(bound)),
            Self::Nothing => (None, None),
        }
    }
}

/// The values of one fact.
struct Line<'a, A> {
    tries: &'a Tries<'a, A>,
    number: &'a Number,
    /// The present ending.
    here: &'a str,
}

impl<A: AsyncFn(RunOptions) -> Report> Line<'_, A> {
    /// The number, moved by so many units.
    fn moved(&self, by: &BigInt) -> BigInt {
        &self.number.unscaled + by
    }

    /// The end of the run with the number moved, unless it is the present one.
    async fn changed(&self, by: &BigInt) -> Option<Tried> {
        let tried = self.tries.ending([(self.number, &self.moved(by))]).await;
        if tried.as_ref().is_ok_and(|(ending, _)| ending == self.here) { None } else { Some(tried) }
    }

    /// The search in the direction of `sign`.
    async fn side(&self, sign: i32) -> Side {
        let mut near = BigInt::from(0);
        for doubling in 0..DOUBLINGS {
            let far = (BigInt::from(1) << doubling) * sign;
            match self.changed(&far).await {
                None => near = far,
                Some(tried) => return self.narrow(near, far, tried).await,
            }
        }
        Side::Nothing
    }

    /// Halves the interval between `near`, which has the present ending, and `far`, which has another or an unknown one.
    async fn narrow(&self, mut near: BigInt, mut far: BigInt, mut beyond: Tried) -> Side {
        while (&far - &near).magnitude() > &BigUint::from(1_u8) {
            let middle: BigInt = (&near + &far) / 2;
            match self.changed(&middle).await {
                None => near = middle,
                Some(tried) => (far, beyond) = (middle, tried),
            }
        }
        let Some(last) = self.number.at(&self.moved(&near)) else { return Side::Nothing };
        match (beyond, self.number.at(&self.moved(&far))) {
            (Ok((ending, decision)), Some(first)) => Side::Edge(Edge { last, first, ending, decision }),
            (Ok(_), None) => Side::Nothing,
            (Err(why), _) => Side::Bound(Bound { last, why }),
        }
    }
}
