//! The frontend/backend protocol of Postgres, version 3, as far as it takes to
//! know which statement is executed, and when its transaction has ended.

use std::collections::HashMap;

use super::{
    relay::Fate,
    trap::{Moment, Traps},
};

/// The code of a request for TLS, which a server answers with one byte.
const TLS_REQUEST: i32 = 80_877_103;

/// What is known of a connection.
#[derive(Default)]
pub(super) struct Postgres {
    /// Whether messages have types: all but the first have.
    begun: bool,
    /// How many answers to requests for TLS are due.
    bytes_due: usize,
    /// The texts of prepared statements, by name.
    statements: HashMap<Vec<u8>, Vec<u8>>,
    /// How many rounds the client ended, and how many the server did.
    asked: u64,
    answered: u64,
    /// The round whose reply is waited for, and whether that had the text.
    awaited: Option<(u64, Moment, bool)>,
}

impl Postgres {
    pub(super) fn client_length(&self, heard: &[u8]) -> Option<usize> {
        match self.begun {
            true => typed_length(heard),
            false => whole(heard, number(heard, 0)?),
        }
    }

    pub(super) fn server_length(&self, heard: &[u8]) -> Option<usize> {
        match self.bytes_due {
            0 => typed_length(heard),
            _ => (!heard.is_empty()).then_some(1),
        }
    }

    pub(super) fn client_says(&mut self, message: &[u8], traps: &Traps) -> Fate {
        if !self.begun {
            match number(message, 4) {
                Some(TLS_REQUEST) => self.bytes_due += 1,
                // It is answered as a round is.
                _ => (self.begun, self.asked) = (true, 1),
            }
            return Fate::Pass;
        }
        let (kind, body) = message.split_at(5.min(message.len()));
        let mut words = body.split(|byte| *byte == 0);
        let statement = match kind.first() {
            // Parse: the name of a statement, and its text.
            Some(b'P') => {
                let (name, text) = (words.next(), words.next());
                if let (Some(name), Some(text)) = (name, text) {
                    self.statements.insert(name.to_vec(), text.to_vec());
                }
                None
            }
            // Bind: the name of a portal, and that of a statement.
            Some(b'B') => words.nth(1).and_then(|name| self.statements.get(name)),
            // Query: a text. It ends a round.
            Some(b'Q') => {
                self.asked += 1;
                None
            }
            // Sync. It ends a round, and with it the transaction.
            Some(b'S') => {
                self.asked += 1;
                None
            }
            _ => None,
        };
        let Some(statement) = statement else {
            return Fate::Pass;
        };
        match traps.moment() {
            Some(moment @ Moment::BeforeStatement(text)) if contains(statement, text) => {
                traps.take(moment).map_or(Fate::Pass, Fate::Hold)
            }
            Some(moment @ Moment::AfterStatement { text, .. }) if contains(statement, text) => {
                self.awaited = Some((self.asked + 1, moment, false));
                Fate::Pass
            }
            _ => Fate::Pass,
        }
    }

    pub(super) fn server_says(&mut self, message: &[u8], traps: &Traps) -> Fate {
        if self.bytes_due > 0 {
            self.bytes_due -= 1;
            return Fate::Pass;
        }
        // ReadyForQuery ends the reply to a round.
        let is_end = message.first() == Some(&b'Z');
        let reply = self.answered + 1;
        self.answered += u64::from(is_end);
        let Some((round, moment, found)) = &mut self.awaited else {
            return Fate::Pass;
        };
        if *round != reply {
            return Fate::Pass;
        }
        if let Moment::AfterStatement { reply, .. } = moment {
            *found |= contains(message, reply);
        }
        if !is_end {
            return Fate::Keep;
        }
        let (moment, found) = (*moment, *found);
        self.awaited = None;
        match found {
            true => traps.take(moment).map_or(Fate::Pass, Fate::Hold),
            false => Fate::Pass,
        }
    }
}

/// A type, and a length that counts itself.
fn typed_length(heard: &[u8]) -> Option<usize> {
    whole(heard, number(heard, 1)?.checked_add(1)?)
}

fn whole(heard: &[u8], length: i32) -> Option<usize> {
    let length = usize::try_from(length).ok()?;
    (heard.len() >= length).then_some(length)
}

fn number(bytes: &[u8], at: usize) -> Option<i32> {
    let bytes = bytes.get(at..at + 4)?;
    Some(i32::from_be_bytes(bytes.try_into().ok()?))
}

fn contains(bytes: &[u8], text: &str) -> bool {
    text.is_empty()
        || bytes
            .windows(text.len())
            .any(|some| some == text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = (body.len() as i32 + 4).to_be_bytes();
        [&[kind], length.as_slice(), body].concat()
    }

    fn begun() -> Postgres {
        let mut state = Postgres::default();
        let startup = [8_i32.to_be_bytes(), 196_608_i32.to_be_bytes()].concat();
        assert_eq!(state.client_length(&startup), Some(8));
        let traps = Traps::default();
        for fate in [
            state.client_says(&startup, &traps),
            state.server_says(&message(b'Z', b"I"), &traps),
        ] {
            assert!(matches!(fate, Fate::Pass));
        }
        state
    }

    #[test]
    fn a_message_is_as_long_as_it_says() {
        let state = begun();
        let sync = message(b'S', b"");
        assert_eq!(state.client_length(&sync), Some(5));
        assert_eq!(state.client_length(&sync[..4]), None);
        assert_eq!(state.server_length(&[sync, vec![1]].concat()), Some(5));
    }

    #[test]
    fn an_answer_to_a_request_for_tls_is_one_byte() {
        let mut state = Postgres::default();
        let request = [8_i32.to_be_bytes(), TLS_REQUEST.to_be_bytes()].concat();
        state.client_says(&request, &Traps::default());
        assert_eq!(state.server_length(b"N"), Some(1));
        state.server_says(b"N", &Traps::default());
        assert_eq!(state.server_length(b"N"), None);
        assert_eq!(state.client_length(&8_i32.to_be_bytes()), None);
    }

    #[test]
    fn a_statement_is_known_by_the_name_it_was_prepared_under() {
        let (mut state, traps) = (begun(), Traps::default());
        let _armed = traps.arm(Moment::BeforeStatement("commit"));
        state.client_says(&message(b'P', b"s1\0SELECT commit()\0\0\0"), &traps);
        let other = message(b'B', b"\0s2\0");
        assert!(matches!(state.client_says(&other, &traps), Fate::Pass));
        let bind = message(b'B', b"\0s1\0\0\0");
        assert!(matches!(state.client_says(&bind, &traps), Fate::Hold(_)));
        // It springs once.
        assert!(matches!(state.client_says(&bind, &traps), Fate::Pass));
    }

    #[test]
    fn a_reply_is_held_when_its_transaction_has_ended() {
        let (mut state, traps) = (begun(), Traps::default());
        let _armed = traps.arm(Moment::AfterStatement {
            text: "claim",
            reply: "entry",
        });
        let (parse, bind) = (message(b'P', b"\0claim\0"), message(b'B', b"\0\0"));
        let (sync, ready) = (message(b'S', b""), message(b'Z', b"I"));
        for empty in [true, false] {
            for asked in [&parse, &bind, &sync] {
                assert!(matches!(state.client_says(asked, &traps), Fate::Pass));
            }
            let row = message(b'D', if empty { b"" } else { b"an entry" });
            assert!(matches!(state.server_says(&row, &traps), Fate::Keep));
            let end = state.server_says(&ready, &traps);
            assert_eq!(matches!(end, Fate::Hold(_)), !empty);
        }
    }
}
