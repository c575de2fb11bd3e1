//! Verbs for videos and their soundtracks.

use reqwest::{
    Method,
    multipart::{Form, Part},
};
use serde_json::Value;

use crate::app::{ADMIN, Answer, Client, send, until};

/// Upload a file as the administrator.
pub async fn upload(app: &Client, path: &str, name: &str, content: Vec<u8>) -> Answer {
    let part = Part::bytes(content).file_name(name.to_owned());
    let form = Form::new().part("file", part);
    let request = app.request(Method::POST, path).bearer_auth(ADMIN);
    send(request.multipart(form)).await
}

/// Upload a video that is taken in; returns its id.
pub async fn uploaded(app: &Client, path: &str, name: &str, content: Vec<u8>) -> String {
    let answer = upload(app, path, name, content).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    let id = answer.json()["video_id"]
        .as_str()
        .expect("an id")
        .to_owned();
    assert_eq!(
        answer.header("location"),
        format!("/soundtrack/videos/{id}")
    );
    id
}

/// Wait until a video is converted, rejected or given up; returns what is said of it.
pub async fn ended(app: &Client, id: &str) -> Value {
    let path = format!("/soundtrack/videos/{id}");
    until(async || {
        let video = app.admin(Method::GET, &path).await.json();
        (video["status"] != "pending").then_some(video)
    })
    .await
}

/// Upload a video and wait for its soundtrack.
pub async fn converted(app: &Client, path: &str, name: &str, content: Vec<u8>) -> Value {
    let id = uploaded(app, path, name, content).await;
    let video = ended(app, &id).await;
    assert_eq!(video["status"], "converted", "{name}: {video}");
    video
}

/// Download the soundtrack of a video.
pub async fn download(app: &Client, video: &Value) -> Answer {
    let url = video["audio"]["url"].as_str().expect("a path");
    let answer = app.admin(Method::GET, url).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer
}
