//! Sessions on one database, under the control of another one.

use std::{collections::HashMap, time::Duration};

use emporium_tests::servers::Postgres;
use tokio::time::timeout;
use tokio_postgres::Config;

use super::{
    calls,
    catalog::Catalog,
    keeper, look, schema,
    session::{Said, Session, rows},
};
use crate::{
    program::{Names, Program, note},
    request::{Reply, Request},
    script::Call,
    starts::Start,
    world::{Failure, Happening, State, World},
};

/// The moment at which every start state begins.
pub(super) const EPOCH_MS: u64 = 1_800_000_000_000;

/// A session that says nothing for so long may be blocked: then it is looked at.
const GLANCE: Duration = Duration::from_millis(1);

/// What a run leaves behind is removed after so many.
const VACUUM_AFTER: u32 = 300;

/// What the adapter takes for a statement that lost to another one. A deadlock is
/// one too, but must not happen.
const LOST: [&str; 2] = ["EM001", "40001"];

/// A server with a database that every stage gets a copy of.
pub struct Server {
    postgres: Postgres,
}

/// Sessions on a database.
pub struct Stage {
    control: Session,
    catalog: Catalog,
    sessions: Vec<Session>,
    /// Whether a session's turn is taken from it.
    held: Vec<bool>,
    /// The step at which a session is held.
    standing_at: Vec<Option<usize>>,
    now: HashMap<String, u64>,
    now_ms: u64,
    /// The time when something was tried out.
    tried_at: u64,
    runs: u32,
}

impl Server {
    pub fn start() -> Self {
        Self {
            postgres: Postgres::start(),
        }
    }

    /// A database of its own, with so many sessions.
    pub async fn stage(&self, sessions: usize) -> Stage {
        let config: Config = self.postgres.database().parse().expect("an address");
        let control = Session::connect(&config).await;
        schema::make(&control.client).await;
        keeper::make_digest(&control.client).await;
        look::make(&control.client).await;
        let mut stage = Stage {
            catalog: Catalog::read(&control.client).await,
            control,
            sessions: Vec::new(),
            held: vec![false; sessions],
            standing_at: vec![None; sessions],
            now: HashMap::new(),
            now_ms: EPOCH_MS,
            tried_at: EPOCH_MS,
            runs: 0,
        };
        for number in 0..sessions {
            let session = Session::connect(&config).await;
            let setting =
                format!("SET interleavings.session = {number}; SET deadlock_timeout = '50ms'");
            session.client.batch_execute(&setting).await.expect("set");
            stage.sessions.push(session);
        }
        stage.set_now(EPOCH_MS).await;
        keeper::keep(&stage.control.client, "empty").await;
        stage
    }
}

impl Stage {
    async fn control(&self, sql: &str) {
        let done = self.control.client.batch_execute(sql).await;
        done.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    async fn set_now(&mut self, now_ms: u64) {
        self.now_ms = now_ms;
        self.control(&format!("SET interleavings.now = {now_ms}"))
            .await;
    }

    /// Whether a session waits for a lock of another one.
    async fn is_blocked(&self, session: usize) -> bool {
        let blocked = format!(
            "SELECT cardinality(array_remove(pg_blocking_pids({}), pg_backend_pid())) > 0",
            self.sessions[session].process
        );
        let answer = self.control.client.simple_query(&blocked).await;
        rows(answer.expect("an answer"))[0].get(0) == Some("t")
    }
}

impl World for Stage {
    fn can(&self, calls: &[Call]) -> bool {
        let forgets = calls.iter().any(|call| matches!(call, Call::Forget(_)));
        !forgets || self.catalog.has("forget")
    }

    async fn keep(&mut self, start: &Start) -> Names {
        self.restore("empty").await;
        let mut names = Names::new();
        for call in &start.calls {
            if let Call::Wait(ms) = call {
                self.pass(*ms).await;
                continue;
            }
            let program = Program::new(std::slice::from_ref(call), &names);
            let mut program = program.unwrap_or_else(|| panic!("{}: {call:?}", start.name));
            while let Some(request) = program.next() {
                let reply = self.call(&request).await;
                let reply = reply.unwrap_or_else(|failure| panic!("{request:?}: {failure:?}"));
                note(&mut names, &request, &reply);
                program.take(&request, &reply);
            }
        }
        keeper::keep(&self.control.client, start.name).await;
        self.now.insert(start.name.to_owned(), self.now_ms);
        names
    }

    async fn restore(&mut self, start: &str) {
        self.runs += 1;
        if self.runs.is_multiple_of(VACUUM_AFTER) {
            keeper::vacuum(&self.control.client).await;
        }
        self.held.fill(false);
        self.standing_at.fill(None);
        let restore = format!(
            "SELECT pg_advisory_unlock_all(), {}()",
            keeper::restoration(start)
        );
        self.control(&restore).await;
        let now = self.now.get(start).copied().unwrap_or(EPOCH_MS);
        self.set_now(now).await;
    }

    async fn begin(&mut self, session: usize, request: &Request, stops: &[usize]) {
        for stop in stops {
            self.control(&format!(
                "SELECT pg_advisory_lock({})",
                stop_key(session, *stop)
            ))
            .await;
        }
        let stops: Vec<_> = stops.iter().map(ToString::to_string).collect();
        let before = format!(
            "SELECT set_config('interleavings.at', '0', false),
                set_config('interleavings.stops', '{{{}}}', false),
                set_config('interleavings.now', '{}', false), setseed(0.5)",
            stops.join(","),
            self.now_ms
        );
        let statement = calls::statement(&self.catalog, request);
        self.sessions[session].request = Some(request.clone());
        self.sessions[session].start(before, statement);
    }

    async fn listen(&mut self, session: usize) -> Happening {
        loop {
            match timeout(GLANCE, self.sessions[session].hear()).await {
                Ok(Said::Done(done)) => {
                    let request = self.sessions[session].request.take();
                    let request = request.expect("what was asked");
                    return Happening::Done(outcome(&request, done));
                }
                Ok(Said::Step { held, step, label }) if held => {
                    self.standing_at[session] = Some(step);
                    return Happening::Held { step, label };
                }
                Ok(Said::Step { step, label, .. }) => return Happening::Step { step, label },
                Err(_) if self.is_blocked(session).await => return Happening::Blocked,
                Err(_) => {}
            }
        }
    }

    async fn hold(&mut self, session: usize) {
        if !std::mem::replace(&mut self.held[session], true) {
            let lock = format!("SELECT pg_advisory_lock({})", turn_key(session));
            self.control(&lock).await;
        }
    }

    async fn release(&mut self, session: usize) {
        let step = self.standing_at[session]
            .take()
            .expect("a session that is held");
        if std::mem::take(&mut self.held[session]) {
            self.control(&format!("SELECT pg_advisory_unlock({})", turn_key(session)))
                .await;
        } else {
            self.control(&format!(
                "SELECT pg_advisory_unlock({})",
                stop_key(session, step)
            ))
            .await;
        }
    }

    async fn abort(&mut self) {
        self.control("SELECT pg_advisory_unlock_all()").await;
        for session in 0..self.sessions.len() {
            while self.sessions[session].is_busy {
                let process = self.sessions[session].process;
                self.control(&format!("SELECT pg_cancel_backend({process})"))
                    .await;
                while let Ok(said) = timeout(GLANCE, self.sessions[session].hear()).await {
                    if let Said::Done(_) = said {
                        break;
                    }
                }
            }
        }
    }

    async fn digest(&mut self) -> String {
        let digest = self
            .control
            .client
            .simple_query("SELECT interleavings.digest()")
            .await;
        rows(digest.expect("a digest"))[0]
            .get(0)
            .unwrap_or_default()
            .to_owned()
    }

    async fn state(&mut self) -> State {
        look::state(&self.control.client).await
    }

    async fn contradictions(&mut self) -> Vec<String> {
        look::contradictions(&self.control.client).await
    }

    async fn try_out(&mut self) {
        self.tried_at = self.now_ms;
        self.control("BEGIN").await;
    }

    async fn take_back(&mut self) {
        self.control("ROLLBACK").await;
        let before = self.tried_at;
        self.set_now(before).await;
    }

    async fn call(&mut self, request: &Request) -> Result<Reply, Failure> {
        let statement = calls::statement(&self.catalog, request);
        let done = self.control.client.simple_query(&statement).await;
        outcome(request, done.map(rows))
    }

    async fn pass(&mut self, ms: u64) {
        let later = self.now_ms + ms;
        self.set_now(later).await;
    }
}

/// What holds a session at its next step.
fn turn_key(session: usize) -> String {
    format!("4242, {}", session * 10_000)
}

/// What holds it at this one.
fn stop_key(session: usize, step: usize) -> String {
    format!("4242, {}", session * 10_000 + step)
}

fn outcome(
    request: &Request,
    done: Result<Vec<tokio_postgres::SimpleQueryRow>, tokio_postgres::Error>,
) -> Result<Reply, Failure> {
    match done {
        Ok(rows) => Ok(calls::reply(request, &rows)),
        Err(error) => {
            let Some(said) = error.as_db_error() else {
                return Err(Failure::Fatal(error.to_string()));
            };
            let why = format!("{} ({})", said.message(), said.code().code());
            Err(if LOST.contains(&said.code().code()) {
                Failure::Again(why)
            } else {
                Failure::Fatal(why)
            })
        }
    }
}
