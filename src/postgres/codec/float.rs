//! Floats as PostgreSQL shows them: the shortest decimal that reads back as the same float.
//!
//! Rust takes a decimal that lies exactly between two floats where reading rounds it to the right one; PostgreSQL does not
//! (`1e23` is 9.999999999999999e+22 there). Source: `acceptBounds` in PostgreSQL's `src/common/d2s.c` and `f2s.c`.

use num_bigint::BigInt;
use num_traits::FromPrimitive;

use crate::types::Decimal;

/// From these on a decimal of at most 17 (9) digits may lie in the middle between two floats: such a middle has 54 (25) bits, each of
/// which a fraction of more than one digit would multiply by five.
pub(super) const SINGLE: f64 = 1e6;
pub(super) const DOUBLE: f64 = 5e14;
/// And up to here: the middle is the decimal's digits times a power of five, which has no more bits than the middle.
const MOST: f64 = 1e41;
/// Digits after the first that any float can do with.
const MOST_DIGITS: usize = 16;

/// The shortest decimal of `float` between its `neighbours`. `shown` writes it with so many digits after the first, or as few as Rust
/// needs. `least` is [`SINGLE`] or [`DOUBLE`].
pub(super) fn shortest(
    float: f64,
    least: f64,
    neighbours: [f64; 2],
    shown: impl Fn(Option<usize>) -> String,
) -> Option<Decimal> {
    let fewest: Decimal = shown(None).parse().ok()?;
    if !(least..MOST).contains(&float.abs()) || !is_between(&fewest, float, neighbours) {
        return Some(fewest);
    }
    let mut longer = (0..=MOST_DIGITS).filter_map(|digits| shown(Some(digits)).parse::<Decimal>().ok());
    longer.find(|decimal| is_within(decimal, float, neighbours)).or(Some(fewest))
}

fn is_between(decimal: &Decimal, float: f64, neighbours: [f64; 2]) -> bool {
    neighbours.iter().any(|neighbour| middle(float, *neighbour).is_some_and(|middle| middle == *decimal))
}

/// Whether every reader takes `decimal` for `float`.
fn is_within(decimal: &Decimal, float: f64, [below, above]: [f64; 2]) -> bool {
    middle(float, below).zip(middle(float, above)).is_some_and(|(low, high)| low < *decimal && *decimal < high)
}

/// The exact middle of two floats that are multiples of 2^-36.
fn middle(float: f64, neighbour: f64) -> Option<Decimal> {
    const SCALE: u32 = 37;
    let scaled = |float: f64| BigInt::from_f64(float * f64::from(2_u8).powi(36));
    let twice = scaled(float)? + scaled(neighbour)?;
    // Half of 2^-36 is 5^37 over 10^37.
    Decimal::from_unscaled(twice * BigInt::from(5).pow(SCALE), SCALE.into()).ok()
}
