//! An image and the states it goes through.

use emporium_sdk::{
    document::{Document, Entry, Range, entry},
    event::now,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The index of all images, in the order of upload.
const BY_UPLOAD: &str = "uploaded";
/// The index of images by status and upload.
const BY_STATUS: &str = "status";

/// How far an image has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Status {
    /// Uploaded; not dithered yet.
    Pending,
    /// Dithered.
    Finished,
    /// It cannot be decoded; the reason says why.
    Failed,
    /// It will go once what was made of it is gone.
    ScheduledToDeletion,
    /// Its dithered versions were deleted; it is still there.
    DitherDeleted,
}

impl Status {
    /// The name that callers and index values use.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Finished => "FINISHED",
            Self::Failed => "FAILED",
            Self::ScheduledToDeletion => "SCHEDULED_TO_DELETION",
            Self::DitherDeleted => "DITHER_DELETED",
        }
    }

    /// The status of this name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        [
            Self::Pending,
            Self::Finished,
            Self::Failed,
            Self::ScheduledToDeletion,
            Self::DitherDeleted,
        ]
        .into_iter()
        .find(|status| status.name() == name)
    }
}

/// What can happen to an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Happening {
    DitherUploaded,
    Undecodable,
    DitherDeleted,
    DeletionAsked,
    ReprocessAsked,
}

/// What an image becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Status(Status),
    /// It stays as it is.
    Same,
    /// It is removed.
    Gone,
}

/// The one table of state changes.
pub(crate) fn next(status: Status, happening: Happening) -> Next {
    use Happening as H;
    use Status as S;
    match (status, happening) {
        (S::ScheduledToDeletion, H::DitherDeleted) => Next::Gone,
        // Once it is to go, nothing else changes that.
        (S::ScheduledToDeletion, _) => Next::Same,
        (_, H::DeletionAsked) => Next::Status(S::ScheduledToDeletion),
        (S::Pending | S::Failed | S::DitherDeleted, H::DitherUploaded) => Next::Status(S::Finished),
        (S::Finished, H::DitherUploaded) => Next::Same,
        (S::Pending, H::Undecodable) => Next::Status(S::Failed),
        // Who is dithered was decodable; what failed stays failed.
        (S::Finished | S::Failed | S::DitherDeleted, H::Undecodable) => Next::Same,
        (S::Pending | S::Finished | S::Failed, H::DitherDeleted) => Next::Status(S::DitherDeleted),
        (S::DitherDeleted, H::DitherDeleted) => Next::Same,
        (S::Failed | S::DitherDeleted, H::ReprocessAsked) => Next::Status(S::Pending),
        (S::Pending | S::Finished, H::ReprocessAsked) => Next::Same,
    }
}

/// A state and when the image entered it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Step {
    pub(crate) status: Status,
    /// RFC 3339 in UTC.
    pub(crate) at: String,
}

/// An uploaded image.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Image {
    pub(crate) uuid: String,
    /// The name that the client gave it.
    pub(crate) filename: String,
    pub(crate) status: Status,
    pub(crate) reason: Option<String>,
    pub(crate) history: Vec<Step>,
    /// The SHA-256 of the original.
    pub(crate) digest: String,
    pub(crate) content_type: String,
    /// The name under which the file API serves the original.
    pub(crate) file_name: String,
    pub(crate) size_bytes: u64,
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Milliseconds since the Unix epoch.
    pub(crate) uploaded_at_ms: u64,
    /// The result of the first dithering.
    pub(crate) url_dither: Option<String>,
}

impl Image {
    /// Enter a state, and remember when.
    pub(crate) fn enter(&mut self, status: Status, reason: Option<String>) {
        self.status = status;
        self.reason = reason;
        self.history.push(Step { status, at: now() });
    }

    /// The place of an image in the order of uploads.
    fn order(&self) -> String {
        format!("{:015}", self.uploaded_at_ms)
    }
}

/// Which index entries to list: all, or those of one status; in the order of
/// upload either way.
pub(crate) fn range(status: Option<Status>) -> Range {
    match status {
        None => Range {
            index: BY_UPLOAD.into(),
            from: None,
            until: None,
        },
        // `0` is the character after `/`.
        Some(status) => Range {
            index: BY_STATUS.into(),
            from: Some(format!("{}/", status.name())),
            until: Some(format!("{}0", status.name())),
        },
    }
}

impl Document for Image {
    const COLLECTION: &'static str = "images";

    fn key(&self) -> String {
        self.uuid.clone()
    }

    fn entries(&self) -> Vec<Entry> {
        vec![
            entry(BY_UPLOAD, self.order()),
            entry(
                BY_STATUS,
                format!("{}/{}", self.status.name(), self.order()),
            ),
        ]
    }

    fn blobs(&self) -> Vec<String> {
        vec![self.digest.clone()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_gone_only_after_its_dithered_versions() {
        use Happening as H;
        let scheduled = Status::ScheduledToDeletion;
        assert_eq!(next(scheduled, H::DitherDeleted), Next::Gone);
        for late in [
            H::DitherUploaded,
            H::Undecodable,
            H::DeletionAsked,
            H::ReprocessAsked,
        ] {
            assert_eq!(next(scheduled, late), Next::Same, "{late:?}");
        }
    }

    #[test]
    fn every_state_can_be_deleted() {
        for status in [
            Status::Pending,
            Status::Finished,
            Status::Failed,
            Status::DitherDeleted,
        ] {
            assert_eq!(
                next(status, Happening::DeletionAsked),
                Next::Status(Status::ScheduledToDeletion)
            );
        }
    }

    #[test]
    fn a_late_failure_does_not_undo_a_success() {
        assert_eq!(next(Status::Finished, Happening::Undecodable), Next::Same);
    }

    #[test]
    fn status_names_are_those_of_the_json() {
        for name in [
            "PENDING",
            "FINISHED",
            "FAILED",
            "SCHEDULED_TO_DELETION",
            "DITHER_DELETED",
        ] {
            assert_eq!(Status::parse(name).map(Status::name), Some(name));
        }
        assert_eq!(Status::parse("pending"), None);
    }
}
