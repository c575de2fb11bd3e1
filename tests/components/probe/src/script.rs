//! Runs lines of a script on one connection, and says what came of each.
//!
//! `postgres?ADDRESS` knows `query`, `execute`, `sync`, `beside` (`sync` while
//! another statement runs), `first` (the first row of a stream, which is then
//! dropped), `bind`, `open` (another connection), `keep` (leaks the connection)
//! and `trap`. `redis?ADDRESS` takes commands of words,
//! `key-value?LABEL` takes `get`, `set`, `delete`, `exists` and `keys`.

use spin_sdk::{
    key_value,
    pg::{
        self, DbValue, Interval, ParameterValue, RangeBoundKind::Exclusive,
        RangeBoundKind::Inclusive,
    },
    redis,
};

use crate::words;

pub(crate) async fn postgres(address: &str, script: &str) -> String {
    let mut connection = match pg::Connection::open(address).await {
        Ok(connection) => connection.into_inner(),
        Err(error) => return words(error),
    };
    let mut said = Vec::new();
    for line in script.lines() {
        let (verb, sql) = line.split_once(' ').unwrap_or((line, ""));
        let outcome = match verb {
            "query" => query(&connection, sql, vec![], usize::MAX).await,
            "first" => query(&connection, sql, vec![], 1).await,
            "bind" => query(&connection, sql, parameters(), usize::MAX).await,
            "execute" => connection
                .execute_async(sql.to_owned(), vec![])
                .await
                .map(|count| count.to_string())
                .map_err(words),
            "sync" => connection
                .query(sql, &[])
                .map(|set| table(&set.rows))
                .map_err(words),
            "beside" => {
                let slow = query(&connection, "SELECT pg_sleep(0.3)", vec![], usize::MAX);
                let quick = async { connection.query(sql, &[]) };
                let (slow, quick) = futures::join!(slow, quick);
                slow.and(quick.map(|set| table(&set.rows)).map_err(words))
            }
            "open" => match pg::Connection::open(address).await {
                Ok(other) => {
                    connection = other.into_inner();
                    Ok("opened".into())
                }
                Err(error) => Err(words(error)),
            },
            "keep" => match pg::Connection::open(address).await {
                Ok(other) => {
                    std::mem::forget(std::mem::replace(&mut connection, other.into_inner()));
                    Ok("kept".into())
                }
                Err(error) => Err(words(error)),
            },
            "trap" => std::process::abort(),
            _ => Err("no such verb".into()),
        };
        said.push(outcome.unwrap_or_else(|error| error));
    }
    said.join("\n")
}

async fn query(
    connection: &pg::wit::postgres::Connection,
    sql: &str,
    parameters: Vec<ParameterValue>,
    limit: usize,
) -> Result<String, String> {
    let reply = connection.query_async(sql.to_owned(), parameters).await;
    let (_, mut rows, outcome) = reply.map_err(words)?;
    let mut taken = Vec::new();
    while taken.len() < limit
        && let Some(row) = rows.next().await
    {
        taken.push(row);
    }
    if taken.len() < limit {
        outcome.await.map_err(words)?;
    }
    Ok(table(&taken))
}

fn table(rows: &[Vec<DbValue>]) -> String {
    let cell = |value: &DbValue| words(value).replacen("DbValue::", "", 1);
    let cells = |row: &Vec<DbValue>| row.iter().map(cell).collect::<Vec<_>>().join("|");
    rows.iter().map(cells).collect::<Vec<_>>().join(";")
}

/// One of each type, in the order of the interface.
fn parameters() -> Vec<ParameterValue> {
    use ParameterValue as P;
    vec![
        P::Boolean(true),
        P::Int8(-8),
        P::Int16(-16),
        P::Int32(-32),
        P::Int64(-64),
        P::Floating32(0.5),
        P::Floating64(-0.25),
        P::Str("täxt".into()),
        P::Binary(vec![0, 255]),
        P::Date((2026, 11, 20)),
        P::Time((23, 59, 58, 123_456_000)),
        P::Datetime((1969, 12, 31, 1, 2, 3, 4000)),
        P::Timestamp(1_000_000_000),
        P::Uuid("0192f0c1-a2b3-7c4d-8e5f-60718293a4b5".into()),
        P::Jsonb(br#"{"a": [1, null]}"#.to_vec()),
        P::Decimal("-1234567890123456789.0001200".into()),
        P::RangeInt32((Some((1, Inclusive)), Some((5, Exclusive)))),
        P::RangeInt64((None, Some((5, Exclusive)))),
        P::RangeDecimal((Some(("0.5".into(), Exclusive)), None)),
        P::ArrayInt32(vec![Some(1), None]),
        P::ArrayInt64(vec![]),
        P::ArrayDecimal(vec![Some("1.50".into()), None]),
        P::ArrayStr(vec![Some("a".into()), None, Some(String::new())]),
        P::Interval(Interval {
            micros: -1,
            days: 2,
            months: -3,
        }),
        P::DbNull,
    ]
}

pub(crate) async fn redis(address: &str, script: &str) -> String {
    let connection = match redis::Connection::open(address).await {
        Ok(connection) => connection,
        Err(error) => return words(error),
    };
    let mut said = Vec::new();
    for line in script.lines() {
        let mut parts = line.split(' ');
        let command = parts.next().unwrap_or_default().to_owned();
        let arguments: Vec<_> = parts
            .map(|part| redis::RedisParameter::Binary(part.as_bytes().to_vec()))
            .collect();
        said.push(match connection.execute(command, arguments).await {
            Ok(results) => results.iter().map(words).collect::<Vec<_>>().join(","),
            Err(error) => words(error),
        });
    }
    said.join("\n")
}

pub(crate) async fn key_value(label: &str, script: &str) -> String {
    let store = match key_value::Store::open(label).await {
        Ok(store) => store,
        Err(error) => return words(error),
    };
    let mut said = Vec::new();
    for line in script.lines() {
        let words_of_line: Vec<_> = line.split(' ').collect();
        said.push(match words_of_line.as_slice() {
            ["get", key] => words(store.get(key).await),
            ["set", key, value] => words(store.set(key, value.as_bytes()).await),
            ["delete", key] => words(store.delete(key).await),
            ["exists", key] => words(store.exists(key).await),
            ["keys"] => {
                let mut keys = store.get_keys().await.collect().await.unwrap_or_default();
                keys.sort();
                keys.join(",")
            }
            _ => "no such verb".into(),
        });
    }
    said.join("\n")
}
