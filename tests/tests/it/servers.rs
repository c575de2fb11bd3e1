//! The servers that other tests use.

use emporium_tests::servers::{Postgres, Redis};

#[test]
fn a_postgres_keeps_what_was_committed_when_it_is_killed() {
    let mut postgres = Postgres::start();
    let database = postgres.database();
    postgres.query(
        &database,
        "CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)",
    );
    postgres.kill();
    postgres.restart();
    assert_eq!(postgres.query(&database, "SELECT n FROM kept"), "7");
}

#[test]
fn databases_of_a_postgres_are_separate() {
    let postgres = Postgres::shared();
    let (one, other) = (postgres.database(), postgres.database());
    postgres.query(&one, "CREATE TABLE ours (n int)");
    let there = |database| postgres.query(database, "SELECT to_regclass('ours') IS NOT NULL");
    assert_eq!((there(&one).as_str(), there(&other).as_str()), ("t", "f"));
}

#[test]
fn a_redis_forgets_all_when_it_is_killed() {
    let mut redis = Redis::start();
    assert_eq!(redis.command("SET key value"), "+OK\r\n");
    redis.kill();
    redis.restart();
    assert_eq!(redis.command("GET key"), "$-1\r\n");
}
