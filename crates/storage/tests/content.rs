//! What content promises: kept once, there while referred to, gone afterwards.

use bytes::Bytes;
use event::Reporter;
use std::path::{Path, PathBuf};
use storage::{Config, ContentId, Prepared, Storage, StorageError};

fn open(folder: &Path) -> Storage {
    let config = Config { content_inline_octets_max: 100, ..Config::default() };
    Storage::open(&config, folder, Reporter::silent()).unwrap()
}

/// Content too large for a table.
fn large(seed: u8) -> Bytes {
    vec![seed; 101].into()
}

fn blobs(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for shelf in std::fs::read_dir(folder.join("blobs")).unwrap() {
        found.extend(std::fs::read_dir(shelf.unwrap().path()).unwrap().map(|file| file.unwrap().path()));
    }
    found
}

async fn keep(storage: &Storage, prepared: Prepared) {
    storage.write(move |t| t.keep(&prepared)).await.unwrap();
}

async fn release(storage: &Storage, id: ContentId) -> Result<(), StorageError> {
    storage.write(move |t| t.release(id)).await
}

#[tokio::test]
async fn content_is_stored_once_and_goes_with_its_last_reference() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    for octets in [Bytes::from_static(b"small"), large(7)] {
        let prepared = storage.prepare(octets.clone()).await.unwrap();
        let id = prepared.id;
        assert_eq!(prepared.size, octets.len() as u64);
        keep(&storage, prepared).await;
        keep(&storage, storage.prepare(octets.clone()).await.unwrap()).await;
        storage.write(move |t| t.keep_again(id)).await.unwrap();
        for _ in 0..2 {
            release(&storage, id).await.unwrap();
            assert_eq!(storage.content(id).await.unwrap(), octets);
        }
        release(&storage, id).await.unwrap();
        assert!(matches!(storage.content(id).await, Err(StorageError::Missing(_))));
        assert!(matches!(release(&storage, id).await, Err(StorageError::Missing(_))));
        let again = storage.write(move |t| t.keep_again(id)).await;
        assert!(matches!(again, Err(StorageError::Missing(_))));
    }
    storage.collect().await.unwrap();
    assert_eq!(blobs(folder.path()), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn large_content_is_one_file_and_small_content_none() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    keep(&storage, storage.prepare(Bytes::from_static(b"small")).await.unwrap()).await;
    assert_eq!(blobs(folder.path()).len(), 0);
    keep(&storage, storage.prepare(large(1)).await.unwrap()).await;
    keep(&storage, storage.prepare(large(1)).await.unwrap()).await;
    assert_eq!(blobs(folder.path()).len(), 1);
    // A rolled back keep leaves the reference count as it was.
    let prepared = storage.prepare(large(2)).await.unwrap();
    let undone = storage
        .write(move |t| {
            t.keep(&prepared)?;
            Err::<(), _>(StorageError::Closed)
        })
        .await;
    assert!(undone.is_err());
    storage.collect().await.unwrap();
    assert_eq!(blobs(folder.path()).len(), 1);
}

#[tokio::test]
async fn prepared_content_waits_for_its_transaction() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    let prepared = storage.prepare(large(3)).await.unwrap();
    let id = prepared.id;
    assert_eq!(storage.collect().await.unwrap(), 0, "pinned");
    // Collect again and again while the change that keeps it is under way.
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let (running, started) = std::sync::mpsc::channel::<()>();
    let change = tokio::spawn({
        let storage = storage.clone();
        async move {
            storage
                .write(move |t| {
                    t.keep(&prepared)?;
                    let _ = running.send(());
                    let _ = wait.recv();
                    Ok::<_, StorageError>(())
                })
                .await
        }
    });
    tokio::task::spawn_blocking(move || started.recv()).await.unwrap().unwrap();
    assert_eq!(storage.collect().await.unwrap(), 0, "kept, but not committed yet");
    go_on.send(()).unwrap();
    change.await.unwrap().unwrap();
    assert_eq!(storage.collect().await.unwrap(), 0, "committed");
    assert_eq!(storage.content(id).await.unwrap(), large(3));
}

#[tokio::test]
async fn content_that_a_crash_left_is_collected_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    let kept = storage.prepare(large(4)).await.unwrap();
    let id = kept.id;
    keep(&storage, kept).await;
    drop(storage);
    // A blob whose transaction never came, and a half written one.
    let orphan = "ab".repeat(32);
    let shelf = folder.path().join("blobs/ab");
    std::fs::create_dir_all(&shelf).unwrap();
    std::fs::write(shelf.join(&orphan), b"orphan").unwrap();
    std::fs::write(shelf.join(format!("{orphan}#1")), b"orp").unwrap();
    let storage = open(folder.path());
    for _ in 0..1000 {
        if blobs(folder.path()).len() == 1 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(blobs(folder.path()).len(), 1, "the start collects without being asked");
    assert_eq!(storage.content(id).await.unwrap(), large(4));
}

#[tokio::test]
async fn a_torn_blob_is_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    let id = storage.prepare(large(5)).await.unwrap().id;
    storage.collect().await.unwrap();
    // A power cut left the name without the octets.
    let address = id.to_string();
    let path = folder.path().join("blobs").join(&address[..2]).join(&address);
    std::fs::write(&path, b"").unwrap();
    keep(&storage, storage.prepare(large(5)).await.unwrap()).await;
    assert_eq!(storage.content(id).await.unwrap(), large(5));
}

#[tokio::test]
async fn a_changed_inline_bound_moves_nothing_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let octets = large(6);
    for (first, second) in [(100, 1000), (1000, 100)] {
        let config = |max| Config { content_inline_octets_max: max, ..Config::default() };
        let storage = Storage::open(&config(first), folder.path(), Reporter::silent()).unwrap();
        let prepared = storage.prepare(octets.clone()).await.unwrap();
        let id = prepared.id;
        keep(&storage, prepared).await;
        drop(storage);
        let storage = Storage::open(&config(second), folder.path(), Reporter::silent()).unwrap();
        let prepared = storage.prepare(octets.clone()).await.unwrap();
        keep(&storage, prepared.clone()).await;
        release(&storage, id).await.unwrap();
        storage.collect().await.unwrap();
        assert_eq!(storage.content(id).await.unwrap(), octets);
        release(&storage, id).await.unwrap();
        // The last reference went while it was prepared: it can be kept anew.
        keep(&storage, prepared).await;
        storage.collect().await.unwrap();
        assert_eq!(storage.content(id).await.unwrap(), octets);
        release(&storage, id).await.unwrap();
    }
}

/// Many tasks prepare, keep and release the same few contents while the
/// collector runs without pause: what is referred to must always be readable.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_collector_never_takes_what_is_being_kept() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let collector = tokio::spawn({
        let (storage, stop) = (storage.clone(), stop.clone());
        async move {
            let mut deleted = 0;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                deleted += storage.collect().await.unwrap();
                tokio::task::yield_now().await;
            }
            deleted
        }
    });
    let mut tasks = Vec::new();
    for task in 0..6u8 {
        let storage = storage.clone();
        tasks.push(tokio::spawn(async move {
            for round in 0..25u8 {
                let octets = large((task + round) % 3);
                let prepared = storage.prepare(octets.clone()).await.unwrap();
                let id = prepared.id;
                keep(&storage, prepared).await;
                assert_eq!(storage.content(id).await.unwrap(), octets);
                release(&storage, id).await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    collector.await.unwrap();
    storage.collect().await.unwrap();
    assert_eq!(blobs(folder.path()).len(), 0);
}
