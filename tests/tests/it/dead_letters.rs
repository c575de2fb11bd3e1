//! Events that cannot be handled, and what can be done about them.

use std::time::{Duration, Instant};

use emporium_tests::app::{ADMIN, send};
use reqwest::Method;
use serde_json::json;

use crate::trial::{dead_letters, effect, publish, start};

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_always_traps_leads_to_a_dead_letter() {
    let app = start().await;
    publish(&app, &[("poison", None, "trap")]).await;
    let letters = dead_letters(&app, 1).await;
    let letter = &letters[0];
    assert_eq!(
        (&letter["attempts"], &letter["topic"]),
        (&3.into(), &"trial".into())
    );
    assert_eq!(letter["event"]["data"]["name"], "poison", "it can be read");
    assert!(
        letter["reason"]
            .as_str()
            .is_some_and(|reason| !reason.is_empty())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn poison_does_not_delay_its_neighbours() {
    let app = start().await;
    let names: Vec<String> = (0..30).map(|number| format!("n{number}")).collect();
    let mut trials = vec![("poison", Some("p"), "trap")];
    trials.extend(
        names
            .iter()
            .map(|name| (name.as_str(), Some(name.as_str()), "work")),
    );
    let begun = Instant::now();
    publish(&app, &trials).await;
    for name in &names {
        assert_eq!(effect(&app, name).await["times"], 1);
    }
    // Three attempts, each ended by the lease of a second.
    assert!(
        begun.elapsed() < Duration::from_secs(30),
        "{:?}",
        begun.elapsed()
    );
    dead_letters(&app, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_to_die_ends_as_a_dead_letter() {
    let app = start().await;
    publish(&app, &[("a", None, "reject")]).await;
    let letters = dead_letters(&app, 1).await;
    assert_eq!(letters[0]["attempts"], 1, "{letters:?}");
    publish(
        &app,
        &[
            ("b", None, "trap"),
            ("c", None, "loop"),
            ("d", None, "hoard"),
            ("e", None, "fail"),
            ("f", None, "work"),
        ],
    )
    .await;
    let letters = dead_letters(&app, 5).await;
    for letter in letters
        .iter()
        .filter(|letter| letter["event"]["data"]["name"] != "a")
    {
        assert_eq!(letter["attempts"], 3, "{letter}");
    }
    assert_eq!(effect(&app, "f").await["times"], 1);
    assert_eq!(app.get("/health").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_after_a_fix_works_and_keeps_the_event_id() {
    let app = start().await;
    publish(&app, &[("poison", Some("k"), "trap")]).await;
    let letter = dead_letters(&app, 1).await.remove(0);
    let fixed = send(app.request(Method::PUT, "/trial/fixed")).await;
    assert_eq!(fixed.status, 204);

    let path = format!("/platform/dead-letters/{}", letter["id"]);
    assert_eq!(
        app.admin(Method::GET, &path).await.json()["event_id"],
        letter["event_id"]
    );
    let replayed = app.admin(Method::POST, &format!("{path}/replay")).await;
    assert_eq!(
        (replayed.status.as_u16(), replayed.json()),
        (202, json!({"replayed": 1}))
    );
    let effect = effect(&app, "poison").await;
    assert_eq!(
        (&effect["event"], &effect["times"]),
        (&letter["event_id"], &1.into())
    );
    dead_letters(&app, 0).await;
    let again = app.admin(Method::POST, &format!("{path}/replay")).await;
    again.assert_problem(404, "no-such-dead-letter");
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_replayed_by_filter_or_discarded() {
    let app = start().await;
    publish(
        &app,
        &[
            ("a", None, "reject"),
            ("b", None, "reject"),
            ("c", None, "reject"),
        ],
    )
    .await;
    let letters = dead_letters(&app, 3).await;
    let discarded = app
        .admin(
            Method::DELETE,
            &format!("/platform/dead-letters/{}", letters[0]["id"]),
        )
        .await;
    assert_eq!(discarded.status, 204);
    for (filter, count) in [
        (json!({"service": "nobody"}), 0),
        (json!({"topic": "trial", "type": "TRIAL"}), 2),
    ] {
        let request = app
            .request(Method::POST, "/platform/dead-letters/replay")
            .bearer_auth(ADMIN)
            .json(&filter);
        assert_eq!(send(request).await.json()["replayed"], count);
    }
    dead_letters(&app, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_can_be_spread_over_time() {
    let app = start().await;
    let fixed_later = [
        ("a", None, "trap"),
        ("b", None, "trap"),
        ("c", None, "trap"),
    ];
    publish(&app, &fixed_later).await;
    let letters = dead_letters(&app, 3).await;
    let fixed = send(app.request(Method::PUT, "/trial/fixed")).await;
    assert_eq!(fixed.status, 204);
    let ids: Vec<_> = letters.iter().map(|letter| letter["id"].clone()).collect();
    let body = json!({"ids": ids, "per_second": 2});
    let path = "/platform/dead-letters/replay";
    let begun = Instant::now();
    let replayed = app.admin_json(Method::POST, path, &body).await;
    assert_eq!(replayed.json(), json!({"replayed": 3}));
    for name in ["a", "b", "c"] {
        effect(&app, name).await;
    }
    // The second is due after half a second, the third after a whole one.
    assert!(
        begun.elapsed() >= Duration::from_secs(1),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn many_are_discarded_by_what_they_have_in_common() {
    let app = start().await;
    let trials = [
        ("a", None, "reject"),
        ("b", None, "reject"),
        ("c", None, "fail"),
    ];
    publish(&app, &trials).await;
    dead_letters(&app, 3).await;
    let path = "/platform/dead-letters/discard";
    for (selection, discarded) in [
        (json!({"reason": "asked to reject", "died_before_ms": 1}), 0),
        (json!({"reason": "asked to reject", "limit": 1}), 1),
        (json!({"reason": "asked to reject"}), 1),
    ] {
        let answer = app.admin_json(Method::POST, path, &selection).await;
        assert_eq!(
            answer.json(),
            json!({"discarded": discarded}),
            "{selection}"
        );
    }
    let left = dead_letters(&app, 1).await;
    assert_eq!(left[0]["event"]["data"]["name"], "c");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_selection_that_may_mean_too_much_is_refused() {
    let app = start().await;
    for (verb, selection, code) in [
        ("discard", json!({}), "empty-selection"),
        ("discard", json!({"limit": 5}), "empty-selection"),
        (
            "discard",
            json!({"topic": "x", "per_second": 1}),
            "invalid-body",
        ),
        ("discard", json!({"tpoic": "trial"}), "invalid-body"),
        ("replay", json!({"tpoic": "trial"}), "invalid-body"),
        ("replay", json!({"per_second": 0}), "invalid-body"),
        ("replay", json!({"limit": 501}), "invalid-body"),
        ("replay", json!({"ids": [1, 2], "limit": 1}), "invalid-body"),
        ("replay", json!({"ids": [-1]}), "invalid-body"),
    ] {
        let path = format!("/platform/dead-letters/{verb}");
        let answer = app.admin_json(Method::POST, &path, &selection).await;
        answer.assert_problem(400, code);
        assert_eq!(app.post(&path).await.status, 401);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_names_no_dead_letter_is_refused() {
    let app = start().await;
    for id in ["0", "999999", "-1", "abc", "99999999999999999999999"] {
        for (method, path) in [
            (Method::GET, format!("/platform/dead-letters/{id}")),
            (Method::DELETE, format!("/platform/dead-letters/{id}")),
            (Method::POST, format!("/platform/dead-letters/{id}/replay")),
        ] {
            app.admin(method, &path)
                .await
                .assert_problem(404, "no-such-dead-letter");
        }
    }
    let request = app
        .request(Method::POST, "/platform/dead-letters/replay")
        .bearer_auth(ADMIN);
    let answer = send(request.json(&json!({"topic": 7}))).await;
    answer.assert_problem(400, "invalid-body");
    assert_eq!(answer.json()["field"], "topic");
}
