//! What a component may not do to a database connection, and what it leaves on
//! one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::config::DbConfig;
use rusqlite::ffi::{SQLITE_ATTACH, SQLITE_DETACH};
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;

use crate::capability::REPLY_LIMIT;

/// How many instructions of its virtual machine SQLite executes between two looks
/// at the clock: some tens of microseconds.
const INSTRUCTIONS: i32 = 4096;

/// Settings of a connection that can be put back to what they were.
const SETTINGS: [&str; 10] = [
    "synchronous",
    "foreign_keys",
    "cache_size",
    "mmap_size",
    "temp_store",
    "recursive_triggers",
    "query_only",
    "defer_foreign_keys",
    "automatic_index",
    "cache_spill",
];

/// Pragmas whose argument is not a setting, or is one of the file.
const HARMLESS: [&str; 21] = [
    "analysis_limit",
    "application_id",
    "auto_vacuum",
    "encoding",
    "foreign_key_check",
    "foreign_key_list",
    "function_list",
    "incremental_vacuum",
    "index_info",
    "index_list",
    "index_xinfo",
    "integrity_check",
    "optimize",
    "page_size",
    "quick_check",
    "schema_version",
    "table_info",
    "table_list",
    "table_xinfo",
    "user_version",
    "wal_checkpoint",
];

/// Pragmas that reach beyond the connection: other folders, or the whole process.
const FORBIDDEN: [&str; 4] = [
    "data_store_directory",
    "hard_heap_limit",
    "soft_heap_limit",
    "temp_store_directory",
];

/// What the callbacks of a connection and its user share.
pub(super) struct Guard {
    clock: Instant,
    /// When the statement under way must have ended, in microseconds of `clock`.
    deadline: AtomicU64,
    /// How often the statement under way was looked at, and may be.
    looks: AtomicU32,
    looks_limit: AtomicU32,
    /// The settings that were changed, as bits.
    changed: AtomicU32,
    spoiled: AtomicBool,
    defaults: Vec<String>,
}

impl Guard {
    /// Confine a connection to its own file.
    pub(super) fn install(connection: &Connection) -> rusqlite::Result<Arc<Self>> {
        let guard = Arc::new(Self {
            clock: Instant::now(),
            deadline: AtomicU64::new(u64::MAX),
            looks: AtomicU32::new(0),
            looks_limit: AtomicU32::new(u32::MAX),
            changed: AtomicU32::new(0),
            spoiled: AtomicBool::new(false),
            defaults: SETTINGS
                .iter()
                .map(|name| connection.pragma_query_value(None, name, |row| Ok(read(row))))
                .collect::<Result<_, _>>()?,
        });
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
        connection.set_limit(
            Limit::SQLITE_LIMIT_LENGTH,
            i32::try_from(REPLY_LIMIT).unwrap_or(i32::MAX),
        )?;
        let watch = Arc::clone(&guard);
        connection.authorizer(Some(move |context: AuthContext<'_>| {
            watch.authorize(context.action)
        }));
        let watch = Arc::clone(&guard);
        connection.progress_handler(INSTRUCTIONS, Some(move || watch.is_late()));
        Ok(guard)
    }

    /// Interrupt the statement about to run if it is not done in `time`, or
    /// executes more than about `instructions`.
    ///
    /// Instructions are the better measure of a statement that should be short:
    /// on a busy machine, time passes without the statement's doing.
    pub(super) fn allow(&self, time: Duration, instructions: u32) {
        self.looks.store(0, Relaxed);
        self.looks_limit
            .store(instructions / INSTRUCTIONS.unsigned_abs(), Relaxed);
        self.extend(time);
    }

    /// Give the statement under way `time` from now on.
    pub(super) fn extend(&self, time: Duration) {
        self.deadline
            .store(micros(self.clock.elapsed() + time), Relaxed);
    }

    /// About how many instructions the latest statement executed.
    pub(super) fn executed(&self) -> u32 {
        self.looks
            .load(Relaxed)
            .saturating_mul(INSTRUCTIONS.unsigned_abs())
    }

    fn is_late(&self) -> bool {
        let looks = self.looks.fetch_add(1, Relaxed);
        looks >= self.looks_limit.load(Relaxed)
            || micros(self.clock.elapsed()) > self.deadline.load(Relaxed)
    }

    /// Put the connection back to how it was installed; whether that succeeded.
    pub(super) fn restore(&self, connection: &Connection) -> bool {
        if self.spoiled.load(Relaxed) {
            return false;
        }
        self.deadline.store(u64::MAX, Relaxed);
        self.looks_limit.store(u32::MAX, Relaxed);
        let changed = self.changed.load(Relaxed);
        let restored =
            SETTINGS
                .iter()
                .zip(&self.defaults)
                .enumerate()
                .all(|(bit, (name, value))| {
                    changed & (1 << bit) == 0
                        || connection
                            .execute_batch(&format!("PRAGMA {name} = {value}"))
                            .is_ok()
                });
        self.changed.store(0, Relaxed);
        restored
    }

    fn authorize(&self, action: AuthAction<'_>) -> Authorization {
        match action {
            // What `VACUUM` does; anything else has a name.
            AuthAction::Attach { filename: "" } => self.spoil(),
            // A name that is not a literal arrives as an unknown action.
            AuthAction::Attach { .. }
            | AuthAction::Detach { .. }
            | AuthAction::Unknown {
                code: SQLITE_ATTACH | SQLITE_DETACH,
                ..
            } => Authorization::Deny,
            AuthAction::Function { function_name } => {
                let forbidden = ["load_extension", "fts3_tokenizer"];
                match forbidden
                    .iter()
                    .any(|name| function_name.eq_ignore_ascii_case(name))
                {
                    true => Authorization::Deny,
                    false => Authorization::Allow,
                }
            }
            AuthAction::Pragma {
                pragma_name,
                pragma_value,
            } => self.authorize_pragma(&pragma_name.to_ascii_lowercase(), pragma_value),
            // They would be in the way of the next user of the connection.
            AuthAction::CreateTempIndex { .. }
            | AuthAction::CreateTempTable { .. }
            | AuthAction::CreateTempTrigger { .. }
            | AuthAction::CreateTempView { .. } => self.spoil(),
            _ => Authorization::Allow,
        }
    }

    fn authorize_pragma(&self, name: &str, value: Option<&str>) -> Authorization {
        let setting = SETTINGS.iter().position(|setting| *setting == name);
        match (value, setting) {
            _ if FORBIDDEN.contains(&name) => Authorization::Deny,
            (None, _) => Authorization::Allow,
            (Some(_), Some(bit)) => {
                self.changed.fetch_or(1 << bit, Relaxed);
                Authorization::Allow
            }
            // The write-ahead log is a property of the file, other modes are
            // the connection's.
            (Some(mode), None) if name == "journal_mode" && mode.eq_ignore_ascii_case("wal") => {
                Authorization::Allow
            }
            // The host keeps it, or overrules SQLite on it.
            _ if name == "busy_timeout" || HARMLESS.contains(&name) => Authorization::Allow,
            _ => self.spoil(),
        }
    }

    /// Allow something that makes the connection unfit for another user.
    fn spoil(&self) -> Authorization {
        self.spoiled.store(true, Relaxed);
        Authorization::Allow
    }
}

fn read(row: &rusqlite::Row<'_>) -> String {
    row.get::<_, i64>(0)
        .map(|value| value.to_string())
        .unwrap_or_default()
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
