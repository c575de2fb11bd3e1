//! Group commit: combines the commits of concurrent tasks of an instance into one
//! call. Each unit is committed or refused by itself.

use crate::{
    group::Group,
    journal::{CommitError, Receipt, Unit},
    platform,
};

/// More would keep those that come next waiting for long.
const LIMIT: usize = 250;

type Commits = Group<Unit, Result<Receipt, CommitError>>;

// An instance has one thread; each unit test has its own.
thread_local! {
    static COMMITS: &'static Commits =
        Box::leak(Box::new(Group::new(LIMIT, |units| Box::pin(platform::commit(units)))));
}

/// Commit a unit, together with those of others. Returns the new version of each
/// document, in the order written.
pub(crate) async fn commit(unit: Unit) -> Result<Vec<u64>, CommitError> {
    let commits = COMMITS.with(|commits| *commits);
    match commits.ask(unit).await {
        Some(result) => result.map(|receipt| receipt.versions),
        None => Err(CommitError::Unavailable(
            "the task that committed it was cut off".into(),
        )),
    }
}
