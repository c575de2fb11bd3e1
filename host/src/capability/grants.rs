//! What one component may use, and how a refusal is reported.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use anyhow::Context as _;

use crate::net::{AllowedHosts, Prohibited};

/// How many different refusals of one component are remembered as reported.
///
/// A component chooses the names it asks for, so that the set must not grow with
/// them; past the limit a refusal is no longer logged.
const REPORTED_LIMIT: usize = 64;

/// What the manifest grants to one component, its templates resolved.
#[derive(Clone, Debug, Default)]
pub(crate) struct Grants {
    pub(crate) component: String,
    pub(crate) key_value_stores: BTreeSet<String>,
    pub(crate) sqlite_databases: BTreeSet<String>,
    pub(crate) allowed_outbound_hosts: Vec<String>,
    pub(crate) variables: BTreeMap<String, String>,
}

/// Grants that were checked and are ready to be asked.
pub(crate) struct ParsedGrants {
    pub(crate) component: String,
    pub(crate) key_value_stores: BTreeSet<String>,
    pub(crate) sqlite_databases: BTreeSet<String>,
    pub(crate) allowed_outbound_hosts: AllowedHosts,
    pub(crate) variables: BTreeMap<String, String>,
    reported: Mutex<BTreeSet<String>>,
}

impl ParsedGrants {
    /// Check the grants of a component of the application whose component ids
    /// are `components`; `*.spin.internal` stands for these.
    pub(crate) fn parse(grants: Grants, components: &[String]) -> anyhow::Result<Self> {
        let allowed_outbound_hosts =
            AllowedHosts::parse(&grants.allowed_outbound_hosts, components).with_context(|| {
                format!(
                    "`allowed_outbound_hosts` of component `{}`",
                    grants.component
                )
            })?;
        Ok(Self {
            component: grants.component,
            key_value_stores: grants.key_value_stores,
            sqlite_databases: grants.sqlite_databases,
            allowed_outbound_hosts,
            variables: grants.variables,
            reported: Mutex::default(),
        })
    }

    /// Log that the component may not `act` on `name`, the first time only, and
    /// say which manifest key would permit it.
    pub(crate) fn refuse(&self, act: &str, name: &str, key: &str) {
        if !self.is_news(format!("{key} {name}")) {
            return;
        }
        let component = &self.component;
        tracing::warn!(
            component,
            name,
            key,
            "component `{component}` may not {act} `{name}`: add it to `{key}`"
        );
    }

    /// Log, the first time only, that a host has only addresses off limits.
    pub(crate) fn refuse_address(&self, url: &str, prohibited: &Prohibited) {
        if !self.is_news(format!("address {url}")) {
            return;
        }
        let component = &self.component;
        tracing::warn!(
            component,
            url,
            "component `{component}` may not connect to `{url}`: {prohibited}; name the address in \
             `allowed_outbound_hosts` or permit its network"
        );
    }

    fn is_news(&self, refusal: String) -> bool {
        let Ok(mut reported) = self.reported.lock() else {
            return false;
        };
        reported.len() < REPORTED_LIMIT && reported.insert(refusal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_news_once() {
        let grants = ParsedGrants::parse(Grants::default(), &[]).expect("grants");
        assert!(grants.is_news("key_value_stores x".into()));
        assert!(!grants.is_news("key_value_stores x".into()));
        assert!(grants.is_news("key_value_stores y".into()));
    }

    #[test]
    fn a_component_cannot_fill_the_memory_with_refusals() {
        let grants = ParsedGrants::parse(Grants::default(), &[]).expect("grants");
        let news = (0..10 * REPORTED_LIMIT).filter(|name| grants.is_news(name.to_string()));
        assert_eq!(news.count(), REPORTED_LIMIT);
    }

    #[test]
    fn a_host_that_cannot_be_parsed_names_the_component_and_the_key() {
        let grants = Grants {
            component: "media".into(),
            allowed_outbound_hosts: vec!["example.com".into()],
            ..Grants::default()
        };
        let error = ParsedGrants::parse(grants, &[]).err().expect("refused");
        assert_eq!(
            error.to_string(),
            "`allowed_outbound_hosts` of component `media`"
        );
    }
}
