//! What goes into a statement and what comes out of it.

use super::Probe;

#[tokio::test(flavor = "multi_thread")]
async fn rows_and_counts_come_back() {
    let probe = Probe::start().await;
    let said = probe
        .run(&[
            "execute CREATE TABLE t (n int, s text)",
            "execute INSERT INTO t SELECT n, 'x' || n FROM generate_series(1, 3) n",
            "query SELECT n, s FROM t ORDER BY n",
            "sync SELECT n FROM t WHERE n > 2",
            "query SELECT n FROM t WHERE n > 3",
            "execute UPDATE t SET s = NULL WHERE n < 3",
        ])
        .await;
    assert_eq!(
        said,
        [
            "0",
            "3",
            "Int32(1)|Str(\"x1\");Int32(2)|Str(\"x2\");Int32(3)|Str(\"x3\")",
            "Int32(3)",
            "",
            "2",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_goes_there_and_back() {
    let probe = Probe::start().await;
    let columns = "$1::bool, $2::\"char\"::text, $3::int2, $4::int4, $5::int8, $6::float4, \
         $7::float8, $8::text, $9::bytea, $10::date, $11::time, $12::timestamp, \
         $13::timestamptz AT TIME ZONE 'UTC', $14::uuid, $15::jsonb, $16::numeric, $17::int4range, \
         $18::int8range, $19::numrange, $20::int4[], $21::int8[], $22::numeric[], $23::text[], \
         $24::interval, $25::int, $15::jsonb::json, 'x'::name";
    let said = probe.run_one(&format!("bind SELECT {columns}")).await;
    let values: Vec<_> = said.split('|').collect();
    assert_eq!(
        values,
        [
            "Boolean(true)",
            "Str(\"\\\\370\")",
            "Int16(-16)",
            "Int32(-32)",
            "Int64(-64)",
            "Floating32(0.5)",
            "Floating64(-0.25)",
            "Str(\"täxt\")",
            "Binary([0, 255])",
            "Date((2026, 11, 20))",
            "Time((23, 59, 58, 123456000))",
            "Datetime((1969, 12, 31, 1, 2, 3, 4000))",
            "Datetime((2001, 9, 9, 1, 46, 40, 0))",
            "Uuid(\"0192f0c1-a2b3-7c4d-8e5f-60718293a4b5\")",
            "Jsonb([123, 34, 97, 34, 58, 32, 91, 49, 44, 32, 110, 117, 108, 108, 93, 125])",
            "Decimal(\"-1234567890123456789.0001200\")",
            "RangeInt32((Some((1, RangeBoundKind::Inclusive)), Some((5, RangeBoundKind::Exclusive))))",
            "RangeInt64((None, Some((5, RangeBoundKind::Exclusive))))",
            "RangeDecimal((Some((\"0.5\", RangeBoundKind::Exclusive)), None))",
            "ArrayInt32([Some(1), None])",
            "ArrayInt64([])",
            "ArrayDecimal([Some(\"1.50\"), None])",
            "ArrayStr([Some(\"a\"), None, Some(\"\")])",
            "Interval(Interval { micros: -1, days: 2, months: -3 })",
            "DbNull",
            "Unsupported([123, 34, 97, 34, 58, 32, 91, 49, 44, 32, 110, 117, 108, 108, 93, 125])",
            "Unsupported([120])",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_the_server_keeps_its_code() {
    let probe = Probe::start().await;
    let said = probe
        .run(&[
            "query garbage",
            "query SELECT 1; SELECT 2",
            "query SELECT 1 / 0",
            "execute CREATE TABLE t (n int CONSTRAINT small CHECK (n < 3))",
            "execute INSERT INTO t VALUES (3)",
            "query SELECT 1",
        ])
        .await;
    for (line, code) in [(0, "42601"), (1, "42601"), (2, "22012"), (4, "23514")] {
        assert!(
            said[line].contains(&format!("code: \"{code}\"")),
            "{}",
            said[line]
        );
    }
    assert!(
        said[4].contains("(\"constraint\", \"small\")"),
        "{}",
        said[4]
    );
    assert_eq!(said[5], "Int32(1)");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_of_the_wrong_type_or_number_is_refused() {
    let probe = Probe::start().await;
    let said = probe
        .run(&[
            "bind SELECT $1::text",
            "query SELECT $1::int",
            "query SELECT now()",
            "query SELECT 1",
        ])
        .await;
    assert!(said[0].starts_with("Error::QueryFailed"), "{}", said[0]);
    assert!(said[1].starts_with("Error::QueryFailed"), "{}", said[1]);
    assert!(said[2].contains("cast"), "{}", said[2]);
    assert_eq!(said[3], "Int32(1)");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_outlives_a_change_of_its_table() {
    let probe = Probe::start().await;
    probe.run_one("execute CREATE TABLE t (n int)").await;
    let select = "query SELECT * FROM t";
    probe
        .run(&["execute INSERT INTO t VALUES (1)", select, select])
        .await;
    probe.asked("ALTER TABLE t ADD m int DEFAULT 2");
    assert_eq!(probe.run_one(select).await, "Int32(1)|Int32(2)");
}
