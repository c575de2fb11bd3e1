//! Rules of the repository that a machine can check.

use std::{collections::BTreeSet, fs, path::Path};

use emporium_tests::root;

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn folders(path: &str) -> BTreeSet<String> {
    fs::read_dir(root().join(path))
        .expect("a folder")
        .map(|entry| entry.expect("an entry"))
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

fn spin_toml() -> toml::Table {
    read("spin.toml").parse().expect("TOML")
}

fn files(folder: &Path, extension: &str, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() && name != "target" && name != ".git" && name != ".emporium" {
            files(&path, extension, found);
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
}

#[test]
fn a_component_has_one_name_everywhere() {
    let manifest = spin_toml();
    let ids: BTreeSet<String> = manifest["component"]
        .as_table()
        .expect("components")
        .keys()
        .cloned()
        .collect();
    let worlds = read("wit/worlds.wit");
    let readme = read("README.md");
    let components = folders("components");
    assert_eq!(components, ids, "folders and spin.toml");
    for component in &components {
        let package = read(&format!("components/{component}/Cargo.toml"));
        assert!(
            package.contains(&format!("name = \"{component}\"")),
            "{component}: package"
        );
        assert!(
            worlds.contains(&format!("world {component} {{")),
            "{component}: world"
        );
        assert!(
            readme.contains(&format!("| `{component}` |")),
            "{component}: README table"
        );
        assert!(
            root()
                .join(format!("components/{component}/README.md"))
                .exists()
        );
    }
}

#[test]
fn every_grant_is_written_out() {
    let manifest = spin_toml();
    for (id, component) in manifest["component"].as_table().expect("components") {
        let hosts = component
            .get("allowed_outbound_hosts")
            .unwrap_or_else(|| panic!("{id}: hosts"));
        for host in hosts.as_array().expect("a list") {
            assert!(
                !host.as_str().expect("text").contains('*'),
                "{id}: no wildcards"
            );
        }
        let description = component.get("description").and_then(toml::Value::as_str);
        assert!(
            description.is_some_and(|text| text.ends_with('.')),
            "{id}: a sentence"
        );
        assert!(
            component["build"].get("workdir").is_some(),
            "{id}: a workdir"
        );
    }
}

#[test]
fn secrets_have_no_default() {
    for (name, variable) in spin_toml()["variables"].as_table().expect("variables") {
        let secret = variable.get("secret").and_then(toml::Value::as_bool) == Some(true);
        assert!(!(secret && variable.get("default").is_some()), "{name}");
    }
}

#[test]
fn every_module_says_what_it_is_about() {
    let mut sources = Vec::new();
    for folder in ["components", "sdk", "host", "tests", "bench"] {
        files(&root().join(folder), "rs", &mut sources);
    }
    assert!(sources.len() > 50);
    for source in sources {
        let text = fs::read_to_string(&source).expect("text");
        let first = text.lines().next().unwrap_or_default();
        let documented = first.starts_with("//!") || first.starts_with("#![doc");
        assert!(documented, "{}: {first:?}", source.display());
    }
}

#[test]
fn exceptions_from_lints_have_reasons() {
    let mut sources = Vec::new();
    files(&root(), "rs", &mut sources);
    let marker = ["#[", "allow("].concat();
    let inner = ["#![", "allow("].concat();
    for source in sources {
        let text = fs::read_to_string(&source).expect("text");
        assert!(
            !text.contains(&marker) && !text.contains(&inner),
            "{}",
            source.display()
        );
    }
}

#[test]
fn every_script_explains_itself() {
    for entry in fs::read_dir(root().join("scripts"))
        .expect("scripts")
        .flatten()
    {
        let text = fs::read_to_string(entry.path()).expect("text");
        if text.starts_with("#!") {
            assert!(
                text.contains("# usage: scripts/"),
                "{}",
                entry.path().display()
            );
            assert!(text.contains("help_if_asked"), "{}", entry.path().display());
        }
    }
}
