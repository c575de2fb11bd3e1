//! Errors of wasmtime as errors of `anyhow`.
//!
//! wasmtime has a feature for this, which would have the whole of it, and
//! cranelift, compiled once more.

/// Turns the error of a result.
pub(crate) trait Anyhow<T> {
    fn anyhow(self) -> anyhow::Result<T>;
}

impl<T> Anyhow<T> for wasmtime::Result<T> {
    fn anyhow(self) -> anyhow::Result<T> {
        self.map_err(|error| anyhow::Error::from_boxed(error.into_boxed_dyn_error()))
    }
}
