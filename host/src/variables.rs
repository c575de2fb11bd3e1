//! The values of application variables.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use crate::{manifest, runtime_config::VariablesProvider};

/// What the names of variables in the environment begin with.
const PREFIX: &str = "SPIN_VARIABLE_";

/// Where values come from; a later source wins over an earlier one: the
/// manifest's default, the env file, the environment, the providers of the
/// runtime config, `given`, `offered`.
#[derive(Clone, Debug, Default)]
pub struct Variables {
    /// Values given outright, as with `--variable name=value`.
    pub given: BTreeMap<String, String>,
    /// The same, but nothing is wrong if no variable has the name.
    pub offered: BTreeMap<String, String>,
    /// A file of `SPIN_VARIABLE_NAME=value` lines.
    pub env_file: Option<PathBuf>,
    /// The environment to look in; empty in tests, so that they do not depend
    /// on it.
    pub environment: BTreeMap<String, String>,
}

impl Variables {
    /// The variables of this process.
    pub fn from_environment() -> Self {
        let ours = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        Self {
            environment: ours.collect(),
            ..Self::default()
        }
    }

    /// The value that an env file has for a variable.
    pub(crate) fn in_env_file(path: &Path, name: &str) -> Result<Option<String>> {
        Ok(read_env_file(path)?.remove(&key(name)))
    }

    /// A value for every declared variable. Names all that are missing at once.
    pub(crate) fn resolve(
        &self,
        declared: &BTreeMap<String, manifest::Variable>,
        providers: &[VariablesProvider],
    ) -> Result<BTreeMap<String, String>> {
        let providers = providers.iter().map(|provider| self.open(provider));
        let providers = providers.collect::<Result<Vec<_>>>()?;
        let file = self
            .env_file
            .as_deref()
            .map(read_env_file)
            .transpose()?
            .unwrap_or_default();
        if let Some(name) = self.given.keys().find(|name| !declared.contains_key(*name)) {
            bail!("variable {name:?} was given, but [variables] does not declare it");
        }
        let mut values = BTreeMap::new();
        let mut missing = Vec::new();
        for (name, variable) in declared {
            let key = key(name);
            let provided = || providers.iter().find_map(|provider| provider.get(name));
            let found = self
                .offered
                .get(name)
                .or_else(|| self.given.get(name))
                .or_else(provided)
                .or_else(|| self.environment.get(&key))
                .or_else(|| file.get(&key));
            match found.or(variable.default.as_ref()) {
                Some(value) => drop(values.insert(name.clone(), value.clone())),
                None => missing.push(format!(
                    "\n  {name}: set {key}, or give --variable {name}=..."
                )),
            }
        }
        if !missing.is_empty() {
            bail!("required variables have no value:{}", missing.concat());
        }
        Ok(values)
    }

    fn open(&self, provider: &VariablesProvider) -> Result<Provider> {
        Ok(match provider {
            VariablesProvider::Static { values } => Provider {
                values: values.clone(),
                prefix: None,
            },
            VariablesProvider::Env {
                prefix,
                dotenv_path,
            } => {
                let file = dotenv_path.as_deref().map(read_env_file);
                let mut values = file.transpose()?.unwrap_or_default();
                values.extend(self.environment.clone());
                let prefix = prefix.as_deref().unwrap_or(PREFIX.trim_end_matches('_'));
                Provider {
                    values,
                    prefix: Some(prefix.to_owned()),
                }
            }
        })
    }
}

/// A provider of the runtime config: its values, and what comes before the name
/// of a variable in them.
struct Provider {
    values: BTreeMap<String, String>,
    prefix: Option<String>,
}

impl Provider {
    fn get(&self, name: &str) -> Option<&String> {
        match &self.prefix {
            None => self.values.get(name),
            Some(prefix) => {
                let key = format!("{prefix}_{}", name.to_ascii_uppercase());
                self.values.get(&key)
            }
        }
    }
}

/// What a variable is called in the environment and in env files.
fn key(name: &str) -> String {
    format!("{PREFIX}{}", name.to_ascii_uppercase())
}

fn read_env_file(path: &Path) -> Result<BTreeMap<String, String>> {
    dotenvy::from_path_iter(path)
        .and_then(Iterator::collect)
        .with_context(|| format!("reading the env file {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(list: &[(&str, Option<&str>)]) -> BTreeMap<String, manifest::Variable> {
        let variable = |default: &Option<&str>| manifest::Variable {
            default: default.map(Into::into),
        };
        list.iter()
            .map(|(name, default)| ((*name).into(), variable(default)))
            .collect()
    }

    #[test]
    fn a_given_value_wins_over_the_environment_over_the_file_over_the_default() -> Result<()> {
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(
            &file,
            "SPIN_VARIABLE_A=file\nSPIN_VARIABLE_B=file\nSPIN_VARIABLE_C=file\n",
        )?;
        let variables = Variables {
            given: BTreeMap::from([("a".into(), "given".into())]),
            env_file: Some(file.path().into()),
            environment: BTreeMap::from([
                ("SPIN_VARIABLE_A".into(), "environment".into()),
                ("SPIN_VARIABLE_B".into(), "environment".into()),
            ]),
            ..Variables::default()
        };
        let default = Some("default");
        let values = variables.resolve(
            &declared(&[
                ("a", default),
                ("b", default),
                ("c", default),
                ("d", default),
            ]),
            &[],
        )?;
        let values: Vec<_> = values.values().map(String::as_str).collect();
        assert_eq!(values, ["given", "environment", "file", "default"]);
        Ok(())
    }

    #[test]
    fn the_first_provider_that_has_a_value_wins_over_the_environment() -> Result<()> {
        let variables = Variables {
            environment: BTreeMap::from([
                ("SPIN_VARIABLE_A".into(), "environment".into()),
                ("SPIN_VARIABLE_C".into(), "environment".into()),
                ("MINE_B".into(), "mine".into()),
            ]),
            offered: BTreeMap::from([
                ("d".into(), "offered".into()),
                ("undeclared".into(), "offered".into()),
            ]),
            ..Variables::default()
        };
        let providers = [
            VariablesProvider::Static {
                values: BTreeMap::from([("a".into(), "static".into())]),
            },
            VariablesProvider::Env {
                prefix: Some("MINE".into()),
                dotenv_path: None,
            },
        ];
        let declared = declared(&[("a", None), ("b", None), ("c", None), ("d", None)]);
        let values = variables.resolve(&declared, &providers)?;
        let values: Vec<_> = values.values().map(String::as_str).collect();
        assert_eq!(values, ["static", "mine", "environment", "offered"]);
        Ok(())
    }

    #[test]
    fn all_missing_variables_are_named_at_once() {
        let refused = Variables::default().resolve(
            &declared(&[("token", None), ("host", None), ("x", Some(""))]),
            &[],
        );
        let message = refused.expect_err("two are missing").to_string();
        assert!(
            message.contains("SPIN_VARIABLE_TOKEN") && message.contains("SPIN_VARIABLE_HOST"),
            "{message}"
        );
    }

    #[test]
    fn a_value_for_an_undeclared_variable_is_refused() {
        let variables = Variables {
            given: BTreeMap::from([("typo".into(), "1".into())]),
            ..Variables::default()
        };
        assert!(
            variables
                .resolve(&declared(&[("type", None)]), &[])
                .is_err()
        );
    }
}
