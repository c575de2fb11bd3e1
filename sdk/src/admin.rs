//! The guard of routes that are for administrators.

use axum::extract::FromRequestParts;
use http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts};

use crate::problem::Problem;

/// Proof that a request comes from an administrator.
///
/// As an argument of a handler it refuses every other request with 401 and
/// `WWW-Authenticate` (RFC 6750). It accepts the bearer token in the secret
/// variable `admin_token`.
#[derive(Debug)]
pub struct Admin(());

impl<S: Sync> FromRequestParts<S> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Some(given) = bearer(&parts.headers) else {
            return Err(unauthorised(
                "Bearer realm=\"emporium\"",
                "a bearer token is needed",
            ));
        };
        let expected = spin_sdk::variables::get("admin_token")
            .await
            .map_err(Problem::unavailable)?;
        if !expected.is_empty() && equal_in_constant_time(given, &expected) {
            return Ok(Self(()));
        }
        Err(unauthorised(
            "Bearer realm=\"emporium\", error=\"invalid_token\"",
            "the bearer token is not valid",
        ))
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?
        .split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(token.trim())
}

fn unauthorised(challenge: &'static str, detail: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "unauthorised", detail).header(
        header::WWW_AUTHENTICATE,
        HeaderValue::from_static(challenge),
    )
}

/// Compare without telling by the time taken how much was right. The length is
/// not secret.
fn equal_in_constant_time(left: &str, right: &str) -> bool {
    left.len() == right.len()
        && left
            .bytes()
            .zip(right.bytes())
            .fold(0, |difference, (left, right)| difference | (left ^ right))
            == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_from_the_header_alone() {
        for (value, token) in [
            ("Bearer abc", Some("abc")),
            ("bearer  abc", Some("abc")),
            ("Basic abc", None),
            ("Bearer", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, HeaderValue::from_static(value));
            assert_eq!(bearer(&headers), token, "{value}");
        }
    }

    #[test]
    fn only_the_same_token_is_equal() {
        assert!(equal_in_constant_time("secret", "secret"));
        for other in ["", "secre", "secreT", "secret1"] {
            assert!(!equal_in_constant_time(other, "secret"));
        }
    }
}
