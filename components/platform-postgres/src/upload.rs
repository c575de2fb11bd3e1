//! Content on its way into the database, chunk by chunk.

use std::{cell::RefCell, mem};

use emporium_adapter::{
    Failure,
    bindings::blobs::{Blob, Error},
    blobs::void_upload,
};
use sha2::{Digest as _, Sha256};
use spin_sdk::pg::wit::postgres::ParameterValue;

use crate::{
    connection,
    row::{integer, optional_integer, small, text},
};

/// The content of one row. Larger rows would make short reads slow, smaller ones
/// long reads.
pub(crate) const CHUNK: usize = 256 << 10;

/// What fits into one blob: positions are counted in 31 bits, memory in fewer.
const CAPACITY: u64 = (CHUNK as u64) << 20;

const ADD_CHUNK: &str = "SELECT emporium_2.add_chunk($1, $2, $3)";
const FINISH: &str = "SELECT emporium_2.finish_blob($1, $2, $3, $4, $5)";
const DISCARD: &str = "SELECT emporium_2.discard_upload($1)";

/// An unfinished upload. Less than a chunk of it is in memory.
pub struct Upload {
    limit: u64,
    /// Absent while a write runs, and after one that failed: what was stored
    /// has a hole.
    progress: RefCell<Option<Progress>>,
}

struct Progress {
    content: Content,
    size: u64,
    buffer: Vec<u8>,
    /// The row in `blobs`, once there is a chunk to belong to it.
    blob: Option<u64>,
    chunks: u32,
}

/// What is known of the content so far.
enum Content {
    Known(String),
    Unknown(Sha256),
}

impl Upload {
    pub(crate) fn start(limit: u64) -> Self {
        Self::of(Content::Unknown(Sha256::new()), limit)
    }

    /// Begin an upload of content whose digest is known: hashing it again would
    /// take as long as storing it.
    pub(crate) fn of_known(digest: String, limit: u64) -> Self {
        Self::of(Content::Known(digest), limit)
    }

    fn of(content: Content, limit: u64) -> Self {
        Self {
            limit: limit.min(CAPACITY),
            progress: RefCell::new(Some(Progress {
                content,
                size: 0,
                buffer: Vec::new(),
                blob: None,
                chunks: 0,
            })),
        }
    }

    pub(crate) async fn write(&self, content: &[u8]) -> Result<(), Error> {
        let mut progress = self.take()?;
        let size = progress.size + content.len() as u64;
        if size > self.limit {
            return Err(Error::TooLarge(self.limit));
        }
        progress.size = size;
        progress.append(content).await?;
        self.progress.replace(Some(progress));
        Ok(())
    }

    pub(crate) async fn finish(self) -> Result<Blob, Error> {
        Ok(self.take()?.finish().await?)
    }

    fn take(&self) -> Result<Progress, Error> {
        self.progress.take().ok_or_else(void_upload)
    }
}

impl Progress {
    async fn append(&mut self, mut content: &[u8]) -> Result<(), Failure> {
        if let Content::Unknown(hasher) = &mut self.content {
            hasher.update(content);
        }
        while let Some((head, tail)) = content.split_at_checked(CHUNK - self.buffer.len()) {
            self.buffer.extend_from_slice(head);
            content = tail;
            let parameters = vec![
                optional_integer(self.blob),
                small(self.chunks),
                ParameterValue::Binary(mem::take(&mut self.buffer)),
            ];
            let mut row = connection::only_row(ADD_CHUNK, parameters).await?;
            self.blob = Some(row.unsigned()?);
            self.chunks += 1;
        }
        self.buffer.extend_from_slice(content);
        Ok(())
    }

    async fn finish(mut self) -> Result<Blob, Failure> {
        let digest = match &mut self.content {
            Content::Known(digest) => mem::take(digest),
            Content::Unknown(hasher) => hex::encode(mem::take(hasher).finalize()),
        };
        let parameters = vec![
            optional_integer(self.blob),
            small(self.chunks),
            ParameterValue::Binary(mem::take(&mut self.buffer)),
            text(digest.as_str()),
            integer(self.size),
        ];
        connection::execute(FINISH, parameters).await?;
        // It is no longer this upload's to discard.
        self.blob = None;
        Ok(Blob {
            digest,
            size_bytes: self.size,
        })
    }
}

/// Discards what was written of an upload that was not finished. The sweep finds
/// what this cannot.
impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(blob) = self.blob.take()
            && let Err(failure) = connection::execute_at_once(DISCARD, &[integer(blob)])
        {
            eprintln!("could not discard an unfinished upload: {failure} blob={blob}");
        }
    }
}
