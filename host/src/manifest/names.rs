//! The rules for identifiers: kebab-case, snake_case and dependency names.

/// Checks a component id: words of one case joined by `-`.
pub(super) fn kebab(name: &str) -> Result<(), String> {
    words(name, '-', '_')
}

/// Checks a variable name: lower-case words joined by `_`.
pub(super) fn lower_snake(name: &str) -> Result<(), String> {
    words(name, '_', '-')?;
    match name.chars().find(char::is_ascii_uppercase) {
        Some(_) => Err(format!("{name:?} must be lower case")),
        None => Ok(()),
    }
}

/// Checks the label of a store or a database: kebab-case or snake_case.
pub(super) fn label(name: &str) -> Result<(), String> {
    words(name, '-', '_')
        .or_else(|_| words(name, '_', '-'))
        .map_err(|_| format!("{name:?} must be kebab-case or snake_case"))
}

fn words(name: &str, delimiter: char, wrong: char) -> Result<(), String> {
    if name.is_empty() {
        return Err("a name must not be empty".into());
    }
    if name.contains(wrong) {
        return Err(format!(
            "words of {name:?} must be separated with {delimiter:?}, not {wrong:?}"
        ));
    }
    for word in name.split(delimiter) {
        let Some(first) = word.chars().next() else {
            return Err(format!("{name:?} has an empty word"));
        };
        if !first.is_ascii_alphabetic() {
            return Err(format!("words of {name:?} must start with an ASCII letter"));
        }
        let upper = first.is_ascii_uppercase();
        let one_case = |letter: char| {
            letter.is_ascii_digit()
                || (letter.is_ascii_alphabetic() && letter.is_ascii_uppercase() == upper)
        };
        if !word.chars().all(one_case) {
            return Err(format!(
                "words of {name:?} must be ASCII letters of one case and digits"
            ));
        }
    }
    Ok(())
}

/// What a dependency stands for: a plain import, a package with all its
/// interfaces, or one interface.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct DependencyName {
    text: String,
    /// `None` for a plain name, which is then `text`.
    package: Option<String>,
    interface: Option<String>,
    version: Option<String>,
}

impl DependencyName {
    /// Parses `a:b`, `a:b@1.0.0`, `a:b/c`, `a:b/c@1.0.0` or `plain-name`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (name, version) = match text.split_once('@') {
            Some((name, version)) => (name, Some(parse_version(version)?)),
            None => (text, None),
        };
        let (package, interface) = match name.split_once('/') {
            Some((package, interface)) => (package, Some(interface)),
            None => (name, None),
        };
        let parsed = match package.split_once(':') {
            Some((namespace, package_name)) => {
                kebab(namespace)?;
                kebab(package_name)?;
                interface.map(kebab).transpose()?;
                Self {
                    text: text.into(),
                    package: Some(package.into()),
                    interface: interface.map(Into::into),
                    version,
                }
            }
            None if interface.is_none() && version.is_none() => {
                kebab(name)?;
                Self {
                    text: text.into(),
                    package: None,
                    interface: None,
                    version: None,
                }
            }
            None => {
                return Err(format!(
                    "{text:?} is not `namespace:package[/interface][@version]`"
                ));
            }
        };
        Ok(parsed)
    }

    /// The name as the manifest spells it.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) fn is_plain(&self) -> bool {
        self.package.is_none()
    }

    /// Whether it names a package with all its interfaces.
    pub(super) fn is_package(&self) -> bool {
        self.package.is_some() && self.interface.is_none()
    }

    /// Whether this dependency satisfies `import`.
    pub(crate) fn matches(&self, import: &str) -> bool {
        let Ok(import) = Self::parse(import) else {
            return false;
        };
        import.package == self.package
            && (self.package.is_some() || import.text == self.text)
            && (self.interface.is_none() || import.interface == self.interface)
            && (self.version.is_none() || import.version == self.version)
    }

    /// Whether one import could be satisfied by both, as Spin sees it.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        if self.package.is_none() || self.package != other.package {
            return false;
        }
        let versions = match (&self.version, &other.version) {
            (Some(one), Some(two)) => compatible(one, two),
            _ => true,
        };
        let interfaces = match (&self.interface, &other.interface) {
            (Some(one), Some(two)) => one == two,
            _ => true,
        };
        versions && interfaces
    }
}

fn parse_version(version: &str) -> Result<String, String> {
    let core = version.split(['-', '+']).next().unwrap_or(version);
    let numbers = core
        .split('.')
        .filter(|part| part.parse::<u64>().is_ok())
        .count();
    match numbers == 3 && core.split('.').count() == 3 {
        true => Ok(version.into()),
        false => Err(format!("{version:?} is not a version like `0.1.0`")),
    }
}

/// Compatible as semver sees it: the same up to the first number that is not 0.
fn compatible(one: &str, two: &str) -> bool {
    let track = |version: &str| {
        if version.contains('-') {
            return version.to_owned();
        }
        let mut track = String::new();
        for part in version.split('.') {
            track.push_str(part);
            if part != "0" {
                break;
            }
            track.push('.');
        }
        track
    };
    track(one) == track(two)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rules_of_spin() {
        for name in ["media", "platform-sqlite", "a1-b2", "HTTP-api"] {
            assert_eq!(kebab(name), Ok(()), "{name}");
        }
        for name in ["", "a_b", "a--b", "1a", "aB", "a b", "é"] {
            assert!(kebab(name).is_err(), "{name}");
        }
        assert!(lower_snake("admin_token").is_ok());
        for name in ["Admin", "admin-token", "_x", "x_"] {
            assert!(lower_snake(name).is_err(), "{name}");
        }
        assert!(
            label("my_store").is_ok() && label("my-store").is_ok() && label("my store").is_err()
        );
    }

    #[test]
    fn a_package_matches_all_its_interfaces() {
        let package = DependencyName::parse("emporium:platform@0.1.0").expect("valid");
        assert!(package.matches("emporium:platform/journal@0.1.0"));
        assert!(!package.matches("emporium:platform/journal@0.2.0"));
        assert!(!package.matches("emporium:imaging/pictures@0.1.0"));
        let interface = DependencyName::parse("emporium:imaging/pictures").expect("valid");
        assert!(interface.matches("emporium:imaging/pictures@0.1.0"));
        assert!(!interface.matches("emporium:imaging/other@0.1.0"));
        assert!(
            DependencyName::parse("foo-bar")
                .expect("valid")
                .matches("foo-bar")
        );
    }

    #[test]
    fn overlapping_names_are_seen() {
        let overlap = |one, two| {
            DependencyName::parse(one)
                .expect("valid")
                .overlaps(&DependencyName::parse(two).expect("valid"))
        };
        assert!(overlap("a:b", "a:b@0.1.0"));
        assert!(overlap("a:b/c@0.1.0", "a:b@0.1.0"));
        assert!(overlap("a:b@0.2.1", "a:b@0.2.2"));
        assert!(!overlap("a:b@0.1.0", "a:b@0.2.0"));
        assert!(!overlap("a:b/c", "a:b/d"));
    }
}
