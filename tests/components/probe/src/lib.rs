//! Tries to use one capability and says what came of it:
//! `/{capability}?{argument}` answers `granted` or the refusal. A request with a
//! body runs a script.

mod script;

use spin_sdk::{
    http::{IntoResponse, Request, body::IncomingBodyExt as _, get},
    http_service, key_value, pg, redis, sqlite, variables,
};

#[http_service]
async fn handle(request: Request) -> impl IntoResponse {
    let argument = request.uri().query().unwrap_or_default().to_owned();
    let path = request.uri().path().to_owned();
    let capability = path.rsplit('/').next().unwrap_or_default();
    let body = request.into_body().bytes().await.unwrap_or_default();
    if !body.is_empty() {
        let script = String::from_utf8_lossy(&body);
        return match capability {
            "postgres" => script::postgres(&argument, &script).await,
            _ => script::redis(&argument, &script).await,
        };
    }
    let outcome = match capability {
        "postgres" => match pg::Connection::open(&argument).await {
            Ok(connection) => connection.query("SELECT 1", []).await.map(drop),
            Err(error) => Err(error),
        }
        .map_err(words),
        "key-value" => key_value::Store::open(&argument)
            .await
            .map(drop)
            .map_err(words),
        "sqlite" => sqlite::Connection::open(&argument)
            .await
            .map(drop)
            .map_err(words),
        "redis" => match redis::Connection::open(&argument).await {
            Ok(connection) => connection
                .publish("probe", &Vec::new())
                .await
                .map_err(words),
            Err(error) => Err(words(error)),
        },
        "variable" => variables::get(&argument).await.map(drop).map_err(words),
        "http" => get(&argument).await.map(drop).map_err(words),
        "environment" => match std::env::vars().next() {
            Some(_) => Ok(()),
            None => Err("none".into()),
        },
        "files" => std::fs::read_dir("/").map(drop).map_err(words),
        _ => Err("no such capability".into()),
    };
    match outcome {
        Ok(()) => "granted".to_owned(),
        Err(refusal) => refusal,
    }
}

fn words(error: impl std::fmt::Debug) -> String {
    format!("{error:?}")
}
