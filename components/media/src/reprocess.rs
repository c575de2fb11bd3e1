//! `POST /images/{uuid}/reprocess`: publishes again what is stuck.

use axum::{Json, extract::Path};
use emporium_sdk::{
    image_events::{ImageDeleted, ImageUploaded},
    problem::Problem,
    trace::Trace,
    unit::{Unit, commit_decided},
};
use http::StatusCode;

use crate::{
    SERVICE,
    image::{Happening, Next, Status, next},
    read::{ImageView, find, original_path},
};

/// Publish the event of an image again: `IMAGE_UPLOADED` if it is not dithered,
/// `IMAGE_DELETED` if it is not gone.
#[utoipa::path(post, path = "/images/{uuid}/reprocess", tag = "media",
    params(("uuid" = String, Path)),
    responses(
        (status = 202, body = ImageView), (status = 404, body = Problem),
        (status = 409, body = Problem, description = "It is finished")))]
pub(crate) async fn reprocess(
    Path(uuid): Path<String>,
    trace: Trace,
) -> Result<(StatusCode, Json<ImageView>), Problem> {
    commit_decided(|| async {
        let mut image = find(&uuid).await?;
        let mut unit = Unit::new(SERVICE, trace);
        if let Next::Status(status) = next(image.value.status, Happening::ReprocessAsked) {
            image.value.enter(status, None);
            unit.update(&image)?;
        }
        match image.value.status {
            Status::Finished => {
                return Err(Problem::new(
                    StatusCode::CONFLICT,
                    "not-stuck",
                    "the image is finished; there is nothing to do again",
                ));
            }
            Status::ScheduledToDeletion => unit.publish(&ImageDeleted {
                uuid: image.value.uuid.clone(),
            })?,
            Status::Pending | Status::Failed | Status::DitherDeleted => {
                unit.publish(&ImageUploaded {
                    uuid: image.value.uuid.clone(),
                    filename: image.value.filename.clone(),
                    url: original_path(&image.value),
                    digest: image.value.digest.clone(),
                })?;
            }
        }
        Ok((unit, (StatusCode::ACCEPTED, Json(image.value.into()))))
    })
    .await
}
