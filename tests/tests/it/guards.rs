//! Routes that are for administrators.

use emporium_tests::app::{App, send};
use reqwest::Method;

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_is_needed() {
    let app = App::start().await;
    for (method, path) in [
        (Method::POST, "/platform/tick"),
        (Method::POST, "/platform/workers"),
        (Method::DELETE, "/platform/subscriptions/media/image"),
        (Method::POST, "/platform/parked/1/retry"),
        (Method::GET, "/platform/events"),
        (Method::GET, "/platform/dead-letters"),
        (Method::GET, "/platform/dead-letters/1"),
        (Method::DELETE, "/platform/dead-letters/1"),
        (Method::POST, "/platform/dead-letters/1/replay"),
        (Method::POST, "/platform/dead-letters/replay"),
        (Method::POST, "/upload"),
        (Method::GET, "/download?id=1"),
        (Method::GET, "/soundtrack/videos/1"),
    ] {
        let without = send(app.request(method.clone(), path)).await;
        without.assert_problem(401, "unauthorised");
        assert!(without.header("www-authenticate").starts_with("Bearer"));
        let wrong = send(app.request(method, path).bearer_auth("wrong")).await;
        wrong.assert_problem(401, "unauthorised");
        assert!(wrong.header("www-authenticate").contains("invalid_token"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_keeps_its_id_and_trace() {
    let app = App::start().await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let request = app
        .request(Method::GET, "/images")
        .header("x-request-id", "r-1");
    let answer = send(request.header("traceparent", trace)).await;
    assert_eq!(answer.header("x-request-id"), "r-1");
    assert_eq!(answer.header("traceparent"), trace);
    let new = app.get("/images").await;
    assert_eq!(new.header("x-request-id").len(), 36);
}
