//! Tries to use one capability and says what came of it:
//! `/{capability}?{argument}` answers `granted` or the refusal. A request with a
//! body runs a script.

mod script;

use bytes::Bytes;
use spin_sdk::{
    http::{IntoResponse, Request, body::IncomingBodyExt as _, get},
    http_service, key_value, pg, redis, redis_subscriber, sqlite, variables,
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
            "key-value" => script::key_value(&argument, &script).await,
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

/// Counts the messages of a channel under the key `heard`, in the broker. Before
/// it does, `wait` counts as `waiting`, until something is pushed to `gate`.
#[redis_subscriber]
async fn hear(message: Bytes) -> Result<(), redis::Error> {
    let failed = |error: variables::Error| redis::Error::Other(words(error));
    let address = variables::get("redis_address").await.map_err(failed)?;
    let connection = redis::Connection::open(address).await?;
    if message.as_ref() == b"wait" {
        connection.incr("waiting").await?;
        let gate = ["gate", "60"].map(|word| redis::RedisParameter::Binary(word.into()));
        connection.execute("BLPOP", gate).await?;
    }
    connection.incr("heard").await.map(drop)
}

fn words(error: impl std::fmt::Debug) -> String {
    format!("{error:?}")
}
