//! The adapter's tables and functions, from its own files.

use std::{env, fs, path::PathBuf};

use tokio_postgres::Client;

use super::{catalog::Catalog, instrument::instrumented};

/// Where a call begins with a look at what it is then told, a step comes first.
const LOOKED_BEFORE: [&str; 1] = ["forget_workers"];

/// What holds a session: the key of its turn, which the controller takes to have
/// it stop at its next step, and a key for each of its stops.
const STEP: &str = "
CREATE SCHEMA interleavings;
CREATE FUNCTION interleavings.step(p_label text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    v_session int := nullif(current_setting('interleavings.session', true), '')::int;
    v_step int;
    v_key int;
BEGIN
    IF v_session IS NULL THEN
        RETURN false;
    END IF;
    v_step := current_setting('interleavings.at')::int + 1;
    PERFORM set_config('interleavings.at', v_step::text, false);
    v_key := v_session * 10000;
    IF v_step = ANY (current_setting('interleavings.stops')::int[]) THEN
        v_key := v_key + v_step;
    ELSIF pg_try_advisory_lock_shared(4242, v_key) THEN
        PERFORM pg_advisory_unlock_shared(4242, v_key);
        RAISE NOTICE 'step % %', v_step, p_label;
        RETURN false;
    END IF;
    RAISE NOTICE 'held % %', v_step, p_label;
    PERFORM pg_advisory_lock_shared(4242, v_key);
    PERFORM pg_advisory_unlock_shared(4242, v_key);
    RETURN false;
END $$;
CREATE OR REPLACE FUNCTION emporium.now_ms() RETURNS bigint LANGUAGE sql VOLATILE AS
    'SELECT current_setting(''interleavings.now'')::bigint';
";

/// Makes everything there is in an empty database, and instruments it.
pub(super) async fn make(client: &Client) {
    client
        .batch_execute(&migration())
        .await
        .expect("the migration of the adapter");
    client.batch_execute(STEP).await.expect("the steps");
    let catalog = Catalog::read(client).await;
    let known = catalog.names();
    for function in catalog.functions() {
        let mut body = instrumented(&function.name, &function.body, &known);
        if LOOKED_BEFORE.contains(&function.name.as_str()) {
            let label = format!("{}:0, line 0", function.name);
            let step = format!("BEGIN IF interleavings.step('{label}') THEN END IF;");
            body = body.replacen("BEGIN", &step, 1);
        }
        let definition = function.definition.replace(&function.body, &body);
        let made = client.batch_execute(&definition).await;
        made.unwrap_or_else(|error| panic!("{}: {error:?}\n{body}", function.name));
    }
}

/// The folder of the adapter; `EMPORIUM_PLATFORM_POSTGRES` names that of another
/// commit.
fn folder() -> PathBuf {
    match env::var_os("EMPORIUM_PLATFORM_POSTGRES") {
        Some(folder) => folder.into(),
        None => emporium_tests::root().join("components/platform-postgres"),
    }
}

/// What the adapter runs on an empty database: the constant `MIGRATE` of
/// `schema.rs`, which is a `concat!` of texts and files.
fn migration() -> String {
    let schema = folder().join("src/schema.rs");
    let source = fs::read_to_string(&schema).expect("schema.rs of the adapter");
    let from = source.find("const MIGRATE").expect("`MIGRATE`");
    let concat = source[from..].find("concat!(").expect("a `concat!`") + from;
    let mut rest = &source[concat + "concat!(".len()..];
    let mut text = String::new();
    loop {
        let quote = rest.find(['"', ';']).expect("an end");
        if rest[quote..].starts_with(';') {
            return text;
        }
        let end = rest[quote + 1..].find('"').expect("a quote") + quote + 1;
        let literal = &rest[quote + 1..end];
        if rest[..quote].trim_end().ends_with("include_str!(") {
            let file = schema.with_file_name(literal);
            text.push_str(&fs::read_to_string(&file).expect("SQL of the adapter"));
        } else {
            text.push_str(literal);
        }
        rest = &rest[end + 1..];
    }
}
