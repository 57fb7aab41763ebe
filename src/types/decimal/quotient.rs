//! Quotients.

use num_bigint::BigInt;
use num_traits::{Signed, Zero};

use super::{Decimal, DecimalError, digits, power_of_ten};

impl Decimal {
    /// The quotient: exact where it terminates, else its integer part and [`Self::QUOTIENT_DIGITS`] significant digits, the
    /// last rounded half away from zero. An exact quotient has at least as many places as the dividend.
    ///
    /// # Errors
    /// [`DecimalError::DivisionByZero`], [`DecimalError::Overflow`].
    pub fn div(&self, other: &Self) -> Result<Self, DecimalError> {
        if other.is_zero() {
            return Err(DecimalError::DivisionByZero);
        }
        let (dividend, dividend_scale) = self.unscaled();
        let (divisor, divisor_scale) = other.unscaled();
        let scale = dividend_scale - divisor_scale;
        let Some((quotient, places)) = exact_quotient(&dividend, &divisor) else {
            let (quotient, places) = rounded_quotient(&dividend, &divisor, scale);
            return Self::from_unscaled(quotient, places);
        };
        let missing = u64::try_from(dividend_scale - scale - places).unwrap_or(0);
        Self::from_unscaled(quotient * power_of_ten(missing), dividend_scale.max(scale + places))
    }
}

/// `dividend / divisor` with its places, where it terminates: the denominator in lowest terms has no prime factors but 2 and 5.
/// There are as few places as possible.
fn exact_quotient(dividend: &BigInt, divisor: &BigInt) -> Option<(BigInt, i64)> {
    let mut twos = divisor.trailing_zeros().unwrap_or(0);
    let (rest, mut fives) = without_fives(divisor >> twos, u64::MAX);
    if !(dividend % &rest).is_zero() {
        return None;
    }
    let quotient = dividend / rest;
    let shared = quotient.trailing_zeros().unwrap_or(twos).min(twos);
    twos -= shared;
    let (quotient, shared) = without_fives(quotient >> shared, fives);
    fives -= shared;
    let places = twos.max(fives);
    let missing_fives = BigInt::from(5).pow(u32::try_from(places - fives).ok()?);
    Some(((quotient << (places - twos)) * missing_fives, i64::try_from(places).ok()?))
}

/// `number` without its factors 5, of which at most `most` are taken, and how many were.
pub(super) fn without_fives(mut number: BigInt, most: u64) -> (BigInt, u64) {
    let mut count = 0;
    while count < most && !number.is_zero() && (&number % 5_u32).is_zero() {
        number /= 5_u32;
        count += 1;
    }
    (number, count)
}

/// `dividend / divisor / 10^scale` rounded half away from zero, and its places. Neither is zero.
pub(super) fn rounded_quotient(dividend: &BigInt, divisor: &BigInt, scale: i64) -> (BigInt, i64) {
    let shifted = |number: BigInt, by: i64| number * power_of_ten(u64::try_from(by).unwrap_or(0));
    let (dividend_digits, divisor_digits) = (digits(dividend), digits(divisor));
    let longer = dividend_digits.cast_signed() - divisor_digits.cast_signed();
    // The power of ten that the first significant digit counts.
    let reaches = shifted(dividend.abs(), -longer) >= shifted(divisor.abs(), longer);
    let first = longer - scale - i64::from(!reaches);
    let kept = Decimal::QUOTIENT_DIGITS.cast_signed();
    let places = kept.max(kept - 1 - first);
    let (numerator, denominator) = (shifted(dividend.abs(), places - scale), shifted(divisor.abs(), scale - places));
    let truncated = &numerator / &denominator;
    let rest = numerator - &truncated * &denominator;
    let rounded = if rest * 2_u32 >= denominator { truncated + 1_u32 } else { truncated };
    (if dividend.is_negative() == divisor.is_negative() { rounded } else { -rounded }, places)
}
