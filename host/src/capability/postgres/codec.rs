//! The form in which Postgres sends ranges and arrays.

use bytes::{Buf, BufMut, BytesMut};

use crate::bindings::spin::postgres::postgres::RangeBoundKind;

const EMPTY: u8 = 0x01;
const LOWER_INCLUSIVE: u8 = 0x02;
const UPPER_INCLUSIVE: u8 = 0x04;
const LOWER_INFINITE: u8 = 0x08;
const UPPER_INFINITE: u8 = 0x10;

pub(super) type Bound<T> = Option<(T, RangeBoundKind)>;
pub(super) type Range<T> = (Bound<T>, Bound<T>);

/// Why a value cannot be sent or read.
pub(super) type CodecError = Box<dyn std::error::Error + Send + Sync>;

/// Appends what `write` writes, preceded by its length.
fn sized(
    out: &mut BytesMut,
    write: impl FnOnce(&mut BytesMut) -> Result<(), CodecError>,
) -> Result<(), CodecError> {
    let start = out.len();
    out.put_i32(0);
    write(out)?;
    let length = i32::try_from(out.len() - start - 4)?;
    if let Some(place) = out.get_mut(start..start + 4) {
        place.copy_from_slice(&length.to_be_bytes());
    }
    Ok(())
}

/// A value preceded by its length, or none.
fn take<'a>(raw: &mut &'a [u8]) -> Result<Option<&'a [u8]>, CodecError> {
    let Ok(length) = usize::try_from(raw.try_get_i32()?) else {
        return Ok(None);
    };
    let (value, rest) = raw.split_at_checked(length).ok_or("a value is cut off")?;
    *raw = rest;
    Ok(Some(value))
}

pub(super) fn encode_range<T>(
    (lower, upper): &Range<T>,
    out: &mut BytesMut,
    write: impl Fn(&T, &mut BytesMut) -> Result<(), CodecError>,
) -> Result<(), CodecError> {
    let flag = |bound: &Bound<T>, inclusive, infinite| match bound {
        None => infinite,
        Some((_, RangeBoundKind::Inclusive)) => inclusive,
        Some((_, RangeBoundKind::Exclusive)) => 0,
    };
    out.put_u8(
        flag(lower, LOWER_INCLUSIVE, LOWER_INFINITE) | flag(upper, UPPER_INCLUSIVE, UPPER_INFINITE),
    );
    for (value, _) in [lower, upper].into_iter().flatten() {
        sized(out, |out| write(value, out))?;
    }
    Ok(())
}

/// Reads a range. An empty one has no bounds either: the interface has no other
/// way to say it.
pub(super) fn decode_range<T>(
    mut raw: &[u8],
    read: impl Fn(&[u8]) -> Result<T, CodecError>,
) -> Result<Range<T>, CodecError> {
    let flags = raw.try_get_u8()?;
    if flags & EMPTY != 0 {
        return Ok((None, None));
    }
    let mut bound = |inclusive, infinite| -> Result<Bound<T>, CodecError> {
        if flags & infinite != 0 {
            return Ok(None);
        }
        let kind = match flags & inclusive {
            0 => RangeBoundKind::Exclusive,
            _ => RangeBoundKind::Inclusive,
        };
        let value = take(&mut raw)?.ok_or("a bound is missing")?;
        Ok(Some((read(value)?, kind)))
    };
    let lower = bound(LOWER_INCLUSIVE, LOWER_INFINITE)?;
    Ok((lower, bound(UPPER_INCLUSIVE, UPPER_INFINITE)?))
}

pub(super) fn encode_array<T>(
    element: u32,
    values: &[Option<T>],
    out: &mut BytesMut,
    write: impl Fn(&T, &mut BytesMut) -> Result<(), CodecError>,
) -> Result<(), CodecError> {
    let dimensions = i32::from(!values.is_empty());
    out.put_i32(dimensions);
    out.put_i32(i32::from(values.iter().any(Option::is_none)));
    out.put_u32(element);
    if values.is_empty() {
        return Ok(());
    }
    out.put_i32(i32::try_from(values.len())?);
    // The index of the first element.
    out.put_i32(1);
    for value in values {
        match value {
            None => out.put_i32(-1),
            Some(value) => sized(out, |out| write(value, out))?,
        }
    }
    Ok(())
}

pub(super) fn decode_array<T>(
    mut raw: &[u8],
    read: impl Fn(&[u8]) -> Result<T, CodecError>,
) -> Result<Vec<Option<T>>, CodecError> {
    let dimensions = raw.try_get_i32()?;
    let _has_nulls = raw.try_get_i32()?;
    let _element = raw.try_get_u32()?;
    let length = match dimensions {
        0 => 0,
        1 => {
            let length = raw.try_get_i32()?;
            let _first_index = raw.try_get_i32()?;
            length
        }
        _ => return Err("array contains too many dimensions".into()),
    };
    (0..length)
        .map(|_| take(&mut raw)?.map(&read).transpose())
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn write(value: &i32, out: &mut BytesMut) -> Result<(), CodecError> {
        out.put_i32(*value);
        Ok(())
    }

    fn read(raw: &[u8]) -> Result<i32, CodecError> {
        Ok(i32::from_be_bytes(raw.try_into()?))
    }

    fn bound() -> impl Strategy<Value = Bound<i32>> {
        let kinds = vec![RangeBoundKind::Inclusive, RangeBoundKind::Exclusive];
        proptest::option::of((any::<i32>(), proptest::sample::select(kinds)))
    }

    proptest! {
        #[test]
        fn a_range_survives(range in (bound(), bound())) {
            let mut out = BytesMut::new();
            encode_range(&range, &mut out, write).expect("encoded");
            let through = decode_range(&out, read).expect("decoded");
            prop_assert_eq!(format!("{through:?}"), format!("{range:?}"));
        }

        #[test]
        fn an_array_survives(values: Vec<Option<i32>>) {
            let mut out = BytesMut::new();
            encode_array(23, &values, &mut out, write).expect("encoded");
            prop_assert_eq!(decode_array(&out, read).expect("decoded"), values);
        }

        #[test]
        fn any_bytes_are_answered(raw: Vec<u8>) {
            let _ = decode_range(&raw, read);
            let _ = decode_array(&raw, read);
        }
    }

    #[test]
    fn an_empty_range_has_no_bounds() {
        let range = decode_range(&[EMPTY], read).expect("decoded");
        assert!(matches!(range, (None, None)));
    }
}
