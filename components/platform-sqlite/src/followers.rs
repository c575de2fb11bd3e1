//! Followers: deliveries that wait for the key of one that is claimed, and are
//! handed out with it.
//!
//! They stay as they are. Nobody else is handed one, because the key is held, and
//! the commit that settles them checks the lease of the one before them.

use emporium_adapter::{
    Failure,
    bindings::deliveries::Follower,
    deliveries::{BATCH_BYTES, ROUND},
};

use crate::{
    due::{Due, Queue},
    row::{Row, integer, json, text},
};

/// The columns are those that `Waiting::read` takes.
const WAITING: &str = "SELECT
        l.value ->> 0, d.id, d.event, d.attempt = 0 AND d.due_ms <= ?3, length(e.envelope)
    FROM json_each(?2) AS l
    CROSS JOIN deliveries AS d ON d.id IN (
        SELECT w.id FROM deliveries AS w
        WHERE w.subscription = ?1 AND w.subject = l.value ->> 1 AND w.state = 4
        ORDER BY w.event LIMIT ?4
    )
    LEFT JOIN events AS e ON e.sequence = d.event
    ORDER BY l.key, d.event";
const EVENTS: &str = "SELECT e.id, e.kind, e.envelope
    FROM json_each(?1) AS w CROSS JOIN events AS e ON e.sequence = w.value
    ORDER BY w.key";
const LEAD: &str = "UPDATE deliveries SET followers_until = ?2 WHERE id = ?1";
const SEPARATE: &str = "INSERT INTO singly (subscription, subject, until_event)
    VALUES (?1, ?2, ?3)
    ON CONFLICT (subscription, subject)
    DO UPDATE SET until_event = max(until_event, excluded.until_event)";

/// A delivery that waits.
struct Waiting {
    /// The index of the one that it waits for.
    behind: usize,
    delivery: u64,
    event: i64,
    /// What it weighs, if it can be handed out now.
    bytes: Option<usize>,
}

impl Queue<'_> {
    /// Choose who is handed out with those that have just been leased: as many as
    /// there is room for, and for each its own.
    pub(crate) fn followers(
        &self,
        leased: &[Due],
        room: usize,
    ) -> Result<Vec<Vec<Follower>>, Failure> {
        let mut followers: Vec<Vec<Follower>> = leased.iter().map(|_| Vec::new()).collect();
        let chosen = self.choose(leased, room)?;
        for round in chosen.chunks(ROUND) {
            let events: Vec<i64> = round.iter().map(|waiting| waiting.event).collect();
            let events = self.connection.rows(EVENTS, &[text(&json(&events))])?;
            for (mut event, waiting) in events.zip(round) {
                if let Some(followers) = followers.get_mut(waiting.behind) {
                    followers.push(Follower {
                        delivery: waiting.delivery,
                        event_id: event.text()?,
                        kind: event.text()?,
                        envelope: event.blob()?,
                    });
                }
            }
        }
        for (index, leader) in leased.iter().enumerate() {
            // In case the lease runs out.
            if let Some(last) = chosen.iter().rfind(|waiting| waiting.behind == index) {
                let led = [integer(leader.delivery), integer(last.event)];
                self.connection.execute(LEAD, &led)?;
            }
        }
        Ok(followers)
    }

    /// Have those that were handed out with this one come singly: any of them may
    /// have killed the handler.
    pub(crate) fn separate(&self, leader: &Due) -> Result<(), Failure> {
        let (Some(until), Some(subject)) = (leader.followers_until, &leader.subject) else {
            return Ok(());
        };
        let singly = [integer(self.subscription), text(subject), integer(until)];
        self.connection.execute(SEPARATE, &singly)
    }

    /// The keys share the room evenly, so that a busy one leaves something to others.
    fn choose(&self, leased: &[Due], room: usize) -> Result<Vec<Waiting>, Failure> {
        let leaders: Vec<(usize, &str)> = leased
            .iter()
            .enumerate()
            .filter(|(_, one)| one.leads)
            .filter_map(|(index, one)| Some((index, one.subject.as_deref()?)))
            .collect();
        if leaders.is_empty() || room == 0 {
            return Ok(Vec::new());
        }
        let wanted = [
            integer(self.subscription),
            text(&json(&leaders)),
            integer(self.now),
            integer(room.div_ceil(leaders.len())),
        ];
        let mut chosen = Vec::new();
        let mut bytes: usize = leased.iter().map(|one| one.envelope.len()).sum();
        let mut ended = None;
        for row in self.connection.rows(WAITING, &wanted)? {
            let waiting = Waiting::read(row)?;
            if chosen.len() == room || ended == Some(waiting.behind) {
                continue;
            }
            match waiting.bytes {
                Some(weight) if bytes < BATCH_BYTES => {
                    bytes += weight;
                    chosen.push(waiting);
                }
                _ => ended = Some(waiting.behind),
            }
        }
        Ok(chosen)
    }
}

impl Waiting {
    fn read(mut row: Row) -> Result<Self, Failure> {
        let (behind, delivery) = (row.unsigned()?, row.unsigned()?);
        let (event, ready) = (row.integer()?, row.flag()?);
        let bytes = row.optional_unsigned()?;
        Ok(Self {
            behind,
            delivery,
            event,
            bytes: bytes.filter(|_| ready),
        })
    }
}
