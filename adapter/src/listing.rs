//! Listings of documents, page by page.
//!
//! Every selection is a half-open interval of one index: of the keys, or of the
//! pairs of entry value and key. A page ends at a document, and the next one
//! goes on from there by narrowing the interval, so a page costs what it
//! returns, however far into the listing it is.
//!
//! No bound contains NUL, which not every database can compare.

use crate::{
    bindings::documents::{Document, Entry, Error, Order, Page, Query, Range, Selection},
    cursor,
    documents::{ROUND, check_query},
    failure::Failure,
};

/// What a page may weigh before it ends early.
const PAGE_BYTES: usize = 16 << 20;

/// The greatest character. Texts are ordered by their bytes.
const LAST: &str = "\u{10FFFF}";

/// A half-open interval of places: of a key, or of an entry value and a key.
pub struct Interval<const N: usize> {
    pub from: [String; N],
    /// The first place that does not belong to it.
    pub until: [String; N],
}

/// Read a page.
///
/// `by_key` reads so many documents of an interval of keys, `by_entry` so many
/// of an interval of the entries of an index, with their entry values; both in
/// the order of the query.
pub async fn list(
    query: &Query,
    by_key: impl AsyncFn(&Interval<1>, usize) -> Result<Vec<Document>, Failure>,
    by_entry: impl AsyncFn(&str, &Interval<2>, usize) -> Result<Vec<(String, Document)>, Failure>,
) -> Result<Page, Error> {
    check_query(query)?;
    let keys = async |interval: &Interval<1>, limit: usize| {
        let round = by_key(interval, limit).await?.into_iter();
        Ok(round
            .map(|document| ([document.key.clone()], document))
            .collect())
    };
    let entries = async |index: &str, interval: Interval<2>| {
        page(query, interval, async |interval: &Interval<2>, limit| {
            let round = by_entry(index, interval, limit).await?.into_iter();
            Ok(round
                .map(|(value, document)| ([value, document.key.clone()], document))
                .collect())
        })
        .await
    };
    match &query.selection {
        Selection::Every => page(query, Interval::of_prefix(""), keys).await,
        Selection::KeyPrefix(prefix) => page(query, Interval::of_prefix(prefix), keys).await,
        Selection::Equal(Entry { index, value }) => entries(index, Interval::of_value(value)).await,
        Selection::Within(Range { index, from, until }) => {
            entries(
                index,
                Interval::of_values(from.as_deref(), until.as_deref()),
            )
            .await
        }
    }
}

/// Documents, each with its place in the listing.
type Round<const N: usize> = Vec<([String; N], Document)>;

/// Reads one document more than asked for, to know whether there is another page.
async fn page<const N: usize>(
    query: &Query,
    mut interval: Interval<N>,
    read: impl AsyncFn(&Interval<N>, usize) -> Result<Round<N>, Failure>,
) -> Result<Page, Error> {
    if let Some(cursor) = &query.cursor {
        interval.go_on(query.order, cursor::parse_texts(cursor)?);
    }
    let limit = query.limit as usize;
    let mut documents: Vec<Document> = Vec::new();
    let mut bytes = 0;
    let mut end = None;
    loop {
        let wanted = (limit + 1 - documents.len()).min(ROUND);
        let round = read(&interval, wanted).await?;
        let exhausted = round.len() < wanted;
        for (place, document) in round {
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

impl Interval<1> {
    fn of_prefix(prefix: &str) -> Self {
        Self {
            from: [prefix.to_owned()],
            until: [after_prefix(prefix).unwrap_or_else(behind_keys)],
        }
    }
}

impl Interval<2> {
    fn of_value(value: &str) -> Self {
        Self {
            from: [value.to_owned(), String::new()],
            until: [value.to_owned(), behind_keys()],
        }
    }

    fn of_values(from: Option<&str>, until: Option<&str>) -> Self {
        let until = until.map_or_else(behind_values, str::to_owned);
        Self {
            from: [from.unwrap_or_default().to_owned(), String::new()],
            until: [until, String::new()],
        }
    }
}

impl<const N: usize> Interval<N> {
    /// Leave out what stands up to and at `place`, never what stands before the
    /// interval: a cursor of another query must not widen this one.
    fn go_on(&mut self, order: Order, mut place: [String; N]) {
        match order {
            Order::Ascending => {
                // A place ends with a key, and keys have no control characters.
                if let Some(key) = place.last_mut() {
                    key.push('\u{1}');
                }
                if place > self.from {
                    self.from = place;
                }
            }
            Order::Descending => {
                if place < self.until {
                    self.until = place;
                }
            }
        }
    }
}

/// A text behind all keys, which have at most 256 bytes.
fn behind_keys() -> String {
    LAST.repeat(65)
}

/// A text behind all entry values, which have at most 1024 bytes.
fn behind_values() -> String {
    LAST.repeat(257)
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
    fn nothing_stands_behind_the_end() {
        assert!(behind_keys() > LAST.repeat(64));
        assert!(behind_values() > LAST.repeat(256));
    }

    #[test]
    fn a_cursor_only_narrows() {
        let mut interval = Interval {
            from: ["m".to_owned()],
            until: ["p".to_owned()],
        };
        interval.go_on(Order::Ascending, ["a".into()]);
        interval.go_on(Order::Descending, ["z".into()]);
        assert_eq!(interval.from, ["m"]);
        assert_eq!(interval.until, ["p"]);
    }
}
