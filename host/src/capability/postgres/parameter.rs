//! Values that a component passes to a statement.
//!
//! Which of them a column takes is what Spin's driver takes, so that a statement
//! that works here works there.

use bytes::{BufMut, BytesMut};
use serde::de::IgnoredAny;
use tokio_postgres::types::{IsNull, Kind, ToSql, Type, WrongType};

use super::{
    calendar,
    codec::{CodecError, encode_array, encode_range},
    decimal,
};
use crate::bindings::spin::postgres::postgres::ParameterValue;

/// A value that is known to be well-formed.
#[derive(Debug)]
pub(super) struct Parameter(ParameterValue);

impl Parameter {
    /// Check a value.
    pub(super) fn parse(value: ParameterValue) -> Result<Self, CodecError> {
        use ParameterValue as P;
        match &value {
            P::Jsonb(json) => {
                serde_json::from_slice::<IgnoredAny>(json)?;
            }
            P::Date(_)
            | P::Time(_)
            | P::Datetime(_)
            | P::Timestamp(_)
            | P::Uuid(_)
            | P::Decimal(_)
            | P::RangeDecimal(_)
            | P::ArrayDecimal(_) => encode(&value, &Type::UNKNOWN, &mut BytesMut::new())?,
            _ => {}
        }
        Ok(Self(value))
    }

    fn fits(&self, ty: &Type) -> bool {
        use ParameterValue as P;
        let member = |fits: fn(&Type) -> bool| match ty.kind() {
            Kind::Array(member) => fits(member),
            _ => false,
        };
        match &self.0 {
            P::Boolean(_) => *ty == Type::BOOL,
            P::Int8(_) => *ty == Type::CHAR,
            P::Int16(_) => *ty == Type::INT2,
            P::Int32(_) => *ty == Type::INT4,
            P::Int64(_) => *ty == Type::INT8,
            P::Floating32(_) => *ty == Type::FLOAT4,
            P::Floating64(_) => *ty == Type::FLOAT8,
            P::Str(_) => is_text(ty),
            P::Binary(_) => *ty == Type::BYTEA,
            P::Date(_) => *ty == Type::DATE,
            P::Time(_) => *ty == Type::TIME,
            P::Datetime(_) => *ty == Type::TIMESTAMP,
            P::Timestamp(_) => *ty == Type::TIMESTAMPTZ,
            P::Uuid(_) => *ty == Type::UUID,
            P::Jsonb(_) => matches!(*ty, Type::JSON | Type::JSONB),
            P::Decimal(_) => *ty == Type::NUMERIC,
            P::RangeInt32(_) => *ty == Type::INT4_RANGE,
            P::RangeInt64(_) => *ty == Type::INT8_RANGE,
            P::RangeDecimal(_) => *ty == Type::NUM_RANGE,
            P::ArrayInt32(_) => member(|ty| *ty == Type::INT4),
            P::ArrayInt64(_) => member(|ty| *ty == Type::INT8),
            P::ArrayDecimal(_) => member(|ty| *ty == Type::NUMERIC),
            P::ArrayStr(_) => member(is_text),
            P::Interval(_) => *ty == Type::INTERVAL,
            P::DbNull => true,
        }
    }
}

impl ToSql for Parameter {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, CodecError> {
        encode(&self.0, ty, out)?;
        Ok(match self.0 {
            ParameterValue::DbNull => IsNull::Yes,
            _ => IsNull::No,
        })
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn to_sql_checked(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, CodecError> {
        if !self.fits(ty) {
            return Err(Box::new(WrongType::new::<ParameterValue>(ty.clone())));
        }
        self.to_sql(ty, out)
    }
}

/// The types that take a string, extensions' included.
pub(super) fn is_text(ty: &Type) -> bool {
    matches!(
        *ty,
        Type::VARCHAR | Type::TEXT | Type::BPCHAR | Type::NAME | Type::UNKNOWN
    ) || matches!(ty.name(), "citext" | "ltree" | "lquery" | "ltxtquery")
}

fn encode(value: &ParameterValue, ty: &Type, out: &mut BytesMut) -> Result<(), CodecError> {
    use ParameterValue as P;
    let element = match ty.kind() {
        Kind::Array(member) => member.oid(),
        _ => 0,
    };
    match value {
        P::Boolean(value) => out.put_u8(u8::from(*value)),
        P::Int8(value) => out.put_i8(*value),
        P::Int16(value) => out.put_i16(*value),
        P::Int32(value) => out.put_i32(*value),
        P::Int64(value) => out.put_i64(*value),
        P::Floating32(value) => out.put_f32(*value),
        P::Floating64(value) => out.put_f64(*value),
        P::Str(value) => encode_text(value, ty, out),
        P::Binary(value) => out.put_slice(value),
        P::Date(value) => out.put_i32(calendar::days(*value)?),
        P::Time(value) => out.put_i64(calendar::micros(*value)?),
        P::Datetime(value) => out.put_i64(calendar::timestamp(*value)?),
        P::Timestamp(value) => out.put_i64(calendar::from_unix(*value)?),
        P::Uuid(value) => out.put_slice(&parse_uuid(value)?),
        P::Jsonb(value) => {
            if *ty == Type::JSONB {
                // The version of the format.
                out.put_u8(1);
            }
            out.put_slice(value);
        }
        P::Decimal(value) => decimal::encode(value, out)?,
        P::RangeInt32(range) => encode_range(range, out, |value, out| {
            out.put_i32(*value);
            Ok(())
        })?,
        P::RangeInt64(range) => encode_range(range, out, |value, out| {
            out.put_i64(*value);
            Ok(())
        })?,
        P::RangeDecimal(range) => {
            encode_range(range, out, |value, out| Ok(decimal::encode(value, out)?))?;
        }
        P::ArrayInt32(values) => encode_array(element, values, out, |value, out| {
            out.put_i32(*value);
            Ok(())
        })?,
        P::ArrayInt64(values) => encode_array(element, values, out, |value, out| {
            out.put_i64(*value);
            Ok(())
        })?,
        P::ArrayDecimal(values) => encode_array(element, values, out, |value, out| {
            Ok(decimal::encode(value, out)?)
        })?,
        P::ArrayStr(values) => encode_array(element, values, out, |value, out| {
            out.put_slice(value.as_bytes());
            Ok(())
        })?,
        P::Interval(interval) => {
            out.put_i64(interval.micros);
            out.put_i32(interval.days);
            out.put_i32(interval.months);
        }
        P::DbNull => {}
    }
    Ok(())
}

fn encode_text(value: &str, ty: &Type, out: &mut BytesMut) {
    if matches!(ty.name(), "ltree" | "lquery" | "ltxtquery") {
        // The version of the format.
        out.put_u8(1);
    }
    out.put_slice(value.as_bytes());
}

/// In any of the usual notations: with hyphens or without, in braces, as a URN.
fn parse_uuid(text: &str) -> Result<[u8; 16], CodecError> {
    let invalid = || CodecError::from(format!("invalid UUID {text}"));
    let bare = text.strip_prefix("urn:uuid:").unwrap_or(text);
    let bare = bare
        .strip_prefix('{')
        .and_then(|text| text.strip_suffix('}'))
        .unwrap_or(bare);
    let digits: String = match bare.len() {
        32 => bare.to_owned(),
        36 if [8, 13, 18, 23]
            .iter()
            .all(|at| bare.as_bytes().get(*at) == Some(&b'-')) =>
        {
            bare.replace('-', "")
        }
        _ => return Err(invalid()),
    };
    if digits.len() != 32 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(invalid());
    }
    let number = u128::from_str_radix(&digits, 16).map_err(|_| invalid())?;
    Ok(number.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_may_be_written_in_several_ways() {
        let expected = parse_uuid("0192f0c1a2b37c4d8e5f60718293a4b5").expect("a UUID");
        for text in [
            "0192f0c1-a2b3-7c4d-8e5f-60718293a4b5",
            "{0192F0C1-A2B3-7C4D-8E5F-60718293A4B5}",
            "urn:uuid:0192f0c1-a2b3-7c4d-8e5f-60718293a4b5",
        ] {
            assert_eq!(parse_uuid(text).expect(text), expected);
        }
        for text in [
            "",
            "x",
            "0192f0c1-a2b3-7c4d-8e5f-60718293a4b",
            "0192f0c1+a2b3+7c4d+8e5f+60718293a4b5",
        ] {
            assert!(parse_uuid(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_not_well_formed_is_refused_before_it_is_sent() {
        use ParameterValue as P;
        for value in [
            P::Jsonb(b"{".to_vec()),
            P::Date((2025, 2, 30)),
            P::Time((25, 0, 0, 0)),
            P::Datetime((2025, 1, 1, 0, 60, 0, 0)),
            P::Timestamp(i64::MAX),
            P::Uuid("x".into()),
            P::Decimal("one".into()),
            P::ArrayDecimal(vec![None, Some("x".into())]),
        ] {
            let what = format!("{value:?}");
            assert!(Parameter::parse(value).is_err(), "{what}");
        }
    }

    #[test]
    fn a_value_for_a_column_of_another_type_is_refused() {
        let text = Parameter(ParameterValue::Str("1".into()));
        let refused = text.to_sql_checked(&Type::INT4, &mut BytesMut::new());
        assert!(refused.is_err_and(|error| error.is::<WrongType>()));
        let null = Parameter(ParameterValue::DbNull);
        assert!(
            null.to_sql_checked(&Type::INT4, &mut BytesMut::new())
                .is_ok()
        );
    }
}
