//! The API description as a page, with nothing loaded from elsewhere.

use std::collections::BTreeMap;

use maud::{DOCTYPE, Markup, html};
use serde_json::{Map, Value};

/// An operation of the API: path, method, description.
type Operation<'a> = (&'a str, &'a str, &'a Value);

/// Render an OpenAPI description.
pub(crate) fn page(description: &Value) -> Markup {
    let tags = by_tag(description);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Emporium API" }
                link rel="stylesheet" href="/static/emporium.css";
                link rel="icon" href="/static/icon.svg" type="image/svg+xml";
            }
            body {
                header.site {
                    a.brand href="/" { span.mark aria-hidden="true" {} "Emporium" }
                    nav { a href="/" { "Gallery" } a href="/docs" aria-current="page" { "API" } }
                }
                main.docs {
                    h1 { "API" }
                    p { "Machines read " a href="/openapi.json" { "openapi.json" } ". Errors are problem+json; the code is the name of the case." }
                    @for (tag, operations) in &tags {
                        section {
                            h2 { (tag) }
                            @for operation in operations { (entry(operation)) }
                        }
                    }
                }
            }
        }
    }
}

fn by_tag(description: &Value) -> BTreeMap<&str, Vec<Operation<'_>>> {
    let mut tags: BTreeMap<&str, Vec<Operation<'_>>> = BTreeMap::new();
    for (path, item) in members(description, "paths") {
        for (method, operation) in item.as_object().into_iter().flatten() {
            let tag = operation
                .pointer("/tags/0")
                .and_then(Value::as_str)
                .unwrap_or("other");
            tags.entry(tag).or_default().push((path, method, operation));
        }
    }
    tags
}

fn entry((path, method, operation): &Operation<'_>) -> Markup {
    let empty = Vec::new();
    let parameters = operation["parameters"].as_array().unwrap_or(&empty);
    let guarded = operation.get("security").is_some();
    html! {
        details.operation {
            summary {
                span.method data-method=(method) { (method.to_uppercase()) }
                code { (path) }
                @if guarded { span.badge { "admin" } }
                span.summary { (text(operation, "summary")) }
            }
            p { (text(operation, "description")) }
            @if !parameters.is_empty() {
                table {
                    thead { tr { th { "Parameter" } th { "In" } th { "Meaning" } } }
                    tbody {
                        @for parameter in parameters {
                            tr {
                                td { code { (text(parameter, "name")) } }
                                td { (text(parameter, "in")) }
                                td { (text(parameter, "description")) }
                            }
                        }
                    }
                }
            }
            table {
                thead { tr { th { "Status" } th { "Meaning" } } }
                tbody {
                    @for (status, response) in members(operation, "responses") {
                        tr { td { code { (status) } } td { (text(response, "description")) } }
                    }
                }
            }
        }
    }
}

fn members<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    value
        .get(name)
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(Map::iter)
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_on_the_page() {
        let description = serde_json::json!({"paths": {"/images": {
            "get": {"tags": ["media"], "summary": "List <images>"},
            "post": {"tags": ["media"], "security": [], "responses": {"201": {"description": "Made"}}},
        }}});
        let page = page(&description).into_string();
        for part in ["GET", "POST", "List &lt;images&gt;", "201", "admin"] {
            assert!(page.contains(part), "{part}");
        }
    }
}
