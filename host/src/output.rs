//! What guests print, line by line, with the name of the component in front.

use std::{
    io::Write as _,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};

/// A line longer than this is cut: a guest that never prints a line end must
/// not make the host hoard.
const LINE_LIMIT: usize = 8 << 10;

/// The output of a component. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Output {
    component: Arc<str>,
    show: bool,
}

impl Output {
    pub(crate) fn new(component: &str, show: bool) -> Self {
        Self {
            component: component.into(),
            show,
        }
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(Lines {
            output: self.clone(),
            line: Vec::new(),
        })
    }
}

struct Lines {
    output: Output,
    line: Vec<u8>,
}

impl Lines {
    fn take(&mut self, bytes: &[u8]) {
        if !self.output.show {
            return;
        }
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.line.len() >= LINE_LIMIT {
                self.print();
            }
        }
    }

    fn print(&mut self) {
        let line = String::from_utf8_lossy(&self.line);
        // Nothing can be done about a closed stderr, and the guest must not
        // fail because of it.
        let _ = writeln!(
            std::io::stderr().lock(),
            "[{}] {}",
            self.output.component,
            line.trim_end()
        );
        self.line.clear();
    }
}

impl AsyncWrite for Lines {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.take(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        if !self.line.is_empty() {
            self.print();
        }
    }
}
