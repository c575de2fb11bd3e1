//! `emporium events`: what it prints, and what it does.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use emporium_tests::{
    app::{ADMIN, App},
    target,
};
use reqwest::Method;
use serde_json::Value;

use crate::trial::{dead_letters, effect, publish, start};

struct Outcome {
    code: Option<i32>,
    output: String,
    errors: String,
}

fn command(url: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(target().join("host/emporium"));
    command
        .arg("events")
        .args(arguments)
        .env("EMPORIUM_URL", url)
        .env("SPIN_VARIABLE_ADMIN_TOKEN", ADMIN);
    command
}

/// Run `emporium events` on an application, as its administrator.
async fn events(app: &App, arguments: &[&str]) -> Outcome {
    run(command(&app.origin, arguments)).await
}

async fn run(mut command: Command) -> Outcome {
    let output = tokio::task::spawn_blocking(move || command.output());
    let output = output.await.expect("no crash").expect("the command");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Outcome {
        code: output.status.code(),
        output: text(output.stdout),
        errors: text(output.stderr),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_prints_an_event_to_a_line() {
    let app = start().await;
    publish(&app, &[("a", Some("k"), "work"), ("b", None, "work")]).await;
    let all = ["tail", "--after", "0", "--no-follow"];
    let tail = events(&app, &all).await;
    assert_eq!(tail.code, Some(0), "{}", tail.errors);
    let lines: Vec<_> = tail.output.lines().collect();
    assert_eq!(lines.len(), 2, "{}", tail.output);
    let fields: Vec<_> = lines[0].split_whitespace().collect();
    assert_eq!(fields[2..5], ["trial", "TRIAL", "k"]);

    let json = events(&app, &[&all[..], &["--json"]].concat()).await;
    let names: Vec<String> = json
        .output
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"))
        .map(|event| {
            event["event"]["data"]["name"]
                .as_str()
                .expect("a name")
                .to_owned()
        })
        .collect();
    assert_eq!(names, ["a", "b"]);

    let other = events(&app, &[&all[..], &["--topic", "image"]].concat()).await;
    assert_eq!((other.code, other.output.as_str()), (Some(0), ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_follows_what_is_published() {
    let app = start().await;
    let mut child = command(&app.origin, &["tail", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the command");
    let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let first = tokio::task::spawn_blocking(move || {
        let mut lines = lines;
        lines.next().expect("a line").expect("text")
    });
    publish(&app, &[("later", None, "work")]).await;
    let event: Value = serde_json::from_str(&first.await.expect("no crash")).expect("JSON");
    assert_eq!(event["event"]["data"]["name"], "later");
    child.kill().expect("killing");
    child.wait().expect("waiting");
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_listed_shown_and_replayed() {
    let app = start().await;
    publish(&app, &[("poison", None, "trap")]).await;
    let letter = dead_letters(&app, 1).await.remove(0);
    let id = letter["id"].to_string();
    let listed = events(&app, &["dead", "--topic", "trial"]).await;
    assert_eq!(listed.code, Some(0), "{}", listed.errors);
    assert!(listed.output.contains(&id) && listed.output.contains("3 attempts"));
    assert_eq!(events(&app, &["dead", "--topic", "image"]).await.output, "");
    let shown = events(&app, &["dead", &id]).await;
    let shown: Value = serde_json::from_str(&shown.output).expect("JSON");
    assert_eq!(shown["event"]["data"]["name"], "poison");

    let fixed = app.request(Method::PUT, "/trial/fixed").send().await;
    assert_eq!(fixed.expect("an answer").status(), 204);
    let replayed = events(&app, &["replay", &id]).await;
    assert_eq!(
        (replayed.code, replayed.output.as_str()),
        (Some(0), "replayed 1\n"),
        "{}",
        replayed.errors
    );
    assert_eq!(effect(&app, "poison").await["times"], 1);
    let again = events(&app, &["replay", &id]).await;
    assert_eq!(again.code, Some(1));
    assert!(again.errors.contains("1 of 1 are not dead letters"));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_are_replayed_or_discarded_by_filter() {
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
    dead_letters(&app, 3).await;
    let replayed = ["replay", "--topic", "trial", "--per-second", "100"];
    let replayed = events(&app, &replayed).await;
    assert_eq!(replayed.output, "replayed 3\n", "{}", replayed.errors);
    dead_letters(&app, 3).await;
    let kept = events(&app, &["discard", "--reason", "no such reason"]).await;
    assert_eq!(kept.output, "discarded 0\n");
    let discarded = events(&app, &["discard", "--all"]).await;
    assert_eq!(discarded.output, "discarded 3\n", "{}", discarded.errors);
    dead_letters(&app, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_is_explained() {
    let app = start().await;
    let mut stranger = command(&app.origin, &["dead"]);
    stranger.env_remove("SPIN_VARIABLE_ADMIN_TOKEN");
    let away = "http://127.0.0.1:1";
    for (command, said) in [
        (stranger, "SPIN_VARIABLE_ADMIN_TOKEN"),
        (command(away, &["dead"]), "is the application running?"),
        (command("nowhere", &["dead"]), "is not a URL"),
        (
            command(&app.origin, &["dead", "999"]),
            "no-such-dead-letter",
        ),
        (command(&app.origin, &["replay"]), "say which dead letters"),
        (command(&app.origin, &["discard"]), "say which dead letters"),
    ] {
        let outcome = run(command).await;
        assert_eq!(outcome.code, Some(1), "{said}");
        assert!(outcome.errors.contains(said), "{said}: {}", outcome.errors);
    }
    let wrong = events(&app, &["replay", "1", "--topic", "trial"]).await;
    assert_eq!(wrong.code, Some(2), "usage: {}", wrong.errors);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_is_forgotten() {
    let app = start().await;
    publish(&app, &[("a", None, "work")]).await;
    effect(&app, "a").await;
    let forget = ["forget", "--service", "trial", "--topic"];
    let refused = events(&app, &[&forget[..], &["trial"]].concat()).await;
    assert_eq!(refused.code, Some(1));
    assert!(refused.errors.contains("--yes"), "{}", refused.errors);

    let forgotten = events(&app, &[&forget[..], &["trial", "--yes"]].concat()).await;
    assert_eq!(
        (forgotten.code, forgotten.output.as_str()),
        (Some(0), "forgot trial on trial\n"),
        "{}",
        forgotten.errors
    );

    let wrong = [&forget[..], &["tr/ial %00", "--yes"]].concat();
    let wrong = events(&app, &wrong).await;
    assert!(
        wrong.errors.contains("no-such-subscription"),
        "{}",
        wrong.errors
    );
    for (arguments, code) in [
        (
            &["forget", "--service", "nobody", "--topic", "trial", "-y"][..],
            1,
        ),
        (&["forget", "--service", "trial"], 2),
        (&["forget", "--service", "", "--topic", "trial", "-y"], 2),
    ] {
        let outcome = events(&app, arguments).await;
        assert_eq!(outcome.code, Some(code), "{}", outcome.errors);
    }
    let mut stranger = command(&app.origin, &[&forget[..], &["slow", "--yes"]].concat());
    stranger.env_remove("SPIN_VARIABLE_ADMIN_TOKEN");
    let refused = run(stranger).await;
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.errors.contains("SPIN_VARIABLE_ADMIN_TOKEN"),
        "{}",
        refused.errors
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_is_found_where_the_application_has_it() {
    let app = start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let content = format!("SPIN_VARIABLE_ADMIN_TOKEN={ADMIN}\n");
    std::fs::write(folder.path().join(".env"), content).expect("a file");
    let list = |arguments: &[&str]| {
        let mut command = command(&app.origin, &[&["dead"], arguments].concat());
        command
            .env_remove("SPIN_VARIABLE_ADMIN_TOKEN")
            .current_dir(&folder);
        run(command)
    };
    let found = list(&[]).await;
    assert_eq!(found.code, Some(0), "{}", found.errors);
    let refused = list(&["--token", "guess"]).await;
    assert_ne!(refused.code, Some(0), "{}", refused.output);
    let missing = list(&["--env-file", "nowhere"]).await;
    assert!(missing.errors.contains("nowhere"), "{}", missing.errors);
}
