//! Exact decimal numbers: from a NUMERIC column to a JSON number without a binary fraction in between.
//!
//! Sums, differences, products, remainders and quotients that terminate are exact, whatever the number of digits up to
//! [`Decimal::MAX_DIGITS`]; beyond that they are an error, never a rounded value. A quotient that does not terminate keeps its
//! integer part and [`Decimal::QUOTIENT_DIGITS`] significant digits after it, the last rounded half away from zero. Trailing
//! zeros are kept as PostgreSQL keeps them (`550 * 15.50` is `8525.00`) and do not count in comparisons. There is one zero: it
//! has no sign. `rust_decimal` holds what fits 96 bits because it is fast, `bigdecimal` holds the rest.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use bigdecimal::BigDecimal;
use num_bigint::BigInt;
use num_traits::{Signed, ToPrimitive, Zero};
use rust_decimal::Decimal as Small;
use serde::{Serialize, Serializer};

mod powers;
mod quotient;
mod rounding;

pub use rounding::Rounding;

/// An exact decimal number.
#[derive(Clone)]
pub struct Decimal(Repr);

#[derive(Clone)]
enum Repr {
    Small(Small),
    /// Only what does not fit `Small`: every constructor goes through [`Decimal::from_big`].
    Big(Box<BigDecimal>),
}

/// Why there is no such number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecimalError {
    /// The result has more digits than are kept.
    #[error("the number needs more than {} digits", Decimal::MAX_DIGITS)]
    Overflow,
    /// The divisor is zero.
    #[error("division by zero")]
    DivisionByZero,
    /// No real number is the result, as of the root of a negative number.
    #[error("no real number is the result")]
    Undefined,
    /// The text is not a number.
    #[error("`{text}` is not a number")]
    Syntax {
        /// The refused text.
        text: String,
    },
}

impl Decimal {
    /// The most digits a number may have, before and after the point together.
    pub const MAX_DIGITS: u64 = 1_000;
    /// The significant digits after the integer part of a quotient that does not terminate.
    pub const QUOTIENT_DIGITS: u64 = 28;
    /// The scale up to which `Small` holds a number.
    const SMALL_SCALE: u32 = 28;

    /// Zero.
    pub const ZERO: Self = Self(Repr::Small(Small::ZERO));

    /// `unscaled` with its last `scale` digits after the point.
    ///
    /// # Errors
    /// [`DecimalError::Overflow`] beyond [`Self::MAX_DIGITS`].
    pub fn from_unscaled(unscaled: BigInt, scale: i64) -> Result<Self, DecimalError> {
        Self::from_big(&BigDecimal::from_bigint(unscaled, scale))
    }

    /// As [`Self::from_unscaled`], for what fits a machine word.
    ///
    /// # Errors
    /// [`DecimalError::Overflow`] beyond [`Self::MAX_DIGITS`].
    pub fn from_i128(unscaled: i128, scale: u32) -> Result<Self, DecimalError> {
        match Self::small(unscaled, scale) {
            Some(small) => Ok(small),
            None => Self::from_unscaled(BigInt::from(unscaled), i64::from(scale)),
        }
    }

    /// The digits without the point, and how many of them follow it.
    pub fn unscaled(&self) -> (BigInt, i64) {
        match &self.0 {
            Repr::Small(small) => (BigInt::from(small.mantissa()), i64::from(small.scale())),
            Repr::Big(big) => big.as_bigint_and_exponent(),
        }
    }

    /// The shortest decimal that reads back as `float`; `None` for a NaN or an infinity.
    pub fn from_f64(float: f64) -> Option<Self> {
        if float.is_finite() { format!("{float:e}").parse().ok() } else { None }
    }

    /// This number as a 64-bit integer, where it is one.
    pub fn to_i64(&self) -> Option<i64> {
        match &self.0 {
            Repr::Small(small) if small.fract().is_zero() => small.to_i64(),
            Repr::Big(big) if big.is_integer() => big.to_i64(),
            Repr::Small(_) | Repr::Big(_) => None,
        }
    }

    /// The nearest binary fraction, for charts and estimates only.
    pub fn to_f64(&self) -> f64 {
        self.to_string().parse().unwrap_or(f64::NAN)
    }

    /// Whether this is zero.
    pub fn is_zero(&self) -> bool {
        match &self.0 {
            Repr::Small(small) => small.is_zero(),
            Repr::Big(big) => big.is_zero(),
        }
    }

    /// Whether this is below zero.
    pub fn is_negative(&self) -> bool {
        match &self.0 {
            Repr::Small(small) => small.is_sign_negative() && !small.is_zero(),
            Repr::Big(big) => big.is_negative(),
        }
    }

    /// The sum, exactly.
    ///
    /// # Errors
    /// [`DecimalError::Overflow`].
    pub fn add(&self, other: &Self) -> Result<Self, DecimalError> {
        if let Some((a, b, scale)) = self.aligned(other)
            && let Some(sum) = a.checked_add(b).and_then(|sum| Self::small(sum, scale))
        {
            return Ok(sum);
        }
        Self::from_big(&(self.to_big() + other.to_big()))
    }

    /// The difference, exactly.
    ///
    /// # Errors
    /// [`DecimalError::Overflow`].
    pub fn sub(&self, other: &Self) -> Result<Self, DecimalError> {
        self.add(&other.neg())
    }

    /// The product, exactly.
    ///
    /// # Errors
    /// [`DecimalError::Overflow`].
    pub fn mul(&self, other: &Self) -> Result<Self, DecimalError> {
        if let (Repr::Small(a), Repr::Small(b)) = (&self.0, &other.0) {
            let product = a.mantissa().checked_mul(b.mantissa());
            if let Some(product) = product.and_then(|product| Self::small(product, a.scale() + b.scale())) {
                return Ok(product);
            }
        }
        Self::from_big(&(self.to_big() * other.to_big()))
    }

    /// The remainder of the division towards zero, exactly; it has the sign of the dividend.
    ///
    /// # Errors
    /// [`DecimalError::DivisionByZero`], [`DecimalError::Overflow`].
    pub fn rem(&self, other: &Self) -> Result<Self, DecimalError> {
        if other.is_zero() {
            return Err(DecimalError::DivisionByZero);
        }
        if let Some((a, b, scale)) = self.aligned(other)
            && let Some(rest) = a.checked_rem(b).and_then(|rest| Self::small(rest, scale))
        {
            return Ok(rest);
        }
        Self::from_big(&(self.to_big() % other.to_big()))
    }

    /// The number with the other sign.
    #[must_use]
    pub fn neg(&self) -> Self {
        match &self.0 {
            Repr::Small(small) => Self::unsigned_zero(-*small),
            Repr::Big(big) => Self(Repr::Big(Box::new(-big.as_ref()))),
        }
    }

    /// The number without its sign.
    #[must_use]
    pub fn abs(&self) -> Self {
        if self.is_negative() { self.neg() } else { self.clone() }
    }

    /// The same number without trailing zeros after the point.
    #[must_use]
    pub fn trim_scale(&self) -> Self {
        match &self.0 {
            Repr::Small(small) => Self::unsigned_zero(small.normalize()),
            Repr::Big(big) => Self::from_big(&big.normalized()).unwrap_or_else(|_| self.clone()),
        }
    }

    /// Both as whole numbers of one scale, where machine words hold them.
    fn aligned(&self, other: &Self) -> Option<(i128, i128, u32)> {
        let (Repr::Small(a), Repr::Small(b)) = (&self.0, &other.0) else { return None };
        let scale = a.scale().max(b.scale());
        let a = a.mantissa().checked_mul(10_i128.checked_pow(scale - a.scale())?)?;
        let b = b.mantissa().checked_mul(10_i128.checked_pow(scale - b.scale())?)?;
        Some((a, b, scale))
    }

    /// `rust_decimal` keeps the sign of a zero.
    fn unsigned_zero(mut small: Small) -> Self {
        if small.is_zero() {
            small.set_sign_positive(true);
        }
        Self(Repr::Small(small))
    }

    fn small(unscaled: i128, scale: u32) -> Option<Self> {
        if scale > Self::SMALL_SCALE {
            return None;
        }
        Small::try_from_i128_with_scale(unscaled, scale).ok().map(|small| Self(Repr::Small(small)))
    }

    fn from_big(big: &BigDecimal) -> Result<Self, DecimalError> {
        let (unscaled, scale) = big.as_bigint_and_exponent();
        let (unscaled, scale) = if scale < 0 {
            let zeros = scale.unsigned_abs();
            if !unscaled.is_zero() && zeros > Self::MAX_DIGITS {
                return Err(DecimalError::Overflow);
            }
            (if unscaled.is_zero() { unscaled } else { unscaled * power_of_ten(zeros) }, 0)
        } else {
            (unscaled, scale)
        };
        let small = unscaled.to_i128().zip(u32::try_from(scale).ok());
        if let Some(small) = small.and_then(|(unscaled, scale)| Self::small(unscaled, scale)) {
            return Ok(small);
        }
        if digits(&unscaled) > Self::MAX_DIGITS || scale.unsigned_abs() > Self::MAX_DIGITS {
            return Err(DecimalError::Overflow);
        }
        Ok(Self(Repr::Big(Box::new(BigDecimal::from_bigint(unscaled, scale)))))
    }

    fn to_big(&self) -> BigDecimal {
        let (unscaled, scale) = self.unscaled();
        BigDecimal::from_bigint(unscaled, scale)
    }
}

/// How many decimal digits `number` has.
fn digits(number: &BigInt) -> u64 {
    BigDecimal::from_bigint(number.clone(), 0).digits()
}

fn power_of_ten(exponent: u64) -> BigInt {
    BigInt::from(10).pow(u32::try_from(exponent).unwrap_or(u32::MAX))
}

impl From<i64> for Decimal {
    fn from(integer: i64) -> Self {
        Self(Repr::Small(Small::from(integer)))
    }
}

impl FromStr for Decimal {
    type Err = DecimalError;

    /// Reads digits with at most one point, an optional sign and an optional exponent. No spaces, no NaN.
    fn from_str(text: &str) -> Result<Self, DecimalError> {
        let syntax = || DecimalError::Syntax { text: text.chars().take(60).collect() };
        let (mantissa, exponent) = match text.find(['e', 'E']) {
            Some(at) => {
                let (mantissa, exponent) = text.split_at(at);
                let exponent: i64 = exponent.get(1..).unwrap_or("").parse().map_err(|_| syntax())?;
                (mantissa, exponent)
            }
            None => (text, 0),
        };
        let (negative, digits) = match mantissa.as_bytes() {
            [b'-', ..] => (true, mantissa.get(1..).unwrap_or("")),
            [b'+', ..] => (false, mantissa.get(1..).unwrap_or("")),
            _ => (false, mantissa),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all_digits = whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit());
        if !all_digits || whole.len() + fraction.len() == 0 {
            return Err(syntax());
        }
        // Zeros before the point do not count: a number with the most digits after the point is written with one.
        let length = whole.trim_start_matches('0').len() + fraction.len();
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        let is_zero = whole.bytes().chain(fraction.bytes()).all(|byte| byte == b'0');
        let exponent = if is_zero { exponent.min(i64::try_from(fraction.len()).unwrap_or(0)) } else { exponent };
        if length > Self::MAX_DIGITS || exponent.unsigned_abs() > 2 * Self::MAX_DIGITS {
            return Err(DecimalError::Overflow);
        }
        let unscaled: BigInt = format!("{whole}{fraction}").parse().map_err(|_| syntax())?;
        let scale = i64::try_from(fraction.len()).map_err(|_| DecimalError::Overflow)? - exponent;
        Self::from_unscaled(if negative { -unscaled } else { unscaled }, scale)
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Small(small) => fmt::Display::fmt(small, f),
            Repr::Big(big) => f.write_str(&big.to_plain_string()),
        }
    }
}

impl fmt::Debug for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Decimal {}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        match (&self.0, &other.0) {
            (Repr::Small(a), Repr::Small(b)) => a.cmp(b),
            _ => self.to_big().cmp(&other.to_big()),
        }
    }
}

impl Hash for Decimal {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.to_big().normalized().hash(state);
    }
}

/// As a JSON number with every digit.
impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let whole = match &self.0 {
            Repr::Small(small) if small.scale() == 0 => serde_json::Number::from_i128(small.mantissa()),
            Repr::Small(_) | Repr::Big(_) => None,
        };
        let number = whole.map_or_else(|| self.to_string().parse(), Ok);
        number.map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

#[cfg(test)]
mod tests;
