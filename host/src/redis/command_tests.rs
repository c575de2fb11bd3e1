//! The commands of the embedded server.

use proptest::prelude::*;

use super::*;

/// A keyspace and the commands it is given at one time after another.
struct Broker {
    keys: Keyspace,
    now: Instant,
}

impl Broker {
    fn new() -> Self {
        Self {
            keys: Keyspace::default(),
            now: Instant::now(),
        }
    }

    fn execute(&mut self, line: &str) -> Result<Reply, RedisError> {
        let mut words = line.split(' ');
        let command = words.next().unwrap_or_default();
        execute(
            &mut self.keys,
            command,
            words.map(Into::into).collect(),
            self.now,
        )
    }

    /// The answer as `redis-cli` would print it.
    fn answer(&mut self, line: &str) -> String {
        self.execute(line)
            .map_or_else(|error| error.to_string(), print)
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
    }
}

fn print(reply: Reply) -> String {
    match reply {
        Reply::Nil => "(nil)".into(),
        Reply::Status(status) => status.into_owned(),
        Reply::Integer(integer) => integer.to_string(),
        Reply::Bytes(bytes) => format!("{:?}", String::from_utf8_lossy(&bytes)),
        Reply::List(list) => format!(
            "[{}]",
            list.into_iter().map(print).collect::<Vec<_>>().join(" ")
        ),
    }
}

fn check(dialogue: &[(&str, &str)]) {
    let mut broker = Broker::new();
    for (line, answer) in dialogue {
        assert_eq!(broker.answer(line), *answer, "{line}");
    }
}

const WRONG_TYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";

#[test]
fn strings() {
    check(&[
        ("PING", "PONG"),
        ("PING hello", "\"hello\""),
        ("GET key", "(nil)"),
        ("SET key value", "OK"),
        ("GET key", "\"value\""),
        ("SETNX key other", "0"),
        ("SETNX free value", "1"),
        ("MGET key none free", "[\"value\" (nil) \"value\"]"),
        ("EXISTS key none free key", "3"),
        ("DEL key none", "1"),
        ("DEL key", "0"),
    ]);
}

#[test]
fn bytes_are_kept_as_they_are() {
    let mut broker = Broker::new();
    let value = vec![0, 255, b'\r', b'\n', 0xc3];
    let arguments = vec![b"key".to_vec(), value.clone()];
    execute(&mut broker.keys, "SET", arguments, broker.now).expect("set");
    assert_eq!(broker.execute("GET key"), Ok(Reply::Bytes(value)));
}

#[test]
fn counters() {
    check(&[
        ("INCR n", "1"),
        ("INCRBY n 41", "42"),
        ("DECR n", "41"),
        ("GET n", "\"41\""),
        ("INCRBY n x", "ERR value is not an integer or out of range"),
        (
            "INCRBY n 9223372036854775807",
            "ERR increment or decrement would overflow",
        ),
        ("SET n +1", "OK"),
        ("INCR n", "ERR value is not an integer or out of range"),
        ("SET n 01", "OK"),
        ("INCR n", "ERR value is not an integer or out of range"),
    ]);
}

#[test]
fn set_with_conditions() {
    check(&[
        ("SET key a XX", "(nil)"),
        ("SET key a NX", "OK"),
        ("SET key b nx", "(nil)"),
        ("SET key b xx", "OK"),
        ("GET key", "\"b\""),
        ("SET key c NX XX", "ERR syntax error"),
        ("SET key c EX", "ERR syntax error"),
        ("SET key c EX 0", "ERR invalid expire time in 'set' command"),
        (
            "SET key c EX 9223372036854775807",
            "ERR invalid expire time in 'set' command",
        ),
        ("SET key c EX 1 PX 1", "ERR syntax error"),
    ]);
}

#[test]
fn expiry_takes_its_time() {
    let mut broker = Broker::new();
    broker.answer("SET key value EX 2");
    assert_eq!(broker.answer("TTL key"), "2");
    assert_eq!(broker.answer("TTL none"), "-2");
    broker.pass(Duration::from_millis(600));
    assert_eq!(broker.answer("PTTL key"), "1400");
    assert_eq!(broker.answer("TTL key"), "1");
    broker.pass(Duration::from_millis(1400));
    assert_eq!(broker.answer("GET key"), "(nil)");
    assert_eq!(broker.answer("EXPIRE key 1"), "0");
}

#[test]
fn a_new_value_does_not_expire_with_the_old_one() {
    check(&[
        ("SET key value PX 1000", "OK"),
        ("SET key value", "OK"),
        ("TTL key", "-1"),
        ("PEXPIRE key 1000", "1"),
        ("INCR key", "ERR value is not an integer or out of range"),
        ("PTTL key", "1000"),
        ("PERSIST key", "1"),
        ("PERSIST key", "0"),
        ("EXPIRE key 0", "1"),
        ("EXISTS key", "0"),
    ]);
}

#[test]
fn sets() {
    check(&[
        ("SADD s a b a", "2"),
        ("SADD s b c", "1"),
        ("SMEMBERS s", "[\"a\" \"b\" \"c\"]"),
        ("SISMEMBER s a", "1"),
        ("SISMEMBER s x", "0"),
        ("SREM s a x", "1"),
        ("SCARD s", "2"),
        ("SREM s b c", "2"),
        ("EXISTS s", "0"),
        ("SREM s b", "0"),
        ("SMEMBERS s", "[]"),
        ("EXISTS s", "0"),
    ]);
}

#[test]
fn hashes() {
    check(&[
        ("HSET h a 1 b 2", "2"),
        ("HSET h a 3 c 4", "1"),
        ("HGET h a", "\"3\""),
        ("HGET h x", "(nil)"),
        ("HGETALL h", "[\"a\" \"3\" \"b\" \"2\" \"c\" \"4\"]"),
        ("HDEL h a b x", "2"),
        ("HDEL h c", "1"),
        ("EXISTS h", "0"),
        (
            "HSET h a",
            "ERR wrong number of arguments for 'hset' command",
        ),
    ]);
}

#[test]
fn a_key_is_renamed_with_its_expiry() {
    check(&[
        ("RENAME a b", "ERR no such key"),
        ("SET a 1 EX 9", "OK"),
        ("SET b 2", "OK"),
        ("RENAME a b", "OK"),
        ("MGET a b", "[(nil) \"1\"]"),
        ("TTL b", "9"),
        ("RENAME b b", "OK"),
        ("GET b", "\"1\""),
    ]);
}

#[test]
fn another_type_is_refused_and_stays() {
    check(&[
        ("SADD s a", "1"),
        ("GET s", WRONG_TYPE),
        ("INCR s", WRONG_TYPE),
        ("HSET s a 1", WRONG_TYPE),
        ("HGETALL s", WRONG_TYPE),
        ("MGET s", "[(nil)]"),
        ("SET t text", "OK"),
        ("SADD t a", WRONG_TYPE),
        ("SMEMBERS t", WRONG_TYPE),
        ("SREM t a", WRONG_TYPE),
        ("HDEL t a", WRONG_TYPE),
        ("GET t", "\"text\""),
        ("SMEMBERS s", "[\"a\"]"),
        ("SET s text", "OK"),
        ("GET s", "\"text\""),
    ]);
}

#[test]
fn what_is_not_understood_is_refused() {
    check(&[
        ("EVAL 1", "ERR unknown command 'EVAL'"),
        ("SUBSCRIBE a", "ERR unknown command 'SUBSCRIBE'"),
        ("GET", "ERR wrong number of arguments for 'get' command"),
        ("SADD s", "ERR wrong number of arguments for 'sadd' command"),
        (
            "PUBLISH a",
            "ERR wrong number of arguments for 'publish' command",
        ),
        ("FLUSHDB", "OK"),
    ]);
}

proptest! {
    #[test]
    fn any_command_is_answered(lines in proptest::collection::vec("[A-Z]{3,8}( [a-c0-9]){0,5}", 0..20)) {
        let mut broker = Broker::new();
        for line in lines {
            let _ = broker.execute(&line);
        }
    }

    #[test]
    fn known_commands_with_any_arguments_are_answered(
        commands in proptest::collection::vec((proptest::sample::select(&COMMANDS[..]), "( [a-c0-9]){0,5}"), 0..30),
    ) {
        let mut broker = Broker::new();
        for (command, arguments) in commands {
            let _ = broker.execute(&format!("{command}{arguments}"));
        }
    }

    #[test]
    fn a_set_holds_what_was_added_and_not_removed(changes in proptest::collection::vec((any::<bool>(), 0..9_u8), 0..40)) {
        let mut broker = Broker::new();
        let mut expected = BTreeSet::new();
        for (add, member) in changes {
            let word = if add { "SADD" } else { "SREM" };
            let changed = if add { expected.insert(member) } else { expected.remove(&member) };
            prop_assert_eq!(broker.answer(&format!("{word} s {member}")), u8::from(changed).to_string());
        }
        prop_assert_eq!(broker.answer("SCARD s"), expected.len().to_string());
    }
}
