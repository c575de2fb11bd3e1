//! Positions in a trace, as in the `traceparent` header (W3C Trace Context,
//! level 1).

/// A span, seen from elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SpanContext {
    pub(crate) trace_id: u128,
    pub(crate) span_id: u64,
    /// Whether the trace is recorded.
    pub(crate) sampled: bool,
}

impl SpanContext {
    /// The beginning of a trace that is not recorded.
    pub(crate) fn unrecorded() -> Self {
        Self {
            trace_id: new_trace_id(),
            span_id: new_span_id(),
            sampled: false,
        }
    }

    /// Another span of the same trace.
    pub(crate) fn child(&self) -> Self {
        Self {
            span_id: new_span_id(),
            ..*self
        }
    }

    /// Reads a header. An invalid one is `None`: the standard asks to restart
    /// the trace then.
    pub(crate) fn parse(header: &[u8]) -> Option<Self> {
        let header = str::from_utf8(header).ok()?.trim();
        let mut parts = header.split('-');
        let version = hexadecimal(parts.next()?, 2)?;
        let trace_id = hexadecimal(parts.next()?, 32)?;
        let span_id = u64::try_from(hexadecimal(parts.next()?, 16)?).ok()?;
        let flags = hexadecimal(parts.next()?, 2)?;
        // A later version may say more.
        let ends = version != 0 || parts.next().is_none();
        (version != 0xff && trace_id != 0 && span_id != 0 && ends).then_some(Self {
            trace_id,
            span_id,
            sampled: flags & 1 == 1,
        })
    }

    /// The value of the header.
    pub(crate) fn to_header(self) -> String {
        let flags = u8::from(self.sampled);
        format!(
            "00-{:032x}-{:016x}-{flags:02x}",
            self.trace_id, self.span_id
        )
    }
}

/// The digits of a part; upper case is not allowed, and a sign neither.
fn hexadecimal(part: &str, length: usize) -> Option<u128> {
    let digits = part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    (part.len() == length && digits).then(|| u128::from_str_radix(part, 16).ok())?
}

pub(crate) fn new_trace_id() -> u128 {
    rand::random::<u128>().max(1)
}

pub(crate) fn new_span_id() -> u64 {
    rand::random::<u64>().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_header_survives_the_round_trip() {
        let read = SpanContext::parse(HEADER.as_bytes()).expect("valid");
        assert!(read.sampled);
        assert_eq!(read.to_header(), HEADER);
    }

    #[test]
    fn malformed_headers_are_refused() {
        for header in [
            "",
            "00",
            "wake",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-extra",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert_eq!(SpanContext::parse(header.as_bytes()), None, "{header:?}");
        }
        assert_eq!(SpanContext::parse(&[0xff; 55]), None);
    }
}
