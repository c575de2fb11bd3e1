//! `DELETE /images/{uuid}`: begins the saga that removes an image and everything
//! made of it.

use axum::extract::Path;
use emporium_sdk::{
    image_events::ImageDeleted,
    problem::Problem,
    trace::Trace,
    unit::{Unit, commit_decided},
};
use http::StatusCode;

use crate::{
    SERVICE,
    image::{Happening, Next, next},
    read::find,
};

/// Schedule an image for deletion. Doing so again changes nothing.
///
/// `IMAGE_DELETED` makes `dithering` remove its results and publish
/// `DITHER_DELETED`, upon which the original goes.
#[utoipa::path(delete, path = "/images/{uuid}", tag = "media",
    params(("uuid" = String, Path)),
    responses((status = 202, description = "It will be gone soon"), (status = 404, body = Problem)))]
pub(crate) async fn delete(Path(uuid): Path<String>, trace: Trace) -> Result<StatusCode, Problem> {
    commit_decided(|| async {
        let mut image = find(&uuid).await?;
        let mut unit = Unit::new(SERVICE, trace);
        if let Next::Status(status) = next(image.value.status, Happening::DeletionAsked) {
            image.value.enter(status, None);
            unit.update(&image)?;
            unit.publish(&ImageDeleted {
                uuid: image.value.uuid.clone(),
            })?;
        }
        Ok((unit, StatusCode::ACCEPTED))
    })
    .await
}
