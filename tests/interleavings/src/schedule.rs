//! Which session goes on, and how far: `A0.5 B A` lets A run up to the fifth step
//! of its first call, then B as far as it can, then A to its end.

use std::fmt;

/// A place in a session: so many steps of its call number `call` are behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Point {
    pub call: usize,
    pub step: usize,
}

/// A session that runs up to a point; without one, until it ends or is blocked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Segment {
    pub session: usize,
    pub stop: Option<Point>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Schedule(pub Vec<Segment>);

impl Schedule {
    /// The points at which a session has to stop.
    pub fn stops(&self, session: usize) -> Vec<Point> {
        let own = self.0.iter().filter(|segment| segment.session == session);
        own.filter_map(|segment| segment.stop).collect()
    }

    /// How often a session that could go on does not.
    pub fn preemptions(&self) -> usize {
        let stops = self.0.iter().filter(|segment| segment.stop.is_some());
        stops.count()
    }

    /// Reads what `Display` writes.
    pub fn parse(text: &str) -> Option<Self> {
        let segments = text.split_whitespace().map(|word| {
            let letter = word.bytes().next().filter(u8::is_ascii_uppercase)?;
            let stop = match &word[1..] {
                "" => None,
                point => {
                    let (call, step) = point.split_once('.')?;
                    Some(Point {
                        call: call.parse().ok()?,
                        step: step.parse().ok()?,
                    })
                }
            };
            Some(Segment {
                session: usize::from(letter - b'A'),
                stop,
            })
        });
        segments.collect::<Option<_>>().map(Self)
    }
}

/// What a session is called.
pub fn letter(session: usize) -> char {
    char::from(b'A' + u8::try_from(session).unwrap_or_default())
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, segment) in self.0.iter().enumerate() {
            let space = if place == 0 { "" } else { " " };
            write!(f, "{space}{}", letter(segment.session))?;
            if let Some(stop) = segment.stop {
                write!(f, "{}.{}", stop.call, stop.step)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        for text in ["A0.5 B A", "B", "C1.0 A2.17 B C A"] {
            let schedule = Schedule::parse(text).expect("a schedule");
            assert_eq!(schedule.to_string(), text);
        }
        assert_eq!(Schedule::parse("a0.5"), None);
    }
}
