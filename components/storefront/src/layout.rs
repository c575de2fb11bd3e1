//! What all pages share.

use axum::response::{IntoResponse as _, Response};
use http::{StatusCode, header};
use maud::{DOCTYPE, Markup, html};

/// Only what we serve ourselves may be loaded, run or framed.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; img-src 'self' blob:; \
     media-src 'self'; \
     script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'self'; \
     base-uri 'none'; frame-ancestors 'none'";

/// A whole page.
pub(crate) fn page(status: StatusCode, title: &str, main: &Markup) -> Response {
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Emporium" }
                link rel="stylesheet" href="/static/emporium.css";
                link rel="icon" href="/static/icon.svg" type="image/svg+xml";
                script src="/static/gallery.js" type="module" {}
            }
            body {
                header.site {
                    a.brand href="/" { span.mark aria-hidden="true" {} "Emporium" }
                    nav {
                        a href="/" { "Gallery" }
                        a href="/species" { "Species" }
                        a href="/food" { "Food" }
                        a href="/docs" { "API" }
                    }
                }
                main { (main) }
                footer.site { p { "Decoded, shrunk and dithered inside a WebAssembly sandbox." } }
            }
        }
    };
    (
        status,
        [
            (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
            (header::REFERRER_POLICY, "same-origin"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ],
        markup,
    )
        .into_response()
}

/// A page that says one thing.
pub(crate) fn message(status: StatusCode, title: &str, detail: &str) -> Response {
    page(
        status,
        title,
        &html! {
            section.message {
                p.code { (status.as_u16()) }
                h1 { (title) }
                p { (detail) }
                p { a.button href="/" { "To the gallery" } }
            }
        },
    )
}
