//! Large binaries: whole, in ranges, or as a response body that streams.

use axum::body::Body;
use bytes::Bytes;
use futures::stream;

use crate::blobs::{self, Error};

/// How much is read at once: large enough to make the calls cheap, small enough
/// to keep a slow reader from holding memory.
const CHUNK_BYTES: u32 = 256 << 10;

/// Read a whole blob of at most `limit` bytes; `None` if there is none.
pub async fn read(digest: &str, limit: u64) -> Result<Option<Vec<u8>>, Error> {
    let Some(blob) = blobs::stat(digest.into()).await? else {
        return Ok(None);
    };
    if blob.size_bytes > limit {
        return Err(Error::TooLarge(limit));
    }
    let mut content = Vec::new();
    while (content.len() as u64) < blob.size_bytes {
        let offset = content.len() as u64;
        match blobs::read(digest.into(), offset, 1 << 20).await? {
            Some(chunk) if !chunk.is_empty() => content.extend_from_slice(&chunk),
            _ => return Ok(None),
        }
    }
    Ok(Some(content))
}

/// A body that streams `length` bytes of a blob from `offset`.
pub fn body(digest: String, offset: u64, length: u64) -> Body {
    let end = offset + length;
    Body::from_stream(stream::try_unfold(offset, move |offset| {
        let digest = digest.clone();
        async move {
            let wanted = (end - offset).min(u64::from(CHUNK_BYTES));
            if wanted == 0 {
                return Ok(None);
            }
            let wanted = u32::try_from(wanted).unwrap_or(CHUNK_BYTES);
            match blobs::read(digest, offset, wanted).await? {
                Some(chunk) if !chunk.is_empty() => {
                    let next = offset + chunk.len() as u64;
                    Ok(Some((Bytes::from(chunk), next)))
                }
                // The body then ends short of its Content-Length, which tells
                // the reader that it is not whole.
                _ => Err(Error::Other("the blob ended early".into())),
            }
        }
    }))
}
