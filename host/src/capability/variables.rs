//! `spin:variables`: the configuration of a component.

use wasmtime::component::Accessor;

use super::{Capability, CapabilityCtx};
use crate::bindings::spin::variables::variables::{Error, Host, HostWithStore};

impl<T: Send> HostWithStore<T> for Capability {
    async fn get(accessor: &Accessor<T, Self>, name: String) -> Result<String, Error> {
        check_name(&name).map_err(|rule| Error::InvalidName(format!("{name:?}: {rule}")))?;
        accessor.with(|mut access| {
            let grants = &access.get().state.grants;
            grants.variables.get(&name).cloned().ok_or_else(|| {
                grants.refuse("read the variable", &name, "variables");
                Error::Undefined(format!("no variable for {:?}.{name:?}", grants.component))
            })
        })
    }
}

impl Host for CapabilityCtx<'_> {
    fn convert_error(&mut self, error: Error) -> wasmtime::Result<Error> {
        Ok(error)
    }
}

/// Check that a name is lower snake case; on failure, say which rule it breaks.
///
/// The rules and their order are Spin's, so that a name is refused here exactly
/// when it is refused there.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("must not be empty".into());
    }
    let permitted = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '_';
    if let Some(invalid) = name.chars().find(|c| !permitted(c)) {
        return Err(format!(
            "invalid character {invalid:?}. Variable names may contain only lower-case letters, \
             numbers, and underscores."
        ));
    }
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        return Err("must start with a lowercase ASCII letter".into());
    }
    if name.ends_with('_') {
        return Err("must end with a lowercase ASCII letter or digit".into());
    }
    if name.contains("__") {
        return Err("must not contain multiple consecutive underscores".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lower_snake_case_is_a_name() {
        for name in ["a", "mail_from", "a1", "a_1", "s3_bucket_2"] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn a_broken_rule_is_named() {
        for (name, rule) in [
            ("", "must not be empty"),
            ("1a", "must start"),
            ("_a", "must start"),
            ("a_", "must end"),
            ("a__b", "must not contain multiple"),
            ("A", "invalid character 'A'"),
            ("a-b", "invalid character '-'"),
            ("ä", "invalid character 'ä'"),
        ] {
            let broken = check_name(name).expect_err(name);
            assert!(broken.starts_with(rule), "{name:?}: {broken}");
        }
    }

    proptest! {
        #[test]
        fn every_run_of_words_is_a_name(words in proptest::collection::vec("[a-z][a-z0-9]{0,8}", 1..5)) {
            prop_assert_eq!(check_name(&words.join("_")), Ok(()));
        }

        #[test]
        fn any_text_is_answered(name in ".*") {
            if check_name(&name).is_ok() {
                prop_assert!(name.is_ascii() && !name.is_empty());
            }
        }
    }
}
