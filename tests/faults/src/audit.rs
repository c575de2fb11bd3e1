//! The one invariant: every acknowledged entry is there exactly once, in the
//! order of its account; what is in doubt is there at most once; poison is dead;
//! and nothing else is there.

use std::collections::{BTreeMap, BTreeSet};

use crate::ledger::{Effect, Entry, Outcome};

/// How many violations are told in words.
const TOLD: usize = 12;

/// What was found in the end.
#[derive(Clone, Debug, Default)]
pub struct Books {
    pub effects: BTreeMap<String, Effect>,
    pub accounts: BTreeMap<String, Vec<u32>>,
    /// The dead letters, with their attempts.
    pub dead: BTreeMap<String, u64>,
    /// How often an entry is tried.
    pub max_attempts: u64,
}

/// How often the invariant was violated, and in which way.
#[derive(Clone, Debug, Default)]
pub struct Audit {
    pub events: usize,
    pub acknowledged: usize,
    pub lost: usize,
    pub duplicates: usize,
    pub misordered: usize,
    /// What nobody published, what is there by half, and poison that does not
    /// lie among the dead.
    pub strange: usize,
    /// The first violations, in words.
    pub details: Vec<String>,
}

impl Audit {
    /// Compare what was sent with what was found.
    pub fn of(sent: &[(Entry, Outcome)], books: &Books) -> Self {
        let mut audit = Self {
            events: sent.len(),
            ..Self::default()
        };
        let known: BTreeMap<_, _> = sent
            .iter()
            .map(|(entry, outcome)| (entry.id.as_str(), (entry, *outcome)))
            .collect();
        for (entry, outcome) in known.values() {
            audit.check_entry(entry, *outcome, books);
        }
        for id in books.effects.keys().chain(books.dead.keys()) {
            if !known.contains_key(id.as_str()) {
                audit.strange(format!("{id} was never published"));
            }
        }
        audit.check_accounts(sent, books);
        audit
    }

    /// Whether the invariant holds.
    pub fn is_clean(&self) -> bool {
        self.lost + self.duplicates + self.misordered + self.strange == 0
    }

    fn check_entry(&mut self, entry: &Entry, outcome: Outcome, books: &Books) {
        let id = &entry.id;
        let acknowledged = outcome == Outcome::Acknowledged;
        self.acknowledged += usize::from(acknowledged);
        if entry.conduct.is_poison() {
            let attempts = books.dead.get(id).copied();
            let expected = match entry.conduct {
                crate::ledger::Conduct::Reject => 1,
                _ => books.max_attempts,
            };
            if attempts.is_some_and(|attempts| attempts != expected)
                || attempts.is_none() && acknowledged
                || books.effects.contains_key(id)
            {
                self.strange(format!("poison {id} died after {attempts:?} attempts"));
            }
            return;
        }
        if let Some(attempts) = books.dead.get(id) {
            self.lose(format!("{id} is dead after {attempts} attempts"));
        }
        match books.effects.get(id) {
            None if acknowledged && !books.dead.contains_key(id) => {
                self.lose(format!("{id} has no effect"));
            }
            Some(effect) if effect.times != 1 => {
                self.double(format!("{id} happened {} times", effect.times));
            }
            Some(effect) if effect.account != entry.account || effect.number != entry.number => {
                self.strange(format!("{id} is entered as {effect:?}"));
            }
            _ => {}
        }
    }

    fn check_accounts(&mut self, sent: &[(Entry, Outcome)], books: &Books) {
        let mut ordered: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
        for (entry, outcome) in sent {
            if entry.subject.is_some() && *outcome == Outcome::Acknowledged {
                let numbers = ordered.entry(&entry.account).or_default();
                numbers.push(entry.number);
            }
        }
        let mut entered = BTreeSet::new();
        for (account, numbers) in &books.accounts {
            for number in numbers {
                if !entered.insert((account.as_str(), *number)) {
                    self.double(format!("{account} has number {number} twice"));
                }
            }
            let acknowledged = ordered.remove(account.as_str()).unwrap_or_default();
            self.check_order(account, numbers, &acknowledged);
        }
        let effects: BTreeSet<_> = books
            .effects
            .values()
            .map(|effect| (effect.account.as_str(), effect.number))
            .collect();
        for (account, number) in entered.symmetric_difference(&effects) {
            self.strange(format!("number {number} of {account} is there by half"));
        }
    }

    /// What is in doubt may stand anywhere: it may have been committed after
    /// what was sent when its publisher had given up waiting.
    fn check_order(&mut self, account: &str, numbers: &[u32], acknowledged: &[u32]) {
        let place: BTreeMap<_, _> = acknowledged.iter().zip(0..).collect();
        let places: Vec<(&u32, i32)> = numbers
            .iter()
            .filter_map(|number| Some((number, *place.get(number)?)))
            .collect();
        for pair in places.windows(2) {
            if let [(before, first), (after, second)] = pair
                && first > second
            {
                self.misordered += 1;
                self.tell(format!("{account} has {before} before {after}"));
            }
        }
    }

    fn lose(&mut self, what: String) {
        self.lost += 1;
        self.tell(what);
    }

    fn double(&mut self, what: String) {
        self.duplicates += 1;
        self.tell(what);
    }

    fn strange(&mut self, what: String) {
        self.strange += 1;
        self.tell(what);
    }

    fn tell(&mut self, what: String) {
        if self.details.len() < TOLD {
            self.details.push(what);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Conduct;

    fn effect(account: &str, number: u32) -> (String, Effect) {
        let event = format!("{account}-{number}");
        let effect = Effect {
            event: event.clone(),
            account: account.into(),
            number,
            worker: None,
            times: 1,
        };
        (event, effect)
    }

    fn books(numbers: &[u32]) -> Books {
        Books {
            effects: numbers.iter().map(|number| effect("a", *number)).collect(),
            accounts: [("a".to_owned(), numbers.to_vec())].into(),
            dead: BTreeMap::new(),
            max_attempts: 3,
        }
    }

    fn sent(outcomes: &[Outcome]) -> Vec<(Entry, Outcome)> {
        let entries = (1..).map(|number| Entry::new("a", number));
        entries.zip(outcomes.iter().copied()).collect()
    }

    const TWO: [Outcome; 2] = [Outcome::Acknowledged, Outcome::Acknowledged];

    #[test]
    fn what_was_acknowledged_is_there_once_and_in_order() {
        let audit = Audit::of(&sent(&TWO), &books(&[1, 2]));
        assert!(audit.is_clean(), "{audit:?}");
        assert_eq!((audit.events, audit.acknowledged), (2, 2));
    }

    #[test]
    fn what_is_missing_is_lost() {
        assert_eq!(Audit::of(&sent(&TWO), &books(&[1])).lost, 1);
    }

    #[test]
    fn what_is_dead_though_it_is_no_poison_is_lost() {
        let mut books = books(&[1]);
        books.dead.insert("a-2".into(), 3);
        assert_eq!(Audit::of(&sent(&TWO), &books).lost, 1);
    }

    #[test]
    fn what_happened_twice_is_a_duplicate() {
        let mut twice = books(&[1, 2]);
        let effect = twice.effects.get_mut("a-1");
        effect.into_iter().for_each(|effect| effect.times = 2);
        assert_eq!(Audit::of(&sent(&TWO), &twice).duplicates, 1);
        let mut twice = books(&[1, 2]);
        twice.accounts.insert("a".into(), vec![1, 2, 1]);
        assert_eq!(Audit::of(&sent(&TWO), &twice).duplicates, 1);
    }

    #[test]
    fn what_stands_in_another_order_is_misordered() {
        assert_eq!(Audit::of(&sent(&TWO), &books(&[2, 1])).misordered, 1);
    }

    #[test]
    fn what_is_in_doubt_may_be_there_or_not_and_anywhere() {
        let doubtful = sent(&[Outcome::Unknown, Outcome::Acknowledged]);
        for found in [&[2][..], &[1, 2], &[2, 1]] {
            let audit = Audit::of(&doubtful, &books(found));
            assert!(audit.is_clean(), "{audit:?}");
        }
    }

    #[test]
    fn what_nobody_sent_and_what_is_there_by_half_is_strange() {
        let sent = sent(&TWO);
        assert_eq!(Audit::of(&sent, &books(&[1, 2, 3])).strange, 1);
        let mut half = books(&[1, 2]);
        half.accounts.insert("a".into(), vec![1]);
        assert_eq!(Audit::of(&sent, &half).strange, 1);
    }

    #[test]
    fn poison_dies_after_its_attempts() {
        let poison = Entry::new("b", 1).conduct(Conduct::Trap);
        let sent = [(poison, Outcome::Acknowledged)];
        assert_eq!(Audit::of(&sent, &books(&[])).strange, 1);
        let mut dead = books(&[]);
        dead.dead.insert("b-1".into(), 3);
        assert!(Audit::of(&sent, &dead).is_clean());
        dead.dead.insert("b-1".into(), 2);
        assert_eq!(Audit::of(&sent, &dead).strange, 1);
    }
}
