//! The connection of this instance, and transactions on it.
//!
//! An instance is reused, and called while earlier calls still wait. Statements
//! therefore run through the synchronous call of `spin:sqlite`: nothing else of
//! this instance can run between the first and the last one of a transaction.
//! No transaction may contain an `await`.

use std::{
    cell::{Cell, OnceCell, RefCell},
    rc::Rc,
};

use emporium_adapter::Failure;
use spin_sdk::sqlite::{Error, Value, wit::sqlite};

use crate::{failure::failure, row::Row, schema};

/// Long enough to outwait the transactions of other processes, short enough that
/// a caller still has time to answer.
const BUSY_TIMEOUT: &str = "PRAGMA busy_timeout = 5000";

/// What a power failure may take back. The end of a process takes back nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// Nothing.
    Full,
    /// The transaction, unless a `Full` one followed it. Good for leases, which
    /// bind only guests that die with the machine, and for chunks of blobs.
    Relaxed,
}

/// Two connections to the database: what `PRAGMA synchronous` says is said once
/// on each. It takes effect when it is compiled, and Spin keeps compiled
/// statements, so saying it a second time on the same connection would do
/// nothing there.
pub(crate) struct Connection {
    durable: sqlite::Connection,
    relaxed: OnceCell<sqlite::Connection>,
    /// Which of the two has a transaction; `Full` where there is none.
    active: Cell<Durability>,
}

thread_local! {
    static CONNECTION: RefCell<Option<Rc<Connection>>> = const { RefCell::new(None) };
}

impl Connection {
    /// The connection of this instance, over a schema that is up to date.
    pub(crate) fn current() -> Result<Rc<Self>, Failure> {
        if let Some(connection) = CONNECTION.with_borrow(Clone::clone) {
            return Ok(connection);
        }
        let connection = Rc::new(Self {
            durable: open("PRAGMA synchronous = FULL")?,
            relaxed: OnceCell::new(),
            active: Cell::new(Durability::Full),
        });
        schema::migrate(&connection)?;
        CONNECTION.set(Some(connection.clone()));
        Ok(connection)
    }

    /// Run a statement for its effect.
    pub(crate) fn execute(&self, statement: &str, parameters: &[Value]) -> Result<(), Failure> {
        self.run(statement, parameters).map(drop)
    }

    /// Run a statement for its rows.
    pub(crate) fn rows(
        &self,
        statement: &str,
        parameters: &[Value],
    ) -> Result<impl Iterator<Item = Row> + use<>, Failure> {
        Ok(self
            .run(statement, parameters)?
            .rows
            .into_iter()
            .map(Row::from))
    }

    /// Run a statement for the first of its rows.
    pub(crate) fn row(
        &self,
        statement: &str,
        parameters: &[Value],
    ) -> Result<Option<Row>, Failure> {
        Ok(self.rows(statement, parameters)?.next())
    }

    /// Whether the latest statement changed anything.
    pub(crate) fn changes(&self) -> u64 {
        self.handle().changes()
    }

    /// Do `work` in one transaction: all of it, or nothing if it fails.
    ///
    /// It holds the only write lock from its start: a transaction that began
    /// with reading could be refused the lock later.
    pub(crate) fn transaction<T>(
        &self,
        durability: Durability,
        work: impl FnOnce() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        if durability == Durability::Relaxed && self.relaxed.get().is_none() {
            // Nobody else can have set it: nothing here waits.
            let _ = self.relaxed.set(open("PRAGMA synchronous = NORMAL")?);
        }
        self.active.set(durability);
        let done = self.attempt(work);
        self.active.set(Durability::Full);
        done
    }

    fn attempt<T>(&self, work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
        self.execute("BEGIN IMMEDIATE", &[])?;
        let done = work().and_then(|done| {
            self.execute("COMMIT", &[])?;
            Ok(done)
        });
        if done.is_err() && self.execute("ROLLBACK", &[]).is_err() {
            // SQLite ends some transactions itself. If it did not, closing the
            // connection does.
            forget();
        }
        done
    }

    fn handle(&self) -> &sqlite::Connection {
        match self.active.get() {
            Durability::Full => &self.durable,
            Durability::Relaxed => self.relaxed.get().unwrap_or(&self.durable),
        }
    }

    fn run(&self, statement: &str, parameters: &[Value]) -> Result<sqlite::QueryResult, Failure> {
        self.handle()
            .execute(statement, parameters)
            .map_err(|error| {
                if matches!(error, Error::InvalidConnection) {
                    forget();
                }
                failure(error)
            })
    }
}

fn open(synchronous: &str) -> Result<sqlite::Connection, Failure> {
    let connection = sqlite::Connection::open("default").map_err(failure)?;
    for pragma in [BUSY_TIMEOUT, synchronous] {
        connection.execute(pragma, &[]).map_err(failure)?;
    }
    Ok(connection)
}

fn forget() {
    CONNECTION.set(None);
}
