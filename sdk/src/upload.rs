//! Multipart uploads, read part by part within limits.

use axum::extract::{DefaultBodyLimit, FromRequest as _, Multipart, Request, multipart::Field};

use crate::{
    blobs::{self, Blob},
    extract::too_large,
    problem::Problem,
};

/// A file that came in a part of a multipart body.
#[derive(Debug)]
pub struct UploadedFile {
    /// The file name that the client gave, without folders; may be empty.
    pub name: String,
    /// Its content.
    pub content: Vec<u8>,
}

/// Read the first file part that `accepts` takes, whatever its field is called.
///
/// Parts are read one after the other, at most `limit` bytes each and in all, so
/// that an endless body ends here and is never held whole. `Ok(None)` if no part
/// was acceptable.
pub async fn first_file(
    request: Request,
    limit: usize,
    accepts: impl Fn(&[u8]) -> bool,
) -> Result<Found, Problem> {
    let mut parts = parts(request).await?;
    let mut budget = limit;
    let mut files = 0;
    while let Some(part) = parts.next_field().await.map_err(broken)? {
        let name = file_name(part.file_name().unwrap_or_default());
        let is_file = part.file_name().is_some();
        let content = read_part(part, budget, limit).await?;
        budget -= content.len();
        if is_file && !content.is_empty() {
            files += 1;
            if accepts(&content) {
                return Ok(Found::File(UploadedFile { name, content }));
            }
        }
    }
    Ok(if files == 0 {
        Found::Nothing
    } else {
        Found::Unacceptable
    })
}

/// What a multipart body held.
#[derive(Debug)]
pub enum Found {
    /// An acceptable file.
    File(UploadedFile),
    /// Files, but none that was acceptable.
    Unacceptable,
    /// No file.
    Nothing,
}

/// A file that was stored while it came in.
#[derive(Debug)]
pub struct StoredFile {
    /// The file name that the client gave, without folders; may be empty.
    pub name: String,
    /// Its content. It is swept after a day unless a document refers to it.
    pub blob: Blob,
}

/// Store the file in the field `name`, of at most `limit` bytes with everything
/// before it, chunk by chunk: it is never held whole. `Ok(None)` if there is no
/// such file, or an empty one.
pub async fn store_file(
    request: Request,
    name: &str,
    limit: usize,
) -> Result<Option<StoredFile>, Problem> {
    let mut parts = parts(request).await?;
    let mut budget = limit;
    while let Some(mut part) = parts.next_field().await.map_err(broken)? {
        let given = part.file_name().map(file_name);
        let Some(given) = given.filter(|_| part.name() == Some(name)) else {
            while let Some(chunk) = part.chunk().await.map_err(broken)? {
                budget = spend(budget, chunk.len(), limit)?;
            }
            continue;
        };
        let upload = blobs::Upload::start(limit as u64).await?;
        let whole = budget;
        while let Some(chunk) = part.chunk().await.map_err(broken)? {
            budget = spend(budget, chunk.len(), limit)?;
            upload.write(chunk.into()).await?;
        }
        return match whole == budget {
            true => Ok(None),
            false => Ok(Some(StoredFile {
                name: given,
                blob: blobs::Upload::finish(upload).await?,
            })),
        };
    }
    Ok(None)
}

fn spend(budget: usize, length: usize, limit: usize) -> Result<usize, Problem> {
    budget.checked_sub(length).ok_or_else(|| too_large(limit))
}

async fn parts(mut request: Request) -> Result<Multipart, Problem> {
    // The limit of axum is lower than ours may be; ours are kept part by part.
    DefaultBodyLimit::disable().apply(&mut request);
    Multipart::from_request(request, &())
        .await
        .map_err(|error| Problem::bad_request("invalid-body", error.body_text()).field("body"))
}

async fn read_part(mut part: Field<'_>, budget: usize, limit: usize) -> Result<Vec<u8>, Problem> {
    let mut content = Vec::new();
    while let Some(chunk) = part.chunk().await.map_err(broken)? {
        if content.len() + chunk.len() > budget {
            return Err(too_large(limit));
        }
        content.extend_from_slice(&chunk);
    }
    Ok(content)
}

fn broken(error: axum::extract::multipart::MultipartError) -> Problem {
    Problem::new(error.status(), "invalid-body", error.body_text())
}

/// The last component of the path a client gave, without control characters and
/// of at most 255 bytes.
fn file_name(given: &str) -> String {
    let last = given.rsplit(['/', '\\']).next().unwrap_or_default();
    let mut name: String = last.chars().filter(|c| !c.is_control()).collect();
    while name.len() > 255 {
        name.pop();
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_has_no_folder() {
        for (given, name) in [
            ("cat.png", "cat.png"),
            ("../../etc/passwd", "passwd"),
            ("C:\\temp\\cat.png", "cat.png"),
            ("a\r\nb.png", "ab.png"),
            ("", ""),
        ] {
            assert_eq!(file_name(given), name);
        }
    }
}
