//! The guest library of Emporium services.
