//! Arithmetic held against exact arithmetic with whole numbers of any size.

use proptest::prelude::*;

use super::*;

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
        ("10.00", "0.50", "20.00"),
        // Longer than 28 digits, and still exact.
        (
            "1",
            "1267650600228229401496703205376",
            "0.0000000000000000000000000000007888609052210118054117285652827862296732064351090230047702789306640625",
        ),
        (
            "100000000000000000000000000000000000000000000001",
            "8",
            "12500000000000000000000000000000000000000000000.125",
        ),
        // The integer part is whole, and 28 significant digits follow it.
        (
            "100000000000000000000000000000000000000000000000",
            "3",
            "33333333333333333333333333333333333333333333333.3333333333333333333333333333",
        ),
        ("10.00000000000000000000000000000000000", "3", "3.3333333333333333333333333333"),
        ("200", "3", "66.6666666666666666666666666667"),
        ("0.02", "3", "0.006666666666666666666666666667"),
        ("1e-50", "-3", "-0.000000000000000000000000000000000000000000000000003333333333333333333333333333"),
        ("99999999999999999999999999999999", "99999999999999999999999999999998", "1.0000000000000000000000000000"),
    ] {
        assert_eq!(d(a).div(&d(b)).unwrap().to_string(), quotient, "{a} / {b}");
    }
    assert_eq!(d("1").div(&d("0.00")), Err(DecimalError::DivisionByZero));
    // It terminates, with more digits than a number may have: no rounded value stands in for it.
    let power = Decimal::from_unscaled(BigInt::from(2).pow(3_000), 0).unwrap();
    assert_eq!(d("1").div(&power), Err(DecimalError::Overflow));
    assert_eq!(power.div(&power).unwrap().to_string(), "1");
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
        assert_eq!(
            d(number).round(places, Rounding::HalfUp).unwrap().to_string(),
            rounded,
            "round({number}, {places})"
        );
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
fn every_way_to_write_zero_is_zero_without_a_sign() {
    for (text, zero) in
        [("-0", "0"), ("-0.0", "0.0"), ("0e5", "0"), ("-0e-2", "0.00"), ("0e2000", "0"), ("-0.00e1", "0.0")]
    {
        assert_eq!(d(text).to_string(), zero, "{text}");
        assert_eq!(d(text), Decimal::ZERO, "{text}");
    }
    for text in ["-0.4", "-0.04999", "-0.000000000000000000000000000000000001"] {
        assert_eq!(d(text).round(0, Rounding::HalfUp).unwrap().to_string(), "0", "{text}");
        assert_eq!(d(text).ceil().unwrap().to_string(), "0", "{text}");
    }
    assert_eq!(Decimal::from_f64(-0.0).unwrap().to_string(), "0");
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

/// Decimals of all lengths: short ones, ones around 96 and 128 bits, long ones, and whole multiples of powers of 2 and 5, whose
/// quotients terminate.
fn decimals() -> impl Strategy<Value = Decimal> {
    let written = prop_oneof![
        4 => "-?[0-9]{1,6}(\\.[0-9]{1,4})?",
        4 => "-?[0-9]{24,42}(\\.[0-9]{1,32})?",
        2 => "-?[0-9](\\.[0-9]{1,60})?[eE]-?[0-9]{1,2}",
        1 => "-?[0-9]{1,240}(\\.[0-9]{1,120})?",
    ];
    let powers = (-9_i32..=9, 0_u32..90, 0_u32..60, 0_i64..60).prop_map(|(factor, twos, fives, scale)| {
        let unscaled = BigInt::from(factor) * BigInt::from(2).pow(twos) * BigInt::from(5).pow(fives);
        Decimal::from_unscaled(unscaled, scale).unwrap()
    });
    prop_oneof![2 => written.prop_map(|text| d(&text)), 1 => powers]
}

/// The whole numbers that both are, times ten to the power of the larger scale.
fn whole(left: &Decimal, right: &Decimal) -> (BigInt, BigInt, i64) {
    let scale = left.unscaled().1.max(right.unscaled().1);
    let scaled = |(number, places): (BigInt, i64)| number * power_of_ten((scale - places).cast_unsigned());
    (scaled(left.unscaled()), scaled(right.unscaled()), scale)
}

/// Whether `found` is exactly `unscaled` with `scale` places.
fn is_exactly(found: &Decimal, unscaled: BigInt, scale: i64) -> bool {
    let (known, places) = found.unscaled();
    known * power_of_ten((scale - places).max(0).cast_unsigned())
        == unscaled * power_of_ten((places - scale).max(0).cast_unsigned())
}

/// Whether `a / b` terminates, by its definition.
fn terminates(a: &BigInt, b: &BigInt) -> bool {
    let (mut gcd, mut rest) = (a.abs(), b.abs());
    while !rest.is_zero() {
        (gcd, rest) = (rest.clone(), gcd % rest);
    }
    let mut denominator = b.abs() / gcd;
    for factor in [2_u32, 5] {
        while (&denominator % factor).is_zero() {
            denominator /= factor;
        }
    }
    denominator == BigInt::from(1)
}

proptest! {
    #[test]
    fn sums_products_remainders_and_comparisons_are_exact(a in decimals(), b in decimals()) {
        let (x, y, scale) = whole(&a, &b);
        prop_assert!(is_exactly(&a.add(&b).unwrap(), &x + &y, scale));
        prop_assert!(is_exactly(&a.sub(&b).unwrap(), &x - &y, scale));
        prop_assert!(is_exactly(&a.mul(&b).unwrap(), &x * &y, 2 * scale));
        prop_assert_eq!(a.cmp(&b), x.cmp(&y));
        prop_assert_eq!(a == b, x == y);
        if !y.is_zero() {
            // `%` of BigInt has the sign of the dividend, too.
            prop_assert!(is_exactly(&a.rem(&b).unwrap(), &x % &y, scale));
        }
    }

    #[test]
    fn quotients_are_exact_where_they_terminate_and_else_the_nearest_of_28_digits(a in decimals(), b in decimals()) {
        prop_assume!(!b.is_zero());
        let (x, y, _) = whole(&a, &b);
        let quotient = a.div(&b).unwrap();
        let (unscaled, places) = quotient.unscaled();
        let ten = power_of_ten(places.cast_unsigned());
        if terminates(&x, &y) {
            prop_assert_eq!(unscaled * &y, x * ten);
            return Ok(());
        }
        // |x/y - unscaled/ten| < 1/(2 ten): a quotient that does not terminate is never half way.
        let error = (&x * &ten - &unscaled * &y).abs() * 2;
        prop_assert!(error < y.abs(), "{} / {} = {}", a, b, quotient);
        let whole_digits = &x / &y;
        if whole_digits.is_zero() {
            let kept = unscaled.abs();
            prop_assert!(kept >= power_of_ten(27) && kept <= power_of_ten(28), "{} / {} = {}", a, b, quotient);
        } else {
            prop_assert_eq!(places, 28);
        }
    }

    #[test]
    fn rounding_takes_the_neighbour_it_names(a in decimals(), places in -40_i32..40) {
        let (unscaled, scale) = a.unscaled();
        // Both as whole numbers of units of 10^-200: no number here has more places.
        let unit = power_of_ten((200 - i64::from(places)).cast_unsigned());
        let exact = unscaled * power_of_ten((200 - scale).cast_unsigned());
        let size = exact.abs();
        let half_away = (&size * 2_u32 + &unit) / (&unit * 2_u32) * &unit;
        let expected = if exact.is_negative() { -half_away } else { half_away };
        prop_assert!(is_exactly(&a.round(places, Rounding::HalfUp).unwrap(), expected, 200), "round({}, {})", a, places);
        let one = power_of_ten(200);
        let truncated = &exact / &one * &one;
        let below = if exact.is_negative() && truncated != exact { &truncated - &one } else { truncated.clone() };
        let above = if exact.is_positive() && truncated != exact { &truncated + &one } else { truncated };
        prop_assert!(is_exactly(&a.floor().unwrap(), below, 200), "floor({})", a);
        prop_assert!(is_exactly(&a.ceil().unwrap(), above, 200), "ceil({})", a);
    }

    #[test]
    fn zero_has_no_sign(a in decimals(), b in decimals(), places in -40_i32..40) {
        let zero = a.sub(&a).unwrap();
        let results = [
            zero.neg(), zero.abs(), zero.trim_scale(), zero.mul(&b).unwrap(), a.neg().mul(&zero).unwrap(), a.neg().add(&a).unwrap(),
            a.round(places, Rounding::HalfUp).unwrap(), a.floor().unwrap(), a.ceil().unwrap(), a.neg().neg().rem(&d("-1")).unwrap(), a.neg(), a.trim_scale(),
        ];
        for result in results {
            let text = result.to_string();
            prop_assert!(!result.is_zero() || !text.starts_with('-'), "{}", text);
            prop_assert_eq!(text.parse::<Decimal>().unwrap().to_string(), text);
        }
    }
}
