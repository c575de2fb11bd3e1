//! A host for Spin applications on wasmtime.

pub mod capability;
pub mod net;
pub mod redis;
/// Spin's interfaces, generated from the WIT in the `spin-sdk` package.
mod bindings {
    include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
}
