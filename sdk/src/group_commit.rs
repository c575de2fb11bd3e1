//! Group commit: combines the commits of concurrent tasks of an instance into one
//! call. Each unit is committed or refused by itself.

use crate::{
    group::Group,
    journal::{CommitError, Receipt, Unit},
    platform,
};

/// More would keep those that come next waiting for long.
const LIMIT: usize = 250;

static COMMITS: Group<Unit, Result<Receipt, CommitError>> =
    Group::new(LIMIT, |units| Box::pin(platform::commit(units)));

/// Commit a unit, together with those of others. Returns the new version of each
/// document, in the order written.
pub(crate) async fn commit(unit: Unit) -> Result<Vec<u64>, CommitError> {
    match COMMITS.ask(unit).await {
        Some(result) => result.map(|receipt| receipt.versions),
        None => Err(CommitError::Unavailable(
            "the task that committed it was cut off".into(),
        )),
    }
}
