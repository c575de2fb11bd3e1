//! Whose turn it is to write, among hosts that share a database.
//!
//! A host hands the write lock from one of its components to the next without a
//! pause. Another can only look at it now and then, and could look for a long
//! time without ever finding it free. One that has waited long therefore locks a
//! file next to the database, and until it has the write lock too, the others
//! begin nothing that needs it. Nor do the other components of its own host, which
//! would keep it, and all hosts with it, waiting. The lock of the file ends with its
//! process.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The turns of a database.
pub(super) struct Turns(Mutex<State>);

/// All of it behind one lock: what one component does to the lock of the file
/// would undo what another did, because it belongs to the host.
struct State {
    file: Option<File>,
    /// Whether a component of this host has the turn.
    taken: bool,
    /// Whether this host is to write nothing just now.
    held: bool,
}

/// A turn, until it is dropped.
pub(super) struct Turn(Arc<Turns>);

/// What keeps the components of this host from beginning to write, until it is
/// dropped.
pub(super) struct Hold<'a>(&'a Turns);

impl Turns {
    /// The turns of the database in the file at `database`.
    ///
    /// Where no file can be made next to it, nobody has turns.
    pub(super) fn new(database: &Path) -> Self {
        let mut path = database.as_os_str().to_owned();
        path.push("-turn");
        let path = PathBuf::from(path);
        let mut options = OpenOptions::new();
        let opened = options.create(true).truncate(false).write(true).open(&path);
        if let Err(error) = &opened {
            tracing::debug!("{}: {error}", path.display());
        }
        Self(Mutex::new(State {
            file: opened.ok(),
            taken: false,
            held: false,
        }))
    }

    /// Have the others let this host write next, unless somebody else does.
    pub(super) fn take(self: &Arc<Self>) -> Option<Turn> {
        let mut state = self.state();
        if state.taken {
            return None;
        }
        state.file.as_ref()?.try_lock().ok()?;
        state.taken = true;
        Some(Turn(Arc::clone(self)))
    }

    /// Have the components of this host wait, as for another.
    pub(super) fn hold(&self) -> Hold<'_> {
        self.state().held = true;
        Hold(self)
    }

    /// Whether it is for somebody else to write next than a component without a
    /// turn.
    pub(super) fn is_others(&self) -> bool {
        let state = self.state();
        if state.held || state.taken {
            return true;
        }
        let Some(file) = &state.file else {
            return false;
        };
        let looked = file.try_lock_shared();
        let _ = file.unlock();
        // Where there are no such locks, there are no turns.
        matches!(looked, Err(TryLockError::WouldBlock))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.taken = false;
        if let Some(file) = &state.file {
            let _ = file.unlock();
        }
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        self.0.state().held = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(folder: &tempfile::TempDir) -> Arc<Turns> {
        Arc::new(Turns::new(&folder.path().join("a.db")))
    }

    #[test]
    fn a_turn_is_everybodys_until_it_is_taken() {
        let folder = tempfile::tempdir().expect("a folder");
        let (one, other) = (turns(&folder), turns(&folder));
        assert!(!one.is_others() && !other.is_others());
        let turn = one.take().expect("the turn");
        assert!(one.is_others() && other.is_others());
        assert!(one.take().is_none() && other.take().is_none());
        drop(turn);
        assert!(!one.is_others() && !other.is_others());
        assert!(other.take().is_some());
    }

    #[test]
    fn a_host_that_is_held_waits_and_others_do_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let (one, other) = (turns(&folder), turns(&folder));
        let hold = one.hold();
        assert!(one.is_others() && !other.is_others());
        drop(hold);
        assert!(!one.is_others());
    }

    #[test]
    fn where_no_file_can_be_made_nobody_has_turns() {
        let turns = Arc::new(Turns::new(Path::new("/nowhere/a.db")));
        assert!(!turns.is_others());
        assert!(turns.take().is_none());
    }
}
