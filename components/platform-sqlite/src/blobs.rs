//! Blobs, stored and read.

use emporium_adapter::{
    Failure,
    bindings::blobs::{Blob, Error, Guest, GuestUpload, Upload as Handle},
    blobs::{LARGEST_PUT, MOST_BYTES, check_digest, check_put},
};
use sha2::{Digest as _, Sha256};

use crate::{
    Component,
    connection::Connection,
    row::{integer, text},
    upload::{CHUNK, Upload, keep_a_while},
};

const STAT: &str = "SELECT size FROM blobs WHERE digest = ?1";

/// Only the wanted part of each chunk leaves the database. ?2 and ?3 bound the
/// content, ?4 and ?5 the positions of the chunks it lies in. Without any such
/// chunk there is one row, with nulls.
const READ: &str = "SELECT coalesce(substr(
            c.content,
            1 + max(0, ?2 - (c.id - (b.id << 20)) * ?6),
            min(?3, (c.id - (b.id << 20) + 1) * ?6) - max(?2, (c.id - (b.id << 20)) * ?6)
        ), x'')
    FROM blobs AS b
    LEFT JOIN chunks AS c ON c.id >= (b.id << 20) + ?4 AND c.id <= (b.id << 20) + ?5
    WHERE b.digest = ?1
    ORDER BY c.id";

impl Guest for Component {
    type Upload = Upload;

    async fn put(content: Vec<u8>) -> Result<Blob, Error> {
        check_put(&content)?;
        let digest = hex::encode(Sha256::digest(&content));
        if keep_a_while(&digest)? {
            return Ok(Blob {
                digest,
                size_bytes: content.len() as u64,
            });
        }
        let upload = Upload::of_known(digest, LARGEST_PUT);
        upload.write(&content)?;
        upload.finish()
    }

    async fn stat(digest: String) -> Result<Option<Blob>, Error> {
        check_digest(&digest)?;
        let row = Connection::current()?.row(STAT, &[text(&digest)])?;
        let size = row.map(|mut row| row.unsigned()).transpose()?;
        Ok(size.map(|size_bytes| Blob { digest, size_bytes }))
    }

    async fn read(digest: String, offset: u64, length: u32) -> Result<Option<Vec<u8>>, Error> {
        check_digest(&digest)?;
        Ok(read(&digest, offset, u64::from(length.min(MOST_BYTES)))?)
    }
}

impl GuestUpload for Upload {
    async fn start(limit_bytes: u64) -> Result<Handle, Error> {
        Ok(Handle::new(Self::start(limit_bytes)))
    }

    async fn write(&self, content: Vec<u8>) -> Result<(), Error> {
        self.write(&content)
    }

    async fn finish(this: Handle) -> Result<Blob, Error> {
        this.into_inner::<Self>().finish()
    }
}

fn read(digest: &str, offset: u64, length: u64) -> Result<Option<Vec<u8>>, Failure> {
    // No content reaches so far, and SQLite's integers do not either.
    let offset = offset.min(i64::MAX as u64 / 2);
    let end = offset + length;
    let chunk = CHUNK as u64;
    let last = if length == 0 {
        integer(-1)
    } else {
        integer((end - 1) / chunk)
    };
    let rows = Connection::current()?.rows(
        READ,
        &[
            text(digest),
            integer(offset),
            integer(end),
            integer(offset / chunk),
            last,
            integer(chunk),
        ],
    )?;
    let mut content: Option<Vec<u8>> = None;
    for mut row in rows {
        let part = row.blob()?;
        match &mut content {
            None => content = Some(part),
            Some(content) => content.extend(part),
        }
    }
    Ok(content)
}
