//! Exact decimal numbers: money and quantities from a NUMERIC column to a JSON number without a binary fraction between.
//!
//! Sums, differences, products and remainders are exact, whatever the number of digits up to [`Decimal::MAX_DIGITS`];
//! beyond that they are an error, never a rounded value. A quotient that does not end within
//! [`Decimal::QUOTIENT_DIGITS`] significant digits is rounded to that many, half away from zero. Trailing zeros are kept
//! as PostgreSQL keeps them (`550 * 15.50` is `8525.00`) and do not count in comparisons. What fits 96 bits is held by
//! `rust_decimal`, what does not by `bigdecimal`: the first is fast, the second is never wrong.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use bigdecimal::{BigDecimal, RoundingMode};
use num_bigint::BigInt;
use num_traits::{Signed, ToPrimitive, Zero};
use rust_decimal::Decimal as Small;
use rust_decimal::RoundingStrategy;
use serde::{Serialize, Serializer};

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
    /// The significant digits a quotient is rounded to where it does not end before.
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

    /// The digits without the point, and how many of them stand after it.
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

    /// The quotient: exact where it ends within [`Self::QUOTIENT_DIGITS`] significant digits, else rounded to that
    /// many, half away from zero.
    ///
    /// # Errors
    /// [`DecimalError::DivisionByZero`], [`DecimalError::Overflow`].
    pub fn div(&self, other: &Self) -> Result<Self, DecimalError> {
        if other.is_zero() {
            return Err(DecimalError::DivisionByZero);
        }
        let (dividend, dividend_scale) = self.unscaled();
        let (divisor, divisor_scale) = other.unscaled();
        let wanted = Self::QUOTIENT_DIGITS + 1 + digits(&divisor);
        let shift = wanted.saturating_sub(digits(&dividend));
        let quotient = dividend * power_of_ten(shift) / divisor;
        let scale = dividend_scale - divisor_scale + i64::try_from(shift).map_err(|_| DecimalError::Overflow)?;
        let rounded = round_to_digits(&BigDecimal::from_bigint(quotient, scale));
        let (mut unscaled, mut scale) = rounded.into_bigint_and_exponent();
        let ten = BigInt::from(10);
        while scale > dividend_scale.max(0) && (&unscaled % &ten).is_zero() {
            unscaled /= &ten;
            scale -= 1;
        }
        Self::from_unscaled(unscaled, scale)
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
            Repr::Small(small) => Self(Repr::Small(-*small)),
            Repr::Big(big) => Self(Repr::Big(Box::new(-big.as_ref()))),
        }
    }

    /// The number without its sign.
    #[must_use]
    pub fn abs(&self) -> Self {
        if self.is_negative() { self.neg() } else { self.clone() }
    }

    /// Rounded to `places` digits after the point (before it where negative), half away from zero.
    ///
    /// # Errors
    /// [`DecimalError::Overflow`].
    pub fn round(&self, places: i32) -> Result<Self, DecimalError> {
        self.rounded(places, RoundingStrategy::MidpointAwayFromZero, RoundingMode::HalfUp)
    }

    /// The largest whole number that is not above this one.
    ///
    /// # Errors
    /// [`DecimalError::Overflow`].
    pub fn floor(&self) -> Result<Self, DecimalError> {
        self.rounded(0, RoundingStrategy::ToNegativeInfinity, RoundingMode::Floor)
    }

    /// The smallest whole number that is not below this one.
    ///
    /// # Errors
    /// [`DecimalError::Overflow`].
    pub fn ceil(&self) -> Result<Self, DecimalError> {
        self.rounded(0, RoundingStrategy::ToPositiveInfinity, RoundingMode::Ceiling)
    }

    /// The same number without trailing zeros after the point.
    #[must_use]
    pub fn trim_scale(&self) -> Self {
        match &self.0 {
            Repr::Small(small) => Self(Repr::Small(small.normalize())),
            Repr::Big(big) => Self::from_big(&big.normalized()).unwrap_or_else(|_| self.clone()),
        }
    }

    fn rounded(&self, places: i32, small_mode: RoundingStrategy, big_mode: RoundingMode) -> Result<Self, DecimalError> {
        if let (Repr::Small(small), Ok(places)) = (&self.0, u32::try_from(places)) {
            let mut rounded = small.round_dp_with_strategy(places, small_mode);
            rounded.rescale(places.min(Self::SMALL_SCALE));
            if rounded.scale() == places {
                return Ok(Self(Repr::Small(rounded)));
            }
        }
        Self::from_big(&self.to_big().with_scale_round(i64::from(places), big_mode))
    }

    /// Both as whole numbers of one scale, where machine words hold them.
    fn aligned(&self, other: &Self) -> Option<(i128, i128, u32)> {
        let (Repr::Small(a), Repr::Small(b)) = (&self.0, &other.0) else { return None };
        let scale = a.scale().max(b.scale());
        let a = a.mantissa().checked_mul(10_i128.checked_pow(scale - a.scale())?)?;
        let b = b.mantissa().checked_mul(10_i128.checked_pow(scale - b.scale())?)?;
        Some((a, b, scale))
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

/// Rounds to [`Decimal::QUOTIENT_DIGITS`] significant digits. Digits that were cut off before do not matter: half away
/// from zero looks only at the first digit that goes.
fn round_to_digits(number: &BigDecimal) -> BigDecimal {
    let excess = number.digits().saturating_sub(Decimal::QUOTIENT_DIGITS);
    let scale = number.fractional_digit_count() - i64::try_from(excess).unwrap_or(i64::MAX);
    number.with_scale_round(scale, RoundingMode::HalfUp)
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
        // A nought before the point is no digit of the number: what has the most there may be after it is written with one.
        let length = whole.trim_start_matches('0').len() + fraction.len();
        let length = u64::try_from(length).unwrap_or(u64::MAX);
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
        let number: serde_json::Number = self.to_string().parse().map_err(serde::ser::Error::custom)?;
        number.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn d(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    /// Found by fuzzing: what was read from an exponent was written so that it could not be read again.
    #[test]
    fn the_smallest_and_largest_numbers_are_read_back_from_what_is_written() {
        for text in ["-7E-1000", "7E999", "1E-1000", "9.99E-998"] {
            let number = d(text);
            assert_eq!(number.to_string().parse::<Decimal>().unwrap(), number, "{text}");
        }
        for text in ["7E-1001", "7E1000"] {
            assert!(text.parse::<Decimal>().is_err(), "{text}");
        }
    }

    #[test]
    fn arithmetic_is_exact_and_keeps_trailing_zeros() {
        assert_eq!(d("0.1").add(&d("0.2")).unwrap().to_string(), "0.3");
        assert_eq!(d("550").mul(&d("15.50")).unwrap().to_string(), "8525.00");
        assert_eq!(d("173137.50").sub(&d("17313.750")).unwrap().to_string(), "155823.750");
        assert_eq!(d("-7").rem(&d("3")).unwrap().to_string(), "-1");
        assert_eq!(d("7.5").rem(&d("-2")).unwrap().to_string(), "1.5");
    }

    #[test]
    fn quotients_are_exact_where_they_end_and_rounded_where_they_do_not() {
        for (a, b, quotient) in [
            ("1", "3", "0.3333333333333333333333333333"),
            ("2", "3", "0.6666666666666666666666666667"),
            ("-2", "3", "-0.6666666666666666666666666667"),
            ("10.00", "4", "2.50"),
            ("1", "8", "0.125"),
            ("0", "7", "0"),
            ("100", "5", "20"),
        ] {
            assert_eq!(d(a).div(&d(b)).unwrap().to_string(), quotient, "{a} / {b}");
        }
        assert_eq!(d("1").div(&d("0.00")), Err(DecimalError::DivisionByZero));
    }

    #[test]
    fn rounding_is_half_away_from_zero() {
        for (number, places, rounded) in [
            ("2.5", 0, "3"),
            ("-2.5", 0, "-3"),
            ("2.45", 1, "2.5"),
            ("1.005", 2, "1.01"),
            ("8525", 2, "8525.00"),
            ("1250", -2, "1300"),
        ] {
            assert_eq!(d(number).round(places).unwrap().to_string(), rounded, "round({number}, {places})");
        }
        assert_eq!(d("-0.5").floor().unwrap().to_string(), "-1");
        assert_eq!(d("0.2").ceil().unwrap().to_string(), "1");
    }

    #[test]
    fn numbers_beyond_96_bits_stay_exact_until_the_limit() {
        let long = d("123456789012345678901234567890.123456789012345678901234567890");
        assert_eq!(
            long.mul(&d("10")).unwrap().to_string(),
            "1234567890123456789012345678901.234567890123456789012345678900"
        );
        assert_eq!(long.sub(&long).unwrap(), Decimal::ZERO);
        let mut big = d("9");
        let overflow = (0..20).find_map(|_| match big.mul(&big) {
            Ok(product) => {
                big = product;
                None
            }
            Err(error) => Some(error),
        });
        assert_eq!(overflow, Some(DecimalError::Overflow));
    }

    #[test]
    fn text_that_is_not_a_number_is_refused() {
        for text in ["", ".", "-", "1.2.3", "1e", "0x10", "NaN", " 1", "1 ", "١"] {
            assert!(matches!(text.parse::<Decimal>(), Err(DecimalError::Syntax { .. })), "{text:?}");
        }
        for text in ["1e3000", "1e999999999999999", "1e-5000"] {
            assert!(text.parse::<Decimal>().is_err(), "{text}");
        }
        assert_eq!(d("1.5e3").to_string(), "1500");
        assert_eq!(d("1e-3").to_string(), "0.001");
    }

    #[test]
    fn floats_become_the_shortest_decimal_that_reads_back() {
        assert_eq!(Decimal::from_f64(0.1).unwrap().to_string(), "0.1");
        assert_eq!(Decimal::from_f64(-2.5e10).unwrap().to_string(), "-25000000000");
        assert!(Decimal::from_f64(f64::NAN).is_none());
    }

    proptest! {
        #[test]
        fn agrees_with_big_decimals(a in "-?[0-9]{1,40}(\\.[0-9]{1,30})?", b in "-?[0-9]{1,40}(\\.[0-9]{1,30})?") {
            let (x, y) = (d(&a), d(&b));
            let (p, q): (BigDecimal, BigDecimal) = (a.parse().unwrap(), b.parse().unwrap());
            prop_assert_eq!(x.add(&y).unwrap().to_big(), &p + &q);
            prop_assert_eq!(x.sub(&y).unwrap().to_big(), &p - &q);
            prop_assert_eq!(x.mul(&y).unwrap().to_big(), &p * &q);
            prop_assert_eq!(x.cmp(&y), p.cmp(&q));
            if !q.is_zero() {
                prop_assert_eq!(x.rem(&y).unwrap().to_big(), &p % &q);
            }
        }
    }
}
