//! Powers, roots, exponentials and logarithms.
//!
//! Powers by whole numbers are exact up to [`Decimal::MAX_DIGITS`], and so are roots that terminate. Any other result has its
//! integer part and [`Decimal::QUOTIENT_DIGITS`] significant digits after it, the last rounded half away from zero: it is computed
//! with more and more bits until all numbers within its error are rounded to one (A. Ziv, "Fast evaluation of elementary
//! mathematical functions with correctly rounded last bit", 1991).
//!
//! Fractions here are whole numbers of units of `2^-bits`.

use num_bigint::BigInt;
use num_traits::{One, Signed, ToPrimitive, Zero};

use super::quotient::{rounded_quotient, without_fives};
use super::{Decimal, DecimalError, digits, power_of_ten};

/// Bits of the first attempt.
const FIRST_BITS: u64 = 128;
/// More bits than any number of [`Decimal::MAX_DIGITS`] takes.
const MOST_BITS: u64 = 16_384;
/// Bits beyond those asked for. In units of the last of them, a series of up to `2^12` terms has an error of as many; the
/// logarithm of 2 is multiplied by up to `2^12`; and squares double what they are given.
const GUARD: u64 = 32;
const SQUARES: u32 = 16;
/// How far an approximation may be from the number, in units of the bits asked for.
const ERROR: u32 = 4;
/// `e` to the power of this has more than [`Decimal::MAX_DIGITS`] digits, and so has its reciprocal.
const LARGEST_EXPONENT: u32 = 2_400;

impl Decimal {
    /// This number to the power of `exponent`, without trailing zeros where it is exact; 1 where the exponent is zero.
    ///
    /// # Errors
    /// [`DecimalError::Undefined`] of a negative number where the exponent is not whole, [`DecimalError::DivisionByZero`] of zero
    /// where it is negative, [`DecimalError::Overflow`].
    pub fn pow(&self, exponent: &Self) -> Result<Self, DecimalError> {
        let one = Self::from(1);
        if exponent.is_zero() || *self == one {
            return Ok(one);
        }
        if self.is_zero() {
            return if exponent.is_negative() { Err(DecimalError::DivisionByZero) } else { Ok(Self::ZERO) };
        }
        let (numerator, root) = fraction(exponent);
        if root.is_one() {
            return self.whole_power(&numerator);
        }
        if self.is_negative() {
            return Err(DecimalError::Undefined);
        }
        match self.exact_root(&root) {
            Some(base) => base.whole_power(&numerator),
            None => self.rounded_power(&numerator, &root),
        }
    }

    /// The square root, as [`Self::pow`] gives it.
    ///
    /// # Errors
    /// [`DecimalError::Undefined`] of a negative number.
    pub fn sqrt(&self) -> Result<Self, DecimalError> {
        self.pow(&Self::from_i128(5, 1)?)
    }

    /// `e` to the power of this number.
    ///
    /// # Errors
    /// [`DecimalError::Overflow`].
    pub fn exp(&self) -> Result<Self, DecimalError> {
        if self.is_zero() {
            return Ok(Self::from(1));
        }
        let (unscaled, scale) = self.unscaled();
        let divisor = power_of_ten(scale.unsigned_abs());
        rounded(|bits| exponential(&((&unscaled << (bits + GUARD)) / &divisor), bits))
    }

    /// The natural logarithm.
    ///
    /// # Errors
    /// [`DecimalError::Undefined`] of zero and below, [`DecimalError::Overflow`].
    pub fn ln(&self) -> Result<Self, DecimalError> {
        if self.is_zero() || self.is_negative() {
            return Err(DecimalError::Undefined);
        }
        if *self == Self::from(1) {
            return Ok(Self::ZERO);
        }
        rounded(|bits| Ok((self.logarithm(bits), -bits.cast_signed())))
    }

    fn whole_power(&self, exponent: &BigInt) -> Result<Self, DecimalError> {
        let negative = self.is_negative() && exponent.bit(0);
        if self.abs() == Self::from(1) {
            return Ok(if negative { self.clone() } else { self.abs() });
        }
        if let Some(power) = self.exact_power(exponent) {
            return Ok(power);
        }
        let power = self.abs().rounded_power(exponent, &BigInt::one())?;
        Ok(if negative { power.neg() } else { power })
    }

    /// The power with all its digits, where it has few enough; below an exponent of zero, the quotient of 1 and that.
    fn exact_power(&self, exponent: &BigInt) -> Option<Self> {
        let (unscaled, scale) = self.trim_scale().unscaled();
        let times = exponent.magnitude().to_u32().filter(|times| u64::from(*times) <= 4 * Self::MAX_DIGITS)?;
        let longest = digits(&unscaled).saturating_sub(1).max(scale.unsigned_abs());
        if longest * u64::from(times) > Self::MAX_DIGITS {
            return None;
        }
        let power = Self::from_unscaled(unscaled.pow(times), scale * i64::from(times)).ok()?;
        if exponent.is_negative() { Self::from(1).div(&power).ok() } else { Some(power) }
    }

    /// The number whose power to `root` is this one, where it terminates.
    fn exact_root(&self, root: &BigInt) -> Option<Self> {
        let (unscaled, scale) = self.trim_scale().unscaled();
        let root = root.to_u32().filter(|root| u64::from(*root) <= 4 * Self::MAX_DIGITS)?;
        let base = unscaled.nth_root(root);
        let is_exact = scale % i64::from(root) == 0 && base.pow(root) == unscaled;
        if is_exact { Self::from_unscaled(base, scale / i64::from(root)).ok() } else { None }
    }

    /// A number above zero to the power of `numerator / root`, by its logarithm.
    fn rounded_power(&self, numerator: &BigInt, root: &BigInt) -> Result<Self, DecimalError> {
        // The exponent, by which the error of the logarithm is multiplied, is below 2 to the power of these.
        let more = numerator.bits().saturating_sub(root.bits()) + 1;
        rounded(|bits| {
            let logarithm = self.logarithm(bits + GUARD + more);
            exponential(&((logarithm * numerator / root) >> more), bits)
        })
    }

    /// The natural logarithm of a number above zero. The number is `2^shift` times a number from 1 to 2, whose logarithm is twice
    /// the inverse hyperbolic tangent of `(number - 1) / (number + 1)`.
    fn logarithm(&self, bits: u64) -> BigInt {
        let precision = bits + GUARD;
        let (unscaled, scale) = self.unscaled();
        let divisor = power_of_ten(scale.unsigned_abs());
        let one = BigInt::one() << precision;
        let scaled = |shift: i64| {
            let by = precision.cast_signed() - shift;
            if by < 0 {
                (&unscaled >> by.unsigned_abs()) / &divisor
            } else {
                (&unscaled << by.unsigned_abs()) / &divisor
            }
        };
        let mut shift = unscaled.bits().cast_signed() - divisor.bits().cast_signed();
        let mut number = scaled(shift);
        if number < one {
            shift -= 1;
            number = scaled(shift);
        }
        let tangent = ((&number - &one) << precision) / (number + one);
        (shift * logarithm_of_two(precision) + inverse_tangent(tangent, precision) * 2) >> GUARD
    }
}

/// A number as a fraction in lowest terms.
fn fraction(number: &Decimal) -> (BigInt, BigInt) {
    let (unscaled, scale) = number.trim_scale().unscaled();
    let scale = scale.unsigned_abs();
    let twos = unscaled.trailing_zeros().unwrap_or(0).min(scale);
    let (numerator, fives) = without_fives(unscaled >> twos, scale);
    let power = |base: u32, times: u64| BigInt::from(base).pow(u32::try_from(times).unwrap_or(u32::MAX));
    (numerator, power(2, scale - twos) * power(5, scale - fives))
}

/// The number that `approximate` finds, when all within its error are rounded to one. It gives, for a number of bits, units of 2 to
/// the power of its second value.
fn rounded(approximate: impl Fn(u64) -> Result<(BigInt, i64), DecimalError>) -> Result<Decimal, DecimalError> {
    let mut bits = FIRST_BITS;
    while bits < MOST_BITS {
        let (units, exponent) = approximate(bits)?;
        if *units.magnitude() > (2 * ERROR).into() {
            let power = BigInt::one() << exponent.unsigned_abs();
            let decimal = |units: BigInt| match exponent {
                0.. => rounded_quotient(&(units * &power), &BigInt::one(), 0),
                _ => rounded_quotient(&units, &power, 0),
            };
            let (low, high) = (decimal(&units - ERROR), decimal(units + ERROR));
            if low == high {
                return Decimal::from_unscaled(low.0, low.1);
            }
        }
        bits *= 2;
    }
    Err(DecimalError::Overflow)
}

/// `e` to the power of `exponent`, which has [`GUARD`] more bits: the logarithm of 2 is taken from it as often as it can be, its
/// rest is divided by a power of 2, put into the exponential series, and the sum is squared as often.
fn exponential(exponent: &BigInt, bits: u64) -> Result<(BigInt, i64), DecimalError> {
    let precision = bits + GUARD;
    if exponent.magnitude() >> precision > LARGEST_EXPONENT.into() {
        return Err(DecimalError::Overflow);
    }
    let two = logarithm_of_two(precision);
    let mut doublings = exponent / &two;
    let mut rest = exponent - &doublings * &two;
    if rest.is_negative() {
        rest += two;
        doublings -= 1;
    }
    rest >>= SQUARES;
    let mut sum = BigInt::one() << precision;
    let mut term = sum.clone();
    for number in 1_u32.. {
        term = ((term * &rest) >> precision) / number;
        if term.is_zero() {
            break;
        }
        sum += &term;
    }
    for _ in 0..SQUARES {
        sum = (&sum * &sum) >> precision;
    }
    let doublings = doublings.to_i64().ok_or(DecimalError::Overflow)?;
    Ok((sum >> GUARD, doublings - bits.cast_signed()))
}

fn logarithm_of_two(bits: u64) -> BigInt {
    inverse_tangent((BigInt::one() << bits) / 3, bits) * 2
}

/// The inverse hyperbolic tangent of a number from 0 to 1/3, by its series.
fn inverse_tangent(number: BigInt, bits: u64) -> BigInt {
    let square = (&number * &number) >> bits;
    let (mut sum, mut power) = (number.clone(), number);
    for divisor in (3_u32..).step_by(2) {
        power = (power * &square) >> bits;
        if power.is_zero() {
            break;
        }
        sum += &power / divisor;
    }
    sum
}
