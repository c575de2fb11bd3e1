//! The gallery: all pictures, one picture, and what visitors do with them.

use axum::{
    extract::{Path, Query, Request},
    response::{IntoResponse as _, Redirect, Response},
};
use http::{StatusCode, header};
use maud::{Markup, html};
use serde::Deserialize;

use crate::{
    card,
    layout::{message, page},
    media::{self, Image, Page},
    neighbour::Refusal,
};

/// How many pictures a page shows.
const PAGE: u32 = 24;

#[derive(Debug, Deserialize)]
pub(crate) struct Part {
    cursor: Option<String>,
}

/// `GET /`: the latest pictures.
pub(crate) async fn show(Query(part): Query<Part>) -> Response {
    render(StatusCode::OK, part, None).await
}

/// `POST /`: an upload without JavaScript.
pub(crate) async fn upload(request: Request) -> Response {
    let content_type = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    match media::upload(&content_type, request.into_body()).await {
        Ok(image) => Redirect::to(&format!("/#{}", image.uuid)).into_response(),
        Err(refusal) => render(refusal.status, Part { cursor: None }, Some(&refusal.detail)).await,
    }
}

/// `GET /gallery/{uuid}`: one picture, large.
pub(crate) async fn one(Path(uuid): Path<String>) -> Response {
    match media::get(&uuid).await {
        Ok(image) => page(StatusCode::OK, &image.filename, &detail(&image)),
        Err(refusal) => refused(&refusal),
    }
}

/// `GET /gallery/{uuid}/card`: the card alone, for `gallery.js`.
pub(crate) async fn card(Path(uuid): Path<String>) -> Response {
    match media::get(&uuid).await {
        Ok(image) => card::card(&image).into_response(),
        Err(refusal) => (refusal.status, refusal.detail).into_response(),
    }
}

/// `POST /gallery/{uuid}/delete`: a form cannot send DELETE.
pub(crate) async fn delete(Path(uuid): Path<String>) -> Response {
    match media::delete(&uuid).await {
        Ok(()) => Redirect::to("/").into_response(),
        Err(refusal) => refused(&refusal),
    }
}

fn refused(refusal: &Refusal) -> Response {
    let title = match refusal.status {
        StatusCode::NOT_FOUND => "No such picture",
        _ => "That did not work",
    };
    message(refusal.status, title, &refusal.detail)
}

async fn render(status: StatusCode, part: Part, error: Option<&str>) -> Response {
    let mut query = format!("limit={PAGE}");
    if let Some(cursor) = &part.cursor {
        // Cursors are made of characters that need no escape; others are no
        // cursors, and are dropped.
        let is_cursor = cursor
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'='));
        if is_cursor {
            query = format!("{query}&cursor={cursor}");
        }
    }
    match media::list(&query).await {
        Ok(pictures) => page(status, "Gallery", &gallery(&pictures, error)),
        Err(refusal) => refused(&refusal),
    }
}

fn gallery(pictures: &Page, error: Option<&str>) -> Markup {
    html! {
        section.hero {
            h1 { "Give it a picture." }
            p.lead { "It comes back in eight colours: every channel on or off, every error handed to its neighbours." }
            form.upload action="/" method="post" enctype="multipart/form-data" {
                label.drop {
                    input type="file" name="file" accept="image/png,image/jpeg,image/gif,image/webp" required;
                    span.prompt { strong { "Choose a picture" } " or drop one here" }
                    span.hint { "PNG, JPEG, GIF or WebP, up to 8 MB" }
                }
                button.button type="submit" { "Dither it" }
                p.error role="alert" hidden[error.is_none()] { (error.unwrap_or_default()) }
            }
        }
        ul.gallery { @for image in &pictures.items { (card::card(image)) } }
        @if pictures.items.is_empty() {
            p.empty { "No picture yet. Yours could be the first." }
        }
        @if let Some(cursor) = &pictures.next {
            p.more { a.button href={ "/?cursor=" (cursor) } rel="next" { "Older pictures" } }
        }
    }
}

fn detail(image: &Image) -> Markup {
    html! {
        article.detail {
            h1 { (image.filename) }
            ul.single { (card::card(image)) }
            @if let Some(dither) = &image.url_dither {
                p.links {
                    a.button href=(dither) { "Dithered, full size" }
                    a.button.quiet href={ (image.url) "?download=true" } { "Original" }
                }
            } @else {
                p.links { a.button.quiet href={ (image.url) "?download=true" } { "Original" } }
            }
            form action={ "/gallery/" (image.uuid) "/delete" } method="post" {
                button.button.danger type="submit" { "Delete this picture" }
            }
        }
    }
}
