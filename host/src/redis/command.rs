//! The commands of the embedded broker: those of Redis that services use, with
//! its answers and its words for what is wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::keyspace::{Keyspace, OVERHEAD, Value};
use super::{RedisError, Reply};

/// The commands there are besides those of a whole server.
const COMMANDS: [&str; 28] = [
    "DECR",
    "DEL",
    "EXISTS",
    "EXPIRE",
    "FLUSHALL",
    "FLUSHDB",
    "GET",
    "HDEL",
    "HGET",
    "HGETALL",
    "HSET",
    "INCR",
    "INCRBY",
    "MGET",
    "PERSIST",
    "PEXPIRE",
    "PING",
    "PTTL",
    "PUBLISH",
    "RENAME",
    "SADD",
    "SCARD",
    "SET",
    "SETNX",
    "SISMEMBER",
    "SMEMBERS",
    "SREM",
    "TTL",
];

/// Execute a command, its name in upper case.
pub(super) fn execute(
    keys: &mut Keyspace,
    command: &str,
    arguments: Vec<Vec<u8>>,
    now: Instant,
) -> Result<Reply, RedisError> {
    let reply = match (command, arguments.as_slice()) {
        ("PING", []) => Reply::Status("PONG".into()),
        ("PING", [message]) => Reply::Bytes(message.clone()),
        ("FLUSHDB", []) => {
            keys.clear();
            Reply::Status("OK".into())
        }
        ("GET", [key]) => bytes(text(keys, key, now)?),
        ("MGET", [_, ..]) => {
            // A key of another type is nil to MGET, unlike to GET.
            let get = |key: &Vec<u8>| bytes(text(keys, key, now).ok().flatten());
            Reply::List(arguments.iter().map(get).collect())
        }
        ("SET", [key, value, options @ ..]) => set(keys, key, value, options, now)?,
        ("SETNX", [key, value]) => {
            let free = keys.get(key, now).is_none();
            if free {
                keys.put(key.clone(), Value::Text(value.clone()), None, now)?;
            }
            integer(free)
        }
        ("INCR", [key]) => add(keys, key, 1, now)?,
        ("DECR", [key]) => add(keys, key, -1, now)?,
        ("INCRBY", [key, amount]) => add(keys, key, number(amount)?, now)?,
        ("DEL", [_, ..]) => count(arguments.iter().filter(|key| keys.remove(key, now))),
        ("EXISTS", [_, ..]) => count(arguments.iter().filter(|key| keys.get(key, now).is_some())),
        ("RENAME", [from, to]) => {
            keys.rename(from, to.clone(), now)?;
            Reply::Status("OK".into())
        }
        ("EXPIRE", [key, time]) => expire(keys, key, number(time)?.checked_mul(1000), now)?,
        ("PEXPIRE", [key, time]) => expire(keys, key, Some(number(time)?), now)?,
        ("PERSIST", [key]) => {
            let expires = matches!(keys.expiry(key, now), Some(Some(_)));
            integer(expires && keys.expire(key, None, now))
        }
        // Redis rounds to the nearest second.
        ("TTL", [key]) => expiry(keys, key, now, |left| (left.as_millis() + 500) / 1000),
        ("PTTL", [key]) => expiry(keys, key, now, |left| left.as_millis()),
        ("SADD" | "SREM" | "SMEMBERS" | "SISMEMBER" | "SCARD", [key, members @ ..]) => {
            return set_command(keys, command, key, members, now);
        }
        ("HSET" | "HGET" | "HDEL" | "HGETALL", [key, fields @ ..]) => {
            return hash_command(keys, command, key, fields, now);
        }
        _ => return Err(not_understood(command)),
    };
    Ok(reply)
}

fn not_understood(command: &str) -> RedisError {
    RedisError::Other(match COMMANDS.contains(&command) {
        true => {
            format!(
                "ERR wrong number of arguments for '{}' command",
                command.to_ascii_lowercase()
            )
        }
        false => format!("ERR unknown command '{command}'"),
    })
}

fn set_command(
    keys: &mut Keyspace,
    command: &str,
    key: &[u8],
    members: &[Vec<u8>],
    now: Instant,
) -> Result<Reply, RedisError> {
    match (command, members) {
        ("SADD", [_, ..]) => {
            let growth = members.iter().map(|member| member.len() + OVERHEAD).sum();
            keys.change(key, Value::Set(BTreeSet::new()), growth, now, |value| {
                let Value::Set(set) = value else {
                    return Err(RedisError::WrongType);
                };
                let (mut added, mut grown) = (0, 0);
                for member in members {
                    if set.insert(member.clone()) {
                        added += 1;
                        grown += signed(member.len() + OVERHEAD);
                    }
                }
                Ok((Reply::Integer(added), grown))
            })
        }
        ("SREM", [_, ..]) => keys.change(key, Value::Set(BTreeSet::new()), 0, now, |value| {
            let Value::Set(set) = value else {
                return Err(RedisError::WrongType);
            };
            let (mut removed, mut grown) = (0, 0);
            for member in members {
                if set.remove(member) {
                    removed += 1;
                    grown -= signed(member.len() + OVERHEAD);
                }
            }
            Ok((Reply::Integer(removed), grown))
        }),
        ("SMEMBERS", []) => {
            let members = members_of(keys, key, now)?.into_iter().flatten();
            Ok(Reply::List(members.cloned().map(Reply::Bytes).collect()))
        }
        ("SISMEMBER", [member]) => Ok(integer(
            members_of(keys, key, now)?.is_some_and(|set| set.contains(member)),
        )),
        ("SCARD", []) => Ok(count(members_of(keys, key, now)?.into_iter().flatten())),
        _ => Err(not_understood(command)),
    }
}

fn hash_command(
    keys: &mut Keyspace,
    command: &str,
    key: &[u8],
    fields: &[Vec<u8>],
    now: Instant,
) -> Result<Reply, RedisError> {
    match (command, fields) {
        ("HSET", [_, _, ..]) if fields.len().is_multiple_of(2) => {
            let growth = fields.iter().map(|bytes| bytes.len() + OVERHEAD).sum();
            keys.change(key, Value::Hash(BTreeMap::new()), growth, now, |value| {
                let Value::Hash(hash) = value else {
                    return Err(RedisError::WrongType);
                };
                let (mut added, mut grown) = (0, 0);
                for pair in fields.chunks_exact(2) {
                    let [field, value] = pair else { continue };
                    grown += signed(value.len());
                    match hash.insert(field.clone(), value.clone()) {
                        Some(previous) => grown -= signed(previous.len()),
                        None => {
                            added += 1;
                            grown += signed(field.len() + OVERHEAD);
                        }
                    }
                }
                Ok((Reply::Integer(added), grown))
            })
        }
        ("HDEL", [_, ..]) => keys.change(key, Value::Hash(BTreeMap::new()), 0, now, |value| {
            let Value::Hash(hash) = value else {
                return Err(RedisError::WrongType);
            };
            let (mut removed, mut grown) = (0, 0);
            for field in fields {
                if let Some(value) = hash.remove(field) {
                    removed += 1;
                    grown -= signed(field.len() + value.len() + OVERHEAD);
                }
            }
            Ok((Reply::Integer(removed), grown))
        }),
        ("HGET", [field]) => Ok(bytes(
            fields_of(keys, key, now)?
                .and_then(|hash| hash.get(field))
                .cloned(),
        )),
        ("HGETALL", []) => {
            let fields = fields_of(keys, key, now)?.into_iter().flatten();
            let pairs = fields.flat_map(|(field, value)| [field.clone(), value.clone()]);
            Ok(Reply::List(pairs.map(Reply::Bytes).collect()))
        }
        _ => Err(not_understood(command)),
    }
}

fn set(
    keys: &mut Keyspace,
    key: &[u8],
    value: &[u8],
    mut options: &[Vec<u8>],
    now: Instant,
) -> Result<Reply, RedisError> {
    let syntax = || RedisError::Other("ERR syntax error".into());
    let (mut only_if, mut expires) = (None, None);
    while let [option, rest @ ..] = options {
        options = match (option.to_ascii_uppercase().as_slice(), rest) {
            (b"NX", rest) if only_if.is_none() => {
                only_if = Some(false);
                rest
            }
            (b"XX", rest) if only_if.is_none() => {
                only_if = Some(true);
                rest
            }
            (unit @ (b"EX" | b"PX"), [time, rest @ ..]) if expires.is_none() => {
                let scale = if unit == b"EX" { 1000 } else { 1 };
                let time = number(time)?.checked_mul(scale).filter(|time| *time > 0);
                let at = time.and_then(|time| instant(time, now)).ok_or_else(|| {
                    RedisError::Other("ERR invalid expire time in 'set' command".into())
                })?;
                expires = Some(at);
                rest
            }
            _ => return Err(syntax()),
        };
    }
    if only_if.is_some_and(|exists| exists != keys.get(key, now).is_some()) {
        return Ok(Reply::Nil);
    }
    keys.put(key.to_vec(), Value::Text(value.to_vec()), expires, now)?;
    Ok(Reply::Status("OK".into()))
}

fn add(keys: &mut Keyspace, key: &[u8], amount: i64, now: Instant) -> Result<Reply, RedisError> {
    keys.change(key, Value::Text(b"0".to_vec()), 20, now, |value| {
        let Value::Text(text) = value else {
            return Err(RedisError::WrongType);
        };
        let sum = number(text)?
            .checked_add(amount)
            .ok_or_else(|| RedisError::Other("ERR increment or decrement would overflow".into()))?;
        let before = signed(text.len());
        *text = sum.to_string().into_bytes();
        Ok((Reply::Integer(sum), signed(text.len()) - before))
    })
}

fn expire(
    keys: &mut Keyspace,
    key: &[u8],
    millis: Option<i64>,
    now: Instant,
) -> Result<Reply, RedisError> {
    let invalid = || RedisError::Other("ERR invalid expire time in 'expire' command".into());
    let millis = millis.ok_or_else(invalid)?;
    if millis <= 0 {
        return Ok(integer(keys.remove(key, now)));
    }
    let at = instant(millis, now).ok_or_else(invalid)?;
    Ok(integer(keys.expire(key, Some(at), now)))
}

fn expiry(keys: &mut Keyspace, key: &[u8], now: Instant, unit: fn(Duration) -> u128) -> Reply {
    Reply::Integer(match keys.expiry(key, now) {
        None => -2,
        Some(None) => -1,
        Some(Some(left)) => i64::try_from(unit(left)).unwrap_or(i64::MAX),
    })
}

fn text(keys: &mut Keyspace, key: &[u8], now: Instant) -> Result<Option<Vec<u8>>, RedisError> {
    match keys.get(key, now) {
        None => Ok(None),
        Some(Value::Text(text)) => Ok(Some(text.clone())),
        Some(Value::Set(_) | Value::Hash(_)) => Err(RedisError::WrongType),
    }
}

fn members_of<'a>(
    keys: &'a mut Keyspace,
    key: &[u8],
    now: Instant,
) -> Result<Option<&'a BTreeSet<Vec<u8>>>, RedisError> {
    match keys.get(key, now) {
        None => Ok(None),
        Some(Value::Set(set)) => Ok(Some(set)),
        Some(Value::Text(_) | Value::Hash(_)) => Err(RedisError::WrongType),
    }
}

fn fields_of<'a>(
    keys: &'a mut Keyspace,
    key: &[u8],
    now: Instant,
) -> Result<Option<&'a Fields>, RedisError> {
    match keys.get(key, now) {
        None => Ok(None),
        Some(Value::Hash(hash)) => Ok(Some(hash)),
        Some(Value::Text(_) | Value::Set(_)) => Err(RedisError::WrongType),
    }
}

type Fields = BTreeMap<Vec<u8>, Vec<u8>>;

/// Redis takes decimal digits and a minus sign, and neither a plus sign nor
/// leading zeros.
fn number(text: &[u8]) -> Result<i64, RedisError> {
    let number: Option<i64> = std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok());
    number
        .filter(|number| number.to_string().as_bytes() == text)
        .ok_or(RedisError::NotAnInteger)
}

fn instant(millis: i64, now: Instant) -> Option<Instant> {
    now.checked_add(Duration::from_millis(u64::try_from(millis).ok()?))
}

fn bytes(value: Option<Vec<u8>>) -> Reply {
    value.map_or(Reply::Nil, Reply::Bytes)
}

fn integer(value: bool) -> Reply {
    Reply::Integer(value.into())
}

fn count<T>(values: impl Iterator<Item = T>) -> Reply {
    Reply::Integer(i64::try_from(values.count()).unwrap_or(i64::MAX))
}

fn signed(size: usize) -> isize {
    isize::try_from(size).unwrap_or(isize::MAX)
}

#[cfg(test)]
#[path = "command_tests.rs"]
mod tests;
