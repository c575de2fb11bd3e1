//! What converting a video costs a host, and what comes of one that its host dies
//! with: on the database in a file, and on servers.

use std::{path::Path, time::Instant};

use emporium_tests::{
    process::Process,
    servers::Postgres,
    soundtracks::{converted, ended, uploaded},
    videos::{video, video_of},
};
use reqwest::Method;
use tempfile::{TempDir, tempdir};

/// Where the hosts of a test keep everything.
struct Place {
    state: TempDir,
    database: Option<String>,
}

impl Place {
    fn embedded() -> Self {
        Self {
            state: tempdir().expect("a folder"),
            database: None,
        }
    }

    fn servers() -> Self {
        Self {
            database: Some(Postgres::shared().database()),
            ..Self::embedded()
        }
    }

    fn host(&self) -> Process {
        let state: &Path = self.state.path();
        match &self.database {
            None => Process::start(state),
            Some(database) => Process::on_servers(database, state),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_video_that_a_host_dies_with_has_one_soundtrack_in_the_end() {
    is_converted_by_another_host(&Place::embedded()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_video_that_a_host_on_servers_dies_with_has_one_soundtrack_in_the_end() {
    is_converted_by_another_host(&Place::servers()).await;
}

async fn is_converted_by_another_host(place: &Place) {
    let folder = tempdir().expect("a folder");
    // Long enough to be under way when the host dies.
    let arguments = "-c:v mpeg4 -q:v 31 -c:a libmp3lame";
    let source = video_of(folder.path(), "long.mkv", 300, arguments);
    let host = place.host();
    let id = uploaded(&host, "/upload?format=wav", "long.mkv", source).await;
    host.kill();
    let killed = Instant::now();
    let host = place.host();
    let video = ended(&host, &id).await;
    assert_eq!(video["status"], "converted", "{video}");
    // The dead host was missed, long before its lease ran out.
    let waited = killed.elapsed();
    assert!(waited.as_secs() < 45, "{waited:?}");
    let events = host.admin(Method::GET, "/platform/events").await.json();
    let events = events.as_array().expect("events").iter();
    assert_eq!(events.filter(|event| event["topic"] == "audio").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_video_that_is_taken_is_never_whole_in_memory() {
    takes_little_memory(&Place::embedded()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_video_that_is_taken_on_servers_is_never_whole_in_memory() {
    takes_little_memory(&Place::servers()).await;
}

async fn takes_little_memory(place: &Place) {
    let folder = tempdir().expect("a folder");
    let host = place.host();
    let raw = "-c:v rawvideo -pix_fmt uyvy422 -c:a aac";
    let warm = video(folder.path(), "warm.mov", raw);
    converted(&host, "/upload", "warm.mov", warm).await;
    let planar = "-c:v rawvideo -pix_fmt yuv420p -c:a libmp3lame";
    // Two bytes a pixel, and one and a half.
    for (name, seconds, arguments) in [("large.mov", 64, raw), ("large.mkv", 84, planar)] {
        let large = video_of(folder.path(), name, seconds, arguments);
        assert!((60_000_000..64_000_000).contains(&large.len()));
        let before = host.peak_memory();
        let size = large.len() as f64 / 1e6;
        let begun = Instant::now();
        let id = uploaded(&host, "/upload", name, large).await;
        let stored = begun.elapsed().as_secs_f64();
        let video = ended(&host, &id).await;
        assert_eq!(video["status"], "converted", "{video}");
        let taken_out = begun.elapsed().as_secs_f64() - stored;
        let grown = host.peak_memory() - before;
        println!(
            "{name}: {size:.1} MB, stored at {:.0} MB/s, taken out at {:.0} MB/s, grew by {:.1} MB",
            size / stored,
            size / taken_out,
            grown as f64 / 1e6,
        );
        assert!(grown < 80_000_000, "the host grew by {grown} bytes");
    }
}
