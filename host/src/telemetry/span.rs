//! A span: something that is being done, told to the collector when it ends.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, KeyValue, any_value::Value},
    trace::v1::{self as proto, span::SpanKind, status::StatusCode},
};

use super::{context::SpanContext, tracer::Tracer};

/// Ends when it is dropped.
pub(crate) struct Span {
    tracer: Arc<Tracer>,
    span: proto::Span,
}

impl Span {
    pub(super) fn begin(
        tracer: &Arc<Tracer>,
        context: SpanContext,
        parent: Option<u64>,
        kind: SpanKind,
        name: String,
    ) -> Self {
        let parent = parent.map_or_else(Vec::new, |parent| parent.to_be_bytes().into());
        Self {
            tracer: tracer.clone(),
            span: proto::Span {
                trace_id: context.trace_id.to_be_bytes().into(),
                span_id: context.span_id.to_be_bytes().into(),
                parent_span_id: parent,
                flags: u32::from(context.sampled),
                kind: kind.into(),
                name,
                start_time_unix_nano: now(),
                ..proto::Span::default()
            },
        }
    }

    pub(crate) fn rename(&mut self, name: &str) {
        self.span.name = name.into();
    }

    /// Says more of it, by the semantic conventions of OpenTelemetry.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<SpanValue>) {
        let SpanValue(value) = value.into();
        self.span.attributes.push(attribute(name, value));
    }

    /// Says that it failed.
    pub(crate) fn fail(&mut self, message: String) {
        self.span.status = Some(proto::Status {
            message,
            code: StatusCode::Error.into(),
        });
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        self.span.end_time_unix_nano = now();
        self.tracer.send(std::mem::take(&mut self.span));
    }
}

/// The value of an attribute.
pub(crate) struct SpanValue(Value);

impl From<&str> for SpanValue {
    fn from(text: &str) -> Self {
        Self(Value::StringValue(text.into()))
    }
}

impl From<u16> for SpanValue {
    fn from(number: u16) -> Self {
        Self(Value::IntValue(number.into()))
    }
}

impl From<usize> for SpanValue {
    fn from(number: usize) -> Self {
        Self(Value::IntValue(i64::try_from(number).unwrap_or(i64::MAX)))
    }
}

pub(super) fn attribute(name: &str, value: Value) -> KeyValue {
    KeyValue {
        key: name.into(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    })
}
