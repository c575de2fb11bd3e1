//! The web pages, without JavaScript.

use emporium_tests::{
    app::{App, send},
    pictures::{png, zip},
};
use reqwest::{
    Method,
    multipart::{Form, Part},
};

fn form(name: &'static str, content: Vec<u8>) -> Form {
    Form::new().part("file", Part::bytes(content).file_name(name))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_gallery_invites() {
    let app = App::start().await;
    let page = app.get("/").await;
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").starts_with("text/html"));
    assert!(
        page.header("content-security-policy")
            .contains("default-src 'none'")
    );
    assert!(page.text().contains("No picture yet"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_uploads_and_leads_to_the_picture() {
    let app = App::start().await;
    let upload = app
        .request(Method::POST, "/")
        .multipart(form("<cat>.png", png(40, 30)));
    let answer = send(upload).await;
    assert_eq!(answer.status, 303);
    let uuid = answer
        .header("location")
        .strip_prefix("/#")
        .expect("a card")
        .to_owned();
    app.image_in(&uuid, "FINISHED").await;
    let page = app.get("/").await.text();
    assert!(page.contains(&format!("id=\"{uuid}\"")));
    assert!(page.contains("&lt;cat&gt;.png") && !page.contains("<cat>"));
    let card = app.get(&format!("/gallery/{uuid}/card")).await.text();
    assert!(card.contains(&format!("/dither/images/{uuid}/2/file?preview=true")));
    assert_eq!(app.get(&format!("/gallery/{uuid}")).await.status, 200);

    let deleted = app.post(&format!("/gallery/{uuid}/delete")).await;
    assert_eq!(
        (deleted.status.as_u16(), deleted.header("location")),
        (303, "/")
    );
    app.until_status(&format!("/gallery/{uuid}/card"), 404)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_upload_is_explained_on_the_page() {
    let app = App::start().await;
    let upload = app
        .request(Method::POST, "/")
        .multipart(form("a.png", zip()));
    let answer = send(upload).await;
    assert_eq!(answer.status, 415);
    assert!(answer.text().contains("whatever its name"));
    assert!(answer.text().contains("Give it a picture"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_without_a_page_has_one_that_says_so() {
    let app = App::start().await;
    for path in ["/nothing", "/gallery/nonsense", "/gallery/..%2f..%2fhealth"] {
        let page = app.get(path).await;
        assert_eq!(page.status, 404, "{path}");
        assert!(
            page.header("content-type").starts_with("text/html"),
            "{path}"
        );
    }
    assert_eq!(app.get("/static/nothing.css").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_page_needs_is_served() {
    let app = App::start().await;
    for (path, content_type) in [
        ("/static/emporium.css", "text/css"),
        ("/static/gallery.js", "text/javascript"),
        ("/static/icon.svg", "image/svg+xml"),
    ] {
        let file = app.get(path).await;
        assert_eq!(file.status, 200);
        assert!(file.header("content-type").starts_with(content_type));
    }
}
