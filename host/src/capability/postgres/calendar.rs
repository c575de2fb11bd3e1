//! Days and times of day, as Postgres counts them and as components see them.

/// From Postgres's epoch, 2000-01-01, to the day that civil dates are counted
/// from, 0000-03-01.
const EPOCH: i64 = 730_425;
/// From Unix's epoch to Postgres's.
const UNIX_EPOCH_SECONDS: i64 = 946_684_800;

const DAYS_PER_ERA: i64 = 146_097;
pub(super) const MICROS_PER_SECOND: i64 = 1_000_000;
const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;

pub(super) type Date = (i32, u8, u8);
pub(super) type Time = (u8, u8, u8, u32);
pub(super) type Datetime = (i32, u8, u8, u8, u8, u8, u32);

/// The text says what is wrong with a date or time.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidTime {
    #[error("invalid date y={0}, m={1}, d={2}")]
    Date(i32, u8, u8),
    #[error("invalid time {0}:{1}:{2}:{3}")]
    Time(u8, u8, u8, u32),
    #[error("out of range")]
    Range,
}

/// Days since Postgres's epoch.
pub(super) fn days((year, month, day): Date) -> Result<i32, InvalidTime> {
    let invalid = InvalidTime::Date(year, month, day);
    if !(1..=12).contains(&month) || day == 0 || day > days_in_month(year, month) {
        return Err(invalid);
    }
    // Years begin in March, so that the leap day is the last.
    let (month, day) = (i64::from(month), i64::from(day));
    let year = i64::from(year) - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    i32::try_from(era * DAYS_PER_ERA + day_of_era - EPOCH).map_err(|_| invalid)
}

/// The date of a number of days since Postgres's epoch.
pub(super) fn date(days: i64) -> Result<Date, InvalidTime> {
    let days = days + EPOCH;
    let era = days.div_euclid(DAYS_PER_ERA);
    let day_of_era = days.rem_euclid(DAYS_PER_ERA);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = (shifted + 2) % 12 + 1;
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let narrow = |value: i64| u8::try_from(value).map_err(|_| InvalidTime::Range);
    let year = i32::try_from(year).map_err(|_| InvalidTime::Range)?;
    Ok((year, narrow(month)?, narrow(day)?))
}

/// Microseconds since midnight.
pub(super) fn micros((hour, minute, second, nanos): Time) -> Result<i64, InvalidTime> {
    if hour > 23 || minute > 59 || second > 59 || nanos > 999_999_999 {
        return Err(InvalidTime::Time(hour, minute, second, nanos));
    }
    let seconds = (i64::from(hour) * 60 + i64::from(minute)) * 60 + i64::from(second);
    Ok(seconds * MICROS_PER_SECOND + i64::from(nanos / 1000))
}

/// The time of a number of microseconds since midnight. 24:00 is 00:00.
pub(super) fn time(micros: i64) -> Result<Time, InvalidTime> {
    let micros = micros.rem_euclid(MICROS_PER_DAY);
    let seconds = micros / MICROS_PER_SECOND;
    let narrow = |value: i64| u8::try_from(value).map_err(|_| InvalidTime::Range);
    let nanos = u32::try_from(micros % MICROS_PER_SECOND * 1000);
    Ok((
        narrow(seconds / 3600)?,
        narrow(seconds / 60 % 60)?,
        narrow(seconds % 60)?,
        nanos.map_err(|_| InvalidTime::Range)?,
    ))
}

/// Microseconds since Postgres's epoch.
pub(super) fn timestamp(datetime: Datetime) -> Result<i64, InvalidTime> {
    let (year, month, day, hour, minute, second, nanos) = datetime;
    let days = i64::from(days((year, month, day))?);
    let of_day = micros((hour, minute, second, nanos))?;
    days.checked_mul(MICROS_PER_DAY)
        .and_then(|days| days.checked_add(of_day))
        .ok_or(InvalidTime::Range)
}

/// The date and time of a number of microseconds since Postgres's epoch.
pub(super) fn datetime(timestamp: i64) -> Result<Datetime, InvalidTime> {
    // These stand for the ends of time.
    if timestamp == i64::MAX || timestamp == i64::MIN {
        return Err(InvalidTime::Range);
    }
    let (year, month, day) = date(timestamp.div_euclid(MICROS_PER_DAY))?;
    let (hour, minute, second, nanos) = time(timestamp)?;
    Ok((year, month, day, hour, minute, second, nanos))
}

/// Microseconds since Postgres's epoch of seconds since Unix's.
pub(super) fn from_unix(seconds: i64) -> Result<i64, InvalidTime> {
    seconds
        .checked_sub(UNIX_EPOCH_SECONDS)
        .and_then(|seconds| seconds.checked_mul(MICROS_PER_SECOND))
        .ok_or(InvalidTime::Range)
}

fn days_in_month(year: i32, month: u8) -> u8 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn days_are_counted_from_the_year_2000() {
        for (date, count) in [
            ((2000, 1, 1), 0),
            ((1999, 12, 31), -1),
            ((2000, 2, 29), 59),
            ((2000, 3, 1), 60),
            ((1970, 1, 1), -10_957),
            ((2026, 11, 20), 9820),
            ((-4712, 1, 1), -2_451_507),
        ] {
            assert_eq!(days(date), Ok(count), "{date:?}");
            assert_eq!(super::date(count.into()), Ok(date), "{count}");
        }
    }

    #[test]
    fn a_day_that_is_not_in_the_calendar_is_refused() {
        for date in [
            (2025, 2, 29),
            (1900, 2, 29),
            (2000, 0, 1),
            (2000, 13, 1),
            (2000, 4, 31),
            (2000, 1, 0),
        ] {
            assert!(days(date).is_err(), "{date:?}");
        }
        assert!(micros((24, 0, 0, 0)).is_err());
        assert!(datetime(i64::MAX).is_err());
    }

    #[test]
    fn unix_time_has_another_epoch() {
        assert_eq!(
            datetime(from_unix(0).expect("in range")),
            Ok((1970, 1, 1, 0, 0, 0, 0))
        );
        assert_eq!(from_unix(i64::MAX), Err(InvalidTime::Range));
    }

    proptest! {
        #[test]
        fn a_timestamp_survives_both_ways(stamp in -200_000_000_000_000_000_i64..9_000_000_000_000_000_000) {
            prop_assert_eq!(timestamp(datetime(stamp).expect("a time")), Ok(stamp));
        }

        #[test]
        fn any_day_has_a_date(day: i32) {
            prop_assert_eq!(days(date(day.into()).expect("a date")), Ok(day));
        }
    }
}
