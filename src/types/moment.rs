//! Moments as text: RFC 3339, with an offset that some zone has.

use std::ops::RangeInclusive;

use jiff::Timestamp;
use jiff::fmt::temporal::{Pieces, PiecesOffset};

/// The offsets from UTC that zones have, in seconds: -12:00 to +14:00.
const OFFSETS: RangeInclusive<i32> = -12 * 3_600..=14 * 3_600;

/// Why a text is not a moment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MomentError {
    /// It has another form.
    #[error("another text")]
    Syntax,
    /// It is a day.
    #[error("a date: add a time and its offset from UTC, such as \"{day}T00:00:00Z\"")]
    Day {
        /// The day as it is written.
        day: String,
    },
    /// It has no offset.
    #[error("one without an offset from UTC: add it, such as `Z` or `+02:00`")]
    NoOffset,
    /// No zone is at this offset.
    #[error("one with an offset that no zone has: they go from -12:00 to +14:00")]
    Offset,
    /// The offset is not that of the zone in brackets, or there is no such zone.
    #[error("one whose offset from UTC is not that of [{zone}]")]
    Zone {
        /// The zone as it is written.
        zone: String,
    },
}

/// Reads a moment such as `2026-01-31T08:00:00+02:00`. A zone in brackets after the offset must have that offset at that time.
///
/// # Errors
/// [`MomentError`]; its text completes "must be a timestamp, not ...".
pub fn parse_moment(text: &str) -> Result<Timestamp, MomentError> {
    let moment: Timestamp = text.parse().map_err(|_| other_than_a_moment(text))?;
    let pieces = Pieces::parse(text).map_err(|_| MomentError::Syntax)?;
    let offset = match pieces.offset() {
        Some(PiecesOffset::Numeric(numeric)) => Some(numeric.offset()),
        _ => None,
    };
    if offset.is_some_and(|offset| !OFFSETS.contains(&offset.seconds())) {
        return Err(MomentError::Offset);
    }
    let Some((_, bracket)) = text.split_once('[') else { return Ok(moment) };
    match pieces.to_time_zone() {
        Ok(Some(zone)) if offset.is_none_or(|offset| offset == zone.to_offset(moment)) => Ok(moment),
        _ => Err(MomentError::Zone { zone: bracket.split(']').next().unwrap_or("").to_owned() }),
    }
}

fn other_than_a_moment(text: &str) -> MomentError {
    match Pieces::parse(text) {
        Ok(pieces) if pieces.time().is_none() => MomentError::Day { day: pieces.date().to_string() },
        Ok(pieces) if pieces.offset().is_none() && pieces.time_zone_annotation().is_none() => MomentError::NoOffset,
        _ => MomentError::Syntax,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_has_an_offset_that_its_zone_has() {
        for (text, moment) in [
            ("2026-01-05T10:00:00Z", "2026-01-05T10:00:00Z"),
            ("2026-01-05T10:00:00.5+14:00", "2026-01-04T20:00:00.5Z"),
            ("2026-01-05 10:00:00-12:00", "2026-01-05T22:00:00Z"),
            ("2026-01-05T10:00:00+05:45", "2026-01-05T04:15:00Z"),
            ("2026-01-05T10:00:00+01:00[Europe/Berlin]", "2026-01-05T09:00:00Z"),
            ("2026-07-05T10:00:00+02[Europe/Berlin]", "2026-07-05T08:00:00Z"),
            ("2026-07-05T10:00:00Z[Europe/Berlin]", "2026-07-05T10:00:00Z"),
        ] {
            assert_eq!(parse_moment(text).map(|moment| moment.to_string()), Ok(moment.to_owned()), "{text}");
        }
        let zone = |zone: &str| MomentError::Zone { zone: zone.to_owned() };
        for (text, error) in [
            ("2026-01-05T10:00:00+25:00", MomentError::Offset),
            ("2026-01-05T10:00:00+24:00", MomentError::Offset),
            ("2026-01-05T10:00:00+14:01", MomentError::Offset),
            ("2026-01-05T10:00:00-12:30", MomentError::Offset),
            ("2026-01-05T10:00:00-23:59", MomentError::Offset),
            ("2026-01-05T10:00:00+05[Europe/Berlin]", zone("Europe/Berlin")),
            ("2026-07-05T10:00:00+01:00[Europe/Berlin]", zone("Europe/Berlin")),
            ("2026-07-05T10:00:00+01:00[Mars/Olympus]", zone("Mars/Olympus")),
            ("2026-07-05T10:00:00Z[Mars/Olympus]", zone("Mars/Olympus")),
            ("2026-07-05T10:00:00+01:00[+02:00]", zone("+02:00")),
            ("2026-07-05T10:00:00[Europe/Berlin]", MomentError::Syntax),
            ("2026-07-05T10:00:00", MomentError::NoOffset),
            ("2026-07-05T10:00:00+01:60", MomentError::Syntax),
            ("2026-02-30T10:00:00Z", MomentError::Syntax),
            ("2026-07-05", MomentError::Day { day: "2026-07-05".to_owned() }),
        ] {
            assert_eq!(parse_moment(text), Err(error), "{text}");
        }
    }
}
