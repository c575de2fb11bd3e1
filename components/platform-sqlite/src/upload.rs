//! Content on its way into the database, chunk by chunk.

use std::{cell::RefCell, mem};

use emporium_adapter::{
    Failure,
    bindings::blobs::{Blob, Error},
    blobs::void_upload,
};
use sha2::{Digest as _, Sha256};
use spin_sdk::sqlite::Value;

use crate::{
    clock::now_ms,
    connection::{Connection, Durability},
    row::{integer, text},
};

/// The content of one row. Larger rows would make short reads slow, smaller ones
/// long reads.
pub(crate) const CHUNK: usize = 256 << 10;

/// Bits of a chunk's id that count the chunks of its blob.
const POSITION_BITS: u32 = 20;

/// What fits into one blob.
const CAPACITY: u64 = (CHUNK as u64) << POSITION_BITS;

const BEGIN: &str = "INSERT INTO blobs (size, unreferenced_ms) VALUES (0, ?1) RETURNING id";
const ADD_CHUNK: &str = "INSERT INTO chunks (id, content) VALUES (?1, ?2)";
const FIND: &str = "SELECT id FROM blobs WHERE digest = ?1";
const KEEP_A_WHILE: &str = "UPDATE blobs SET unreferenced_ms = ?2
    WHERE id = ?1 AND unreferenced_ms IS NOT NULL";
const ADOPT: &str = "UPDATE blobs SET digest = ?2, size = ?3, unreferenced_ms = ?4
    WHERE id = ?1 RETURNING id";
const DISCARD_CHUNKS: &str = "DELETE FROM chunks WHERE id >= ?1 AND id < ?2";
const DISCARD_BLOB: &str = "DELETE FROM blobs WHERE id = ?1";

/// An unfinished upload. Less than a chunk of it is in memory.
pub struct Upload {
    limit: u64,
    progress: RefCell<Progress>,
}

struct Progress {
    content: Content,
    size: u64,
    buffer: Vec<u8>,
    /// The row in `blobs`, once there is a chunk to belong to it.
    blob: Option<u64>,
    chunks: u64,
    /// Set when a write failed: what was stored has a hole.
    void: bool,
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
            progress: RefCell::new(Progress {
                content,
                size: 0,
                buffer: Vec::new(),
                blob: None,
                chunks: 0,
                void: false,
            }),
        }
    }

    pub(crate) fn write(&self, content: &[u8]) -> Result<(), Error> {
        let mut progress = self.progress.borrow_mut();
        if progress.void {
            return Err(void_upload());
        }
        let size = progress.size + content.len() as u64;
        if size > self.limit {
            progress.void = true;
            return Err(Error::TooLarge(self.limit));
        }
        progress.size = size;
        progress
            .append(content)
            .inspect_err(|_| progress.void = true)?;
        Ok(())
    }

    pub(crate) fn finish(self) -> Result<Blob, Error> {
        let mut progress = self.progress.borrow_mut();
        if progress.void {
            return Err(void_upload());
        }
        Ok(progress.finish()?)
    }
}

impl Progress {
    fn append(&mut self, mut content: &[u8]) -> Result<(), Failure> {
        if let Content::Unknown(hasher) = &mut self.content {
            hasher.update(content);
        }
        while let Some((head, tail)) = content.split_at_checked(CHUNK - self.buffer.len()) {
            self.buffer.extend_from_slice(head);
            content = tail;
            let connection = Connection::current()?;
            let blob = connection.transaction(Durability::Relaxed, || self.store(&connection))?;
            self.blob = Some(blob);
            self.chunks += 1;
        }
        self.buffer.extend_from_slice(content);
        Ok(())
    }

    /// Store what is in memory, and the blob it belongs to if there is none yet.
    ///
    /// The caller notes the blob when the transaction has succeeded, not before:
    /// the id of one that was rolled back may become another's.
    fn store(&mut self, connection: &Connection) -> Result<u64, Failure> {
        let blob = match self.blob {
            Some(blob) => blob,
            None => connection
                .row(BEGIN, &[integer(now_ms())])?
                .ok_or_else(|| Failure::Other("a new blob has no id".into()))?
                .unsigned()?,
        };
        let content = mem::take(&mut self.buffer);
        if !content.is_empty() {
            let id = integer(chunk_id(blob, self.chunks));
            connection.execute(ADD_CHUNK, &[id, Value::Blob(content)])?;
        }
        Ok(blob)
    }

    fn finish(&mut self) -> Result<Blob, Failure> {
        let connection = Connection::current()?;
        let digest = self.content.digest();
        let now = integer(now_ms());
        let adopted = connection.transaction(Durability::Full, || {
            if let Some(mut row) = connection.row(FIND, &[text(&digest)])? {
                connection.execute(KEEP_A_WHILE, &[integer(row.integer()?), now])?;
                return Ok(false);
            }
            let blob = integer(self.store(&connection)?);
            connection
                .row(ADOPT, &[blob, text(&digest), integer(self.size), now])?
                .ok_or_else(|| Failure::Other("the unfinished upload was swept".into()))?;
            Ok(true)
        })?;
        if adopted {
            // It is no longer this upload's to discard.
            self.blob = None;
        }
        Ok(Blob {
            digest,
            size_bytes: self.size,
        })
    }
}

impl Content {
    fn digest(&self) -> String {
        match self {
            Self::Known(digest) => digest.clone(),
            Self::Unknown(hasher) => hex::encode(hasher.clone().finalize()),
        }
    }
}

/// Discards what was written of an upload that was not finished, or whose content
/// was there already. The sweep finds what this cannot.
impl Drop for Upload {
    fn drop(&mut self) {
        let Some(blob) = self.progress.get_mut().blob else {
            return;
        };
        let discarded = Connection::current().and_then(|connection| {
            connection.transaction(Durability::Relaxed, || discard(&connection, blob))
        });
        if let Err(failure) = discarded {
            eprintln!("could not discard an unfinished upload: {failure} blob={blob}");
        }
    }
}

/// Remove a blob with its chunks.
pub(crate) fn discard(connection: &Connection, blob: u64) -> Result<(), Failure> {
    let chunks = [integer(chunk_id(blob, 0)), integer(chunk_id(blob + 1, 0))];
    connection.execute(DISCARD_CHUNKS, &chunks)?;
    connection.execute(DISCARD_BLOB, &[integer(blob)])
}

/// Where a chunk is stored: those of one blob lie side by side.
pub(crate) fn chunk_id(blob: u64, position: u64) -> u64 {
    (blob << POSITION_BITS) | position
}

/// Refresh the time that an unreferenced blob has left, if the content is there.
pub(crate) fn keep_a_while(digest: &str) -> Result<bool, Failure> {
    let connection = Connection::current()?;
    if connection.row(FIND, &[text(digest)])?.is_none() {
        return Ok(false);
    }
    connection.transaction(Durability::Full, || {
        let Some(mut row) = connection.row(FIND, &[text(digest)])? else {
            return Ok(false);
        };
        connection.execute(KEEP_A_WHILE, &[integer(row.integer()?), integer(now_ms())])?;
        Ok(true)
    })
}
