//! The application of `tests/components/probe` alone.

use crate::component;

/// A manifest whose probe may connect to `hosts`, a list in TOML, and listens to
/// the channel `news` of `redis`, if that is an address.
pub fn manifest(hosts: &str, redis: Option<&str>) -> String {
    let source = component("test-probe").display().to_string();
    let mut manifest = format!(
        "spin_manifest_version = 2\n\
         [application]\n\
         name = 'probing'\n\
         [[trigger.http]]\n\
         route = '/...'\n\
         component = 'probe'\n\
         [component.probe]\n\
         source = '{source}'\n\
         allowed_outbound_hosts = {hosts}\n"
    );
    if let Some(redis) = redis {
        manifest += &format!(
            "[application.trigger.redis]\n\
             address = '{redis}'\n\
             [[trigger.redis]]\n\
             channel = 'news'\n\
             component = 'probe'\n\
             [component.probe.variables]\n\
             redis_address = '{redis}'\n"
        );
    }
    manifest
}
