//! Sessions in hosts of their own over one file.

use std::{
    collections::HashMap,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use emporium_tests::platform::{Database, Elsewhere, Pace, Platform, SQLITE, Wakes};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::{
    keeper::Keeper,
    look,
    order::Order,
    perform::{TOPICS, perform},
};
use crate::{
    program::{Names, Program, note},
    report::Report,
    request::{Reply, Request},
    script::Call,
    starts::Start,
    suite::{Group, Player},
    world::{Failure, Happening, State, World},
};

/// The most sessions that a group has.
const SESSIONS: usize = 3;

/// Sessions, one host each, and one more that nothing holds.
pub struct Stage {
    platform: Rc<Platform>,
    order: Arc<Order>,
    sessions: Vec<Session>,
    control: Elsewhere,
    control_wakes: Vec<Wakes>,
    keeper: Keeper,
    /// The time in each start state.
    times: HashMap<String, u64>,
    now_ms: u64,
    tried_at: u64,
}

struct Session {
    asks: UnboundedSender<(u64, Request)>,
    said: UnboundedReceiver<Happening>,
    is_busy: bool,
}

/// Play everything, on as many files as there are processors in a small machine.
pub fn play(groups: Vec<Group>, tell: impl Fn(&Report) + Sync) -> Report {
    let begun = Instant::now();
    let mut report = crate::suite::share(groups, tell, async || Player::new(Stage::new().await));
    report.took = begun.elapsed();
    report
}

impl Stage {
    pub async fn new() -> Self {
        // In memory, if that is possible: nothing here is about disks.
        let folder = match std::path::Path::new("/dev/shm") {
            memory if memory.is_dir() => tempfile::tempdir_in(memory),
            _ => tempfile::tempdir(),
        };
        let platform = Rc::new(Platform::open(&SQLITE, folder.expect("a folder")));
        let mut control = platform.elsewhere().await;
        control.instance.migrate().await.expect("a schema");
        let Database::Sqlite(file) = &platform.database else {
            unreachable!("this is SQLite")
        };
        let order = Arc::new(Order::default());
        let mut sessions = Vec::new();
        for number in 0..SESSIONS {
            sessions.push(session(&platform, &order, number).await);
        }
        let keeper = Keeper::new(file);
        keeper.keep("empty");
        let now_ms = platform.now_ms();
        Self {
            control_wakes: wakes(&control).await,
            platform,
            order,
            sessions,
            control,
            keeper,
            times: HashMap::new(),
            now_ms,
            tried_at: now_ms,
        }
    }

    /// Make the time what it was.
    fn set_now(&mut self, now_ms: u64) {
        let now = self.platform.now_ms();
        if now > now_ms {
            self.platform.set_back(Duration::from_millis(now - now_ms));
        } else {
            self.platform.advance(Duration::from_millis(now_ms - now));
        }
        self.now_ms = now_ms;
    }
}

async fn session(platform: &Rc<Platform>, order: &Arc<Order>, number: usize) -> Session {
    let (says, said) = unbounded_channel();
    let (asks, mut asked) = unbounded_channel::<(u64, Request)>();
    order.add(says.clone());
    let waits = order.clone();
    let pace = Pace::new(move |statement| {
        let waits = waits.clone();
        Box::pin(waits.wait(number, statement.to_owned()))
    });
    let mut host = platform.elsewhere_at(pace).await;
    let mut wakes = wakes(&host).await;
    let order = order.clone();
    tokio::task::spawn_local(async move {
        while let Some((now_ms, request)) = asked.recv().await {
            let reply = perform(&mut host, &mut wakes, now_ms, &request).await;
            order.end(number);
            let _ = says.send(Happening::Done(reply));
        }
    });
    Session {
        asks,
        said,
        is_busy: false,
    }
}

async fn wakes(host: &Elsewhere) -> Vec<Wakes> {
    let mut all = Vec::new();
    for topic in TOPICS {
        all.push(host.wakes(topic).await);
    }
    all
}

impl World for Stage {
    fn can(&self, _: &[Call]) -> bool {
        true
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
        self.keeper.keep(start.name);
        let now = self.platform.now_ms();
        self.times.insert(start.name.to_owned(), now);
        names
    }

    async fn restore(&mut self, start: &str) {
        self.order.let_all_go();
        self.keeper.restore(start);
        if let Some(now_ms) = self.times.get(start).copied() {
            self.set_now(now_ms);
        }
    }

    async fn begin(&mut self, session: usize, request: &Request, stops: &[usize]) {
        self.order.lead(session, stops);
        let asking = &mut self.sessions[session];
        asking.is_busy = true;
        let asked = asking.asks.send((self.now_ms, request.clone()));
        asked.expect("the session is there");
    }

    async fn listen(&mut self, session: usize) -> Happening {
        if self.order.is_blocked(session) {
            while let Ok(happening) = self.sessions[session].said.try_recv() {
                if !matches!(happening, Happening::Blocked) {
                    return happening;
                }
            }
            return Happening::Blocked;
        }
        loop {
            let happening = self.sessions[session].said.recv().await;
            let happening = happening.expect("the session is there");
            match happening {
                // It may have gone on since it said so.
                Happening::Blocked if !self.order.is_blocked(session) => {}
                Happening::Done(_) => {
                    self.sessions[session].is_busy = false;
                    return happening;
                }
                _ => return happening,
            }
        }
    }

    async fn hold(&mut self, session: usize) {
        self.order.hold(session);
    }

    async fn release(&mut self, session: usize) {
        self.order.release(session);
    }

    async fn abort(&mut self) {
        self.order.let_all_go();
        for session in &mut self.sessions {
            while session.is_busy {
                let happening = session.said.recv().await;
                session.is_busy = !matches!(happening, Some(Happening::Done(_)) | None);
            }
        }
    }

    async fn digest(&mut self) -> String {
        self.keeper.digest(self.now_ms)
    }

    async fn state(&mut self) -> State {
        look::state(self.keeper.file(), self.platform.now_ms())
    }

    async fn contradictions(&mut self) -> Vec<String> {
        look::contradictions(self.keeper.file())
    }

    async fn try_out(&mut self) {
        self.tried_at = self.platform.now_ms();
        self.keeper.keep("tried");
    }

    async fn take_back(&mut self) {
        self.keeper.restore("tried");
        self.set_now(self.tried_at);
    }

    async fn call(&mut self, request: &Request) -> Result<Reply, Failure> {
        perform(
            &mut self.control,
            &mut self.control_wakes,
            self.now_ms,
            request,
        )
        .await
    }

    async fn pass(&mut self, ms: u64) {
        self.platform.advance(Duration::from_millis(ms));
        self.now_ms = self.platform.now_ms();
    }
}
