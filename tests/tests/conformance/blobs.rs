//! Blobs: stored once, under the digest of their content.

use blobs::{Blob, Error};
use emporium_tests::{conformance, platform::*};
use journal::{CommitError, Put};
use sha2::{Digest as _, Sha256};

/// What the adapters store in one row, so that tests reach beyond one.
const CHUNK: usize = 256 << 10;

/// Content of which no two parts are alike.
fn content(length: usize) -> Vec<u8> {
    (0..length)
        .map(|place| (place ^ (place >> 8) ^ (place >> 16)) as u8)
        .collect()
}

fn described(content: &[u8]) -> Blob {
    Blob {
        digest: hex::encode(Sha256::digest(content)),
        size_bytes: content.len() as u64,
    }
}

conformance! {
    async fn content_is_stored_under_its_digest(platform) {
        let mut instance = platform.instance().await;
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 7] {
            let content = content(length);
            for _ in 0..2 {
                assert_eq!(instance.put_blob(content.clone()).await, Ok(described(&content)));
            }
            let digest = described(&content).digest;
            assert_eq!(instance.stat(digest.clone()).await, Ok(Some(described(&content))));
            let read = instance.read(digest, 0, 1 << 20).await;
            assert!(read == Ok(Some(content)), "{length} bytes are read as they were stored");
        }
    }

    async fn an_upload_stores_the_same_as_a_put(platform) {
        let mut instance = platform.instance().await;
        let content = content(2 * CHUNK + 100);
        let (head, tail) = content.split_at(CHUNK + 50);
        let uploaded = instance.upload(1 << 30, &[head, &[], tail]).await;
        assert_eq!(uploaded, Ok(described(&content)));
        assert_eq!(instance.put_blob(content.clone()).await, uploaded);
        assert_eq!(instance.upload(1 << 30, &[&content]).await, uploaded);
        let read = instance.read(described(&content).digest, 0, 1 << 20).await;
        assert!(read == Ok(Some(content)));
    }

    async fn an_upload_of_nothing_is_the_empty_blob(platform) {
        let mut instance = platform.instance().await;
        assert_eq!(instance.upload(0, &[]).await, Ok(described(b"")));
        assert_eq!(instance.read(described(b"").digest, 0, 10).await, Ok(Some(vec![])));
    }

    async fn any_range_is_read(platform) {
        let mut instance = platform.instance().await;
        let content = content(3 * CHUNK + 7);
        let digest = instance.put_blob(content.clone()).await.expect("stored").digest;
        for offset in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, content.len() - 1] {
            for length in [0, 1, 2, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 3] {
                let end = content.len().min(offset + length);
                let read = instance.read(digest.clone(), offset as u64, length as u32).await;
                assert!(read == Ok(Some(content[offset..end].to_vec())), "{length} from {offset}");
            }
        }
    }

    async fn beyond_the_end_there_is_nothing(platform) {
        let mut instance = platform.instance().await;
        let digest = instance.put_blob(b"content".to_vec()).await.expect("stored").digest;
        for offset in [7, 8, u64::from(u32::MAX), u64::MAX] {
            assert_eq!(instance.read(digest.clone(), offset, 10).await, Ok(Some(vec![])));
        }
    }

    async fn a_read_returns_a_mebibyte_at_most(platform) {
        let mut instance = platform.instance().await;
        let content = content((1 << 20) + 100);
        let digest = instance.put_blob(content.clone()).await.expect("stored").digest;
        let read = instance.read(digest, 50, u32::MAX).await;
        assert!(read == Ok(Some(content[50..50 + (1 << 20)].to_vec())));
    }

    async fn an_absent_blob_is_none(platform) {
        let mut instance = platform.instance().await;
        let digest = "0".repeat(64);
        assert_eq!(instance.stat(digest.clone()).await, Ok(None));
        assert_eq!(instance.read(digest, 0, 10).await, Ok(None));
    }

    async fn a_digest_is_lower_case_hexadecimal(platform) {
        let mut instance = platform.instance().await;
        for digest in ["", "abc", &"A".repeat(64), &"0".repeat(63), &"g".repeat(64)] {
            assert_eq!(instance.stat(digest.into()).await, Err(Error::InvalidDigest));
            assert_eq!(instance.read(digest.into(), 0, 1).await, Err(Error::InvalidDigest));
        }
    }

    async fn an_upload_over_its_limit_is_void(platform) {
        let mut instance = platform.instance().await;
        let upload = instance.start_upload(10).await.expect("begun");
        assert_eq!(instance.write_upload(upload, &[1; 10]).await, Ok(()));
        assert_eq!(instance.write_upload(upload, &[1]).await, Err(Error::TooLarge(10)));
        let void = instance.write_upload(upload, &[]).await;
        assert!(matches!(void, Err(Error::Other(_))), "{void:?}");
        instance.drop_upload(upload).await;
        assert_eq!(instance.stat(described(&[1; 10]).digest).await, Ok(None));
    }

    async fn an_upload_that_is_dropped_leaves_nothing(platform) {
        let mut instance = platform.instance().await;
        let upload = instance.start_upload(1 << 30).await.expect("begun");
        instance.write_upload(upload, &content(3 * CHUNK)).await.expect("written");
        instance.drop_upload(upload).await;
        platform.advance(std::time::Duration::from_secs(60));
        let swept = instance.sweep(NOTHING_KEPT).await;
        assert_eq!(swept.expect("swept").blobs, 0);
    }

    async fn uploads_do_not_mix(platform) {
        let mut instance = platform.instance().await;
        let (one, two) = (vec![1; 2 * CHUNK], vec![2; 2 * CHUNK]);
        let first = instance.start_upload(1 << 30).await.expect("begun");
        let second = instance.start_upload(1 << 30).await.expect("begun");
        for place in 0..2 {
            let part = place * CHUNK..(place + 1) * CHUNK;
            instance.write_upload(first, &one[part.clone()]).await.expect("written");
            instance.write_upload(second, &two[part]).await.expect("written");
        }
        for (upload, content) in [(second, two), (first, one)] {
            let stored = instance.call(async |accessor, exports| {
                exports.emporium_platform_blobs().upload().call_finish(accessor, upload).await
            }).await;
            assert_eq!(stored, Ok(described(&content)));
            let read = instance.read(described(&content).digest, 0, 1 << 20).await;
            assert!(read == Ok(Some(content)));
        }
    }

    async fn a_document_refers_only_to_blobs_that_exist(platform) {
        let mut instance = platform.instance().await;
        let there = instance.put_blob(b"there".to_vec()).await.expect("stored").digest;
        let absent = described(b"absent").digest;
        let both = Put { blobs: vec![there.clone(), absent.clone()], ..put("things", "a", "{}") };
        let refused = instance.commit_one(puts([both])).await;
        assert_eq!(refused, Err(CommitError::NoSuchBlob(absent)));
        assert_eq!(instance.get("things", "a").await, Ok(None));
        let one = Put { blobs: vec![there.clone(), there], ..put("things", "a", "{}") };
        assert_eq!(instance.committed(puts([one.clone()])).await, [1]);
        assert_eq!(instance.committed(puts([one])).await, [2]);
    }
}
