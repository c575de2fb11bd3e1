//! A host for Spin applications on wasmtime.

/// Spin's interfaces, generated from the WIT in the `spin-sdk` package.
mod bindings {
    include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
}
