//! What can be told of a statement from its text.

use std::time::Duration;

use crate::bindings::spin::sqlite::sqlite::Value;

/// A statement to run and what to run it with.
pub(super) struct Statement {
    pub(super) sql: String,
    pub(super) kind: Kind,
    pub(super) parameters: Vec<Value>,
}

impl Statement {
    pub(super) fn new(sql: String, parameters: Vec<Value>) -> Self {
        Self {
            kind: Kind::of(&sql),
            sql,
            parameters,
        }
    }
}

/// The kind of a statement, by its first word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Begins a transaction; writes nothing yet, even if it takes the lock.
    Begin,
    /// Ends a transaction or may end one, and then waits for the disk.
    Commit,
    /// Changes, reads, or undoes changes.
    Data,
    /// May insert rows; otherwise as `Data`.
    Insert,
    /// Most take effect while they are compiled and not when they run, so that
    /// a compiled one must not be kept.
    Pragma,
    /// Definitions and maintenance, which may take long.
    Other,
}

impl Kind {
    fn of(sql: &str) -> Self {
        let sql = skip_blank(sql);
        let end = sql
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(sql.len());
        let word = sql.get(..end).unwrap_or_default().to_ascii_uppercase();
        match word.as_str() {
            "BEGIN" | "SAVEPOINT" => Self::Begin,
            "COMMIT" | "END" | "RELEASE" => Self::Commit,
            "SELECT" | "VALUES" | "UPDATE" | "DELETE" | "ROLLBACK" => Self::Data,
            "INSERT" | "REPLACE" | "WITH" => Self::Insert,
            // Explaining a pragma compiles it.
            "PRAGMA" | "EXPLAIN" => Self::Pragma,
            _ => Self::Other,
        }
    }

    /// Whether the compiled statement may be kept for the next time.
    pub(super) fn is_kept(self) -> bool {
        match self {
            Self::Begin | Self::Commit | Self::Data | Self::Insert => true,
            Self::Pragma | Self::Other => false,
        }
    }
}

/// Skip white space, comments and empty statements.
fn skip_blank(mut sql: &str) -> &str {
    loop {
        let trimmed = sql.trim_start_matches([' ', '\t', '\n', '\r', '\x0c', ';', '\u{feff}']);
        sql = if let Some(comment) = trimmed.strip_prefix("--") {
            comment.split_once('\n').map_or("", |(_, rest)| rest)
        } else if let Some(comment) = trimmed.strip_prefix("/*") {
            comment.split_once("*/").map_or("", |(_, rest)| rest)
        } else {
            return trimmed;
        };
    }
}

/// A `PRAGMA busy_timeout`, which the host answers itself: SQLite would wait on
/// the thread that other requests are served by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BusyTimeout {
    Get,
    Set(Duration),
}

impl BusyTimeout {
    /// The pragma that `sql` is, if it is this one in a usual form.
    ///
    /// SQLite executes an unusual form and then has its way to wait replaced
    /// again, which leaves the timeout as it was.
    pub(super) fn parse(sql: &str) -> Option<Self> {
        let rest = strip_word(skip_blank(sql), "PRAGMA")?;
        let rest = strip_word(rest, "main")
            .and_then(|rest| rest.strip_prefix('.'))
            .unwrap_or(rest);
        let rest = strip_word(rest, "busy_timeout")?.trim_end_matches([' ', '\t', '\r', '\n', ';']);
        if rest.is_empty() {
            return Some(Self::Get);
        }
        let value = match rest.strip_prefix('=') {
            Some(value) => value,
            None => rest.strip_prefix('(')?.strip_suffix(')')?,
        };
        let value: i32 = value.trim().parse().ok()?;
        Some(Self::Set(Duration::from_millis(
            u64::try_from(value).unwrap_or_default(),
        )))
    }
}

fn strip_word<'a>(sql: &'a str, word: &str) -> Option<&'a str> {
    let (start, rest) = sql.split_at_checked(word.len())?;
    let ends = !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    (start.eq_ignore_ascii_case(word) && ends).then(|| rest.trim_start())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_word_tells_the_kind() {
        for (sql, kind) in [
            ("select 1", Kind::Data),
            (
                "\u{feff} ; -- PRAGMA x\n /* BEGIN */ Insert INTO t VALUES (1)",
                Kind::Insert,
            ),
            ("BEGIN IMMEDIATE", Kind::Begin),
            ("commit;", Kind::Commit),
            ("END", Kind::Commit),
            ("RELEASE a", Kind::Commit),
            ("PRAGMA synchronous", Kind::Pragma),
            (";PRAGMA synchronous", Kind::Pragma),
            ("EXPLAIN PRAGMA synchronous = 0", Kind::Pragma),
            ("CREATE TABLE t (a)", Kind::Other),
            ("/* never ends", Kind::Other),
            ("", Kind::Other),
        ] {
            assert_eq!(Kind::of(sql), kind, "{sql}");
        }
    }

    #[test]
    fn a_busy_timeout_is_recognised() {
        let set = |ms| Some(BusyTimeout::Set(Duration::from_millis(ms)));
        for (sql, expected) in [
            ("PRAGMA busy_timeout = 5000", set(5000)),
            ("pragma BUSY_TIMEOUT=0;", set(0)),
            ("PRAGMA main.busy_timeout(250) ;", set(250)),
            ("PRAGMA busy_timeout = -1", set(0)),
            ("PRAGMA busy_timeout", Some(BusyTimeout::Get)),
            ("PRAGMA busy_timeouts = 1", None),
            ("PRAGMA busy_timeout = x", None),
            ("PRAGMA synchronous = 1", None),
            ("SELECT 1", None),
        ] {
            assert_eq!(BusyTimeout::parse(sql), expected, "{sql}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_answered(sql in ".*") {
            let _ = (Kind::of(&sql), BusyTimeout::parse(&sql), BusyTimeout::parse(&format!("PRAGMA {sql}")));
        }

        #[test]
        fn blank_before_a_statement_changes_nothing(blank in "([ ;\n]|--[a-z]*\n|/\\*[a-z]*\\*/)*") {
            prop_assert_eq!(Kind::of(&format!("{blank}PRAGMA x")), Kind::Pragma);
        }
    }
}
