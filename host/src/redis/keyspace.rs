//! The keys of one database and what is under them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use super::RedisError;

/// How much a database may keep.
const CAPACITY: usize = 256 << 20;

/// What a key, a member or a field costs beyond its bytes, roughly.
pub(super) const OVERHEAD: usize = 64;

/// What is under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Text(Vec<u8>),
    Set(BTreeSet<Vec<u8>>),
    Hash(BTreeMap<Vec<u8>, Vec<u8>>),
}

struct Entry {
    value: Value,
    expires: Option<Instant>,
    /// With the key; `Value::size` would visit every member.
    size: usize,
}

/// The keys of one database.
///
/// A key that has expired is removed when it is next looked at, or when there is
/// no room otherwise.
#[derive(Default)]
pub(super) struct Keyspace {
    entries: HashMap<Vec<u8>, Entry>,
    used: usize,
}

impl Keyspace {
    /// What is under `key`.
    pub(super) fn get(&mut self, key: &[u8], now: Instant) -> Option<&mut Value> {
        self.entry(key, now).map(|entry| &mut entry.value)
    }

    fn entry(&mut self, key: &[u8], now: Instant) -> Option<&mut Entry> {
        if self.entries.get(key)?.is_expired(now) {
            self.remove(key, now);
        }
        self.entries.get_mut(key)
    }

    /// Put `value` under `key`, in place of what was there.
    pub(super) fn put(
        &mut self,
        key: Vec<u8>,
        value: Value,
        expires: Option<Instant>,
        now: Instant,
    ) -> Result<(), RedisError> {
        let size = key.len() + OVERHEAD + value.size();
        self.reserve(size, now)?;
        self.remove(&key, now);
        self.used += size;
        self.entries.insert(
            key,
            Entry {
                value,
                expires,
                size,
            },
        );
        Ok(())
    }

    /// Change what is under `key`, which is `empty` if there is nothing, and
    /// remove it if it is empty then.
    ///
    /// It may grow by `growth` bytes; `change` says by how many it did.
    pub(super) fn change<T>(
        &mut self,
        key: &[u8],
        empty: Value,
        growth: usize,
        now: Instant,
        change: impl FnOnce(&mut Value) -> Result<(T, isize), RedisError>,
    ) -> Result<T, RedisError> {
        self.reserve(growth + key.len() + OVERHEAD, now)?;
        if self.entry(key, now).is_none() {
            self.put(key.to_vec(), empty, None, now)?;
        }
        let entry = self.entries.get_mut(key).ok_or(RedisError::OutOfMemory)?;
        let changed = change(&mut entry.value).map(|(changed, growth)| {
            entry.size = entry.size.saturating_add_signed(growth);
            self.used = self.used.saturating_add_signed(growth);
            changed
        });
        if entry.value.is_empty() {
            self.take(key);
        }
        changed
    }

    fn take(&mut self, key: &[u8]) -> Option<Entry> {
        let entry = self.entries.remove(key)?;
        self.used -= entry.size;
        Some(entry)
    }

    /// Remove `key`; whether it was there.
    pub(super) fn remove(&mut self, key: &[u8], now: Instant) -> bool {
        let expired = self
            .entries
            .get(key)
            .is_none_or(|entry| entry.is_expired(now));
        self.take(key);
        !expired
    }

    /// Move what is under a key, and when it expires, to another one.
    pub(super) fn rename(
        &mut self,
        from: &[u8],
        to: Vec<u8>,
        now: Instant,
    ) -> Result<(), RedisError> {
        self.entry(from, now)
            .ok_or_else(|| RedisError::Other("ERR no such key".into()))?;
        if let Some(mut entry) = self.take(from) {
            self.take(&to);
            entry.size = entry.size - from.len() + to.len();
            self.used += entry.size;
            self.entries.insert(to, entry);
        }
        Ok(())
    }

    /// Have `key` expire at `at`, or never; whether it is there.
    pub(super) fn expire(&mut self, key: &[u8], at: Option<Instant>, now: Instant) -> bool {
        let entry = self.entry(key, now);
        entry.map(|entry| entry.expires = at).is_some()
    }

    /// When `key` expires: `None` if it is not there, `Some(None)` if never.
    pub(super) fn expiry(&mut self, key: &[u8], now: Instant) -> Option<Option<Duration>> {
        let entry = self.entry(key, now)?;
        Some(entry.expires.map(|at| at.saturating_duration_since(now)))
    }

    /// Remove everything.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    fn reserve(&mut self, bytes: usize, now: Instant) -> Result<(), RedisError> {
        if self.used + bytes <= CAPACITY {
            return Ok(());
        }
        self.entries.retain(|_, entry| {
            let expired = entry.is_expired(now);
            if expired {
                self.used -= entry.size;
            }
            !expired
        });
        if self.used + bytes <= CAPACITY {
            Ok(())
        } else {
            Err(RedisError::OutOfMemory)
        }
    }
}

impl Entry {
    fn is_expired(&self, now: Instant) -> bool {
        self.expires.is_some_and(|at| at <= now)
    }
}

impl Value {
    fn size(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Set(set) => set.iter().map(|member| member.len() + OVERHEAD).sum(),
            Self::Hash(hash) => hash
                .iter()
                .map(|(field, value)| field.len() + value.len() + OVERHEAD)
                .sum(),
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Text(_) => false,
            Self::Set(set) => set.is_empty(),
            Self::Hash(hash) => hash.is_empty(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn there_is_room_for_what_was_removed_or_has_expired() {
        let mut keyspace = Keyspace::default();
        let now = Instant::now();
        let half = || Value::Text(vec![0; CAPACITY / 2]);
        let put = |keyspace: &mut Keyspace, key: &[u8], now| {
            keyspace.put(key.to_vec(), half(), Some(now + SECOND), now)
        };
        put(&mut keyspace, b"a", now).expect("room for one");
        assert_eq!(put(&mut keyspace, b"b", now), Err(RedisError::OutOfMemory));
        put(&mut keyspace, b"b", now + SECOND).expect("the other has expired");
        assert!(keyspace.remove(b"b", now));
        assert_eq!(keyspace.used, 0);
    }

    #[test]
    fn what_is_used_is_what_is_there() {
        let mut keyspace = Keyspace::default();
        let now = Instant::now();
        for member in [b"a", b"b", b"a"] {
            keyspace
                .change(b"key", Value::Set(BTreeSet::new()), 1, now, |value| {
                    let Value::Set(set) = value else {
                        return Err(RedisError::WrongType);
                    };
                    let grown = if set.insert(member.to_vec()) {
                        1 + OVERHEAD
                    } else {
                        0
                    };
                    Ok(((), grown as isize))
                })
                .expect("change");
        }
        let entry = keyspace.entries.get(&b"key"[..]).expect("entry");
        assert_eq!(entry.size, 3 + OVERHEAD + entry.value.size());
        assert_eq!(keyspace.used, entry.size);
    }

    #[test]
    fn an_expired_key_is_not_there() {
        let mut keyspace = Keyspace::default();
        let now = Instant::now();
        keyspace
            .put(
                b"key".to_vec(),
                Value::Text(vec![]),
                Some(now + SECOND),
                now,
            )
            .expect("put");
        assert_eq!(keyspace.expiry(b"key", now), Some(Some(SECOND)));
        assert!(keyspace.get(b"key", now + SECOND).is_none());
        assert!(!keyspace.remove(b"key", now + SECOND));
        assert_eq!(keyspace.used, 0);
    }
}
