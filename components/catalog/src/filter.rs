//! Listings by one index, with the other wishes applied to what it finds.

use emporium_sdk::{
    document::{self, Document, Listing, Order, Page, Selection, Stored},
    problem::Problem,
};

/// How many parts of a listing one request reads. What is not found by then is
/// left to the next page, which the caller is told of.
const READS: usize = 20;

/// A page of the documents of `selection` that are `wanted`. It may have fewer
/// than `limit` though more follow.
pub(crate) async fn list<D: Document>(
    selection: Selection,
    limit: u32,
    cursor: Option<String>,
    wanted: impl Fn(&D) -> bool,
) -> Result<Page<D>, Problem> {
    let mut found: Vec<Stored<D>> = Vec::new();
    let mut next = cursor;
    for _ in 0..READS {
        let left = limit.saturating_sub(u32::try_from(found.len()).unwrap_or(limit));
        if left == 0 {
            break;
        }
        let page = document::list::<D>(Listing {
            selection: selection.clone(),
            order: Order::Ascending,
            // No more than fit, so that the cursor stands behind the last one.
            limit: left,
            cursor: next,
        })
        .await?;
        let documents = page.documents.into_iter();
        found.extend(documents.filter(|document| wanted(&document.value)));
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    Ok(Page {
        documents: found,
        next,
    })
}
