//! The guard of routes that exist only in demonstrations.

use axum::extract::FromRequestParts;
use emporium_sdk::{problem::Problem, variables::Variables};
use http::request::Parts;

/// Proof that the variable `demo` is on. Without it, a route does not exist.
#[derive(Debug)]
pub(crate) struct Demo(());

impl<S: Sync> FromRequestParts<S> for Demo {
    type Rejection = Problem;

    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut variables = Variables::new();
        let is_on = variables.get("demo").await;
        match variables.finish(is_on).map_err(Problem::internal)? {
            true => Ok(Self(())),
            false => Err(Problem::not_found(
                "no-such-route",
                "nothing is served at this path",
            )),
        }
    }
}
