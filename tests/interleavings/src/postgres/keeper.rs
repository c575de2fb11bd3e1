//! Start states: kept as copies of the tables, and brought back.

use tokio_postgres::Client;

use super::session::rows;

/// The function that brings a start state back.
pub(super) fn restoration(start: &str) -> String {
    format!("interleavings.\"restore {start}\"")
}

/// Keep what is in the tables under a name.
pub(super) async fn keep(client: &Client, start: &str) {
    let mut make = String::new();
    let mut restore = String::new();
    for table in tables(client).await {
        let copy = format!("interleavings.\"{start} {table}\"");
        make.push_str(&format!("CREATE TABLE {copy} AS TABLE emporium.{table};\n"));
        restore.push_str(&format!("DELETE FROM emporium.{table};\n"));
        let count = format!("SELECT count(*) FROM emporium.{table}");
        if one(client, &count).await != "0" {
            restore.push_str(&format!(
                "INSERT INTO emporium.{table} OVERRIDING SYSTEM VALUE TABLE {copy};\n"
            ));
        }
    }
    for sequence in sequences(client).await {
        let state = format!("SELECT last_value || ', ' || is_called FROM emporium.{sequence}");
        let state = one(client, &state).await;
        restore.push_str(&format!(
            "PERFORM setval('emporium.{sequence}', {state});\n"
        ));
    }
    make.push_str(&format!(
        "CREATE FUNCTION {}() RETURNS void LANGUAGE plpgsql AS $$ BEGIN {restore} END $$;",
        restoration(start)
    ));
    client.batch_execute(&make).await.expect("a kept state");
}

/// A function that says what is in all tables.
pub(super) async fn make_digest(client: &Client) {
    let parts: Vec<_> = tables(client)
        .await
        .into_iter()
        .map(|table| {
            format!("(SELECT coalesce(string_agg(t::text, E'\\n' ORDER BY t::text), '') FROM emporium.{table} AS t)")
        })
        .collect();
    let make = format!(
        "CREATE FUNCTION interleavings.digest() RETURNS text LANGUAGE sql AS $$
            SELECT md5(concat_ws('#', {})) $$",
        parts.join(", ")
    );
    client.batch_execute(&make).await.expect("a digest");
}

/// Remove what the database has no use for any more.
pub(super) async fn vacuum(client: &Client) {
    for table in tables(client).await {
        let vacuum = format!("VACUUM emporium.{table}");
        client.batch_execute(&vacuum).await.expect("a vacuum");
    }
}

async fn tables(client: &Client) -> Vec<String> {
    let all = "SELECT tablename FROM pg_tables WHERE schemaname = 'emporium' ORDER BY 1";
    list(client, all).await
}

async fn sequences(client: &Client) -> Vec<String> {
    let all = "SELECT sequencename FROM pg_sequences WHERE schemaname = 'emporium' ORDER BY 1";
    list(client, all).await
}

async fn list(client: &Client, query: &str) -> Vec<String> {
    let found = rows(client.simple_query(query).await.expect("names"));
    let names = found.iter().map(|row| row.get(0).unwrap_or_default());
    names.map(str::to_owned).collect()
}

async fn one(client: &Client, query: &str) -> String {
    list(client, query).await.remove(0)
}
