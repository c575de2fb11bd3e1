//! Composition of a component with its dependencies.
//!
//! A dependency has the capabilities its parent lets it inherit, and no other.
//! Spin plugs an adapter that refuses everything into the imports that are not
//! inherited. Here such an import is renamed into the namespace [`DENIED`], so
//! that it stays apart from the parent's import of the same interface, and the
//! host links the renamed one to functions that refuse (see [`crate::deny`]).

use anyhow::{Context as _, Result, anyhow, bail};
use wac_graph::{
    CompositionGraph, EncodeOptions, NodeId, PackageId,
    types::{ItemKind, Package, SubtypeChecker},
};

use crate::manifest::{DependencyName, Inherited};

/// The namespace of imports that are refused.
pub(crate) const DENIED: &str = "denied:";

/// A dependency, read.
pub(crate) struct Part<'a> {
    pub(crate) name: &'a DependencyName,
    pub(crate) export: Option<&'a str>,
    pub(crate) inherited: &'a Inherited,
    pub(crate) bytes: Vec<u8>,
}

/// Composes `root` with what satisfies its imports.
pub(crate) fn compose(id: &str, root: Vec<u8>, parts: Vec<Part<'_>>) -> Result<Vec<u8>> {
    if parts.is_empty() {
        return Ok(root);
    }
    let mut graph = CompositionGraph::new();
    let root = register(&mut graph, id, root)?;
    let instance = graph.instantiate(root);
    let imports = imports(&graph, root);
    for (index, part) in parts.into_iter().enumerate() {
        let name = part.name.as_str();
        let satisfied: Vec<_> = imports
            .iter()
            .filter(|(import, _)| part.name.matches(import))
            .collect();
        if satisfied.is_empty() {
            bail!(
                "dependency {name:?} matches no import of {id:?}; remove it, or import what it names"
            );
        }
        let package = register(&mut graph, &format!("dependency-{index}"), part.bytes)
            .with_context(|| format!("reading dependency {name:?} of {id:?}"))?;
        let dependency = graph.instantiate(package);
        deny(&mut graph, package, dependency, part.inherited)?;
        for (import, kind) in satisfied {
            let export = part.export.unwrap_or(import);
            check_export(&graph, package, export, *kind).with_context(|| {
                format!("dependency {name:?} of {id:?} does not satisfy import {import:?}")
            })?;
            let export = graph.alias_instance_export(dependency, export)?;
            graph.set_instantiation_argument(instance, import, export)?;
        }
    }
    let exports: Vec<_> = graph.types()[graph[root].ty()]
        .exports
        .keys()
        .cloned()
        .collect();
    for name in exports {
        let export = graph.alias_instance_export(instance, &name)?;
        graph.export(export, &name)?;
    }
    graph
        .encode(EncodeOptions::default())
        .with_context(|| format!("composing {id:?}"))
}

fn register(graph: &mut CompositionGraph, name: &str, bytes: Vec<u8>) -> Result<PackageId> {
    let package = Package::from_bytes(&format!("emporium:{name}"), None, bytes, graph.types_mut())?;
    Ok(graph.register_package(package)?)
}

fn imports(graph: &CompositionGraph, package: PackageId) -> Vec<(String, ItemKind)> {
    let world = &graph.types()[graph[package].ty()];
    world
        .imports
        .iter()
        .map(|(name, kind)| (name.clone(), *kind))
        .collect()
}

/// Renames the capability imports of `dependency` that are not inherited.
fn deny(
    graph: &mut CompositionGraph,
    package: PackageId,
    dependency: NodeId,
    inherited: &Inherited,
) -> Result<()> {
    for (import, kind) in imports(graph, package) {
        if !inherited.denies(&import) {
            continue;
        }
        let renamed = denied_name(&import);
        let existing = graph
            .node_ids()
            .find(|node| graph.get_import_name(*node) == Some(renamed.as_str()));
        let node = match existing {
            Some(node) => node,
            None => graph.import(&renamed, kind)?,
        };
        graph.set_instantiation_argument(dependency, &import, node)?;
    }
    Ok(())
}

/// `wasi:cli/environment@0.2.6` becomes `denied:wasi-cli/environment@0.2.6`.
fn denied_name(import: &str) -> String {
    format!("{DENIED}{}", import.replacen(':', "-", 1))
}

fn check_export(
    graph: &CompositionGraph,
    package: PackageId,
    export: &str,
    import: ItemKind,
) -> Result<()> {
    let types = graph.types();
    let kind = types[graph[package].ty()]
        .exports
        .get(export)
        .ok_or_else(|| anyhow!("it does not export {export:?}"))?;
    let mut cache = Default::default();
    SubtypeChecker::new(&mut cache).is_subtype(*kind, types, import, types)
}
