//! Which dead letters a request means: those it names, or those that match.

use emporium_sdk::{
    dead_letters::{self, DeadLetter, Filter},
    problem::Problem,
};
use serde::Deserialize;
use utoipa::ToSchema;

/// How many dead letters one request changes at most, and a page has.
const MOST: u32 = 500;

/// Which dead letters are meant: those of `ids`, or those that match all other
/// members. An absent member excludes none.
// A misspelt member would mean more than was asked for.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Selection {
    ids: Option<Vec<u64>>,
    service: Option<String>,
    topic: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    /// A part of the reason.
    reason: Option<String>,
    /// In milliseconds since the Unix epoch.
    died_before_ms: Option<u64>,
    /// At most so many, from 1 to 500, the latest deaths; 500 if absent.
    limit: Option<u32>,
    /// Spread a replay over time; not for anything else.
    per_second: Option<u32>,
}

impl Selection {
    /// How many to replay in a second.
    pub(crate) fn per_second(&self) -> Result<Option<u32>, Problem> {
        match self.per_second {
            Some(0) => Err(invalid("per_second", "`per_second` is from 1")),
            per_second => Ok(per_second),
        }
    }

    /// Refuse what would lose more than was thought of: everything, unless a
    /// member says so.
    pub(crate) fn check_discard(&self) -> Result<(), Problem> {
        if self.per_second.is_some() {
            return Err(invalid("per_second", "`per_second` is for a replay"));
        }
        let narrowed = self.ids.is_some()
            || self.service.is_some()
            || self.topic.is_some()
            || self.kind.is_some()
            || self.reason.is_some()
            || self.died_before_ms.is_some();
        match narrowed {
            true => Ok(()),
            false => Err(Problem::bad_request(
                "empty-selection",
                "say which dead letters: `ids`, `service`, `topic`, `type`, `reason` or `died_before_ms`",
            )),
        }
    }

    /// The deliveries that are meant, in the order of death.
    pub(crate) async fn find(self) -> Result<Vec<u64>, Problem> {
        let limit = self.limit.unwrap_or(MOST);
        if !(1..=MOST).contains(&limit) {
            return Err(invalid("limit", "`limit` is not from 1 to 500"));
        }
        let limit = limit as usize;
        if let Some(ids) = self.ids {
            return match ids.len() <= limit {
                true => Ok(ids),
                false => Err(invalid("ids", "these are more than `limit`, or than 500")),
            };
        }
        let mut found = Vec::new();
        let mut cursor = None;
        loop {
            let page = dead_letters::list(self.filter(), MOST, cursor).await?;
            let matching = page.dead_letters.iter().filter(|letter| self.has(letter));
            found.extend(matching.map(|letter| letter.delivery));
            cursor = page.next;
            if found.len() >= limit || cursor.is_none() {
                break;
            }
        }
        found.truncate(limit);
        found.reverse();
        Ok(found)
    }

    fn filter(&self) -> Filter {
        Filter {
            service: self.service.clone(),
            topic: self.topic.clone(),
            kind: self.kind.clone(),
        }
    }

    /// Whether what the contract does not filter by matches too.
    fn has(&self, letter: &DeadLetter) -> bool {
        let reason = self.reason.as_ref();
        reason.is_none_or(|reason| letter.reason.contains(reason))
            && self
                .died_before_ms
                .is_none_or(|end| letter.died_at_ms < end)
    }
}

fn invalid(field: &'static str, detail: &str) -> Problem {
    Problem::bad_request("invalid-body", detail).field(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(reason: &str, died_at_ms: u64) -> DeadLetter {
        DeadLetter {
            delivery: 1,
            service: "media".into(),
            topic: "image".into(),
            event_id: "e".into(),
            kind: "X".into(),
            subject: None,
            envelope: Vec::new(),
            attempts: 1,
            reason: reason.into(),
            published_at_ms: 0,
            died_at_ms,
        }
    }

    #[test]
    fn all_members_must_match() {
        let selection = Selection {
            reason: Some("timed out".into()),
            died_before_ms: Some(10),
            ..Selection::default()
        };
        assert!(selection.has(&letter("it timed out", 9)));
        assert!(!selection.has(&letter("it timed out", 10)));
        assert!(!selection.has(&letter("no such image", 9)));
    }

    #[test]
    fn everything_is_not_discarded_by_leaving_all_out() {
        let limited = Selection {
            limit: Some(1),
            ..Selection::default()
        };
        assert!(limited.check_discard().is_err());
        let of_a_topic = Selection {
            topic: Some("image".into()),
            ..Selection::default()
        };
        assert!(of_a_topic.check_discard().is_ok());
    }
}
