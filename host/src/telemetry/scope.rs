//! Where in a trace an instance is, for the spans of what it asks of the host.

use std::sync::Arc;

use http::HeaderValue;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

use super::{context::SpanContext, span::Span, tracer::Tracer};

/// How much of a statement is told.
const STATEMENT_LIMIT: usize = 1024;

/// The request or message that an instance handles.
pub(crate) struct Scope {
    tracer: Arc<Tracer>,
    context: SpanContext,
    /// The transaction that is open: its statements are one span.
    transaction: Option<Span>,
}

/// A statement under way.
#[derive(Default)]
pub(crate) struct Statement {
    span: Option<Span>,
    begins: bool,
}

impl Scope {
    pub(super) fn new(tracer: Arc<Tracer>, context: SpanContext) -> Self {
        Self {
            tracer,
            context,
            transaction: None,
        }
    }

    /// The position, for requests that the instance sends.
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        HeaderValue::try_from(self.context.to_header()).ok()
    }

    /// The instance publishes a message.
    ///
    /// A wake carries the position of an event that this instance published: the
    /// span becomes that position, so that what the event leads to is below it.
    pub(crate) fn publish(&self, channel: &str, payload: &[u8]) -> Option<Span> {
        let event = SpanContext::parse(payload);
        let (context, parent) = match event {
            Some(event) if event.trace_id == self.context.trace_id => {
                let sampled = self.context.sampled;
                (SpanContext { sampled, ..event }, self.context.span_id)
            }
            // For an event of another trace, as when the ticker wakes.
            Some(event) => (event.child(), event.span_id),
            None => (self.context.child(), self.context.span_id),
        };
        let mut span = self.begin(
            context,
            parent,
            SpanKind::Producer,
            &format!("publish {channel}"),
        )?;
        span.set("messaging.system", "redis");
        span.set("messaging.destination.name", channel);
        span.set("messaging.operation.name", "publish");
        span.set("messaging.operation.type", "send");
        span.set("messaging.message.body.size", payload.len());
        Some(span)
    }

    /// The instance executes a statement. Call [`Scope::executed`] with what this
    /// returns.
    pub(crate) fn statement(&mut self, system: &str, sql: &str) -> Statement {
        let begun = |span| Statement {
            span,
            begins: false,
        };
        match operation(sql).as_str() {
            "BEGIN" => Statement {
                span: self.client("transaction", system, sql),
                begins: true,
            },
            "COMMIT" | "END" => begun(self.end_transaction("commit")),
            "ROLLBACK" => begun(self.end_transaction("rollback")),
            _ if self.transaction.is_some() => Statement::default(),
            operation => {
                let name = match procedure(sql) {
                    Some(procedure) => format!("{operation} {procedure}"),
                    None => operation.to_owned(),
                };
                begun(self.client(&name, system, sql))
            }
        }
    }

    /// A statement ended.
    pub(crate) fn executed<T, E: std::fmt::Debug>(
        &mut self,
        statement: Statement,
        result: &Result<T, E>,
    ) {
        let Statement { mut span, begins } = statement;
        match (result, &mut span) {
            (Err(error), Some(span)) => span.fail(format!("{error:?}")),
            (Ok(_), Some(_)) if begins => self.transaction = span,
            _ => {}
        }
    }

    fn end_transaction(&mut self, name: &str) -> Option<Span> {
        let mut span = self.transaction.take()?;
        span.rename(name);
        span.set("db.operation.name", name.to_ascii_uppercase().as_str());
        Some(span)
    }

    fn client(&self, name: &str, system: &str, sql: &str) -> Option<Span> {
        let (context, parent) = (self.context.child(), self.context.span_id);
        let mut span = self.begin(context, parent, SpanKind::Client, name)?;
        span.set("db.system.name", system);
        // Values are parameters, so that the text has none.
        let end = sql.floor_char_boundary(STATEMENT_LIMIT);
        span.set("db.query.text", sql.get(..end).unwrap_or_default());
        Some(span)
    }

    fn begin(&self, context: SpanContext, parent: u64, kind: SpanKind, name: &str) -> Option<Span> {
        context
            .sampled
            .then(|| Span::begin(&self.tracer, context, Some(parent), kind, name.into()))
    }
}

/// The first word of a statement.
fn operation(sql: &str) -> String {
    let word = sql
        .trim_start()
        .split(|c: char| !c.is_ascii_alphabetic())
        .next();
    word.unwrap_or_default().to_ascii_uppercase()
}

/// The function that a statement does nothing but call, as in
/// `SELECT * FROM commit($1)`.
fn procedure(sql: &str) -> Option<&str> {
    let (before, _) = sql.split_once('(')?;
    let mut words = before.split_whitespace();
    if !words.next()?.eq_ignore_ascii_case("select") {
        return None;
    }
    let name = match (words.next()?, words.next(), words.next(), words.next()) {
        ("*", Some(from), Some(name), None) if from.eq_ignore_ascii_case("from") => name,
        (name, None, None, None) => name,
        _ => return None,
    };
    name.bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.'))
        .then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_named_for_what_it_does() {
        for (sql, named) in [
            ("  insert into x values (?)", "INSERT"),
            ("COMMIT;", "COMMIT"),
            ("", ""),
            ("-- x", ""),
        ] {
            assert_eq!(operation(sql), named, "{sql:?}");
        }
    }

    #[test]
    fn a_call_is_named_for_its_function() {
        for (sql, called) in [
            ("SELECT emporium.commit($1)", Some("emporium.commit")),
            ("select * from claim($1, $2)", Some("claim")),
            ("SELECT a, b FROM t WHERE (x)", None),
            ("INSERT INTO t (a)", None),
            ("SELECT 1", None),
        ] {
            assert_eq!(procedure(sql), called, "{sql}");
        }
    }
}
