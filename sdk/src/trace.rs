//! W3C Trace Context: which request or event caused what happens now.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use http::{HeaderMap, request::Parts};
use uuid::Uuid;

/// A position in a trace, as in the `traceparent` header
/// (W3C Trace Context, level 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    trace_id: u128,
    span_id: u64,
    flags: u8,
}

impl Trace {
    /// Begin a new, sampled trace.
    pub fn start() -> Self {
        let [trace_id, span] = [Uuid::new_v4().as_u128(), Uuid::new_v4().as_u128()];
        Self {
            trace_id,
            span_id: low_half(span),
            flags: 1,
        }
    }

    /// Read a `traceparent` value. An invalid one is `None`: the standard asks
    /// to restart the trace then.
    pub fn parse(header: &str) -> Option<Self> {
        let mut parts = header.trim().split('-');
        let (version, trace, span, flags) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let is_hex = |part: &str, length| {
            part.len() == length && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        };
        let later_version_may_have_more = version != "00" || parts.next().is_none();
        let well_formed = is_hex(version, 2)
            && version != "ff"
            && is_hex(trace, 32)
            && is_hex(span, 16)
            && is_hex(flags, 2)
            && later_version_may_have_more;
        let trace = Self {
            trace_id: u128::from_str_radix(trace, 16).ok()?,
            span_id: u64::from_str_radix(span, 16).ok()?,
            flags: u8::from_str_radix(flags, 16).ok()?,
        };
        (well_formed && trace.trace_id != 0 && trace.span_id != 0).then_some(trace)
    }

    /// The position of a request: what its `traceparent` says, or a new trace.
    pub fn of_request(headers: &HeaderMap) -> Self {
        headers
            .get("traceparent")
            .and_then(|value| value.to_str().ok())
            .and_then(Self::parse)
            .unwrap_or_else(Self::start)
    }

    /// The next step of the same trace.
    pub fn child(&self) -> Self {
        Self {
            span_id: low_half(Uuid::new_v4().as_u128()),
            ..*self
        }
    }

    /// The value of the `traceparent` header.
    pub fn to_header(&self) -> String {
        format!(
            "00-{:032x}-{:016x}-{:02x}",
            self.trace_id, self.span_id, self.flags
        )
    }
}

/// The random half of a UUIDv4: its high half holds the fixed version bits.
fn low_half(random: u128) -> u64 {
    // Truncation is the purpose; zero would be an invalid span.
    (random as u64).max(1)
}

impl<S: Sync> FromRequestParts<S> for Trace {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts
            .extensions
            .get()
            .copied()
            .unwrap_or_else(|| Self::of_request(&parts.headers)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_header_survives_the_round_trip() {
        let trace = Trace::parse(HEADER).map(|trace| trace.to_header());
        assert_eq!(trace.as_deref(), Some(HEADER));
    }

    #[test]
    fn a_child_stays_in_its_trace() {
        let parent = Trace::start();
        let child = parent.child();
        assert_eq!(parent.trace_id, child.trace_id);
        assert_ne!(parent.span_id, child.span_id);
    }

    #[test]
    fn malformed_headers_are_refused() {
        for header in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-extra",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert_eq!(Trace::parse(header), None, "{header:?}");
        }
    }
}
