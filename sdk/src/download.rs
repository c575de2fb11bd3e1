//! Answers that carry a blob: conditional, ranged and streamed (RFC 9110).

use std::{
    ops::Bound,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{
    body::Body,
    response::{IntoResponse as _, Response},
};
use headers::{
    AcceptRanges, ContentLength, ContentRange, ETag, HeaderMapExt as _, IfModifiedSince,
    IfNoneMatch, IfRange, LastModified, Range,
};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::{blob, problem::Problem};

/// Whether a browser should show a file or offer to save it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Show it.
    Inline,
    /// Save it.
    Attachment,
}

/// A blob as callers see it.
#[derive(Clone, Debug)]
pub struct Download {
    /// The SHA-256 under which it is kept, also its entity tag.
    pub digest: String,
    /// Its length in bytes.
    pub size_bytes: u64,
    /// Its media type.
    pub content_type: String,
    /// What to call it when it is saved.
    pub file_name: String,
    /// Milliseconds since the Unix epoch.
    pub modified_at_ms: u64,
    /// Show or save.
    pub disposition: Disposition,
    /// The `Cache-Control` header.
    pub cache_control: &'static str,
}

impl Download {
    /// Answer a request: 304 if the caller has it, 206 for a range, 416 for one
    /// outside of it, else the whole.
    pub fn respond(&self, request: &HeaderMap) -> Result<Response, Problem> {
        let mut headers = self.headers()?;
        let (etag, modified) = (self.etag()?, self.modified());
        if is_fresh(request, &etag, modified) {
            return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
        }
        headers.typed_insert(AcceptRanges::bytes());
        let whole = (0, self.size_bytes);
        let (status, (offset, length)) = match self.range(request, &etag, modified) {
            Asked::Whole => (StatusCode::OK, whole),
            Asked::Part(offset, length) => {
                let range = ContentRange::bytes(offset..offset + length, self.size_bytes)
                    .map_err(Problem::internal)?;
                headers.typed_insert(range);
                (StatusCode::PARTIAL_CONTENT, (offset, length))
            }
            Asked::Outside => {
                let size = format!("bytes */{}", self.size_bytes);
                let size = HeaderValue::from_str(&size).map_err(Problem::internal)?;
                return Err(Problem::new(
                    StatusCode::RANGE_NOT_SATISFIABLE,
                    "range-not-satisfiable",
                    format!("the file has {} bytes", self.size_bytes),
                )
                .header(header::CONTENT_RANGE, size));
            }
        };
        headers.typed_insert(ContentLength(length));
        let body = match length {
            0 => Body::empty(),
            _ => blob::body(self.digest.clone(), offset, length),
        };
        Ok((status, headers, body).into_response())
    }

    fn headers(&self) -> Result<HeaderMap, Problem> {
        let mut headers = HeaderMap::new();
        let text = |text: &str| HeaderValue::from_str(text).map_err(Problem::internal);
        headers.insert(header::CONTENT_TYPE, text(&self.content_type)?);
        headers.insert(
            header::CONTENT_DISPOSITION,
            text(&self.content_disposition())?,
        );
        headers.insert(
            header::CACHE_CONTROL,
            HeaderValue::from_static(self.cache_control),
        );
        // What a browser takes a file for is decided here, not by its content.
        headers.insert(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        );
        headers.typed_insert(self.etag()?);
        headers.typed_insert(LastModified::from(self.modified()));
        Ok(headers)
    }

    fn etag(&self) -> Result<ETag, Problem> {
        format!("\"{}\"", self.digest)
            .parse()
            .map_err(Problem::internal)
    }

    fn modified(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.modified_at_ms)
    }

    /// RFC 6266: an ASCII name for old clients, RFC 8187 for the real one.
    fn content_disposition(&self) -> String {
        let kind = match self.disposition {
            Disposition::Inline => "inline",
            Disposition::Attachment => "attachment",
        };
        let plain: String = self
            .file_name
            .chars()
            .map(|c| match c {
                '"' | '\\' | '%' => '_',
                c if c.is_ascii_graphic() || c == ' ' => c,
                _ => '_',
            })
            .collect();
        if plain == self.file_name {
            return format!("{kind}; filename=\"{plain}\"");
        }
        let encoded = percent_encoding::utf8_percent_encode(
            &self.file_name,
            percent_encoding::NON_ALPHANUMERIC,
        );
        format!("{kind}; filename=\"{plain}\"; filename*=UTF-8''{encoded}")
    }

    fn range(&self, request: &HeaderMap, etag: &ETag, modified: SystemTime) -> Asked {
        let Some(range) = request.typed_get::<Range>() else {
            return Asked::Whole;
        };
        let modified = LastModified::from(modified);
        if request
            .typed_get::<IfRange>()
            .is_some_and(|condition| condition.is_modified(Some(etag), Some(&modified)))
        {
            return Asked::Whole;
        }
        let mut ranges = range.satisfiable_ranges(self.size_bytes);
        match (ranges.next(), ranges.next()) {
            // Several ranges may be answered with the whole (RFC 9110, 14.2).
            (_, Some(_)) => Asked::Whole,
            (Some(bounds), None) => self.part(bounds),
            (None, None) => Asked::Outside,
        }
    }

    fn part(&self, (start, end): (Bound<u64>, Bound<u64>)) -> Asked {
        let start = match start {
            Bound::Included(start) => start,
            Bound::Excluded(start) => start.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match end {
            Bound::Included(end) => end.saturating_add(1),
            Bound::Excluded(end) => end,
            Bound::Unbounded => self.size_bytes,
        }
        .min(self.size_bytes);
        match start {
            start if start >= self.size_bytes => Asked::Outside,
            start if start < end => Asked::Part(start, end - start),
            // A range that ends before it starts is invalid, so it is ignored.
            _ => Asked::Whole,
        }
    }
}

/// What part of the blob a request asks for.
enum Asked {
    Whole,
    /// Offset and length.
    Part(u64, u64),
    Outside,
}

fn is_fresh(request: &HeaderMap, etag: &ETag, modified: SystemTime) -> bool {
    match request.typed_get::<IfNoneMatch>() {
        Some(condition) => !condition.precondition_passes(etag),
        None => request
            .typed_get::<IfModifiedSince>()
            .is_some_and(|condition| !condition.is_modified(modified)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn download() -> Download {
        Download {
            digest: "ab".repeat(32),
            size_bytes: 100,
            content_type: "image/png".into(),
            file_name: "cat.png".into(),
            modified_at_ms: 1_700_000_000_000,
            disposition: Disposition::Inline,
            cache_control: "public",
        }
    }

    fn status(headers: &[(header::HeaderName, &str)]) -> (u16, Option<String>) {
        let request = headers
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), HeaderValue::from_str(value).ok()?)))
            .collect();
        let response = match download().respond(&request) {
            Ok(response) => response,
            Err(problem) => problem.into_response(),
        };
        let range = response.headers().get(header::CONTENT_RANGE);
        (
            response.status().as_u16(),
            range.and_then(|range| Some(range.to_str().ok()?.to_owned())),
        )
    }

    #[test]
    fn ranges_are_answered_by_the_rules() {
        for (range, code, answered) in [
            ("bytes=0-9", 206, Some("bytes 0-9/100")),
            ("bytes=90-", 206, Some("bytes 90-99/100")),
            ("bytes=-10", 206, Some("bytes 90-99/100")),
            ("bytes=90-200", 206, Some("bytes 90-99/100")),
            ("bytes=100-", 416, Some("bytes */100")),
            ("bytes=0-1,5-6", 200, None),
            ("lines=0-1", 200, None),
            ("bytes=9-0", 200, None),
        ] {
            let (status, given) = status(&[(header::RANGE, range)]);
            assert_eq!((status, given.as_deref()), (code, answered), "{range}");
        }
    }

    #[test]
    fn a_caller_that_has_it_is_told_so() {
        let etag = format!("\"{}\"", download().digest);
        assert_eq!(status(&[(header::IF_NONE_MATCH, &etag)]).0, 304);
        assert_eq!(status(&[(header::IF_NONE_MATCH, "\"other\"")]).0, 200);
        let later = "Wed, 15 Nov 2023 00:00:00 GMT";
        assert_eq!(status(&[(header::IF_MODIFIED_SINCE, later)]).0, 304);
    }

    #[test]
    fn a_range_of_something_that_changed_is_the_whole() {
        let changed = [
            (header::RANGE, "bytes=0-9"),
            (header::IF_RANGE, "\"other\""),
        ];
        assert_eq!(status(&changed).0, 200);
    }

    #[test]
    fn a_name_cannot_break_out_of_its_header() {
        let mut download = download();
        download.file_name = "a\"; x=\"ü.png".into();
        assert_eq!(
            download.content_disposition(),
            "inline; filename=\"a_; x=__.png\"; \
             filename*=UTF-8''a%22%3B%20x%3D%22%C3%BC%2Epng"
        );
    }
}
