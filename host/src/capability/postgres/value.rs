//! Values that a database returns.

use tokio_postgres::{
    Row,
    types::{FromSql, Type},
};

use super::{
    calendar,
    codec::{CodecError, decode_array, decode_range},
    decimal,
};
use crate::bindings::spin::postgres::postgres::{Column, DbDataType, DbValue, Interval};

/// The bytes of a value, of whatever type.
struct Raw<'a>(&'a [u8]);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, CodecError> {
        Ok(Self(raw))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

pub(super) fn column(column: &tokio_postgres::Column) -> Column {
    Column {
        name: column.name().to_owned(),
        data_type: data_type(column.type_()),
    }
}

/// The values of a row; on failure, says which column it is.
pub(super) fn row(row: &Row) -> Result<Vec<DbValue>, String> {
    let columns = row.columns().iter().enumerate();
    let values = columns.map(|(index, column)| {
        let decoded = row
            .try_get::<_, Option<Raw<'_>>>(index)
            .map_err(CodecError::from)
            .and_then(|raw| {
                raw.map_or(Ok(DbValue::DbNull), |Raw(raw)| decode(column.type_(), raw))
            });
        decoded.map_err(|error| format!("column {:?}: {error}", column.name()))
    });
    values.collect()
}

fn data_type(ty: &Type) -> DbDataType {
    match *ty {
        Type::BOOL => DbDataType::Boolean,
        Type::BYTEA => DbDataType::Binary,
        Type::FLOAT4 => DbDataType::Floating32,
        Type::FLOAT8 => DbDataType::Floating64,
        Type::INT2 => DbDataType::Int16,
        Type::INT4 => DbDataType::Int32,
        Type::INT8 => DbDataType::Int64,
        Type::TEXT | Type::VARCHAR | Type::BPCHAR => DbDataType::Str,
        Type::TIMESTAMP | Type::TIMESTAMPTZ => DbDataType::Datetime,
        Type::DATE => DbDataType::Date,
        Type::TIME => DbDataType::Time,
        Type::UUID => DbDataType::Uuid,
        Type::JSONB => DbDataType::Jsonb,
        Type::NUMERIC => DbDataType::Decimal,
        Type::INT4_RANGE => DbDataType::RangeInt32,
        Type::INT8_RANGE => DbDataType::RangeInt64,
        Type::NUM_RANGE => DbDataType::RangeDecimal,
        Type::INT4_ARRAY => DbDataType::ArrayInt32,
        Type::INT8_ARRAY => DbDataType::ArrayInt64,
        Type::NUMERIC_ARRAY => DbDataType::ArrayDecimal,
        Type::TEXT_ARRAY | Type::VARCHAR_ARRAY | Type::BPCHAR_ARRAY => DbDataType::ArrayStr,
        Type::INTERVAL => DbDataType::Interval,
        _ => DbDataType::Other(ty.name().to_owned()),
    }
}

fn decode(ty: &Type, raw: &[u8]) -> Result<DbValue, CodecError> {
    Ok(match *ty {
        Type::BOOL => DbValue::Boolean(u8::from_be_bytes(raw.try_into()?) != 0),
        Type::BYTEA => DbValue::Binary(raw.to_owned()),
        Type::FLOAT4 => DbValue::Floating32(f32::from_be_bytes(raw.try_into()?)),
        Type::FLOAT8 => DbValue::Floating64(f64::from_be_bytes(raw.try_into()?)),
        Type::INT2 => DbValue::Int16(i16::from_be_bytes(raw.try_into()?)),
        Type::INT4 => DbValue::Int32(int32(raw)?),
        Type::INT8 => DbValue::Int64(int64(raw)?),
        Type::TEXT | Type::VARCHAR | Type::BPCHAR => DbValue::Str(text(raw)?),
        Type::TIMESTAMP => DbValue::Datetime(calendar::datetime(int64(raw)?)?),
        // Spin says that it is a `datetime` and cannot convert one.
        Type::TIMESTAMPTZ => return Err("`timestamptz` must be cast to `timestamp`".into()),
        Type::DATE => DbValue::Date(date(int32(raw)?)?),
        Type::TIME => DbValue::Time(calendar::time(int64(raw)?)?),
        Type::UUID => DbValue::Uuid(uuid(raw.try_into()?)),
        Type::JSONB => match raw.split_first() {
            // As the server has it: Spin parses it and writes it again.
            Some((1, json)) => DbValue::Jsonb(json.to_owned()),
            _ => return Err("unsupported JSONB encoding version".into()),
        },
        Type::NUMERIC => DbValue::Decimal(decimal::decode(raw)?),
        Type::INT4_RANGE => DbValue::RangeInt32(decode_range(raw, int32)?),
        Type::INT8_RANGE => DbValue::RangeInt64(decode_range(raw, int64)?),
        Type::NUM_RANGE => DbValue::RangeDecimal(decode_range(raw, decimal)?),
        Type::INT4_ARRAY => DbValue::ArrayInt32(decode_array(raw, int32)?),
        Type::INT8_ARRAY => DbValue::ArrayInt64(decode_array(raw, int64)?),
        Type::NUMERIC_ARRAY => DbValue::ArrayDecimal(decode_array(raw, decimal)?),
        Type::TEXT_ARRAY | Type::VARCHAR_ARRAY | Type::BPCHAR_ARRAY => {
            DbValue::ArrayStr(decode_array(raw, text)?)
        }
        Type::INTERVAL => DbValue::Interval(interval(raw.try_into()?)),
        _ => DbValue::Unsupported(raw.to_owned()),
    })
}

fn int32(raw: &[u8]) -> Result<i32, CodecError> {
    Ok(i32::from_be_bytes(raw.try_into()?))
}

fn int64(raw: &[u8]) -> Result<i64, CodecError> {
    Ok(i64::from_be_bytes(raw.try_into()?))
}

fn text(raw: &[u8]) -> Result<String, CodecError> {
    Ok(std::str::from_utf8(raw)?.to_owned())
}

fn decimal(raw: &[u8]) -> Result<String, CodecError> {
    Ok(decimal::decode(raw)?)
}

fn date(days: i32) -> Result<calendar::Date, CodecError> {
    // These stand for the ends of time.
    if days == i32::MAX || days == i32::MIN {
        return Err("value too large to decode".into());
    }
    Ok(calendar::date(days.into())?)
}

fn uuid(raw: [u8; 16]) -> String {
    let digits = format!("{:032x}", u128::from_be_bytes(raw));
    let group = |range: std::ops::Range<usize>| digits.get(range).unwrap_or_default();
    [0..8, 8..12, 12..16, 16..20, 20..32].map(group).join("-")
}

fn interval(raw: [u8; 16]) -> Interval {
    let number = u128::from_be_bytes(raw);
    Interval {
        micros: (number >> 64) as i64,
        days: (number >> 32) as i32,
        months: number as i32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_printed_in_groups() {
        assert_eq!(
            uuid([
                1, 0x92, 0xf0, 0xc1, 0xa2, 0xb3, 0x7c, 0x4d, 0x8e, 0x5f, 0x60, 0x71, 0x82, 0x93,
                0xa4, 0xb5
            ]),
            "0192f0c1-a2b3-7c4d-8e5f-60718293a4b5"
        );
    }

    #[test]
    fn the_parts_of_an_interval_keep_their_signs() {
        let mut raw = [0xff; 16];
        raw[11] = 2;
        raw[8..11].fill(0);
        let Interval {
            micros,
            days,
            months,
        } = interval(raw);
        assert_eq!((micros, days, months), (-1, 2, -1));
    }

    #[test]
    fn a_value_of_the_wrong_length_is_an_error() {
        for ty in [
            Type::BOOL,
            Type::INT4,
            Type::INT8,
            Type::UUID,
            Type::INTERVAL,
            Type::NUMERIC,
        ] {
            assert!(decode(&ty, &[1, 2, 3]).is_err(), "{ty}");
        }
    }
}
