//! Groups, played on several databases at once.

use std::time::Instant;

use super::Server;
use crate::{
    report::Report,
    suite::{Group, Player, share},
};

/// The most sessions that a group has.
const SESSIONS: usize = 3;

/// Play everything.
pub fn play(groups: Vec<Group>, tell: impl Fn(&Report) + Sync) -> Report {
    let begun = Instant::now();
    let server = Server::start();
    let mut report = share(groups, tell, async || {
        Player::new(server.stage(SESSIONS).await)
    });
    report.took = begun.elapsed();
    report
}
