//! The files in `static/`, built into the component: one less thing to mount.

use axum::{
    extract::Path,
    response::{IntoResponse as _, Response},
};
use emporium_sdk::problem::Problem;
use http::header;

const CSS: &str = include_str!("../../../static/emporium.css");
const GALLERY_JS: &str = include_str!("../../../static/gallery.js");
const ICON: &str = include_str!("../../../static/icon.svg");

/// `GET /static/{name}`.
pub(crate) async fn serve(Path(name): Path<String>) -> Result<Response, Problem> {
    let (content_type, content) = match name.as_str() {
        "emporium.css" => ("text/css; charset=utf-8", CSS),
        "gallery.js" => ("text/javascript; charset=utf-8", GALLERY_JS),
        "icon.svg" => ("image/svg+xml", ICON),
        _ => return Err(Problem::not_found("no-such-file", "no such static file")),
    };
    Ok((
        [
            (header::CONTENT_TYPE, content_type),
            // Short: the names do not change with the content.
            (header::CACHE_CONTROL, "public, max-age=300"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ],
        content,
    )
        .into_response())
}
