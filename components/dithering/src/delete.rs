//! `DELETE /dither/images/{uuid}`: removes the results of an image.

use axum::extract::Path;
use emporium_sdk::{
    image_events::DitherDeleted,
    problem::Problem,
    trace::Trace,
    unit::{Unit, commit_decided},
};
use http::StatusCode;

use crate::{
    SERVICE,
    read::{all_of, find_source},
};

/// Remove every dithered version of an image; the image stays.
#[utoipa::path(delete, path = "/dither/images/{uuid}", tag = "dithering",
    params(("uuid" = String, Path)),
    responses((status = 204, description = "None is left"), (status = 404, body = Problem)))]
pub(crate) async fn delete(Path(uuid): Path<String>, trace: Trace) -> Result<StatusCode, Problem> {
    commit_decided(|| async {
        let source = find_source(&uuid).await?;
        let mut unit = Unit::new(SERVICE, trace);
        for dither in all_of(&source.value.uuid).await? {
            unit.remove(&dither);
        }
        unit.update(&source)?;
        unit.publish(&DitherDeleted {
            uuid: source.value.uuid,
        })?;
        Ok((unit, StatusCode::NO_CONTENT))
    })
    .await
}
