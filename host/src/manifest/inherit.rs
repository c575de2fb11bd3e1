//! What a dependency may inherit from the component it is composed into, and
//! which interfaces belong to each name.

use std::collections::BTreeSet;

/// The names `inherit_configuration` knows, with the interfaces each lets
/// through. Versions are left out: a set covers every version.
const SETS: &[(&str, &[&str])] = &[
    ("ai_models", &["fermyon:spin/llm"]),
    (
        "allowed_outbound_hosts",
        &[
            "fermyon:spin/http",
            "fermyon:spin/mqtt",
            "fermyon:spin/mysql",
            "fermyon:spin/postgres",
            "fermyon:spin/redis",
            "spin:mqtt/mqtt",
            "spin:mysql/mysql",
            "spin:postgres/postgres",
            "spin:redis/redis",
            "wasi:http/client",
            "wasi:http/outgoing-handler",
            "wasi:sockets/ip-name-lookup",
            "wasi:sockets/tcp",
            "wasi:sockets/tcp-create-socket",
            "wasi:sockets/udp",
            "wasi:sockets/udp-create-socket",
        ],
    ),
    ("environment", &["wasi:cli/environment"]),
    ("files", &["wasi:filesystem/preopens"]),
    (
        "key_value_stores",
        &[
            "fermyon:spin/key-value",
            "spin:key-value/key-value",
            "wasi:keyvalue/store",
        ],
    ),
    (
        "sqlite_databases",
        &["fermyon:spin/sqlite", "spin:sqlite/sqlite"],
    ),
    (
        "variables",
        &[
            "fermyon:spin/config",
            "fermyon:spin/variables",
            "spin:variables/variables",
            "wasi:config/store",
        ],
    ),
];

/// The parts of its parent's configuration a dependency may use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Inherited(BTreeSet<&'static str>);

impl Inherited {
    pub(crate) fn all() -> Self {
        Self(SETS.iter().map(|(name, _)| *name).collect())
    }

    /// Refuses names Spin would silently ignore.
    pub(super) fn parse<'name>(
        names: impl IntoIterator<Item = &'name str>,
    ) -> Result<Self, String> {
        let mut inherited = BTreeSet::new();
        for name in names {
            let Some((known, _)) = SETS.iter().find(|(known, _)| *known == name) else {
                let known: Vec<_> = SETS.iter().map(|(known, _)| *known).collect();
                return Err(format!("{name:?} is not one of {}", known.join(", ")));
            };
            inherited.insert(*known);
        }
        Ok(Self(inherited))
    }

    /// Whether a dependency with this inheritance must not reach `import`.
    pub(crate) fn denies(&self, import: &str) -> bool {
        let interface = import.split('@').next().unwrap_or(import);
        SETS.iter()
            .any(|(name, interfaces)| interfaces.contains(&interface) && !self.0.contains(name))
    }

    /// The names, for the key of the code cache.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_inherited_is_let_through() {
        let inherited = Inherited::parse(["sqlite_databases"]).expect("valid");
        assert!(!inherited.denies("spin:sqlite/sqlite@3.1.0"));
        assert!(inherited.denies("wasi:http/client@0.3.0"));
        assert!(inherited.denies("wasi:cli/environment@0.2.6"));
        assert!(
            !inherited.denies("wasi:cli/stdout@0.2.6"),
            "not a capability"
        );
        assert!(!Inherited::all().denies("wasi:http/client@0.3.0"));
    }

    #[test]
    fn a_misspelt_name_is_refused() {
        assert!(Inherited::parse(["sqlite_database"]).is_err());
    }
}
