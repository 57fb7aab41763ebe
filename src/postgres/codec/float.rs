//! Floats as PostgreSQL prints them: the shortest decimal that parses to the same float.
//!
//! Rust prints a decimal exactly between two floats where parsing rounds it to the right one; PostgreSQL does not
//! (`1e23` is 9.999999999999999e+22 there). Source: `acceptBounds` in PostgreSQL's `src/common/d2s.c` and `f2s.c`.

use std::fmt::LowerExp;

use num_bigint::BigInt;
use num_traits::FromPrimitive;

use super::format::{INFINITY, MALFORMED, NAN, Unfit, Unreadable};
use crate::types::{Decimal, Value};

/// From these values on, a decimal of at most 17 (9) digits can be the midpoint of two floats. A midpoint has 54 (25) bits, and each
/// bit after the point adds a factor of five to the digits.
const SINGLE: f64 = 1e6;
const DOUBLE: f64 = 5e14;
/// And up to this value: the midpoint is the digits times a power of five, which cannot have more bits than the midpoint.
const MAX: f64 = 1e41;
/// The most digits after the first that any float needs.
const MAX_DIGITS: usize = 16;

/// Decodes a `float4`.
pub(super) fn decode_single(float: f32) -> Result<Value, Unreadable> {
    // Printed as f32: as f64 the shortest decimal of 0.1 would be 0.10000000149011612.
    decimal(float.into(), float, SINGLE, [float.next_down().into(), float.next_up().into()])
}

/// Decodes a `float8`.
pub(super) fn decode_double(float: f64) -> Result<Value, Unreadable> {
    decimal(float, float, DOUBLE, [float.next_down(), float.next_up()])
}

fn decimal(float: f64, printed: impl LowerExp, least: f64, neighbours: [f64; 2]) -> Result<Value, Unreadable> {
    if float.is_nan() {
        return Err(NAN);
    }
    if float.is_infinite() {
        return Err(INFINITY);
    }
    shortest(float, printed, least, neighbours).map(Value::Decimal).ok_or(MALFORMED)
}

/// The nearest `float8`.
pub(super) fn double(decimal: &Decimal) -> Result<f64, Unfit> {
    Some(decimal.to_f64()).filter(|float| float.is_finite()).ok_or(Unfit::because("a number out of its range"))
}

/// The nearest `float4`, parsed from the digits: a conversion through f64 would round twice.
pub(super) fn single(decimal: &Decimal) -> Result<f32, Unfit> {
    let float: Option<f32> = decimal.to_string().parse().ok();
    float.filter(|float| float.is_finite()).ok_or(Unfit::because("a number out of its range"))
}

/// The shortest decimal of `float` between its `neighbours`. `printed` is the float in its own type. `least` is [`SINGLE`] or
/// [`DOUBLE`].
fn shortest(float: f64, printed: impl LowerExp, least: f64, neighbours: [f64; 2]) -> Option<Decimal> {
    let fewest: Decimal = format!("{printed:e}").parse().ok()?;
    if !(least..MAX).contains(&float.abs()) || !is_midpoint(&fewest, float, neighbours) {
        return Some(fewest);
    }
    let mut longer = (0..=MAX_DIGITS).filter_map(|digits| format!("{printed:.digits$e}").parse::<Decimal>().ok());
    longer.find(|decimal| is_within(decimal, float, neighbours)).or(Some(fewest))
}

fn is_midpoint(decimal: &Decimal, float: f64, neighbours: [f64; 2]) -> bool {
    neighbours.iter().any(|neighbour| midpoint(float, *neighbour).is_some_and(|midpoint| midpoint == *decimal))
}

/// Whether `decimal` is closer to `float` than to its neighbours.
fn is_within(decimal: &Decimal, float: f64, [below, above]: [f64; 2]) -> bool {
    midpoint(float, below).zip(midpoint(float, above)).is_some_and(|(low, high)| low < *decimal && *decimal < high)
}

/// The exact midpoint of two floats that are multiples of 2^-36.
fn midpoint(float: f64, neighbour: f64) -> Option<Decimal> {
    const SCALE: u32 = 37;
    let scaled = |float: f64| BigInt::from_f64(float * f64::from(2_u8).powi(36));
    let twice = scaled(float)? + scaled(neighbour)?;
    // Half of 2^-36 is 5^37 over 10^37.
    Decimal::from_unscaled(twice * BigInt::from(5).pow(SCALE), SCALE.into()).ok()
}
