//! Groups, played on several databases at once.

use std::{sync::Mutex, thread, time::Instant};

use tokio::task::LocalSet;

use super::Server;
use crate::{
    report::Report,
    suite::{Group, Player},
};

/// As many as there are processors in the smallest machine that this is for.
const STAGES: usize = 2;

/// The most sessions that a group has.
const SESSIONS: usize = 3;

/// Play everything.
pub fn play(groups: Vec<Group>) -> Report {
    let begun = Instant::now();
    let server = Server::start();
    let open = Mutex::new(groups.into_iter().rev().collect::<Vec<_>>());
    let report = Mutex::new(Report::default());
    thread::scope(|scope| {
        for _ in 0..STAGES {
            scope.spawn(|| {
                local(async {
                    let mut player = Player::new(server.stage(SESSIONS).await);
                    loop {
                        let group = open.lock().expect("a queue").pop();
                        let Some(group) = group else { break };
                        let explored = player.explore(&group).await;
                        report.lock().expect("a report").add(explored);
                    }
                });
            });
        }
    });
    let mut report = report.into_inner().expect("a report");
    report.took = begun.elapsed();
    report
}

/// Run what stays in this thread.
pub fn local<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    LocalSet::new().block_on(&runtime, work)
}
