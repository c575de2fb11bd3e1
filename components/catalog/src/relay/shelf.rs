//! A shelf: many kept answers in one value of the key-value store.
//!
//! Spin's default store promises 1,024 keys and values of 1 MB. A key for each
//! resource would not do for nine generations; 512 shelves do, for thousands of
//! answers, and bound what is kept.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// How many shelves there are.
pub(crate) const SHELVES: u16 = 512;

/// The most bytes of a shelf: what the store takes, with room to spare.
const CAPACITY: usize = 900_000;

/// How hard to compress; 6 is the usual middle.
const LEVEL: u8 = 6;

/// Which shelf a resource belongs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place(u16);

impl Place {
    /// The place of the resource at `url`.
    pub(crate) fn of(url: &str) -> Self {
        let digest = Sha256::digest(url.as_bytes());
        let number = digest
            .iter()
            .take(2)
            .fold(0, |number, byte| number << 8 | u16::from(*byte));
        Self(number % SHELVES)
    }

    /// The key of the shelf.
    pub(crate) fn key(self) -> String {
        format!("shelf-{:03}", self.0)
    }

    /// Its number, from 0.
    pub(crate) fn number(self) -> usize {
        usize::from(self.0)
    }
}

/// A kept answer, without its body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) url: String,
    pub(crate) status: u16,
    pub(crate) etag: Option<String>,
    pub(crate) last_modified: Option<String>,
    /// Milliseconds since the Unix epoch.
    pub(crate) stored_at_ms: u64,
    /// Until then it is used without asking.
    pub(crate) fresh_until_ms: u64,
    /// Until then it may stand in when upstream is away.
    pub(crate) usable_until_ms: u64,
    /// The bytes of the compressed body.
    length: usize,
}

/// What is known of an answer when it is put on a shelf.
#[derive(Clone, Debug)]
pub(crate) struct Label {
    pub(crate) status: u16,
    pub(crate) etag: Option<String>,
    pub(crate) last_modified: Option<String>,
    pub(crate) stored_at_ms: u64,
    pub(crate) fresh_until_ms: u64,
    pub(crate) usable_until_ms: u64,
}

/// Kept answers, the one stored first before others.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shelf {
    answers: Vec<(Entry, Vec<u8>)>,
}

/// Why a value is no shelf. It is then treated as empty.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the value is no shelf")]
pub(crate) struct Unreadable;

impl Shelf {
    /// Read a value of the store: the length of the labels, the labels as JSON,
    /// the bodies one after the other.
    pub(crate) fn decode(value: &[u8]) -> Result<Self, Unreadable> {
        let (length, rest) = value.split_first_chunk::<4>().ok_or(Unreadable)?;
        let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| Unreadable)?;
        let (labels, mut bodies) = rest.split_at_checked(length).ok_or(Unreadable)?;
        let entries: Vec<Entry> = serde_json::from_slice(labels).map_err(|_| Unreadable)?;
        let mut answers = Vec::with_capacity(entries.len());
        for entry in entries {
            let (body, after) = bodies.split_at_checked(entry.length).ok_or(Unreadable)?;
            bodies = after;
            answers.push((entry, body.to_vec()));
        }
        Ok(Self { answers })
    }

    /// The value to store.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let entries: Vec<&Entry> = self.answers.iter().map(|(entry, _)| entry).collect();
        // Labels are strings and numbers: they always serialise.
        let labels = serde_json::to_vec(&entries).unwrap_or_default();
        let length = u32::try_from(labels.len()).unwrap_or(u32::MAX);
        let mut value = Vec::with_capacity(4 + labels.len() + self.size());
        value.extend_from_slice(&length.to_le_bytes());
        value.extend_from_slice(&labels);
        for (_, body) in &self.answers {
            value.extend_from_slice(body);
        }
        value
    }

    /// What is kept of the resource at `url`.
    pub(crate) fn find(&self, url: &str) -> Option<&Entry> {
        self.answers
            .iter()
            .find_map(|(entry, _)| (entry.url == url).then_some(entry))
    }

    /// The body of a kept answer. `None` also if it does not decompress.
    pub(crate) fn body(&self, url: &str) -> Option<Vec<u8>> {
        let (_, body) = self.answers.iter().find(|(entry, _)| entry.url == url)?;
        miniz_oxide::inflate::decompress_to_vec(body).ok()
    }

    /// Keep an answer in place of an older one. Returns how many others had to go,
    /// or `None` if it is too large for a shelf.
    pub(crate) fn keep(&mut self, url: &str, label: Label, body: &[u8]) -> Option<usize> {
        self.forget(url);
        let body = miniz_oxide::deflate::compress_to_vec(body, LEVEL);
        let entry = Entry {
            url: url.to_owned(),
            status: label.status,
            etag: label.etag,
            last_modified: label.last_modified,
            stored_at_ms: label.stored_at_ms,
            fresh_until_ms: label.fresh_until_ms,
            usable_until_ms: label.usable_until_ms,
            length: body.len(),
        };
        if weight(&entry) > CAPACITY {
            return None;
        }
        self.answers.push((entry, body));
        let before = self.answers.len();
        // Those of no more use go first, then the oldest.
        if self.size() > CAPACITY {
            let now = label.stored_at_ms;
            self.answers
                .retain(|(entry, _)| entry.usable_until_ms >= now || entry.fresh_until_ms >= now);
        }
        while self.size() > CAPACITY {
            self.answers.remove(0);
        }
        Some(before - self.answers.len())
    }

    /// Note that upstream confirmed a kept answer.
    pub(crate) fn renew(&mut self, url: &str, fresh_until_ms: u64, usable_until_ms: u64) {
        for (entry, _) in &mut self.answers {
            if entry.url == url {
                entry.fresh_until_ms = fresh_until_ms;
                entry.usable_until_ms = usable_until_ms;
            }
        }
    }

    /// Keep an answer no longer.
    pub(crate) fn forget(&mut self, url: &str) {
        self.answers.retain(|(entry, _)| entry.url != url);
    }

    fn size(&self) -> usize {
        self.answers.iter().map(|(entry, _)| weight(entry)).sum()
    }
}

/// The bytes an answer takes, its label about as long as JSON makes it.
fn weight(entry: &Entry) -> usize {
    let texts = [
        Some(&entry.url),
        entry.etag.as_ref(),
        entry.last_modified.as_ref(),
    ];
    entry.length + 256 + texts.into_iter().flatten().map(String::len).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(at: u64) -> Label {
        Label {
            status: 200,
            etag: Some("\"a\"".into()),
            last_modified: None,
            stored_at_ms: at,
            fresh_until_ms: at + 10,
            usable_until_ms: at + 20,
        }
    }

    /// Bytes that do not compress.
    fn noise(length: usize) -> Vec<u8> {
        let mut state = 1_u32;
        let next = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state.to_le_bytes()[0]
        };
        std::iter::repeat_with(next).take(length).collect()
    }

    #[test]
    fn a_shelf_survives_the_round_trip() {
        let mut shelf = Shelf::default();
        assert_eq!(shelf.keep("http://a/1", label(1), b"one"), Some(0));
        assert_eq!(shelf.keep("http://a/2", label(2), b""), Some(0));
        let read = Shelf::decode(&shelf.encode()).unwrap_or_default();
        assert_eq!(read.body("http://a/1").as_deref(), Some(b"one".as_slice()));
        assert_eq!(read.body("http://a/2").as_deref(), Some(b"".as_slice()));
        assert_eq!(read.find("http://a/2"), shelf.find("http://a/2"));
        assert_eq!(read.find("http://a/3"), None);
    }

    #[test]
    fn garbage_is_no_shelf() {
        let whole = {
            let mut shelf = Shelf::default();
            shelf.keep("http://a/1", label(1), b"one");
            shelf.encode()
        };
        let short = whole.split_last().map_or(&[][..], |(_, short)| short);
        for garbage in [b"".as_slice(), b"\xff\xff\xff\xff", b"\x02\0\0\0{}", short] {
            assert_eq!(Shelf::decode(garbage).err(), Some(Unreadable));
        }
    }

    #[test]
    fn the_oldest_go_when_a_shelf_is_full() {
        let mut shelf = Shelf::default();
        for number in 0..4 {
            let gone = shelf.keep(
                &format!("http://a/{number}"),
                label(number),
                &noise(280_000),
            );
            assert_eq!(gone, Some(usize::from(number == 3)), "{number}");
        }
        assert_eq!(shelf.find("http://a/0"), None);
        assert!(shelf.encode().len() < 1_000_000);
        assert_eq!(shelf.keep("http://a/9", label(9), &noise(950_000)), None);
        assert!(shelf.find("http://a/3").is_some(), "nothing went for it");
    }

    #[test]
    fn what_is_kept_again_takes_the_place_of_the_old() {
        let mut shelf = Shelf::default();
        shelf.keep("http://a/1", label(1), b"old");
        shelf.keep("http://a/1", label(2), b"new");
        assert_eq!(shelf.answers.len(), 1);
        assert_eq!(shelf.body("http://a/1").as_deref(), Some(b"new".as_slice()));
    }

    #[test]
    fn places_are_spread() {
        let used: std::collections::BTreeSet<_> = (0..3000)
            .map(|number| Place::of(&format!("http://a/{number}")).number())
            .collect();
        assert!(used.len() > 500, "{}", used.len());
    }
}
