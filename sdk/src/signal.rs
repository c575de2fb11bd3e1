//! Signals from one task of an instance to another.
//!
//! The wakers of `wit-bindgen` reach no further than the task of the component
//! model in which they were made, unless its feature `inter-task-wakeup` is on,
//! which costs several calls of the host each time that any task waits. A signal
//! is a stream of the component model instead, and costs something only where
//! somebody waits for one.

#[cfg(not(target_family = "wasm"))]
use futures::channel::oneshot;
#[cfg(target_family = "wasm")]
use spin_sdk::{
    wasip3::wit_stream,
    wit_bindgen::rt::async_support::{StreamReader, StreamWriter},
};

/// Gives its signal when it is dropped.
#[derive(Debug)]
pub(crate) struct Sender {
    #[cfg(target_family = "wasm")]
    _end: StreamWriter<u8>,
    #[cfg(not(target_family = "wasm"))]
    _end: oneshot::Sender<()>,
}

/// Waits for a signal.
#[derive(Debug)]
pub(crate) struct Receiver {
    #[cfg(target_family = "wasm")]
    end: StreamReader<u8>,
    #[cfg(not(target_family = "wasm"))]
    end: oneshot::Receiver<()>,
}

/// A signal that was not given yet.
pub(crate) fn signal() -> (Sender, Receiver) {
    #[cfg(target_family = "wasm")]
    let (sender, receiver) = wit_stream::new();
    #[cfg(not(target_family = "wasm"))]
    let (sender, receiver) = oneshot::channel();
    (Sender { _end: sender }, Receiver { end: receiver })
}

impl Receiver {
    /// Wait until the signal is given. Nothing is ever sent: the end is the
    /// signal.
    pub(crate) async fn wait(&mut self) {
        #[cfg(target_family = "wasm")]
        let _ = self.end.next().await;
        #[cfg(not(target_family = "wasm"))]
        let _ = (&mut self.end).await;
    }
}
