//! Numbers as text.

use std::io::Write;

/// Writes a number as the shortest text that reads back as the same `f64`: `15`, `0.5`, `1e21`.
///
/// Integral values have no `.0`, and the exponent form is taken where it is shorter (`1e3`). JSON
/// has no NaN and no infinities: these are written as `null`.
pub fn write_f64(number: f64, out: &mut Vec<u8>) {
    if !number.is_finite() {
        null(out);
    } else if number == 0.0 {
        out.extend_from_slice(if number.is_sign_negative() { b"-0" } else { b"0" });
    } else if !write_plain(number, out) {
        write_shortest(format_args!("{number:e}"), out);
    }
}

/// Writes a number whose plain form is the shorter one for certain: a few digits behind the point at
/// most are zeros, and none before it but one. Otherwise it writes nothing, and returns false.
fn write_plain(number: f64, out: &mut Vec<u8>) -> bool {
    if !(0.01..1e15).contains(&number.abs()) {
        return false;
    }
    let start = out.len();
    serde_json::to_writer(&mut *out, &number).expect("a finite number is JSON");
    if out.ends_with(b".0") {
        out.truncate(out.len() - 2);
        if out.ends_with(b"00") {
            out.truncate(start);
            return false;
        }
    }
    true
}

/// As [`write_f64`], with the digits that tell apart `f32`s.
pub(crate) fn write_f32(number: f32, out: &mut Vec<u8>) {
    if number.is_finite() { write_shortest(format_args!("{number:e}"), out) } else { null(out) }
}

fn null(out: &mut Vec<u8>) {
    out.extend_from_slice(b"null");
}

/// Takes the shortest digits in exponent form (`-1.25e-3`) and writes them in the shorter form.
fn write_shortest(exponent_form: std::fmt::Arguments<'_>, out: &mut Vec<u8>) {
    // Seventeen digits, two signs, a point, an e and three digits of exponent.
    let mut buffer = [0_u8; 32];
    let mut free = &mut buffer[..];
    free.write_fmt(exponent_form).expect("the longest f64 in exponent form has 24 bytes");
    let n_free = free.len();
    let text = &buffer[..buffer.len() - n_free];

    let e_idx = text.iter().position(|byte| *byte == b'e').expect("the exponent form has an e");
    let (mantissa, e_exponent) = text.split_at(e_idx);
    let (sign, mantissa) = mantissa.split_at(usize::from(mantissa[0] == b'-'));
    let (whole, fraction) = (&mantissa[..1], mantissa.get(2..).unwrap_or_default());
    let below_one = e_exponent[1] == b'-';
    let exponent = e_exponent[1 + usize::from(below_one)..]
        .iter()
        .fold(0, |number, digit| number * 10 + usize::from(digit - b'0'));

    let n_digits = 1 + fraction.len();
    let plain_len = if below_one {
        1 + exponent + n_digits
    } else if exponent >= fraction.len() {
        exponent + 1
    } else {
        n_digits + 1
    };
    if mantissa.len() + e_exponent.len() < plain_len {
        out.extend_from_slice(text);
        return;
    }
    out.extend_from_slice(sign);
    if below_one {
        out.extend_from_slice(b"0.");
        out.resize(out.len() + exponent - 1, b'0');
        out.extend_from_slice(whole);
        out.extend_from_slice(fraction);
    } else if exponent >= fraction.len() {
        out.extend_from_slice(whole);
        out.extend_from_slice(fraction);
        out.resize(out.len() + exponent - fraction.len(), b'0');
    } else {
        let (before, after) = fraction.split_at(exponent);
        out.extend_from_slice(whole);
        out.extend_from_slice(before);
        out.push(b'.');
        out.extend_from_slice(after);
    }
}

/// Whether the text is a decimal number: a sign, digits with or without a point, an exponent.
/// `NaN`, `inf` and hexadecimal digits are none.
pub(crate) fn is_number(text: &str) -> bool {
    let mut rest = text.as_bytes();
    let skip_digits = |rest: &mut &[u8]| {
        let n_digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        *rest = &rest[n_digits..];
        n_digits
    };
    let skip_any = |rest: &mut &[u8], bytes: &[u8]| {
        let found = rest.first().is_some_and(|byte| bytes.contains(byte));
        *rest = &rest[usize::from(found)..];
        found
    };
    skip_any(&mut rest, b"+-");
    let mut n_digits = skip_digits(&mut rest);
    if skip_any(&mut rest, b".") {
        n_digits += skip_digits(&mut rest);
    }
    if n_digits == 0 {
        return false;
    }
    if skip_any(&mut rest, b"eE") {
        skip_any(&mut rest, b"+-");
        if skip_digits(&mut rest) == 0 {
            return false;
        }
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(number: f64) -> String {
        let mut out = Vec::new();
        write_f64(number, &mut out);
        String::from_utf8(out).expect("digits")
    }

    #[test]
    fn numbers_are_written_in_their_shortest_form() {
        for (number, expected) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (15.0, "15"),
            (-120.0, "-120"),
            (0.5, "0.5"),
            (0.01, "0.01"),
            (2.460_937_5, "2.4609375"),
            (-12.75, "-12.75"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1e21, "1e21"),
            (1_000.0, "1e3"),
            (1_001.0, "1001"),
            (1.5e-7, "1.5e-7"),
            (f64::MAX, "1.7976931348623157e308"),
            (f64::MIN_POSITIVE, "2.2250738585072014e-308"),
            (f64::NAN, "null"),
            (f64::NEG_INFINITY, "null"),
        ] {
            assert_eq!(text(number), expected);
        }
    }

    #[test]
    fn numbers_are_told_from_words() {
        for number in ["0", "-1", "+1", "1.", ".5", "1.5e-7", "1E9", "007"] {
            assert!(is_number(number), "{number}");
        }
        for word in
            ["", "-", ".", "e5", "1e", "1e+", "NaN", "inf", "0x1f", "1_000", "1 ", "--1", "1.2.3"]
        {
            assert!(!is_number(word), "{word}");
        }
    }

    proptest! {
        #[test]
        fn common_numbers_are_written_as_all_others(digits in -99_999_999_i64..99_999_999, scale in -6..9_i32) {
            let number = digits as f64 * 10_f64.powi(-scale);
            let mut shortest = Vec::new();
            write_shortest(format_args!("{number:e}"), &mut shortest);
            prop_assert_eq!(text(number).into_bytes(), shortest);
        }

        #[test]
        fn a_written_number_reads_back_and_no_common_form_is_shorter(bits: u64) {
            let number = f64::from_bits(bits);
            prop_assume!(number.is_finite());
            let text = text(number);
            prop_assert_eq!(text.parse::<f64>().map(f64::to_bits), Ok(bits));
            let (plain, exponent) = (format!("{number}"), format!("{number:e}"));
            prop_assert!(text.len() <= plain.len().min(exponent.len()));
            prop_assert!(serde_json::from_str::<f64>(&text).is_ok());
        }

        #[test]
        fn what_is_a_number_parses_as_one(text in "[-+.eE0-9]{0,12}") {
            prop_assert_eq!(is_number(&text), text.parse::<f64>().is_ok());
        }
    }
}
