//! What the built components import, against what is written.

use std::{collections::BTreeSet, fs};

use emporium_tests::{component, root};
use wac_types::{Package, Types};

const COMPONENTS: [&str; 10] = [
    "audio",
    "catalog",
    "dithering",
    "imaging",
    "media",
    "operations",
    "platform-postgres",
    "platform-sqlite",
    "soundtrack",
    "storefront",
];

/// The imports of a built component whose names start with `prefix`.
fn imports(name: &str, prefix: &str) -> BTreeSet<String> {
    let bytes = fs::read(component(name)).expect("a built component");
    let mut types = Types::default();
    let package = Package::from_bytes(name, None, bytes, &mut types).expect("a component");
    let names = types[package.ty()].imports.keys();
    names
        .filter(|import| import.starts_with(prefix))
        .cloned()
        .collect()
}

/// The imports that `wit/worlds.wit` declares for a component.
fn declared(name: &str) -> BTreeSet<String> {
    let worlds = fs::read_to_string(root().join("wit/worlds.wit")).expect("worlds");
    let world = worlds
        .split(&format!("world {name} {{"))
        .nth(1)
        .expect("a world");
    let world = world.split('}').next().expect("an end");
    let imports = world
        .lines()
        .filter_map(|line| line.trim().strip_prefix("import "));
    imports
        .map(|import| import.trim_end_matches(';'))
        .map(|import| match import.contains(':') {
            true => import.to_owned(),
            false => format!("emporium:platform/{import}@0.1.0"),
        })
        .collect()
}

/// The interfaces whose types an interface uses. They are imported with it, and
/// nothing can be called through that.
fn used_by(import: &str) -> BTreeSet<String> {
    let Some(interface) = import
        .strip_prefix("emporium:platform/")
        .and_then(|rest| rest.strip_suffix("@0.1.0"))
    else {
        return BTreeSet::new();
    };
    let wit = fs::read_to_string(root().join(format!("wit/{interface}.wit"))).expect("a file");
    wit.lines()
        .filter_map(|line| line.trim().strip_prefix("use ")?.split('.').next())
        .map(|used| format!("emporium:platform/{used}@0.1.0"))
        .collect()
}

#[test]
fn a_component_imports_what_its_world_says() {
    for name in COMPONENTS {
        let (declared, imported) = (declared(name), imports(name, "emporium:"));
        let mut implied = declared.clone();
        implied.extend(declared.iter().flat_map(|import| used_by(import)));
        assert!(
            declared.is_subset(&imported),
            "{name}: {declared:?} {imported:?}"
        );
        assert!(
            imported.is_subset(&implied),
            "{name}: {implied:?} {imported:?}"
        );
    }
}

#[test]
fn only_the_platform_opens_the_database() {
    for name in COMPONENTS {
        for (interface, adapter) in [
            ("spin:postgres/", "platform-postgres"),
            ("spin:sqlite/", "platform-sqlite"),
        ] {
            let used = !imports(name, interface).is_empty();
            assert_eq!(used, name == adapter, "{name}");
        }
    }
}

#[test]
fn media_are_decoded_where_nothing_can_be_reached() {
    for name in ["audio", "imaging"] {
        assert_eq!(imports(name, "spin:"), BTreeSet::new());
        for reach in ["wasi:http", "wasi:sockets", "wasi:filesystem/preopens"] {
            let found = imports(name, reach);
            // The standard library imports preopens, which are empty.
            assert!(found.is_empty() || reach.ends_with("preopens"), "{found:?}");
        }
    }
}
