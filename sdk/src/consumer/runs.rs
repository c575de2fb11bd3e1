//! The runs of a drain: handlers under way, and the renewal of what they hold.

use std::rc::Rc;

use futures::future::{AbortHandle, Abortable};

use super::{
    drain::{Drain, Event},
    leases::Stage,
    merge::MOST_SETTLED,
    received::Chain,
    series::Handled,
};
use crate::{
    deliveries::{Error, Lease},
    platform,
};

/// Handlers that are called one after the other.
pub(super) struct Run {
    chains: Vec<Rc<Chain>>,
    is_series: bool,
    abort: AbortHandle,
}

impl Drain<'_> {
    /// Handle contended chains, one series at a time.
    pub(super) fn begin_series(&mut self) {
        let most = match self.handler.is_together() {
            true => usize::try_from(self.subscription.batch).unwrap_or(1),
            false => MOST_SETTLED,
        };
        if let Some((chains, most)) = self.contention.begin(platform::now(), most) {
            self.begin_run(chains, Some(most));
        }
    }

    /// Have chains handled: as a series of so many events, or one chain by itself.
    pub(super) fn begin_run(&mut self, chains: Vec<Rc<Chain>>, series: Option<usize>) {
        self.latest_run += 1;
        let id = self.latest_run;
        for chain in &chains {
            self.leases.enter(chain.lease, Stage::Running(id));
        }
        let (abort, registration) = AbortHandle::new_pair();
        let run = Run {
            chains: chains.clone(),
            is_series: series.is_some(),
            abort,
        };
        self.runs.insert(id, run);
        let handled = self.handler.handle(chains, series.unwrap_or(MOST_SETTLED));
        let handled = Abortable::new(handled, registration);
        self.tasks.push(Box::pin(
            async move { Event::Handled(id, handled.await.ok()) },
        ));
    }

    pub(super) fn handled(&mut self, id: u64, handled: Option<Handled>) {
        let Some(run) = self.runs.remove(&id) else {
            return;
        };
        let Some(mut handled) = handled else {
            if run.is_series {
                self.contention.aborted();
            }
            return self.try_again(run.chains);
        };
        handled.is_series = run.is_series;
        let rest = std::mem::take(&mut handled.rest);
        self.try_again(rest);
        if handled.unit.is_none() {
            return self.came_to_nothing(handled);
        }
        if self.is_outdated(&handled) {
            return self.try_again(handled.into_chains());
        }
        for part in &handled.parts {
            self.leases.enter(part.chain.lease, Stage::Ready);
        }
        self.ready.push_back(handled);
    }

    /// Whether the events wrote what a series is writing: they did not see that.
    fn is_outdated(&mut self, handled: &Handled) -> bool {
        let unit = handled.unit.as_ref();
        let is_contended = unit.is_some_and(|unit| self.contention.concerns(unit));
        self.contention.note(is_contended);
        is_contended && !handled.is_series && !self.contention.is_idle()
    }

    /// No event was handled.
    fn came_to_nothing(&mut self, handled: Handled) {
        if self.handler.is_together() && handled.tried > 1 {
            self.contention.split(handled.tried);
            self.contention.aborted();
            return self.try_again(handled.into_chains());
        }
        if handled.is_series {
            self.contention.ended();
        }
        for part in handled.parts {
            if let Some(verdict) = part.refused {
                self.refuse(part.chain.lease, verdict);
            }
        }
    }

    /// Have chains handled in a series, if they are not lost.
    pub(super) fn try_again(&mut self, mut chains: Vec<Rc<Chain>>) {
        chains.retain(|chain| self.leases.stage(chain.lease).is_some());
        for chain in &chains {
            self.leases.enter(chain.lease, Stage::Waiting);
        }
        self.contention.push_front(chains);
    }

    /// Renew everything that is held, if it is time.
    pub(super) fn renew(&mut self) {
        let Some(leases) = self.leases.begin_renewal(platform::now()) else {
            return;
        };
        let lease_ms = self.subscription.lease_ms();
        self.tasks.push(Box::pin(async move {
            let results = platform::extend(leases.clone(), lease_ms).await;
            Event::Renewed(leases, results)
        }));
    }

    pub(super) fn renewed(&mut self, leases: Vec<Lease>, results: Vec<Result<(), Error>>) {
        let mut has_failed = false;
        for (lease, result) in leases.into_iter().zip(results) {
            match result {
                Ok(()) => {}
                Err(Error::LeaseLost) => self.lost(lease),
                Err(_) => has_failed = true,
            }
        }
        self.leases.renewed(has_failed, platform::now());
    }

    /// Drop an attempt after which another was claimed, by somebody else or here,
    /// with its handler and its result.
    pub(super) fn lost(&mut self, lease: Lease) {
        match self.leases.stage(lease) {
            // The commit says so too, or it was settled by it.
            Some(Stage::Finishing) | None => return,
            Some(Stage::Waiting) => {
                self.contention.remove(|chain| chain.is_under(lease));
            }
            Some(Stage::Running(run)) => {
                if let Some(run) = self.runs.get(&run) {
                    run.abort.abort();
                }
            }
            Some(Stage::Ready) => {
                let is_meant = |handled: &Handled| {
                    let mut parts = handled.parts.iter();
                    parts.any(|part| part.chain.is_under(lease))
                };
                self.leases.drop(lease);
                if let Some(at) = self.ready.iter().position(is_meant)
                    && let Some(handled) = self.ready.remove(at)
                {
                    if handled.is_series {
                        self.contention.aborted();
                    }
                    self.try_again(handled.into_chains());
                }
            }
        }
        self.leases.drop(lease);
    }
}
