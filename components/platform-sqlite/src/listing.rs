//! Listings of documents, page by page.
//!
//! Every selection is a half-open interval of one index: of the keys, or of the
//! pairs of entry value and key. A page ends at a document, and the next one
//! goes on from there by narrowing the interval, so a page costs what it
//! returns, however far into the listing it is.

use spin_sdk::sqlite::Value;

use crate::{
    bindings::documents::{Document, Entry, Error, Order, Page, Query, Range, Selection},
    connection::Connection,
    cursor,
    documents::{MOST, ROUND, document},
    failure::Failure,
    names::{check_entry_value, check_label},
    row::{integer, text},
};

/// What a page may weigh before it ends early.
const PAGE_BYTES: usize = 16 << 20;

const BY_KEY: Statements = Statements {
    ascending: "SELECT key, version, created_ms, updated_ms, value FROM documents
        WHERE collection = ?1 AND key >= ?2 AND key < ?3
        ORDER BY key LIMIT ?4",
    descending: "SELECT key, version, created_ms, updated_ms, value FROM documents
        WHERE collection = ?1 AND key >= ?2 AND key < ?3
        ORDER BY key DESC LIMIT ?4",
};

const BY_ENTRY: Statements = Statements {
    ascending: "SELECT d.key, version, created_ms, updated_ms, d.value, e.value
        FROM entries AS e CROSS JOIN documents AS d ON d.id = e.document
        WHERE e.collection = ?1 AND e.name = ?2
            AND (e.value, e.key) >= (?3, ?4) AND (e.value, e.key) < (?5, ?6)
        ORDER BY e.value, e.key LIMIT ?7",
    descending: "SELECT d.key, version, created_ms, updated_ms, d.value, e.value
        FROM entries AS e CROSS JOIN documents AS d ON d.id = e.document
        WHERE e.collection = ?1 AND e.name = ?2
            AND (e.value, e.key) >= (?3, ?4) AND (e.value, e.key) < (?5, ?6)
        ORDER BY e.value DESC, e.key DESC LIMIT ?7",
};

struct Statements {
    ascending: &'static str,
    descending: &'static str,
}

/// A half-open interval. Places are a key, or an entry value and a key.
struct Interval<const N: usize> {
    from: [String; N],
    /// Without it, to the end.
    until: Option<[String; N]>,
}

pub(crate) fn list(query: &Query) -> Result<Page, Error> {
    check_label("collection", &query.collection)?;
    if !(1..=MOST).contains(&(query.limit as usize)) {
        return Err(Error::InvalidQuery(format!(
            "limit {} must be 1 to {MOST}",
            query.limit
        )));
    }
    match &query.selection {
        Selection::Every => list_by_key(query, ""),
        Selection::KeyPrefix(prefix) => list_by_key(query, prefix),
        Selection::Equal(Entry { index, value }) => {
            check_entry_value(index, value)?;
            let until = after(value);
            list_by_entry(query, index, Some(value), Some(&until))
        }
        Selection::Within(Range { index, from, until }) => {
            for bound in [from, until].into_iter().flatten() {
                check_entry_value(index, bound)?;
            }
            list_by_entry(query, index, from.as_deref(), until.as_deref())
        }
    }
}

fn list_by_key(query: &Query, prefix: &str) -> Result<Page, Error> {
    let mut interval = Interval {
        from: [prefix.to_owned()],
        until: after_prefix(prefix).map(|end| [end]),
    };
    if let Some(cursor) = &query.cursor {
        interval.go_on(query.order, cursor::parse_texts(cursor)?);
    }
    page(query, interval, |interval, connection, limit| {
        let [from] = &interval.from;
        let until = match &interval.until {
            Some([until]) => text(until),
            None => END,
        };
        connection
            .rows(
                BY_KEY.ordered(query.order),
                &[text(&query.collection), text(from), until, integer(limit)],
            )?
            .map(|mut row| {
                let document = document(&mut row)?;
                let place = [document.key.clone()];
                Ok((document, place))
            })
            .collect()
    })
}

fn list_by_entry(
    query: &Query,
    index: &str,
    from: Option<&str>,
    until: Option<&str>,
) -> Result<Page, Error> {
    check_label("index", index)?;
    let place = |value: &str| [value.to_owned(), String::new()];
    let mut interval = Interval {
        from: place(from.unwrap_or("")),
        until: until.map(place),
    };
    if let Some(cursor) = &query.cursor {
        interval.go_on(query.order, cursor::parse_texts(cursor)?);
    }
    page(query, interval, |interval, connection, limit| {
        let [from_value, from_key] = &interval.from;
        let (until_value, until_key) = match &interval.until {
            Some([value, key]) => (text(value), text(key)),
            None => (END, END),
        };
        connection
            .rows(
                BY_ENTRY.ordered(query.order),
                &[
                    text(&query.collection),
                    text(index),
                    text(from_value),
                    text(from_key),
                    until_value,
                    until_key,
                    integer(limit),
                ],
            )?
            .map(|mut row| {
                let document = document(&mut row)?;
                let place = [row.text()?, document.key.clone()];
                Ok((document, place))
            })
            .collect()
    })
}

/// A round of documents, each with its place in the listing.
type Round<const N: usize> = Result<Vec<(Document, [String; N])>, Failure>;

/// Reads one document more than asked for, to know whether there is another page.
fn page<const N: usize>(
    query: &Query,
    mut interval: Interval<N>,
    read: impl Fn(&Interval<N>, &Connection, usize) -> Round<N>,
) -> Result<Page, Error> {
    let connection = Connection::current()?;
    let limit = query.limit as usize;
    let mut documents: Vec<Document> = Vec::new();
    let mut bytes = 0;
    let mut end = None;
    loop {
        let wanted = (limit + 1 - documents.len()).min(ROUND);
        let round = read(&interval, &connection, wanted)?;
        let exhausted = round.len() < wanted;
        for (document, place) in round {
            if documents.len() == limit || bytes > PAGE_BYTES {
                let next = end.map(|end: [String; N]| {
                    cursor::write_texts(end.each_ref().map(String::as_str))
                });
                return Ok(Page { documents, next });
            }
            bytes += document.value.len();
            documents.push(document);
            end = Some(place);
        }
        match &end {
            Some(end) if !exhausted => interval.go_on(query.order, end.clone()),
            _ => {
                return Ok(Page {
                    documents,
                    next: None,
                });
            }
        }
    }
}

impl<const N: usize> Interval<N> {
    /// Leave out what stands up to and at `place`, never what stands before the
    /// interval: a cursor of another query must not widen this one.
    fn go_on(&mut self, order: Order, mut place: [String; N]) {
        match order {
            Order::Ascending => {
                if let Some(last) = place.last_mut() {
                    *last = after(last);
                }
                if place > self.from {
                    self.from = place;
                }
            }
            Order::Descending => {
                if self.until.as_ref().is_none_or(|until| place < *until) {
                    self.until = Some(place);
                }
            }
        }
    }
}

impl Statements {
    fn ordered(&self, order: Order) -> &'static str {
        match order {
            Order::Ascending => self.ascending,
            Order::Descending => self.descending,
        }
    }
}

/// SQLite orders every blob behind every text.
const END: Value = Value::Blob(Vec::new());

/// The first text behind `text`.
fn after(text: &str) -> String {
    format!("{text}\0")
}

/// The first text behind all that start with `prefix`, if there is one. The
/// order of characters is the order of their bytes in UTF-8.
fn after_prefix(prefix: &str) -> Option<String> {
    let mut rest = prefix.chars();
    while let Some(last) = rest.next_back() {
        if let Some(next) = (last..=char::MAX).nth(1) {
            return Some(format!("{}{next}", rest.as_str()));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_before_the_next_character() {
        assert_eq!(after_prefix("ab"), Some("ac".into()));
        assert_eq!(after_prefix("a\u{10FFFF}"), Some("b".into()));
        assert_eq!(after_prefix("\u{D7FF}"), Some("\u{E000}".into()));
        assert_eq!(after_prefix("\u{10FFFF}"), None);
        assert_eq!(after_prefix(""), None);
    }

    #[test]
    fn a_cursor_only_narrows() {
        let mut interval = Interval {
            from: ["m".into()],
            until: Some(["p".into()]),
        };
        interval.go_on(Order::Ascending, ["a".into()]);
        interval.go_on(Order::Descending, ["z".into()]);
        assert_eq!(interval.from, ["m".to_owned()]);
        assert_eq!(interval.until, Some(["p".to_owned()]));
    }
}
