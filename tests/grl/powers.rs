//! Powers, roots, exponentials and logarithms against values that were computed in another way.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use tributary::types::{Decimal, DecimalError};

use crate::purchasing::read;

fn d(text: &str) -> Decimal {
    text.parse().unwrap()
}

#[test]
fn every_digit_is_that_of_the_known_value() {
    let table = read("tests/grl/powers.csv");
    let mut tried = 0;
    for line in table.lines().filter(|line| !line.starts_with('#')) {
        let [function, number, exponent, expected] = line.split(',').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let number = d(number);
        let result = match function {
            "exp" => number.exp(),
            "ln" => number.ln(),
            "sqrt" => number.sqrt(),
            _ => number.pow(&d(exponent)),
        };
        assert_eq!(result.map(|result| result.to_string()).as_deref(), Ok(expected), "{line}");
        tried += 1;
    }
    assert!(tried > 200, "{tried}");
}

#[test]
fn what_terminates_is_exact() {
    for (number, exponent, expected) in [
        ("2", "10", "1024"),
        ("15.50", "2", "240.25"),
        ("100.00", "1", "100"),
        ("-1.5", "3", "-3.375"),
        ("2", "-3", "0.125"),
        ("0.5", "-4", "16"),
        ("4", "0.5", "2"),
        ("0.25", "1.5", "0.125"),
        ("32", "0.2", "2"),
        ("32.000", "-0.60", "0.125"),
        ("0.0001", "0.25", "0.1"),
        ("0", "0", "1"),
        ("0", "3.5", "0"),
        ("-7", "0", "1"),
        ("1", "123456789.123", "1"),
        ("-1", "10000000000000000000000000000001", "-1"),
        ("-1.0", "10000000000000000000000000000000", "1.0"),
        ("10", "-999", &format!("0.{}1", "0".repeat(998))),
        ("10", "999", &format!("1{}", "0".repeat(999))),
        ("1.01", "400", &d("1.01").pow(&d("200")).and_then(|half| half.mul(&half)).unwrap().to_string()),
    ] {
        assert_eq!(d(number).pow(&d(exponent)).unwrap().to_string(), expected, "{number} ** {exponent}");
    }
    for (number, root) in
        [("0", "0"), ("2.25", "1.5"), ("4.00", "2"), ("1e-30", "0.000000000000001"), ("1e300", "1e150")]
    {
        assert_eq!(d(number).sqrt().unwrap(), d(root), "sqrt({number})");
    }
    assert_eq!((d("0.00").exp().unwrap(), d("1.0").ln().unwrap()), (d("1"), d("0")));
}

#[test]
fn what_does_not_exist_or_is_too_long_is_an_error_and_quickly() {
    let started = Instant::now();
    let (undefined, overflow) = (Err(DecimalError::Undefined), Err(DecimalError::Overflow));
    for number in ["1000000", "-1000000", "1e900", "-1e900", "2400", "-2300"] {
        assert_eq!(d(number).exp(), overflow, "exp({number})");
    }
    for number in ["0", "-1", "-1e-900"] {
        assert_eq!(d(number).ln(), undefined, "ln({number})");
    }
    assert_eq!(d("-2").sqrt(), undefined);
    for (number, exponent, error) in [
        ("-8", "0.5", &undefined),
        ("0", "-1", &Err(DecimalError::DivisionByZero)),
        ("10", "1000", &overflow),
        ("1.1", "1000000000", &overflow),
        ("1.0000001", "1e11", &overflow),
        ("1e999", "1e999", &overflow),
        ("0.1", "1e999", &overflow),
        ("-9.99", "-1e900", &overflow),
    ] {
        assert_eq!(&d(number).pow(&d(exponent)), error, "{number} ** {exponent}");
    }
    let allowed = if cfg!(debug_assertions) { 60 } else { 1 };
    assert!(started.elapsed() < Duration::from_secs(allowed), "{:?}", started.elapsed());
}

/// `number` with its last digit one greater, and one smaller.
fn neighbours(number: &Decimal) -> (Decimal, Decimal) {
    let (unscaled, scale) = number.unscaled();
    let with = |by: i32| Decimal::from_unscaled(&unscaled + by, scale).unwrap();
    (with(-1), with(1))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_root_is_the_nearest_of_its_length(text in "[1-9][0-9]{0,30}(\\.[0-9]{0,9}[1-9])?") {
        let number = d(&text);
        let root = number.sqrt().unwrap();
        let off = |root: &Decimal| root.mul(root).unwrap().sub(&number).unwrap();
        if !off(&root).is_zero() {
            let (below, above) = neighbours(&root);
            prop_assert!(off(&below).is_negative() && !off(&above).is_negative(), "sqrt({}) = {}", number, root);
        }
    }

    #[test]
    fn exponentials_and_logarithms_undo_each_other(text in "-?[0-9]{1,2}\\.[0-9]{1,12}") {
        let number = d(&text);
        let back = number.exp().unwrap().ln().unwrap();
        let off = back.sub(&number).unwrap().abs();
        prop_assert!(off < d("1e-26"), "{} {}", number, back);
    }

    #[test]
    fn powers_of_a_sum_are_products_of_powers(base in "[1-9][0-9]{0,3}\\.[0-9]{1,3}", a in 0_i64..40, b in 0_i64..40) {
        let base = d(&base);
        let power = |exponent: i64| base.pow(&Decimal::from(exponent)).unwrap();
        prop_assert_eq!(power(a + b), power(a).mul(&power(b)).unwrap());
    }
}
