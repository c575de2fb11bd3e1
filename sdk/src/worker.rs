//! Which host this instance runs on, so that its leases end when the host does.

use std::sync::OnceLock;

use crate::platform;

/// It does not change while an instance lives.
static ID: OnceLock<Option<String>> = OnceLock::new();

/// The id of the host, as it announces itself (`workers.announce`).
///
/// It is the variable `worker`. Under a host that does not set it there is none,
/// and leases end when their time is up.
pub(crate) async fn id() -> Option<String> {
    if let Some(id) = ID.get() {
        return id.clone();
    }
    let id = platform::variable("worker").await;
    let id = id.filter(|id| !id.is_empty());
    ID.get_or_init(|| id).clone()
}
