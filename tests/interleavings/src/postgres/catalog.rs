//! The adapter's functions, as the database knows them.

use std::collections::HashMap;

use tokio_postgres::{Client, SimpleQueryMessage};

/// A function in plpgsql that may change something.
pub(super) struct Function {
    pub(super) name: String,
    pub(super) body: String,
    pub(super) definition: String,
}

/// The functions that can be called: their parameters, by name and type.
pub(super) struct Catalog {
    schema: String,
    parameters: HashMap<String, Vec<(String, String)>>,
    functions: Vec<Function>,
}

const READ: &str = "
    SELECT n.nspname, p.proname, p.prosrc, pg_get_functiondef(p.oid),
        l.lanname = 'plpgsql' AND p.provolatile = 'v',
        (SELECT string_agg(a.name || ' ' || format_type(a.type, NULL), ';' ORDER BY a.n)
         FROM unnest(p.proargnames, coalesce(p.proallargtypes, p.proargtypes::oid[]),
                p.proargmodes) WITH ORDINALITY AS a (name, type, mode, n)
         WHERE a.mode IS NULL OR a.mode IN ('i', 'b'))
    FROM pg_proc AS p
    JOIN pg_namespace AS n ON n.oid = p.pronamespace
    JOIN pg_language AS l ON l.oid = p.prolang
    WHERE n.nspname LIKE 'emporium\\_%' AND p.prokind = 'f'
    ORDER BY p.proname";

impl Catalog {
    pub(super) async fn read(client: &Client) -> Self {
        let mut catalog = Self {
            schema: String::new(),
            parameters: HashMap::new(),
            functions: Vec::new(),
        };
        for message in client.simple_query(READ).await.expect("functions") {
            let SimpleQueryMessage::Row(row) = message else {
                continue;
            };
            let text = |at: usize| row.get(at).unwrap_or_default().to_owned();
            catalog.schema = text(0);
            let parameters = text(5);
            let parameters = parameters.split(';').filter_map(|one| one.split_once(' '));
            catalog.parameters.insert(
                text(1),
                parameters
                    .map(|(name, of)| (name.to_owned(), of.to_owned()))
                    .collect(),
            );
            if text(4) == "t" {
                catalog.functions.push(Function {
                    name: text(1),
                    body: text(2),
                    definition: text(3),
                });
            }
        }
        catalog
    }

    pub(super) fn schema(&self) -> &str {
        &self.schema
    }

    pub(super) fn functions(&self) -> &[Function] {
        &self.functions
    }

    /// The names of the functions that have steps.
    pub(super) fn names(&self) -> Vec<String> {
        let names = self.functions.iter().map(|function| function.name.clone());
        names.collect()
    }

    pub(super) fn has(&self, function: &str) -> bool {
        self.parameters.contains_key(function)
    }

    /// A call with those of the arguments that the function takes.
    pub(super) fn call(&self, function: &str, arguments: &[(&str, Option<String>)]) -> String {
        let parameters = self.parameters.get(function);
        let parameters = parameters.unwrap_or_else(|| panic!("there is no `{function}`"));
        let given = parameters.iter().map(|(name, of)| {
            let argument = arguments.iter().find(|(known, _)| known == name);
            match argument.unwrap_or_else(|| panic!("`{function}` wants `{name}`")) {
                (_, Some(value)) => format!("{name} => '{value}'::{of}"),
                (_, None) => format!("{name} => NULL::{of}"),
            }
        });
        let given: Vec<_> = given.collect();
        format!(
            "SELECT * FROM {}.{function}({})",
            self.schema,
            given.join(", ")
        )
    }
}
