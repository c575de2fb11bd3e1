//! Soundtracks of uploaded videos, compared with what ffmpeg says of them.

use std::time::Duration;

use emporium_tests::{
    app::{ADMIN, App, manifest, send, until},
    soundtracks::{converted, download, ended, upload, uploaded},
    videos::{probe, sound_packets, sound_samples, video},
};
use reqwest::{
    Method,
    multipart::{Form, Part},
};
use rusqlite::Connection;
use tempfile::tempdir;

/// How long a lock on the database is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// Containers and codecs that are copied: a name, how to make it, what comes out.
const COPIES: [(&str, &str, &str); 11] = [
    ("last.mp4", "-c:v mpeg4 -c:a aac", "audio/mp4"),
    (
        "first.mp4",
        "-c:v mpeg4 -c:a aac -movflags +faststart",
        "audio/mp4",
    ),
    (
        "fragments.mp4",
        "-c:v mpeg4 -c:a aac -g 25 -movflags frag_keyframe+empty_moov",
        "audio/mp4",
    ),
    (
        "relative.mp4",
        "-c:v mpeg4 -c:a aac -g 25 -movflags frag_keyframe+empty_moov+default_base_moof",
        "audio/mp4",
    ),
    ("quicktime.mov", "-c:v mpeg4 -c:a aac", "audio/mp4"),
    ("sound-only.m4a", "-map 1:a -c:a aac", "audio/mp4"),
    ("aac.mkv", "-c:v mpeg4 -c:a aac", "audio/mp4"),
    ("mp3.mp4", "-c:v mpeg4 -c:a libmp3lame", "audio/mpeg"),
    ("mp3.mkv", "-c:v mpeg4 -c:a libmp3lame", "audio/mpeg"),
    ("opus.webm", "-c:v libvpx -c:a libopus", "audio/ogg"),
    ("vorbis.webm", "-c:v libvpx -c:a libvorbis", "audio/ogg"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_soundtrack_is_copied_without_loss() {
    let (app, folder) = (App::start().await, tempdir().expect("a folder"));
    for (name, arguments, media_type) in COPIES {
        let source = video(folder.path(), name, arguments);
        let video = converted(&app, "/upload", name, source.clone()).await;
        let audio = download(&app, &video).await;
        assert_eq!(audio.header("content-type"), media_type, "{name}");
        let stem = name.split('.').next().expect("a stem");
        let saved = format!("attachment; filename=\"{stem}.");
        assert!(audio.header("content-disposition").starts_with(&saved));

        let packets = |name, content: &[u8]| sound_packets(folder.path(), name, content);
        assert!(
            packets("result", &audio.body) == packets(name, &source),
            "{name}: packets"
        );
        let said = &video["audio"];
        let codec = said["codec"].as_str().expect("a codec");
        let (rate, channels) = (&said["sample_rate_hz"], &said["channels"]);
        assert_eq!(
            probe(folder.path(), "result", &audio.body),
            format!("{codec},{rate},{channels}"),
            "{name}"
        );
        // A bare MP3 cannot say how much of its beginning is silence.
        if media_type != "audio/mpeg" {
            let samples = |name, content: &[u8]| sound_samples(folder.path(), name, content);
            assert!(
                samples("result", &audio.body) == samples(name, &source),
                "{name}: samples"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_soundtrack_is_decoded_when_asked_for() {
    let (app, folder) = (App::start().await, tempdir().expect("a folder"));
    for (name, arguments, _) in COPIES.into_iter().take(9) {
        let source = video(folder.path(), name, arguments);
        let video = converted(&app, "/upload?format=wav", name, source.clone()).await;
        let audio = download(&app, &video).await;
        assert_eq!(audio.header("content-type"), "audio/wav");
        let ours = sound_samples(folder.path(), "result.wav", &audio.body);
        let theirs = sound_samples(folder.path(), name, &source);
        // ffmpeg rounds the end of an edit up to a packet.
        let missing = theirs.len() - ours.len();
        assert!(missing < 2 * 1152, "{name}: {missing} samples are missing");
        let difference = ours.iter().zip(&theirs).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(difference <= Some(2), "{name}: {difference:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_video_without_a_soundtrack_is_rejected_with_a_reason() {
    let (app, folder) = (App::start().await, tempdir().expect("a folder"));
    let make = |name, arguments| video(folder.path(), name, arguments);
    let mut cut_off = make("cut.mp4", "-c:v mpeg4 -c:a aac");
    cut_off.truncate(cut_off.len() / 2);
    let mut first_cut_off = make("cut.mp4", "-c:v mpeg4 -c:a aac -movflags +faststart");
    first_cut_off.truncate(first_cut_off.len() / 2);
    let silent = make("silent.mp4", "-c:v mpeg4 -an");
    let ac3 = make("ac3.mkv", "-c:v mpeg4 -c:a ac3");
    let opus = make("opus.webm", "-c:v libvpx -c:a libopus");
    for (path, name, content, code) in [
        ("/upload", "silent.mp4", silent, "no-audio-track"),
        ("/upload", "cut.mp4", cut_off, "malformed"),
        ("/upload", "cut.mp4", first_cut_off, "malformed"),
        ("/upload", "ac3.mkv", ac3, "unsupported-codec"),
        ("/upload?format=wav", "opus.webm", opus, "unsupported-codec"),
        (
            "/upload",
            "text.mp4",
            b"not a video".to_vec(),
            "unsupported-container",
        ),
    ] {
        let id = uploaded(&app, path, name, content).await;
        let video = ended(&app, &id).await;
        assert_eq!(video["status"], "rejected", "{video}");
        assert_eq!(video["code"], code, "{video}");
        let download = app.admin(Method::GET, &format!("/download?id={id}")).await;
        download.assert_problem(422, code);
        assert_eq!(download.json()["detail"], video["reason"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_upload_is_refused() {
    let app = App::start().await;
    upload(&app, "/upload", "empty.mp4", Vec::new())
        .await
        .assert_problem(400, "no-file");
    let elsewhere = Form::new().part("video", Part::bytes(vec![1]).file_name("a.mp4"));
    let request = app.request(Method::POST, "/upload").bearer_auth(ADMIN);
    send(request.multipart(elsewhere))
        .await
        .assert_problem(400, "no-file");
    upload(&app, "/upload?format=flac", "a.mp4", vec![1])
        .await
        .assert_problem(400, "invalid-query");
    upload(&app, "/upload", "large.mp4", vec![0; 64_000_001])
        .await
        .assert_problem(413, "too-large");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_told_apart_from_what_is_not_ready() {
    // Without a trigger nobody hears that a video came; with one on another channel
    // the first wake of the host would do.
    let trigger = "[[trigger.redis]]\nchannel = \"video\"\ncomponent = \"soundtrack\"\n";
    let deaf = manifest().replace(trigger, "");
    assert_ne!(deaf, manifest());
    let app = App::of(deaf).await;
    for path in ["/download?id=unknown", "/soundtrack/videos/unknown"] {
        let code = ["no-such-audio", "no-such-video"][usize::from(path.starts_with("/s"))];
        app.admin(Method::GET, path).await.assert_problem(404, code);
    }
    let id = uploaded(&app, "/upload", "a.mp4", b"anything".to_vec()).await;
    let waiting = app.admin(Method::GET, &format!("/download?id={id}")).await;
    waiting.assert_problem(409, "not-ready");
    app.admin(Method::GET, "/download")
        .await
        .assert_problem(400, "invalid-query");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_a_soundtrack_can_be_downloaded() {
    let (app, folder) = (App::start().await, tempdir().expect("a folder"));
    let source = video(folder.path(), "a.mp4", "-c:v mpeg4 -c:a aac");
    let video = converted(&app, "/upload", "a.mp4", source).await;
    let whole = download(&app, &video).await.body;
    let url = format!(
        "/download?id={}",
        video["video_id"].as_str().expect("an id")
    );
    let request = app.request(Method::GET, &url).bearer_auth(ADMIN);
    let part = send(request.header("range", "bytes=100-299")).await;
    assert_eq!(part.status, 206);
    assert_eq!(part.body, whole[100..300]);
    let range = format!("bytes 100-299/{}", whole.len());
    assert_eq!(part.header("content-range"), range);
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_may_try_only_in_a_demonstration() {
    let form = || Form::new().part("file", Part::bytes(vec![1]).file_name("a.mp4"));
    let app = App::start().await;
    let request = app.request(Method::POST, "/test/upload").multipart(form());
    send(request).await.assert_problem(404, "no-such-route");
    let answer = app.get("/test/download?id=x").await;
    answer.assert_problem(404, "no-such-route");
    app.stop().await;

    let demo = manifest().replace(
        "demo = { default = \"false\" }",
        "demo = { default = \"true\" }",
    );
    let app = App::of(demo).await;
    let request = app.request(Method::POST, "/test/upload").multipart(form());
    let answer = send(request).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    let id = answer.json()["video_id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let path = format!("/test/download?id={id}");
    app.until_status(&path, 422)
        .await
        .assert_problem(422, "unsupported-container");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_events_are_those_of_the_contract() {
    let (app, folder) = (App::start().await, tempdir().expect("a folder"));
    let source = video(folder.path(), "a.mp4", "-c:v mpeg4 -c:a aac");
    let video = converted(&app, "/upload", "a.mp4", source).await;
    let events = app.admin(Method::GET, "/platform/events").await.json();
    let (id, audio) = (&video["video_id"], &video["audio"]["audio_id"]);
    let data = |topic: &str| {
        let events = events.as_array().expect("events").iter();
        let of_topic: Vec<_> = events.filter(|event| event["topic"] == topic).collect();
        assert_eq!(of_topic.len(), 1, "{events:?}", events = of_topic);
        of_topic[0]["event"]["data"].clone()
    };
    assert_eq!(
        data("video"),
        serde_json::json!({"username": "admin", "video_id": id, "audio_id": null})
    );
    assert_eq!(
        data("audio"),
        serde_json::json!({"username": "admin", "video_id": id, "audio_id": audio})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_video_that_cannot_be_read_fails_and_a_replay_mends_it() {
    let (app, folder) = (App::start().await, tempdir().expect("a folder"));
    let source = video(folder.path(), "a.mp4", "-c:v mpeg4 -c:a aac");
    converted(&app, "/upload", "a.mp4", source.clone()).await;
    let order = async |order: &str| {
        let path = format!("/platform/subscriptions/soundtrack/video/{order}");
        let answer = app.admin(Method::POST, &path).await;
        assert!(answer.status.is_success(), "{}", answer.text());
    };
    let database = Connection::open(app.state().join("sqlite-default.db")).expect("the database");
    database.busy_timeout(PATIENCE).expect("a timeout");
    order("pause").await;
    let id = uploaded(&app, "/upload", "a.mp4", source).await;
    database
        .execute_batch("CREATE TABLE away AS SELECT * FROM blobs; DELETE FROM blobs")
        .expect("nothing is left");
    order("resume").await;
    let letter = until(async || {
        // The pauses between attempts pass soon, the lease of one not too soon.
        app.clock.advance(Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(300)).await;
        let dead = app.admin(Method::GET, "/platform/dead-letters").await;
        dead.json()["items"].get(0).cloned()
    })
    .await;
    let failed = ended(&app, &id).await;
    assert_eq!(failed["status"], "failed", "{failed}");
    // The last words of a handler that was slow come after its time is up.
    until(async || {
        let reason = ended(&app, &id).await["reason"].clone();
        (reason == "the video cannot be read").then_some(())
    })
    .await;
    app.admin(Method::GET, &format!("/download?id={id}"))
        .await
        .assert_problem(422, "given-up");

    database
        .execute_batch("INSERT INTO blobs SELECT * FROM away")
        .expect("it is back");
    let replay = format!("/platform/dead-letters/{}/replay", letter["id"]);
    let answer = app.admin(Method::POST, &replay).await;
    assert!(answer.status.is_success(), "{}", answer.text());
    until(async || {
        let video = ended(&app, &id).await;
        (video["status"] == "converted").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_videos_end_one_way_or_the_other() {
    let (app, folder) = (App::start().await, tempdir().expect("a folder"));
    let sources = ["first.mp4", "fragments.mp4", "mp3.mkv", "opus.webm"].map(|name| {
        let sample = COPIES.iter().find(|sample| sample.0 == name);
        let (name, arguments, _) = *sample.expect("a sample");
        (name, video(folder.path(), name, arguments))
    });
    let mut ids = Vec::new();
    for round in 0..40_usize {
        let (name, source) = &sources[round % sources.len()];
        let mut damaged = source.clone();
        for at in 0..1 + round / 4 {
            // The beginning is where most can go wrong.
            let place = (at * 7919 + round * 104_729) % 4000.min(damaged.len());
            damaged[place] ^= 1 << (round % 8);
        }
        let path = ["/upload", "/upload?format=wav"][round / 4 % 2];
        ids.push(uploaded(&app, path, name, damaged).await);
    }
    for id in ids {
        ended(&app, &id).await;
    }
    let dead = app.admin(Method::GET, "/platform/dead-letters").await;
    assert!(!dead.text().contains("\"video\""), "{}", dead.text());
}
