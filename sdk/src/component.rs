//! What makes a component a service: the exports that all of them have.

/// Export a service: what it serves over HTTP, and what it does when it is woken.
///
/// `wakes` is left out by a service that has no subscription. It is awaited for
/// each wake, whatever the wake says: what is due stands in the database.
///
/// ```ignore
/// emporium_sdk::service! {
///     routes: service::routes(OpenApiRouter::new().routes(routes!(read::list))),
///     wakes: reactions::react(),
/// }
/// ```
#[macro_export]
macro_rules! service {
    (routes: $routes:expr $(, wakes: $react:expr)? $(,)?) => {
        #[::spin_sdk::http_service]
        async fn handle(request: ::spin_sdk::http::Request) -> ::axum::response::Response {
            static ROUTES: ::std::sync::LazyLock<::axum::Router> =
                ::std::sync::LazyLock::new(|| $routes);
            $crate::service::serve(&ROUTES, request).await
        }

        $(
            #[::spin_sdk::redis_subscriber]
            async fn wake(
                _: $crate::service::Wake,
            ) -> ::std::result::Result<(), $crate::deliveries::Error> {
                $react.await
            }
        )?
    };
}

/// Generate the bindings of a service that imports more than the platform: those
/// of its world, in a module `bindings`. The platform is that of this library, so
/// that there is one set of types.
///
/// ```ignore
/// emporium_sdk::world!("media");
///
/// use bindings::emporium::imaging::pictures;
/// ```
#[macro_export]
macro_rules! world {
    ($world:tt) => {
        mod bindings {
            ::spin_sdk::wit_bindgen::generate!({
                world: $world,
                path: "../../wit",
                runtime_path: "::spin_sdk::wit_bindgen::rt",
                with: {
                    "emporium:platform/documents@0.1.0": emporium_sdk::documents,
                    "emporium:platform/journal@0.1.0": emporium_sdk::journal,
                    "emporium:platform/deliveries@0.1.0": emporium_sdk::deliveries,
                    "emporium:platform/blobs@0.1.0": emporium_sdk::blobs,
                },
                generate_all,
            });
        }
    };
}
