//! The key-value store on disk.

use super::*;

fn stores(folder: &tempfile::TempDir) -> Stores {
    Stores::new(folder.path().join("key-value.db"))
}

fn every_key(store: &Store) -> Vec<String> {
    let mut keys: Vec<String> = Vec::new();
    loop {
        let page = store.page(keys.last().map(String::as_str)).expect("page");
        if page.is_empty() {
            return keys;
        }
        keys.extend(page);
    }
}

#[tokio::test]
async fn a_value_is_read_back_until_it_is_deleted() {
    let folder = tempfile::tempdir().expect("folder");
    let store = stores(&folder).open("default").expect("store");
    assert!(!store.exists("bar").expect("exists"));
    store
        .set("bar".into(), b"\0baz".to_vec())
        .await
        .expect("set");
    store
        .set("bar".into(), b"\0wow".to_vec())
        .await
        .expect("set");
    assert_eq!(
        store.get("bar").expect("get").as_deref(),
        Some(&b"\0wow"[..])
    );
    assert!(store.exists("bar").expect("exists"));
    store.delete("bar".into()).await.expect("delete");
    store
        .delete("bar".into())
        .await
        .expect("deleting the absent");
    assert_eq!(store.get("bar").expect("get"), None);
}

#[tokio::test]
async fn stores_do_not_share_keys() {
    let folder = tempfile::tempdir().expect("folder");
    let stores = stores(&folder);
    let (ours, theirs) = (
        stores.open("ours").expect("store"),
        stores.open("theirs").expect("store"),
    );
    ours.set("key".into(), vec![]).await.expect("set");
    assert_eq!(every_key(&ours), ["key"]);
    assert!(every_key(&theirs).is_empty());
    assert_eq!(ours.get("key").expect("get"), Some(vec![]));
}

#[tokio::test]
async fn keys_come_in_pages_and_none_is_lost() {
    let folder = tempfile::tempdir().expect("folder");
    let store = stores(&folder).open("default").expect("store");
    let names: Vec<String> = (0..2 * PAGE + 1).map(|n| format!("{n:05}")).collect();
    let label = Arc::clone(&store.label);
    let rows = names.clone();
    store
        .write(move |writer| {
            for name in &rows {
                writer.execute(
                    "INSERT INTO spin_key_value VALUES (?1, ?2, x'')",
                    [&*label, name],
                )?;
            }
            Ok(rows.len())
        })
        .await
        .expect("rows");
    assert_eq!(store.page(None).expect("page").len(), PAGE);
    assert_eq!(every_key(&store), names);
}

#[tokio::test]
async fn values_survive_the_host() {
    let folder = tempfile::tempdir().expect("folder");
    let store = stores(&folder).open("default").expect("store");
    store
        .set("key".into(), b"value".to_vec())
        .await
        .expect("set");
    drop(store);
    let store = stores(&folder).open("default").expect("store");
    assert_eq!(
        store.get("key").expect("get").as_deref(),
        Some(&b"value"[..])
    );
}
