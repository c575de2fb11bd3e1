//! Ingests of species: what is stored, and that it is stored once.

use emporium_tests::{
    app::{App, send},
    ingest,
    upstream::Upstream,
};
use reqwest::Method;
use serde_json::{Value, json};

fn names(page: &Value) -> Vec<&str> {
    let items = page["items"].as_array().expect("items");
    items
        .iter()
        .map(|item| item["name"].as_str().expect("a name"))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generation_is_stored_with_all_its_media_once() {
    let upstream = Upstream::start().await;
    let app = App::of(upstream.manifest()).await;
    let first = ingest::species(&app).await;
    assert_eq!(first["state"], "finished", "{first}");
    assert_eq!((&first["found"], &first["stored"]), (&json!(3), &json!(3)));
    let media = json!({"found": 12, "stored": 12, "unchanged": 0, "failed": 0});
    assert_eq!(first["media"], media);
    assert_eq!(first["unconverted"], 3, "the animated ones");
    let asked = upstream.counts();
    assert!(asked.values().all(|count| *count == 1), "{asked:?}");

    let before = app.get("/pokemon/1").await;
    let second = ingest::species(&app).await;
    assert_eq!(second["state"], "finished", "{second}");
    assert_eq!(
        (&second["stored"], &second["unchanged"]),
        (&json!(0), &json!(3))
    );
    assert_eq!(second["media"]["unchanged"], 12);
    assert_eq!(upstream.counts(), asked, "upstream was not asked again");
    let after = app.get("/pokemon/1").await;
    assert_eq!(after.header("etag"), before.header("etag"));
    assert_eq!(after.body, before.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_species_has_all_that_upstream_says() {
    let upstream = Upstream::start().await;
    let app = App::of(upstream.manifest()).await;
    ingest::species(&app).await;
    let species = app.get("/pokemon/bulbasaur").await.json();
    assert_eq!(species, app.get("/pokemon/1").await.json());
    assert_eq!(species["id"], 1);
    assert_eq!(species["generation"], "generation-i");
    assert_eq!(
        species["descriptions"][0]["text"],
        "There is a plant seed on its back right from the day this POKéMON is born."
    );
    assert_eq!(
        species["evolutions"],
        json!([{"order": 1, "name": "bulbasaur"}, {"order": 2, "name": "ivysaur"}])
    );
    let variety = &species["varieties"][0];
    assert_eq!(variety["height_m"], 0.7);
    assert_eq!(variety["weight_kg"], 6.9);
    assert_eq!(variety["types"], json!(["grass", "poison"]));
    assert_eq!(variety["total"], 94);
    let media = variety["media"].as_array().expect("media");
    assert_eq!(media.len(), 4);
    assert_eq!(media[0]["description"], "front default");
    assert_eq!(media[0]["content_type"], "image/webp");
    assert_eq!(
        (&media[0]["width"], &media[0]["height"]),
        (&json!(24), &json!(20))
    );
    let mew = app.get("/pokemon/MEW").await.json();
    assert_eq!(
        mew["special"],
        json!({"is_special": true, "legendary": false, "mythical": true, "baby": false})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn species_are_listed_by_generation_and_type_in_pages() {
    let upstream = Upstream::start().await;
    let app = App::of(upstream.manifest()).await;
    ingest::species(&app).await;
    for (query, expected) in [
        ("", vec!["bulbasaur", "ivysaur", "mew"]),
        (
            "?generation=generation-i",
            vec!["bulbasaur", "ivysaur", "mew"],
        ),
        ("?generation=generation-ii", vec![]),
        ("?type=grass", vec!["bulbasaur", "ivysaur"]),
        ("?type=psychic&generation=generation-i", vec!["mew"]),
        ("?type=fire", vec![]),
    ] {
        let page = app.get(&format!("/pokemon{query}")).await.json();
        assert_eq!(names(&page), expected, "{query}");
    }
    let page = app.get("/pokemon?limit=2").await;
    assert!(page.header("link").contains("rel=\"next\""));
    let page = page.json();
    assert!(page["items"][0]["picture"]["src"].is_string());
    let next = page["next"].as_str().expect("a cursor");
    let rest = app
        .get(&format!("/pokemon?limit=2&cursor={next}"))
        .await
        .json();
    assert_eq!(names(&rest), ["mew"]);
    for (query, field) in [
        ("generation=generation-x", "generation"),
        ("type=a/b", "type"),
    ] {
        let refused = app.get(&format!("/pokemon?{query}")).await;
        refused.assert_problem(400, "invalid-query");
        assert_eq!(refused.json()["field"], field);
    }
    for unknown in ["99", "missingno", "..%2f..%2fhealth", "4294967296"] {
        let answer = app.get(&format!("/pokemon/{unknown}")).await;
        answer.assert_problem(404, "no-such-species");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_administrator_starts_an_ingest_and_only_of_what_exists() {
    let upstream = Upstream::start().await;
    let app = App::of(upstream.manifest()).await;
    let what = json!({"source": "pokeapi", "generation": "generation-i"});
    let answer = app.post_json("/catalog/ingests", &what).await;
    answer.assert_problem(401, "unauthorised");
    assert!(answer.header("www-authenticate").starts_with("Bearer"));
    for (what, field) in [
        (json!({"source": "elsewhere"}), "source"),
        (json!({"source": "pokeapi"}), "generation"),
        (
            json!({"source": "pokeapi", "generation": "x"}),
            "generation",
        ),
        (json!({"source": "openfoodfacts", "pages": 0}), "pages"),
        (
            json!({"source": "openfoodfacts", "pages": 100_000}),
            "pages",
        ),
        (json!({"generation": "generation-i"}), "source"),
        (json!({"source": "openfoodfacts", "pages": "one"}), "pages"),
    ] {
        let request = app.request(Method::POST, "/catalog/ingests");
        let answer = send(request.bearer_auth("test-admin-token").json(&what)).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json()["field"]),
            (400, &json!(field))
        );
    }
    let unknown = app
        .get("/catalog/ingests/0192d1c4-0000-7000-8000-000000000000")
        .await;
    unknown.assert_problem(404, "no-such-ingest");
    let nonsense = app.get("/catalog/ingests/nonsense").await;
    nonsense.assert_problem(404, "no-such-ingest");
    assert_eq!(upstream.counts().len(), 0, "nothing was asked for");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_nine_generations_are_asked_for_at_once() {
    let upstream = Upstream::start().await;
    let app = App::of(upstream.manifest()).await;
    let all = json!({"source": "pokeapi", "generation": "all"});
    let id = ingest::begin(&app, &all).await;
    let ingest = ingest::finish(&app, &id).await;
    assert_eq!(ingest["lists"]["found"], 9);
    assert_eq!(ingest["lists"]["failed"], 8, "upstream knows one");
    assert_eq!(ingest["stored"], 3);
    let listed = app.get("/catalog/ingests").await.json();
    assert_eq!(listed["items"][0]["id"], id.as_str());
    assert_eq!(listed["items"][0]["state"], "finished-with-failures");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_sent_again_starts_nothing_new() {
    let upstream = Upstream::start().await;
    let app = App::of(upstream.manifest()).await;
    let start = async |what: Value| {
        let request = app.request(Method::POST, "/catalog/ingests");
        let request = request.header("idempotency-key", "once");
        send(request.bearer_auth("test-admin-token").json(&what)).await
    };
    let what = json!({"source": "pokeapi", "generation": "generation-i"});
    let [first, again] = [start(what.clone()).await, start(what).await];
    assert_eq!((first.status.as_u16(), again.status.as_u16()), (202, 202));
    assert_eq!(first.json(), again.json());
    let other = start(json!({"source": "openfoodfacts"})).await;
    other.assert_problem(422, "idempotency-key-reused");
    let listed = app.get("/catalog/ingests").await.json();
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(1));
}
