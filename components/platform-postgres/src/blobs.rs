//! Blobs, stored and read.

use emporium_adapter::{
    Failure,
    bindings::blobs::{Blob, Error, Guest, GuestUpload, Upload as Handle},
    blobs::{LARGEST_PUT, MOST_BYTES, check_digest, check_put},
};
use sha2::{Digest as _, Sha256};

use crate::{
    Component, connection,
    row::{integer, text},
    upload::{CHUNK, Upload},
};

const KEEP_A_WHILE: &str = "SELECT emporium_2.keep_a_while($1)";
const STAT: &str = "SELECT size FROM emporium_2.blobs WHERE digest = $1";

/// Only the wanted part of each chunk leaves the database. $2 and $3 bound the
/// content, $4 is the size of a chunk.
const READ: &str = "SELECT b.id, (
        SELECT string_agg(substring(c.content
            FROM 1 + greatest($2 - c.position::bigint * $4, 0)::int
            FOR (least($3, (c.position::bigint + 1) * $4) - greatest($2, c.position::bigint * $4))::int
        ), '' ORDER BY c.position)
        FROM emporium_2.chunks AS c
        WHERE c.blob = b.id AND $3 > $2 AND c.position BETWEEN $2 / $4 AND ($3 - 1) / $4
    )
    FROM emporium_2.blobs AS b WHERE b.digest = $1";

impl Guest for Component {
    type Upload = Upload;

    async fn put(content: Vec<u8>) -> Result<Blob, Error> {
        check_put(&content)?;
        let digest = hex::encode(Sha256::digest(&content));
        // What is there already need not travel. Small content travels as fast
        // as the question.
        if content.len() >= CHUNK {
            let known = vec![text(digest.as_str())];
            if connection::only_row(KEEP_A_WHILE, known).await?.flag()? {
                return Ok(Blob {
                    digest,
                    size_bytes: content.len() as u64,
                });
            }
        }
        let upload = Upload::of_known(digest, LARGEST_PUT);
        upload.write(&content).await?;
        upload.finish().await
    }

    async fn stat(digest: String) -> Result<Option<Blob>, Error> {
        check_digest(&digest)?;
        let row = connection::row(STAT, vec![text(digest.as_str())]).await?;
        let size = row.map(|mut row| row.unsigned()).transpose()?;
        Ok(size.map(|size_bytes| Blob { digest, size_bytes }))
    }

    async fn read(digest: String, offset: u64, length: u32) -> Result<Option<Vec<u8>>, Error> {
        check_digest(&digest)?;
        Ok(read(digest, offset, length.min(MOST_BYTES)).await?)
    }
}

impl GuestUpload for Upload {
    async fn start(limit_bytes: u64) -> Result<Handle, Error> {
        Ok(Handle::new(Self::start(limit_bytes)))
    }

    async fn write(&self, content: Vec<u8>) -> Result<(), Error> {
        self.write(&content).await
    }

    async fn finish(this: Handle) -> Result<Blob, Error> {
        this.into_inner::<Self>().finish().await
    }
}

async fn read(digest: String, offset: u64, length: u32) -> Result<Option<Vec<u8>>, Failure> {
    // No content reaches so far, and Postgres' integers do not either.
    let offset = offset.min(i64::MAX as u64 / 2);
    let parameters = vec![
        text(digest),
        integer(offset),
        integer(offset + u64::from(length)),
        integer(CHUNK as u64),
    ];
    let Some(mut row) = connection::row(READ, parameters).await? else {
        return Ok(None);
    };
    row.unsigned::<u64>()?;
    Ok(Some(row.optional_bytes()?.unwrap_or_default()))
}
