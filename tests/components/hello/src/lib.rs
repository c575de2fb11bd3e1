//! The smallest HTTP service: what the host costs per request is measured with
//! it.

use spin_sdk::http::{IntoResponse, Request};
use spin_sdk::http_service;

#[http_service]
async fn handle(_request: Request) -> impl IntoResponse {
    "Hello, world!"
}
