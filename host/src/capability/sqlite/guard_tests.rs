//! What SQL of a guest may not touch.

use super::*;

fn guarded() -> (tempfile::TempDir, Connection, Arc<Guard>) {
    let folder = tempfile::tempdir().expect("folder");
    let connection = Connection::open(folder.path().join("test.db")).expect("database");
    connection
        .execute_batch("CREATE TABLE t (a)")
        .expect("table");
    let guard = Guard::install(&connection).expect("guard");
    (folder, connection, guard)
}

#[test]
fn other_files_are_out_of_reach() {
    let (folder, connection, _) = guarded();
    let file = folder.path().join("other.db");
    for sql in [
        "ATTACH 'FILE' AS other",
        "ATTACH ':memory:' AS other",
        "ATTACH 'FI' || 'LE' AS other",
        "DETACH main",
        "VACUUM INTO 'FILE'",
        "SELECT load_extension('FILE')",
        "SELECT fts3_tokenizer('simple')",
        "PRAGMA temp_store_directory = 'FILE'",
        "PRAGMA Temp_Store_Directory",
        "PRAGMA hard_heap_limit = 1",
    ] {
        let sql = sql.replace("FILE", file.to_str().expect("path"));
        assert!(connection.execute_batch(&sql).is_err(), "{sql}");
    }
    let attached = connection.execute("ATTACH ?1 AS other", [file.to_str()]);
    assert!(attached.is_err(), "a bound name is attached");
    assert!(!file.exists());
}

#[test]
fn the_schema_cannot_be_corrupted() {
    let (_folder, connection, _) = guarded();
    connection
        .execute_batch("PRAGMA writable_schema = ON")
        .expect("without effect");
    connection
        .execute_batch("DELETE FROM sqlite_schema")
        .expect_err("the schema is writable");
}

#[test]
fn vacuuming_is_allowed() {
    let (_folder, connection, _) = guarded();
    connection.execute_batch("VACUUM").expect("vacuum");
}

#[test]
fn settings_are_put_back() {
    let (_folder, connection, guard) = guarded();
    let settings = || {
        SETTINGS.map(|name| {
            connection
                .pragma_query_value(None, name, |row| Ok(read(row)))
                .expect("setting")
        })
    };
    let before = settings();
    for sql in [
        "synchronous = OFF",
        "foreign_keys(0)",
        "cache_size = -100",
        "query_only = 1",
    ] {
        connection
            .execute_batch(&format!("PRAGMA {sql}"))
            .expect(sql);
    }
    assert_ne!(settings(), before);
    assert!(guard.restore(&connection));
    assert_eq!(settings(), before);
}

#[test]
fn what_cannot_be_put_back_spoils_a_connection() {
    for sql in [
        "CREATE TEMP TABLE u (a)",
        "PRAGMA locking_mode = EXCLUSIVE",
        "PRAGMA journal_mode = MEMORY",
        "PRAGMA case_sensitive_like = 1",
        "PRAGMA wal_autocheckpoint = 0",
    ] {
        let (_folder, connection, guard) = guarded();
        connection.execute_batch(sql).expect(sql);
        assert!(!guard.restore(&connection), "{sql}");
    }
}

#[test]
fn what_stays_in_the_file_does_not() {
    for sql in [
        "PRAGMA journal_mode = WAL",
        "PRAGMA user_version = 3",
        "PRAGMA table_info(t)",
    ] {
        let (_folder, connection, guard) = guarded();
        connection.execute_batch(sql).expect(sql);
        assert!(guard.restore(&connection), "{sql}");
    }
}

#[test]
fn a_statement_without_end_is_interrupted() {
    check_interrupts(Duration::from_millis(1), u32::MAX);
    check_interrupts(Duration::MAX / 2, 100_000);
}

fn check_interrupts(time: Duration, instructions: u32) {
    let (_folder, connection, guard) = guarded();
    guard.allow(time, instructions);
    let sql =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
    let counted = connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    assert_eq!(
        counted.expect_err("it ended").sqlite_error_code(),
        Some(rusqlite::ErrorCode::OperationInterrupted)
    );
}
