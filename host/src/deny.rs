//! Capabilities a dependency does not inherit: every call of them is refused.
//!
//! The refusal is made from the type of each function, so that it fits every
//! interface: the error case `access-denied` where there is one, else a case
//! that carries a text, else a trap. What only looks around finds nothing.

use wasmtime::{
    Engine, Result,
    component::{Component, Linker, LinkerInstance, ResourceType, Type, Val, types::ComponentItem},
};

use crate::compose::DENIED;

/// Stands for every resource of a refused interface. There are no values of it.
struct Denied;

/// Links the refused imports of `component`.
pub(crate) fn add_to_linker<T: Send + 'static>(
    linker: &mut Linker<T>,
    engine: &Engine,
    component: &Component,
) -> Result<()> {
    for (name, import) in component.component_type().imports(engine) {
        let (true, ComponentItem::ComponentInstance(instance)) =
            (name.starts_with(DENIED), import.ty)
        else {
            continue;
        };
        let mut interface = linker.instance(name)?;
        for (item, export) in instance.exports(engine) {
            match export.ty {
                ComponentItem::ComponentFunc(function) => {
                    define(
                        &mut interface,
                        item,
                        function.async_(),
                        refusal(&function, name),
                    )?;
                }
                ComponentItem::Resource(_) => {
                    interface.resource(item, ResourceType::host::<Denied>(), |_, _| Ok(()))?;
                }
                _ => {}
            }
        }
    }
    Ok(())
}

fn define<T: Send + 'static>(
    interface: &mut LinkerInstance<'_, T>,
    name: &str,
    is_async: bool,
    refusal: std::result::Result<Vec<Val>, String>,
) -> Result<()> {
    let answer = move |results: &mut [Val]| {
        let refusal = refusal
            .clone()
            .map_err(|trap| wasmtime::format_err!("{trap}"))?;
        results
            .iter_mut()
            .zip(refusal)
            .for_each(|(slot, value)| *slot = value);
        Ok(())
    };
    if is_async {
        interface.func_new_concurrent(name, move |_, _, _, results| {
            let answered = answer(results);
            Box::pin(async move { answered })
        })?;
    } else {
        interface.func_new(name, move |_, _, _, results| answer(results))?;
    }
    Ok(())
}

fn refusal(
    function: &wasmtime::component::types::ComponentFunc,
    interface: &str,
) -> std::result::Result<Vec<Val>, String> {
    let text = format!(
        "{:?} is not inherited",
        interface.trim_start_matches(DENIED)
    );
    function
        .results()
        .map(|result| value(&result, &text).ok_or_else(|| text.clone()))
        .collect()
}

/// The value of `ty` that refuses, or that is empty.
fn value(ty: &Type, text: &str) -> Option<Val> {
    match ty {
        Type::Result(result) => match result.err() {
            Some(error) => Some(Val::Result(Err(Some(Box::new(error_value(&error, text)?))))),
            None => Some(Val::Result(Err(None))),
        },
        Type::List(_) => Some(Val::List(Vec::new())),
        Type::Option(_) => Some(Val::Option(None)),
        _ => None,
    }
}

fn error_value(ty: &Type, text: &str) -> Option<Val> {
    match ty {
        Type::Variant(variant) => {
            let plain = variant
                .cases()
                .find(|case| case.name == "access-denied" && case.ty.is_none());
            let http = variant
                .cases()
                .find(|case| case.name == "HTTP-request-denied" && case.ty.is_none());
            if let Some(case) = plain.or(http) {
                return Some(Val::Variant(case.name.into(), None));
            }
            let with_text = variant
                .cases()
                .find(|case| matches!(case.ty, Some(Type::String)))?;
            Some(Val::Variant(
                with_text.name.into(),
                Some(Box::new(Val::String(text.into()))),
            ))
        }
        Type::Enum(cases) => cases
            .names()
            .find(|name| *name == "access-denied")
            .map(|name| Val::Enum(name.into())),
        Type::String => Some(Val::String(text.into())),
        _ => None,
    }
}
