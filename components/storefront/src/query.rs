//! Query strings: what a visitor chose, passed on.

use std::fmt::Write as _;

/// A query with the members that have a value. Values are escaped.
pub(crate) fn query(members: &[(&str, Option<&str>)]) -> String {
    let mut query = String::new();
    for (name, value) in members {
        let Some(value) = value.filter(|value| !value.trim().is_empty()) else {
            continue;
        };
        if !query.is_empty() {
            query.push('&');
        }
        query.push_str(name);
        query.push('=');
        for byte in value.trim().bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                    query.push(char::from(byte));
                }
                // Writing to a string cannot fail.
                byte => drop(write!(query, "%{byte:02X}")),
            }
        }
    }
    query
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_become_another_member() {
        let members = [
            ("limit", Some("24")),
            ("type", Some(" ")),
            ("q", Some("crème & x=1#?")),
            ("cursor", None),
        ];
        assert_eq!(query(&members), "limit=24&q=cr%C3%A8me%20%26%20x%3D1%23%3F");
    }
}
