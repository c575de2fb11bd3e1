//! Decimal numbers, as Postgres sends them and as text.

use bytes::{Buf, BufMut};

const NEGATIVE: u16 = 0x4000;
const NOT_A_NUMBER: u16 = 0xC000;
const INFINITY: u16 = 0xD000;
const NEGATIVE_INFINITY: u16 = 0xF000;

/// How many decimal digits one of Postgres's digits has.
const WIDTH: usize = 4;

/// How many digits there may be; more than Postgres takes.
const DIGITS_LIMIT: usize = 150_000;

/// The text is not a decimal number.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid decimal {0:?}")]
pub(super) struct InvalidDecimal(pub(super) String);

/// Writes a number such as `-12.50`.
pub(super) fn encode(text: &str, out: &mut impl BufMut) -> Result<(), InvalidDecimal> {
    let invalid = || InvalidDecimal(text.chars().take(64).collect());
    let (sign, number) = match text.strip_prefix('-') {
        Some(number) => (NEGATIVE, number),
        None => (0, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole) || !is_digits(fraction) || whole.len() + fraction.len() == 0 {
        return Err(invalid());
    }
    if text.len() > DIGITS_LIMIT {
        return Err(invalid());
    }
    // Groups of four, from the point outwards.
    let mut padded = "0".repeat((WIDTH - whole.len() % WIDTH) % WIDTH);
    padded.push_str(whole);
    let whole_groups = padded.len() / WIDTH;
    padded.push_str(fraction);
    padded.push_str(&"0".repeat((WIDTH - fraction.len() % WIDTH) % WIDTH));
    let value = |group: &[u8]| {
        group
            .iter()
            .fold(0_i16, |value, digit| value * 10 + i16::from(digit - b'0'))
    };
    let groups: Vec<_> = padded.as_bytes().chunks(WIDTH).map(value).collect();
    let leading = groups.iter().take_while(|group| **group == 0).count();
    let trailing = groups.iter().rev().take_while(|group| **group == 0).count();
    let kept = groups
        .get(leading..groups.len() - trailing.min(groups.len() - leading))
        .unwrap_or_default();
    let narrow = |value: usize| i16::try_from(value).map_err(|_| invalid());
    let weight = match kept.is_empty() {
        true => 0,
        false => narrow(whole_groups)? - narrow(leading)? - 1,
    };
    out.put_i16(narrow(kept.len())?);
    out.put_i16(weight);
    out.put_u16(if kept.is_empty() { 0 } else { sign });
    out.put_i16(narrow(fraction.len())?);
    kept.iter().for_each(|group| out.put_i16(*group));
    Ok(())
}

/// Reads a number; the text is what Postgres itself would print.
pub(super) fn decode(mut raw: &[u8]) -> Result<String, InvalidDecimal> {
    let invalid = || InvalidDecimal("of the server".into());
    let field = |raw: &mut &[u8]| raw.try_get_u16().map_err(|_| invalid());
    let signed = |raw: &mut &[u8]| raw.try_get_i16().map_err(|_| invalid());
    let count = usize::from(field(&mut raw)?);
    let weight = i32::from(signed(&mut raw)?);
    let sign = field(&mut raw)?;
    let scale = usize::from(field(&mut raw)?);
    let mut text = match sign {
        0 => String::new(),
        NEGATIVE => "-".to_owned(),
        NOT_A_NUMBER => return Ok("NaN".into()),
        INFINITY => return Ok("Infinity".into()),
        NEGATIVE_INFINITY => return Ok("-Infinity".into()),
        _ => return Err(invalid()),
    };
    let groups: Vec<_> = (0..count)
        .map(|_| field(&mut raw))
        .collect::<Result<_, _>>()?;
    let group = |place: i32| {
        let index = usize::try_from(weight - place).ok();
        index
            .and_then(|index| groups.get(index))
            .copied()
            .unwrap_or(0)
    };
    text.push_str(&group(weight.max(0)).to_string());
    for place in (0..weight.max(0)).rev() {
        text.push_str(&format!("{:04}", group(place)));
    }
    if scale > 0 {
        text.push('.');
        let end = text.len() + scale;
        let mut place = -1;
        while text.len() < end {
            text.push_str(&format!("{:04}", group(place)));
            place -= 1;
        }
        text.truncate(end);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn through(text: &str) -> String {
        let mut raw = Vec::new();
        encode(text, &mut raw).expect(text);
        decode(&raw).expect(text)
    }

    #[test]
    fn a_number_is_what_it_was_after_both_ways() {
        for (text, expected) in [
            ("0", "0"),
            ("-0", "0"),
            ("1", "1"),
            ("10000", "10000"),
            ("99999999", "99999999"),
            ("-12.50", "-12.50"),
            ("0.0001", "0.0001"),
            ("0.00000001", "0.00000001"),
            ("0.00", "0.00"),
            ("+7", "7"),
            (".5", "0.5"),
            ("007", "7"),
            (
                "123456789012345678901234567890.123456789",
                "123456789012345678901234567890.123456789",
            ),
        ] {
            assert_eq!(through(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in ["", ".", "-", "1e5", "NaN", "1_000", "1.2.3", " 1", "٣"] {
            assert!(encode(text, &mut Vec::new()).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn every_decimal_survives(text in "-?[1-9][0-9]{0,40}(\\.[0-9]{1,30})?") {
            prop_assert_eq!(through(&text), text);
        }

        #[test]
        fn any_bytes_are_answered(raw: Vec<u8>) {
            let _ = decode(&raw);
        }
    }
}
