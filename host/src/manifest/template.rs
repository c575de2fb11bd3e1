//! Strings with `{{ variable }}` in them.

use std::collections::BTreeMap;

/// A parsed string; `{{ name }}` stands for the value of an application
/// variable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Variable(String),
}

impl Template {
    /// Parses `text`; a `{{` without its `}}` is refused.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((literal, after)) = rest.split_once("{{") {
            let (name, tail) = after
                .split_once("}}")
                .ok_or_else(|| format!("{text:?} has a `{{{{` without its `}}}}`"))?;
            if !literal.is_empty() {
                parts.push(Part::Literal(literal.into()));
            }
            parts.push(Part::Variable(name.trim().into()));
            rest = tail;
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.into()));
        }
        Ok(Self(parts))
    }

    /// The names of the variables it refers to.
    pub(crate) fn variables(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Variable(name) => Some(name.as_str()),
            Part::Literal(_) => None,
        })
    }

    /// Whether it refers to no variable.
    pub(crate) fn is_literal(&self) -> bool {
        self.variables().next().is_none()
    }

    /// Puts the values in. A name without a value stands for nothing: the
    /// manifest check has already refused undeclared names.
    pub(crate) fn resolve(&self, values: &BTreeMap<String, String>) -> String {
        let piece = |part: &Part| match part {
            Part::Literal(literal) => literal.clone(),
            Part::Variable(name) => values.get(name).cloned().unwrap_or_default(),
        };
        self.0.iter().map(piece).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_put_in() {
        let template = Template::parse("https://{{ host }}:{{port}}/x").expect("valid");
        assert_eq!(template.variables().collect::<Vec<_>>(), ["host", "port"]);
        let values = BTreeMap::from([
            ("host".into(), "a.example".into()),
            ("port".into(), "1".into()),
        ]);
        assert_eq!(template.resolve(&values), "https://a.example:1/x");
    }

    #[test]
    fn an_unmatched_brace_is_refused() {
        assert!(Template::parse("a {{ b").is_err());
        assert!(Template::parse("a }} b").is_ok());
    }
}
