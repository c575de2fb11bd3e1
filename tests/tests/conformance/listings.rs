//! Listings of documents: selections, orders, pages.

use documents::{Error, Order, Query, Range, Selection};
use emporium_tests::{conformance, platform::*};
use journal::Put;

/// The keys of every page of a listing, page by page.
async fn pages(instance: &mut Instance, query: &Query) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut query = query.clone();
    loop {
        let page = instance.list(query.clone()).await.expect("a page");
        pages.push(
            page.documents
                .into_iter()
                .map(|document| document.key)
                .collect(),
        );
        match page.next {
            Some(next) => query.cursor = Some(next),
            None => return pages,
        }
        assert!(pages.len() < 1000, "the listing ends");
    }
}

async fn keys(instance: &mut Instance, query: &Query) -> Vec<String> {
    pages(instance, query).await.concat()
}

/// One page, and page by page, forwards and backwards: all must agree.
async fn assert_lists(instance: &mut Instance, selection: Selection, expected: &[&str]) {
    for limit in [1, 2, 3, 500] {
        let ascending = Query {
            selection: selection.clone(),
            limit,
            ..every("things")
        };
        let found = keys(instance, &ascending).await;
        assert_eq!(found, expected, "ascending by {limit}");
        let descending = Query {
            order: Order::Descending,
            ..ascending
        };
        let mut found = keys(instance, &descending).await;
        found.reverse();
        assert_eq!(found, expected, "descending by {limit}");
    }
}

fn indexed(key: &str, entries: &[(&str, &str)]) -> Put {
    let entries = entries
        .iter()
        .map(|(index, value)| entry(index, value))
        .collect();
    Put {
        entries,
        ..put("things", key, "{}")
    }
}

fn within(index: &str, from: Option<&str>, until: Option<&str>) -> Selection {
    let (from, until) = (from.map(Into::into), until.map(Into::into));
    Selection::Within(Range {
        index: index.into(),
        from,
        until,
    })
}

conformance! {
    async fn an_empty_collection_has_one_empty_page(platform) {
        let mut instance = platform.instance().await;
        assert_eq!(pages(&mut instance, &every("things")).await, [Vec::<String>::new()]);
    }

    async fn every_document_is_listed_by_the_bytes_of_its_key(platform) {
        let mut instance = platform.instance().await;
        let shuffled = ["b", "Z", "a", "ä", "aa", "\u{1F600}", "\u{FFFD}", "a b"];
        instance.committed(puts(shuffled.map(|key| put("things", key, "{}")))).await;
        instance.committed(puts([put("others", "a", "{}")])).await;
        let sorted = ["Z", "a", "a b", "aa", "b", "ä", "\u{FFFD}", "\u{1F600}"];
        assert_lists(&mut instance, Selection::Every, &sorted).await;
    }

    async fn removed_documents_are_not_listed(platform) {
        let mut instance = platform.instance().await;
        instance.committed(puts(["a", "b", "c"].map(|key| indexed(key, &[("x", "1")])))).await;
        instance.committed(removes(removal("things", "b"))).await;
        assert_lists(&mut instance, Selection::Every, &["a", "c"]).await;
        assert_lists(&mut instance, Selection::Equal(entry("x", "1")), &["a", "c"]).await;
    }

    async fn a_prefix_selects_the_keys_that_start_with_it(platform) {
        let mut instance = platform.instance().await;
        let all = ["a", "a/", "a/1", "a/\u{10FFFF}", "a/ä", "a0", "b", "A/1"];
        instance.committed(puts(all.map(|key| put("things", key, "{}")))).await;
        let found = ["a/", "a/1", "a/ä", "a/\u{10FFFF}"];
        assert_lists(&mut instance, Selection::KeyPrefix("a/".into()), &found).await;
        assert_lists(&mut instance, Selection::KeyPrefix("c".into()), &[]).await;
        let ends = Selection::KeyPrefix("a/\u{10FFFF}".into());
        assert_lists(&mut instance, ends, &["a/\u{10FFFF}"]).await;
    }

    async fn a_prefix_is_not_a_pattern(platform) {
        let mut instance = platform.instance().await;
        instance.committed(puts(["a%b", "axb", "a_b", "a*b"].map(|key| put("things", key, "{}")))).await;
        assert_lists(&mut instance, Selection::KeyPrefix("a%".into()), &["a%b"]).await;
        assert_lists(&mut instance, Selection::KeyPrefix("a_".into()), &["a_b"]).await;
        assert_lists(&mut instance, Selection::KeyPrefix("a*".into()), &["a*b"]).await;
    }

    async fn an_entry_selects_the_documents_that_have_it(platform) {
        let mut instance = platform.instance().await;
        instance.committed(puts([
            indexed("c", &[("tag", "red"), ("tag", "blue")]),
            indexed("a", &[("tag", "red")]),
            indexed("b", &[("tag", "redder"), ("other", "red")]),
            indexed("d", &[("tag", "")]),
        ])).await;
        assert_lists(&mut instance, Selection::Equal(entry("tag", "red")), &["a", "c"]).await;
        assert_lists(&mut instance, Selection::Equal(entry("tag", "blue")), &["c"]).await;
        assert_lists(&mut instance, Selection::Equal(entry("tag", "")), &["d"]).await;
        assert_lists(&mut instance, Selection::Equal(entry("none", "red")), &[]).await;
    }

    async fn a_range_selects_by_value_then_key(platform) {
        let mut instance = platform.instance().await;
        instance.committed(puts([
            indexed("a", &[("time", "3")]),
            indexed("b", &[("time", "1")]),
            indexed("c", &[("time", "2")]),
            indexed("d", &[("time", "2")]),
        ])).await;
        assert_lists(&mut instance, within("time", None, None), &["b", "c", "d", "a"]).await;
        assert_lists(&mut instance, within("time", Some("2"), None), &["c", "d", "a"]).await;
        assert_lists(&mut instance, within("time", None, Some("2")), &["b"]).await;
        assert_lists(&mut instance, within("time", Some("2"), Some("3")), &["c", "d"]).await;
        assert_lists(&mut instance, within("time", Some("3"), Some("2")), &[]).await;
        assert_lists(&mut instance, within("time", Some("2"), Some("2")), &[]).await;
    }

    async fn a_document_is_listed_once_for_each_entry_in_the_range(platform) {
        let mut instance = platform.instance().await;
        instance.committed(puts([
            indexed("a", &[("tag", "1"), ("tag", "3"), ("tag", "9")]),
            indexed("b", &[("tag", "2"), ("tag", "2")]),
        ])).await;
        assert_lists(&mut instance, within("tag", None, Some("9")), &["a", "b", "a"]).await;
    }

    async fn entries_replace_those_of_the_version_before(platform) {
        let mut instance = platform.instance().await;
        instance.committed(puts([indexed("a", &[("tag", "1"), ("tag", "2")])])).await;
        instance.committed(puts([indexed("a", &[("tag", "2"), ("tag", "3")])])).await;
        assert_lists(&mut instance, Selection::Equal(entry("tag", "1")), &[]).await;
        assert_lists(&mut instance, within("tag", None, None), &["a", "a"]).await;
        instance.committed(puts([indexed("a", &[])])).await;
        assert_lists(&mut instance, within("tag", None, None), &[]).await;
        instance.committed(puts([indexed("a", &[("tag", "1")])])).await;
        assert_lists(&mut instance, within("tag", None, None), &["a"]).await;
    }

    async fn entries_may_hold_any_text(platform) {
        let mut instance = platform.instance().await;
        let texts = ["\"quoted\"", "back\\slash", "tab\tline\n", "ü\u{1F600}", "'", "[1]", "\u{1f}"];
        for (number, text) in texts.iter().enumerate() {
            instance.committed(puts([indexed(&number.to_string(), &[("text", text)])])).await;
        }
        for (number, text) in texts.iter().enumerate() {
            let selection = Selection::Equal(entry("text", text));
            assert_lists(&mut instance, selection, &[&number.to_string()]).await;
        }
    }

    async fn a_page_says_whether_there_is_another(platform) {
        let mut instance = platform.instance().await;
        instance.committed(puts(["a", "b", "c", "d"].map(|key| put("things", key, "{}")))).await;
        let query = Query { limit: 2, ..every("things") };
        assert_eq!(pages(&mut instance, &query).await, [["a", "b"], ["c", "d"]]);
    }

    async fn a_listing_goes_on_where_it_was_whatever_is_written(platform) {
        let mut instance = platform.instance().await;
        instance.committed(puts(["b", "d", "f", "h"].map(|key| put("things", key, "{}")))).await;
        let query = Query { limit: 2, ..every("things") };
        let first = instance.list(query.clone()).await.expect("a page");
        instance.committed(puts(["a", "e", "i"].map(|key| put("things", key, "{}")))).await;
        instance.committed(removes(removal("things", "d"))).await;
        let rest = Query { cursor: first.next, limit: 100, ..query };
        assert_eq!(keys(&mut instance, &rest).await, ["e", "f", "h", "i"]);
    }

    async fn five_hundred_documents_come_on_one_page(platform) {
        let mut instance = platform.instance().await;
        let all = (0..501).map(|number| put("things", &format!("{number:03}"), "{}"));
        instance.committed(puts(all)).await;
        let query = Query { limit: 500, ..every("things") };
        let lengths: Vec<_> = pages(&mut instance, &query).await.iter().map(Vec::len).collect();
        assert_eq!(lengths, [500, 1]);
    }

    async fn heavy_pages_end_early_and_miss_nothing(platform) {
        let mut instance = platform.instance().await;
        let heavy = "x".repeat(1 << 20);
        for number in 0..40 {
            instance.committed(puts([put("things", &format!("{number:02}"), &heavy)])).await;
        }
        let query = Query { limit: 500, ..every("things") };
        let pages = pages(&mut instance, &query).await;
        assert!(pages.len() > 1);
        assert_eq!(pages.concat(), (0..40).map(|number| format!("{number:02}")).collect::<Vec<_>>());
    }

    async fn a_cursor_that_was_not_given_out_is_refused(platform) {
        let mut instance = platform.instance().await;
        instance.committed(puts([indexed("a", &[("x", "1")]), indexed("b", &[("x", "1")])])).await;
        let by_entry = Query { selection: within("x", None, None), limit: 1, ..every("things") };
        let other = instance.list(by_entry).await.expect("a page").next;
        for cursor in [Some("".into()), Some("garbage!".into()), other] {
            let refused = instance.list(Query { cursor, ..every("things") }).await;
            assert!(matches!(refused, Err(Error::InvalidQuery(_))), "{refused:?}");
        }
    }

    async fn a_limit_is_from_1_to_500(platform) {
        let mut instance = platform.instance().await;
        for limit in [0, 501, u32::MAX] {
            let refused = instance.list(Query { limit, ..every("things") }).await;
            assert!(matches!(refused, Err(Error::InvalidQuery(_))), "{refused:?}");
        }
    }
}
