//! What `media` does when something happened to an image.

use std::time::Duration;

use emporium_sdk::{
    consumer::{Received, Subscription, Verdict, drain},
    deliveries, document,
    event::Message,
    image_events::{DitherDeleted, DitherFailed, DitherUploaded, ImageUploaded},
    unit::Unit,
};
use futures::future::join;
use http::HeaderMap;

use crate::{
    SERVICE,
    file::File,
    image::{Happening, Image, Next, next},
    intake,
    shape::Wish,
    variant::{self, THUMBNAIL},
};

/// Several times what the largest picture takes; also how long pictures wait when a
/// host dies with them.
const LEASE: Duration = Duration::from_secs(20);

/// Thumbnails are computing: one at a time, and others may help.
const IMAGES: Subscription = Subscription {
    batch: 1,
    lease: LEASE,
    ..Subscription::new(SERVICE, "image")
};

const DITHERS: Subscription = Subscription::new(SERVICE, "dither");

/// Handle what is due.
pub(crate) async fn react() -> Result<(), deliveries::Error> {
    let uploads = async {
        drain(&DITHERS, on_dither).await?;
        drain(&IMAGES, on_image).await
    };
    // At once: uploads must not wait for servers elsewhere.
    let found = drain(&intake::FOUND, intake::on_found);
    let (uploads, found) = join(uploads, found).await;
    uploads.and(found)
}

async fn on_image(received: &Received) -> Result<Unit, Verdict> {
    let mut unit = received.unit();
    if received.kind() != ImageUploaded::KIND {
        return Ok(unit);
    }
    let uploaded: ImageUploaded = received.data()?;
    let Some(mut image) = document::get::<Image>(&uploaded.uuid).await? else {
        return Ok(unit);
    };
    let shape = Wish::width(THUMBNAIL)
        .parse(&accepting_webp(), &image.value.content_type)
        .map_err(|invalid| Verdict::reject(invalid.0))?;
    match variant::make(&image.value, &shape).await {
        Ok(thumbnail) => unit.overwrite(&thumbnail)?,
        Err(problem) if problem.status().is_client_error() => {
            if let Next::Status(status) = next(image.value.status, Happening::Undecodable) {
                image.value.enter(status, Some(problem.detail().to_owned()));
                unit.update(&image)?;
            }
        }
        Err(problem) => return Err(Verdict::retry(problem.code())),
    }
    Ok(unit)
}

/// What browsers accept: the thumbnail is made for them.
fn accepting_webp() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(
        http::header::ACCEPT,
        http::HeaderValue::from_static("image/webp"),
    );
    headers
}

async fn on_dither(received: &Received) -> Result<Unit, Verdict> {
    match received.kind() {
        DitherUploaded::KIND => {
            let dither: DitherUploaded = received.data()?;
            let url = Some(dither.url_dither);
            advance(received, &dither.uuid, Happening::DitherUploaded, None, url).await
        }
        DitherFailed::KIND => {
            let failed: DitherFailed = received.data()?;
            let reason = Some(failed.reason);
            advance(received, &failed.uuid, Happening::Undecodable, reason, None).await
        }
        DitherDeleted::KIND => {
            let deleted: DitherDeleted = received.data()?;
            advance(
                received,
                &deleted.uuid,
                Happening::DitherDeleted,
                None,
                None,
            )
            .await
        }
        kind => Err(Verdict::unknown(kind)),
    }
}

/// Move an image to its next state.
async fn advance(
    received: &Received,
    uuid: &str,
    happening: Happening,
    reason: Option<String>,
    url_dither: Option<String>,
) -> Result<Unit, Verdict> {
    let mut unit = received.unit();
    let Some(mut image) = document::get::<Image>(uuid).await? else {
        return Ok(unit);
    };
    match next(image.value.status, happening) {
        Next::Same => {}
        Next::Status(status) => {
            image.value.enter(status, reason);
            image.value.url_dither = url_dither;
            unit.update(&image)?;
        }
        Next::Gone => {
            if let Some(file) = document::get::<File>(&image.value.file_name).await? {
                unit.remove(&file);
            }
            for variant in variant::kept(uuid).await? {
                unit.remove(&variant);
            }
            unit.remove(&image);
        }
    }
    Ok(unit)
}
