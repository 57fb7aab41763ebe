//! Rounding to a number of places, or to the multiples of a step.

use std::cmp::Ordering;

use bigdecimal::RoundingMode;
use rust_decimal::RoundingStrategy;

use super::{Decimal, DecimalError, Repr};

/// Which of its two neighbours a number is rounded to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    /// The nearer one; half way, the one away from zero.
    HalfUp,
    /// The nearer one; half way, the one whose last digit is even.
    HalfEven,
    /// The nearer one; half way, the one towards zero.
    HalfDown,
    /// The one away from zero.
    Up,
    /// The one towards zero.
    Down,
    /// The greater one.
    Ceiling,
    /// The smaller one.
    Floor,
}

impl Rounding {
    /// The mode of this name.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "half_up" => Self::HalfUp,
            "half_even" => Self::HalfEven,
            "half_down" => Self::HalfDown,
            "up" => Self::Up,
            "down" => Self::Down,
            "ceiling" => Self::Ceiling,
            "floor" => Self::Floor,
            _ => return None,
        })
    }

    fn modes(self) -> (RoundingStrategy, RoundingMode) {
        match self {
            Self::HalfUp => (RoundingStrategy::MidpointAwayFromZero, RoundingMode::HalfUp),
            Self::HalfEven => (RoundingStrategy::MidpointNearestEven, RoundingMode::HalfEven),
            Self::HalfDown => (RoundingStrategy::MidpointTowardZero, RoundingMode::HalfDown),
            Self::Up => (RoundingStrategy::AwayFromZero, RoundingMode::Up),
            Self::Down => (RoundingStrategy::ToZero, RoundingMode::Down),
            Self::Ceiling => (RoundingStrategy::ToPositiveInfinity, RoundingMode::Ceiling),
            Self::Floor => (RoundingStrategy::ToNegativeInfinity, RoundingMode::Floor),
        }
    }
}

impl Decimal {
    /// Rounded to `places` digits after the point (before it where negative).
    ///
    /// # Errors
    /// [`DecimalError::Overflow`].
    pub fn round(&self, places: i32, rounding: Rounding) -> Result<Self, DecimalError> {
        let (small_mode, big_mode) = rounding.modes();
        if let (Repr::Small(small), Ok(places)) = (&self.0, u32::try_from(places)) {
            let mut rounded = small.round_dp_with_strategy(places, small_mode);
            rounded.rescale(places.min(Self::SMALL_SCALE));
            if rounded.scale() == places {
                return Ok(Self::unsigned_zero(rounded));
            }
        }
        Self::from_big(&self.to_big().with_scale_round(i64::from(places), big_mode))
    }

    /// Rounded to a multiple of `step`, which is above zero.
    ///
    /// # Errors
    /// [`DecimalError::Overflow`], [`DecimalError::DivisionByZero`].
    pub fn round_to(&self, step: &Self, rounding: Rounding) -> Result<Self, DecimalError> {
        let rest = self.rem(step)?;
        let whole = self.sub(&rest)?.div(step)?;
        // Whether the rest is below, at or above half a step is all that counts of it.
        let quarters = match rest.abs().add(&rest.abs())?.cmp(step) {
            _ if rest.is_zero() => 0,
            Ordering::Less => 25,
            Ordering::Equal => 50,
            Ordering::Greater => 75,
        };
        let quarters = Self::from_i128(if rest.is_negative() { -quarters } else { quarters }, 2)?;
        whole.add(&quarters)?.round(0, rounding)?.mul(step)
    }

    /// The largest whole number that is not above this one.
    ///
    /// # Errors
    /// [`DecimalError::Overflow`].
    pub fn floor(&self) -> Result<Self, DecimalError> {
        self.round(0, Rounding::Floor)
    }

    /// The smallest whole number that is not below this one.
    ///
    /// # Errors
    /// [`DecimalError::Overflow`].
    pub fn ceil(&self) -> Result<Self, DecimalError> {
        self.round(0, Rounding::Ceiling)
    }
}
