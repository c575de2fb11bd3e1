//! What a statement does to the connection that executes it.
//!
//! The server says nothing of the kind, so that it is told from the text. What
//! is not understood counts as something that its next user may notice.

/// What is left behind by a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing: it reads or changes data.
    Data,
    /// Nothing of its own, but what was prepared may have changed.
    Schema,
    /// A transaction begins.
    Begin,
    /// The transaction ends, and no other begins.
    End,
    /// Something inside of a transaction.
    Within,
    /// Perhaps settings, locks, temporary tables and the like.
    Other,
}

/// Functions that leave something behind, though a query calls them.
const LASTING: [&str; 7] = [
    "set_config",
    "pg_advisory_lock",
    "pg_try_advisory_lock",
    "setseed",
    "dblink",
    "lo_open",
    "pg_export_snapshot",
];

/// Words of statements that leave something behind, which a block may have.
const SETTING: [&str; 9] = [
    "temp",
    "temporary",
    "pg_temp",
    "set",
    "reset",
    "listen",
    "load",
    "prepare",
    "declare",
];

impl Kind {
    pub(super) fn of(sql: &str) -> Self {
        let text = sql.to_ascii_lowercase();
        let mut words = words(&text);
        match words.next().unwrap_or_default() {
            "select" | "with" | "values" | "table" | "insert" | "update" | "delete" | "merge"
            | "call" | "show" | "truncate" => {
                let lasts = LASTING.iter().any(|function| text.contains(function));
                match lasts || makes_a_table(words) {
                    true => Self::Other,
                    false => Self::Data,
                }
            }
            "create" | "alter" | "drop" | "do" | "comment" | "grant" | "revoke" => {
                let lasts = LASTING.iter().any(|function| text.contains(function));
                match lasts || words.any(|word| SETTING.contains(&word)) {
                    true => Self::Other,
                    false => Self::Schema,
                }
            }
            "begin" | "start" => Self::Begin,
            "commit" | "end" | "rollback" | "abort" => {
                match words.find(|word| *word != "work" && *word != "transaction") {
                    None => Self::End,
                    Some("to") => Self::Within,
                    // `and chain` begins another one; `and no chain` is rare.
                    Some(_) => Self::Other,
                }
            }
            "savepoint" | "release" | "lock" => Self::Within,
            "set" => match words.next() {
                Some("local" | "transaction" | "constraints") => Self::Within,
                _ => Self::Other,
            },
            _ => Self::Other,
        }
    }

    /// Whether it is worth preparing for the next time.
    pub(super) fn is_kept(self) -> bool {
        !matches!(self, Self::Other | Self::Schema)
    }
}

/// `select … into`, as opposed to `insert into`: the table may be temporary.
fn makes_a_table<'a>(words: impl Iterator<Item = &'a str>) -> bool {
    let mut before = "insert";
    for word in words {
        if word == "into" && !matches!(before, "insert" | "merge") {
            return true;
        }
        before = word;
    }
    false
}

/// The words of a statement in lower case, without its comments. What stands in
/// quotes counts as words too.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            rest = rest.trim_start_matches([' ', '\t', '\n', '\r', '\x0c', '(']);
            if let Some(comment) = rest.strip_prefix("--") {
                rest = comment.split_once('\n').map_or("", |(_, rest)| rest);
            } else if rest.starts_with("/*") {
                rest = after_comment(rest);
            } else {
                break;
            }
        }
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        // Something else than a word stands for itself.
        let end = match rest.chars().next()? {
            _ if end > 0 => end,
            other => other.len_utf8(),
        };
        let (word, after) = rest.split_at_checked(end)?;
        rest = after;
        Some(word)
    })
    // Ends the statement; nothing may follow it.
    .take_while(|word| *word != ";")
}

/// Comments can be nested.
fn after_comment(text: &str) -> &str {
    let mut depth = 0_usize;
    let mut rest = text;
    loop {
        if let Some(inner) = rest.strip_prefix("/*") {
            (depth, rest) = (depth + 1, inner);
        } else if let Some(outer) = rest.strip_prefix("*/") {
            (depth, rest) = (depth - 1, outer);
            if depth == 0 {
                return rest;
            }
        } else {
            let mut characters = rest.chars();
            if characters.next().is_none() {
                return "";
            }
            rest = characters.as_str();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_statement_leaves_behind_is_told_from_its_text() {
        for (sql, kind) in [
            ("SELECT 1", Kind::Data),
            ("  -- note\n /* a /* b */ c */ (select 1)", Kind::Data),
            (
                "WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x",
                Kind::Data,
            ),
            ("INSERT INTO t VALUES (1)", Kind::Data),
            ("CALL settle($1)", Kind::Data),
            ("SELECT pg_advisory_xact_lock(1)", Kind::Data),
            ("BEGIN", Kind::Begin),
            ("start transaction read only", Kind::Begin),
            ("COMMIT", Kind::End),
            ("commit;", Kind::End),
            ("COMMIT WORK", Kind::End),
            ("END TRANSACTION", Kind::End),
            ("ROLLBACK", Kind::End),
            ("ROLLBACK TO here", Kind::Within),
            ("ROLLBACK WORK TO SAVEPOINT here", Kind::Within),
            ("SAVEPOINT here", Kind::Within),
            ("CREATE TABLE t (n int)", Kind::Schema),
            ("DO $$ BEGIN PERFORM 1; END $$", Kind::Schema),
            ("DO $$ BEGIN SET a TO b; END $$", Kind::Other),
            ("COMMIT AND CHAIN", Kind::Other),
            ("COMMIT PREPARED 'x'", Kind::Other),
            ("PREPARE TRANSACTION 'x'", Kind::Other),
            ("SET search_path TO x", Kind::Other),
            ("SELECT set_config('a', 'b', false)", Kind::Other),
            ("SELECT pg_advisory_lock(1)", Kind::Other),
            ("SELECT 1 INTO TEMP x", Kind::Other),
            (
                "WITH x AS (SELECT 1) SELECT 1 INTO TEMP y FROM x",
                Kind::Other,
            ),
            ("SET LOCAL a TO b", Kind::Within),
            ("LISTEN x", Kind::Other),
            ("CREATE TEMP TABLE x ()", Kind::Other),
            ("DISCARD ALL", Kind::Other),
            (";BEGIN", Kind::Other),
            ("", Kind::Other),
            ("/* never closed", Kind::Other),
        ] {
            assert_eq!(Kind::of(sql), kind, "{sql}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_of_some_kind(text in ".*") {
            let _ = Kind::of(&text);
            let _ = Kind::of(&format!("rollback {text}"));
        }
    }
}
