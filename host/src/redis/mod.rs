//! Redis.
#[derive(Clone)]
pub enum Redis { Embedded }
impl Redis { pub fn embedded() -> Self { Self::Embedded } }
