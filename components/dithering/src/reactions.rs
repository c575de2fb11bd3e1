//! What `dithering` does when something happened to an image, or was asked for.

use std::time::Duration;

use emporium_sdk::{
    blob, blobs,
    consumer::{Received, Subscription, Verdict, drain, failure_notice::or_notify},
    deliveries, document,
    document::Stored,
    event::Message,
    image_events::{
        DitherDeleted, DitherFailed, DitherRequested, DitherUploaded, ImageDeleted, ImageUploaded,
    },
    unit::Unit,
};

use crate::{
    SERVICE,
    dither::{Dither, Levels, Method, Preview, Recipe},
    pictures::{self, Bounds, Encoding, Fit, Picture},
    read::all_of,
    source::Source,
};

/// Dithering is computing: one at a time, and others may help.
const IMAGES: Subscription = Subscription {
    batch: 1,
    lease: LEASE,
    ..Subscription::new(SERVICE, "image")
};

const REQUESTS: Subscription = Subscription {
    batch: 1,
    lease: LEASE,
    ..Subscription::new(SERVICE, "dither-request")
};

/// Several times what the largest picture takes; also how long pictures wait when a
/// host dies with them.
const LEASE: Duration = Duration::from_secs(20);

/// Originals are at most as large as an upload.
const ORIGINAL_LIMIT: u64 = 8_000_000;

/// Pixels; as wide as the thumbnails of `media`, to be laid over them.
const PREVIEW_WIDTH: u32 = 480;

/// Handle what is due.
pub(crate) async fn react() -> Result<(), deliveries::Error> {
    drain(&REQUESTS, on_request).await?;
    drain(&IMAGES, on_image).await
}

async fn on_image(received: &Received) -> Result<Unit, Verdict> {
    match received.kind() {
        ImageUploaded::KIND => on_uploaded(received, received.data()?).await,
        ImageDeleted::KIND => on_deleted(received, received.data()?).await,
        kind => Err(Verdict::unknown(kind)),
    }
}

/// The first version: two levels per channel.
async fn on_uploaded(received: &Received, image: ImageUploaded) -> Result<Unit, Verdict> {
    let source = Source {
        uuid: image.uuid,
        digest: image.digest,
        failure: None,
    };
    let tell = async |reason: &str| failed(received, &source, reason);
    or_notify(received, tell, first_version(received, &source)).await
}

async fn first_version(received: &Received, source: &Source) -> Result<Unit, Verdict> {
    let recipe = Recipe {
        uuid: source.uuid.clone(),
        levels: Levels::TWO,
        method: Method::FloydSteinberg,
    };
    match make(source, &recipe).await? {
        Ok(dither) => {
            let mut unit = received.unit();
            unit.publish(&uploaded(&dither))?;
            unit.overwrite(&dither)?;
            unit.overwrite(source)?;
            Ok(unit)
        }
        Err(reason) => failed(received, source, &reason),
    }
}

fn failed(received: &Received, source: &Source, reason: &str) -> Result<Unit, Verdict> {
    let mut unit = received.unit();
    unit.publish(&DitherFailed {
        uuid: source.uuid.clone(),
        reason: reason.to_owned(),
    })?;
    unit.overwrite(&Source {
        failure: Some(reason.to_owned()),
        ..source.clone()
    })?;
    Ok(unit)
}

async fn on_deleted(received: &Received, image: ImageDeleted) -> Result<Unit, Verdict> {
    let mut unit = received.unit();
    for dither in all_of(&image.uuid).await? {
        unit.remove(&dither);
    }
    if let Some(source) = document::get::<Source>(&image.uuid).await? {
        unit.remove(&source);
    }
    unit.publish(&DitherDeleted { uuid: image.uuid })?;
    Ok(unit)
}

async fn on_request(received: &Received) -> Result<Unit, Verdict> {
    let request: DitherRequested = received.data()?;
    let recipe = Levels::new(request.channels)
        .zip(Method::parse(Some(&request.method)))
        .map(|(levels, method)| Recipe {
            uuid: request.uuid,
            levels,
            method,
        })
        .ok_or_else(|| Verdict::reject("the levels or the method are not known"))?;
    let mut unit = received.unit();
    let Some(source) = document::get::<Source>(&recipe.uuid).await? else {
        // Deleted since it was asked for.
        return Ok(unit);
    };
    let is_there = document::get::<Dither>(recipe.key()).await?.is_some();
    if !is_there {
        add(&mut unit, &source, &recipe).await?;
    }
    Ok(unit)
}

async fn add(unit: &mut Unit, source: &Stored<Source>, recipe: &Recipe) -> Result<(), Verdict> {
    let dither = make(&source.value, recipe)
        .await?
        .map_err(Verdict::reject)?;
    unit.create(&dither)?;
    unit.publish(&uploaded(&dither))?;
    unit.update(source)?;
    Ok(())
}

/// Dither an image. The inner error says why it never can be.
async fn make(source: &Source, recipe: &Recipe) -> Result<Result<Dither, String>, Verdict> {
    let Some(original) = blob::read(&source.digest, ORIGINAL_LIMIT).await? else {
        return Err(Verdict::retry("the original cannot be read"));
    };
    let (picture, preview) = match compute(&original, recipe) {
        Ok(pictures) => pictures,
        Err(pictures::Error::Other(cause)) => return Err(Verdict::retry(cause)),
        Err(error) => return Ok(Err(reason(error))),
    };
    let blob = blobs::put(picture.content).await?;
    let preview = blobs::put(preview.content).await?;
    Ok(Ok(Dither {
        uuid: recipe.uuid.clone(),
        levels: recipe.levels,
        method: recipe.method,
        digest: blob.digest,
        size_bytes: blob.size_bytes,
        preview: Preview {
            digest: preview.digest,
            size_bytes: preview.size_bytes,
        },
        width: picture.width,
        height: picture.height,
    }))
}

/// The result and its preview. Dithering what was made small keeps the dots of
/// the preview whole; making small what was dithered would blur them away.
fn compute(original: &[u8], recipe: &Recipe) -> Result<(Picture, Picture), pictures::Error> {
    let (levels, method) = (recipe.levels.get(), recipe.method.to_wit());
    let bounds = Bounds {
        width: Some(PREVIEW_WIDTH),
        height: None,
        fit: Fit::Contain,
    };
    let small = pictures::resize(original, bounds, Encoding::Png)?;
    Ok((
        pictures::dither(original, levels, method)?,
        pictures::dither(&small.content, levels, method)?,
    ))
}

fn uploaded(dither: &Dither) -> DitherUploaded {
    DitherUploaded {
        uuid: dither.uuid.clone(),
        channels: dither.levels.get(),
        url_dither: dither.recipe().path(),
    }
}

fn reason(error: pictures::Error) -> String {
    match error {
        pictures::Error::Malformed(reason) => format!("the picture is damaged: {reason}"),
        pictures::Error::UnrecognisedFormat => "neither PNG, JPEG, GIF nor WebP".into(),
        pictures::Error::TooManyPixels(pixels) => format!("{pixels} pixels are too many"),
        pictures::Error::TooMuchMemory(bytes) => format!("{bytes} bytes to decode are too many"),
        other => other.to_string(),
    }
}
