//! Events: CloudEvents 1.0 records in MessagePack.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use uuid::Uuid;

use crate::{catalog_events, image_events, journal, soundtrack_events, trace::Trace};

/// The `data` of an event: what happened, in the words of the contract.
pub trait Message: Serialize + DeserializeOwned {
    /// The stream it belongs to, also the name of the Redis channel.
    const TOPIC: &'static str;
    /// The CloudEvents `type`.
    const KIND: &'static str;
    /// The version of the shape of the data.
    const VERSION: &'static str = "1.0.0";

    /// The ordering key, CloudEvents `subject`.
    fn subject(&self) -> Option<String>;
}

/// An event as it travels: the CloudEvents 1.0 attributes, `dataversion` and
/// `traceparent` (CloudEvents distributed tracing extension), and the data.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Envelope<T> {
    /// The version of CloudEvents, `1.0`.
    pub specversion: String,
    /// A UUIDv7, which is also the idempotency key of whatever it causes.
    pub id: String,
    /// The service that published it, as a URI reference.
    pub source: String,
    /// What happened.
    #[serde(rename = "type")]
    pub kind: String,
    /// The version of the shape of `data`.
    pub dataversion: String,
    /// When it happened, RFC 3339 in UTC.
    pub time: String,
    /// The ordering key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Where in a trace it was published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// What happened, in detail.
    pub data: T,
}

/// Why an event could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum InvalidEnvelope {
    /// The data does not serialise.
    #[error("the data of the event does not serialise")]
    Unserialisable(#[source] rmp_serde::encode::Error),
    /// The bytes are not an event of the type expected.
    #[error("the envelope does not read as the event expected")]
    Unreadable(#[source] rmp_serde::decode::Error),
}

impl<T: DeserializeOwned> Envelope<T> {
    /// Read an event.
    pub fn decode(bytes: &[u8]) -> Result<Self, InvalidEnvelope> {
        rmp_serde::from_slice(bytes).map_err(InvalidEnvelope::Unreadable)
    }
}

/// Wrap `message` for publishing, as the next step of `trace`.
pub(crate) fn wrap<M: Message>(
    source: &str,
    message: &M,
    trace: &Trace,
    not_before_ms: Option<u64>,
) -> Result<journal::Event, InvalidEnvelope> {
    let envelope = Envelope {
        specversion: "1.0".into(),
        id: Uuid::now_v7().to_string(),
        source: format!("/{source}"),
        kind: M::KIND.into(),
        dataversion: M::VERSION.into(),
        time: now(),
        subject: message.subject(),
        traceparent: Some(trace.child().to_header()),
        data: message,
    };
    let bytes = rmp_serde::to_vec_named(&envelope).map_err(InvalidEnvelope::Unserialisable)?;
    Ok(journal::Event {
        id: envelope.id,
        topic: M::TOPIC.into(),
        kind: envelope.kind,
        subject: envelope.subject,
        not_before_ms,
        traceparent: envelope.traceparent,
        envelope: bytes,
    })
}

/// The time now, RFC 3339 in UTC.
pub fn now() -> String {
    // A clock before year 0 or after 9999 is the only way to fail.
    OffsetDateTime::now_utc()
        .format(&Rfc3339)
        .unwrap_or_default()
}

macro_rules! messages {
    ($($words:ident::$message:ident = $kind:literal on $topic:literal by $subject:ident;)*) => {$(
        impl Message for $words::$message {
            const TOPIC: &'static str = $topic;
            const KIND: &'static str = $kind;

            fn subject(&self) -> Option<String> {
                Some(self.$subject.to_string())
            }
        }
    )*};
}

messages! {
    catalog_events::GenerationRequested = "GENERATION_REQUESTED" on "catalog-ingest" by generation;
    catalog_events::ProductPageRequested = "PRODUCT_PAGE_REQUESTED" on "catalog-ingest" by source;
    catalog_events::PokemonNamed = "pokemon-name-event" on "pokemon-name-event" by name;
    catalog_events::PokemonMediaFound = "pokemon-media-event" on "pokemon-media-event" by media_id;
    catalog_events::MediaStored = "MEDIA_STORED" on "pokemon-media-result" by species_id;
    catalog_events::MediaFailed = "MEDIA_FAILED" on "pokemon-media-result" by species_id;
    image_events::ImageUploaded = "IMAGE_UPLOADED" on "image" by uuid;
    image_events::ImageDeleted = "IMAGE_DELETED" on "image" by uuid;
    image_events::DitherRequested = "DITHER_REQUESTED" on "dither-request" by uuid;
    image_events::DitherUploaded = "DITHER_UPLOADED" on "dither" by uuid;
    image_events::DitherFailed = "DITHER_FAILED" on "dither" by uuid;
    image_events::DitherDeleted = "DITHER_DELETED" on "dither" by uuid;
    soundtrack_events::VideoUploaded = "VIDEO_UPLOADED" on "video" by video_id;
    soundtrack_events::AudioExtracted = "AUDIO_EXTRACTED" on "audio" by video_id;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_survives_the_round_trip() -> Result<(), InvalidEnvelope> {
        let message = image_events::ImageDeleted { uuid: "u1".into() };
        let trace = Trace::start();
        let event = wrap("media", &message, &trace, None)?;
        let read: Envelope<image_events::ImageDeleted> = Envelope::decode(&event.envelope)?;
        assert_eq!(
            (read.kind.as_str(), read.source.as_str()),
            ("IMAGE_DELETED", "/media")
        );
        assert_eq!(read.subject.as_deref(), Some("u1"));
        assert_eq!(read.data.uuid, "u1");
        assert_eq!(event.id, read.id);
        Ok(())
    }

    #[test]
    fn an_event_reads_as_plain_json_too() -> Result<(), InvalidEnvelope> {
        let message = image_events::DitherUploaded {
            uuid: "u1".into(),
            channels: 2,
            url_dither: "/x".into(),
        };
        let event = wrap("dithering", &message, &Trace::start(), None)?;
        let read: Envelope<serde_json::Value> = Envelope::decode(&event.envelope)?;
        assert_eq!(read.data.get("url_dither"), Some(&"/x".into()));
        Ok(())
    }

    #[test]
    fn garbage_is_refused() {
        assert!(Envelope::<serde_json::Value>::decode(b"garbage").is_err());
    }
}
