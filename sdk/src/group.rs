//! Group commit, and the same for reads: concurrent calls of the tasks of an
//! instance are combined into one while another is under way.
//!
//! Where nothing is under way, a call is made at once and waits for nobody.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    platform,
    signal::{Receiver, Sender, signal},
};

/// Answers many queries with one call, in their order.
pub(crate) type Call<Q, A> = fn(Vec<Q>) -> Pin<Box<dyn Future<Output = Vec<A>> + Send>>;

/// Combines the concurrent calls of one function.
///
/// One caller leads: its task makes the call. When the call ends, the first of
/// those who came meanwhile leads, with everything that waits.
pub(crate) struct Group<Q, A> {
    call: Call<Q, A>,
    /// How many queries one call may have.
    limit: usize,
    state: Mutex<State<Q, A>>,
}

struct State<Q, A> {
    has_leader: bool,
    waiting: VecDeque<(Query<Q, A>, Sender)>,
}

/// A query that waits, shared by its caller and the leader.
type Query<Q, A> = Arc<Mutex<Turn<Q, A>>>;

/// What a caller does next.
enum Step<Q, A> {
    Lead(Q),
    Wait(Query<Q, A>, Receiver),
    End(Option<A>),
}

enum Turn<Q, A> {
    Waiting(Q),
    /// Its caller leads now.
    Leading(Q),
    /// It is part of a call.
    Asked,
    Answered(A),
    /// Its caller went away, or has the answer.
    Closed,
}

impl<Q: Send + 'static, A: Send + 'static> Group<Q, A> {
    pub(crate) const fn new(limit: usize, call: Call<Q, A>) -> Self {
        Self {
            call,
            limit,
            state: Mutex::new(State {
                has_leader: false,
                waiting: VecDeque::new(),
            }),
        }
    }

    /// Ask. `None` if the task that made the call was cut off: what became of the
    /// query is not known then.
    pub(crate) async fn ask(&'static self, query: Q) -> Option<A> {
        let mut step = self.begin(query);
        loop {
            step = match step {
                Step::Lead(query) => self.lead(query).await,
                Step::Wait(turn, mut answered) => {
                    let caller = Caller { group: self, turn };
                    answered.wait().await;
                    let turn = std::mem::replace(&mut *lock(&caller.turn), Turn::Closed);
                    match turn {
                        Turn::Answered(answer) => Step::End(Some(answer)),
                        Turn::Leading(query) => Step::Lead(query),
                        Turn::Waiting(_) | Turn::Asked | Turn::Closed => Step::End(None),
                    }
                }
                Step::End(answer) => return answer,
            };
        }
    }

    fn begin(&self, query: Q) -> Step<Q, A> {
        let mut state = lock(&self.state);
        if !state.has_leader {
            state.has_leader = true;
            return Step::Lead(query);
        }
        let (sender, answered) = signal();
        let turn = Arc::new(Mutex::new(Turn::Waiting(query)));
        state.waiting.push_back((turn.clone(), sender));
        Step::Wait(turn, answered)
    }

    /// Make a call with `query` and what waits.
    async fn lead(&'static self, query: Q) -> Step<Q, A> {
        let leader = Leader { group: self };
        let others = self.take_waiting();
        if others.is_empty() {
            // If this caller goes away, so may the call.
            let answer = (self.call)(vec![query]).await.pop();
            drop(leader);
            return Step::End(answer);
        }
        let (sender, answered) = signal();
        let own = Arc::new(Mutex::new(Turn::Asked));
        let mut queries = vec![query];
        let mut asked = vec![(own.clone(), sender)];
        for (query, turn, sender) in others {
            queries.push(query);
            asked.push((turn, sender));
        }
        // If this caller goes away, the others still wait for the call.
        platform::spawn(async move {
            let answers = (self.call)(queries).await;
            for ((turn, _sender), answer) in asked.into_iter().zip(answers) {
                let mut turn = lock(&turn);
                if matches!(*turn, Turn::Asked) {
                    *turn = Turn::Answered(answer);
                }
            }
            drop(leader);
        });
        Step::Wait(own, answered)
    }

    fn take_waiting(&self) -> Vec<(Q, Query<Q, A>, Sender)> {
        let mut state = lock(&self.state);
        let mut taken = Vec::new();
        while taken.len() + 1 < self.limit
            && let Some((turn, sender)) = state.waiting.pop_front()
        {
            // Nobody waits for one whose caller went away.
            let query = replace_waiting(&turn, Turn::Asked);
            taken.extend(query.map(|query| (query, turn, sender)));
        }
        taken
    }

    fn hand_over(&self) {
        let mut state = lock(&self.state);
        while let Some((turn, sender)) = state.waiting.pop_front() {
            if let Some(query) = replace_waiting(&turn, Turn::Asked) {
                *lock(&turn) = Turn::Leading(query);
                drop(state);
                drop(sender);
                return;
            }
        }
        state.has_leader = false;
    }
}

/// The right to make the next call. Dropped, it passes on to the next caller.
struct Leader<Q: Send + 'static, A: Send + 'static> {
    group: &'static Group<Q, A>,
}

impl<Q: Send + 'static, A: Send + 'static> Drop for Leader<Q, A> {
    fn drop(&mut self) {
        self.group.hand_over();
    }
}

/// A caller that waits.
struct Caller<Q: Send + 'static, A: Send + 'static> {
    group: &'static Group<Q, A>,
    turn: Query<Q, A>,
}

impl<Q: Send + 'static, A: Send + 'static> Drop for Caller<Q, A> {
    fn drop(&mut self) {
        let turn = std::mem::replace(&mut *lock(&self.turn), Turn::Closed);
        if matches!(turn, Turn::Leading(_)) {
            self.group.hand_over();
        }
    }
}

fn replace_waiting<Q, A>(turn: &Query<Q, A>, by: Turn<Q, A>) -> Option<Q> {
    let mut turn = lock(turn);
    match std::mem::replace(&mut *turn, by) {
        Turn::Waiting(query) => Some(query),
        other => {
            *turn = other;
            None
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::future::{join, join_all, select};

    use super::*;
    use crate::platform::fake::advance_until_done;

    const MS: Duration = Duration::from_millis(1);

    /// Answers each query with itself and the size of its call.
    fn group() -> &'static Group<u32, (u32, usize)> {
        Box::leak(Box::new(Group::new(4, |queries| {
            Box::pin(async move {
                platform::sleep(10 * MS).await;
                let size = queries.len();
                queries.into_iter().map(|query| (query, size)).collect()
            })
        })))
    }

    #[test]
    fn what_comes_while_a_call_is_under_way_is_asked_together() {
        let group = group();
        let begun = platform::now();
        let answers = advance_until_done(join_all((0..7).map(|query| group.ask(query))));
        let sizes = [1, 4, 4, 4, 4, 2, 2];
        let expected: Vec<_> = (0..7).zip(sizes).map(Some).collect();
        assert_eq!(answers, expected);
        assert_eq!(platform::now() - begun, 30 * MS);
        assert_eq!(
            advance_until_done(group.ask(9)),
            Some((9, 1)),
            "it is idle again"
        );
    }

    #[test]
    fn a_leader_that_goes_away_hands_over() {
        let group = group();
        let (first, second) = advance_until_done(join(
            async {
                let impatient = Box::pin(platform::sleep(3 * MS));
                matches!(
                    select(Box::pin(group.ask(1)), impatient).await,
                    futures::future::Either::Right(_)
                )
            },
            join(group.ask(2), group.ask(3)),
        ));
        assert!(first, "it went away");
        assert_eq!(second, (Some((2, 2)), Some((3, 2))));
        assert_eq!(advance_until_done(group.ask(4)), Some((4, 1)));
    }

    #[test]
    fn one_that_asked_for_others_too_and_goes_away_takes_nobody_along() {
        let group = group();
        let (_, (second, third)) = advance_until_done(join(
            group.ask(1),
            join(
                async {
                    // It leads at 10 ms and goes away at 15.
                    let impatient = Box::pin(platform::sleep(15 * MS));
                    select(Box::pin(group.ask(2)), impatient).await;
                },
                group.ask(3),
            ),
        ));
        assert_eq!((second, third), ((), Some((3, 2))));
    }

    #[test]
    fn one_that_goes_away_before_it_is_asked_is_not_asked() {
        let group = group();
        let (_, (_, third)) = advance_until_done(join(
            group.ask(1),
            join(
                async {
                    let impatient = Box::pin(platform::sleep(5 * MS));
                    select(Box::pin(group.ask(2)), impatient).await;
                },
                group.ask(3),
            ),
        ));
        assert_eq!(third, Some((3, 1)));
        assert_eq!(advance_until_done(group.ask(4)), Some((4, 1)));
    }
}
