//! Tries to use one capability and says what came of it:
//! `/{capability}?{argument}` answers `granted` or the refusal.

use spin_sdk::{
    http::{IntoResponse, Request, get},
    http_service, key_value, redis, sqlite, variables,
};

#[http_service]
async fn handle(request: Request) -> impl IntoResponse {
    let argument = request.uri().query().unwrap_or_default();
    let capability = request.uri().path().rsplit('/').next().unwrap_or_default();
    let outcome = match capability {
        "key-value" => key_value::Store::open(argument)
            .await
            .map(drop)
            .map_err(words),
        "sqlite" => sqlite::Connection::open(argument)
            .await
            .map(drop)
            .map_err(words),
        "redis" => match redis::Connection::open(argument).await {
            Ok(connection) => connection
                .publish("probe", &Vec::new())
                .await
                .map_err(words),
            Err(error) => Err(words(error)),
        },
        "variable" => variables::get(argument).await.map(drop).map_err(words),
        "http" => get(argument).await.map(drop).map_err(words),
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
