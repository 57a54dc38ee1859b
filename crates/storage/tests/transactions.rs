//! What a change and a view promise: isolation, order, bounds, group commit.

use bytes::Bytes;
use event::Reporter;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use storage::{Config, KEY_OCTETS_MAX, Storage, StorageError, Table, VALUE_OCTETS_MAX};

const NOTES: Table = Table("notes");

fn open(folder: &tempfile::TempDir) -> Storage {
    Storage::open(&Config::default(), folder.path(), Reporter::silent()).unwrap()
}

async fn put(storage: &Storage, key: &'static str, value: &'static str) {
    storage.write(move |t| t.put(NOTES, key.as_bytes(), value.as_bytes())).await.unwrap();
}

async fn get(storage: &Storage, key: &'static str) -> Option<String> {
    let value = storage.read(move |t| t.get(NOTES, key.as_bytes())).await.unwrap();
    value.map(|value| String::from_utf8(value).unwrap())
}

#[tokio::test]
async fn state_is_there_after_a_reopen() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(&folder);
    assert_eq!(get(&storage, "a").await, None, "a table nobody wrote to is empty");
    put(&storage, "a", "1").await;
    put(&storage, "a", "2").await;
    put(&storage, "b", "").await;
    drop(storage);
    let storage = open(&folder);
    assert_eq!(get(&storage, "a").await.as_deref(), Some("2"));
    assert_eq!(get(&storage, "b").await.as_deref(), Some(""));
    storage.write(|t| t.delete(NOTES, b"a")).await.unwrap();
    assert_eq!(get(&storage, "a").await, None);
}

#[tokio::test]
async fn scan_and_last_keep_to_their_range() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(&folder);
    for key in ["a", "b", "c", "d"] {
        put(&storage, key, key).await;
    }
    let scan = |from: &'static str, to: &'static str| {
        let storage = storage.clone();
        async move {
            storage
                .read(move |t| {
                    let mut keys = String::new();
                    t.scan(NOTES, from.as_bytes(), to.as_bytes(), &mut |key, _| {
                        keys.push_str(&String::from_utf8_lossy(key));
                        if keys.len() == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                    })?;
                    let last = t.last(NOTES, from.as_bytes(), to.as_bytes())?;
                    Ok::<_, StorageError>((keys, last.map(|(key, _)| String::from_utf8(key).unwrap())))
                })
                .await
                .unwrap()
        }
    };
    assert_eq!(scan("b", "d").await, ("bc".into(), Some("c".into())));
    assert_eq!(scan("b", "").await, ("bcd".into(), Some("d".into())));
    assert_eq!(scan("a", "").await, ("abc".into(), Some("d".into())));
    assert_eq!(scan("x", "").await, (String::new(), None));
}

#[tokio::test]
async fn an_error_or_a_panic_undoes_only_its_own_changes() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(&folder);
    let woken = Arc::new(AtomicUsize::new(0));
    let mut tasks = Vec::new();
    for number in 0..60u32 {
        let (storage, woken) = (storage.clone(), woken.clone());
        tasks.push(tokio::spawn(async move {
            storage
                .write(move |t| {
                    t.put(NOTES, &number.to_be_bytes(), b"x")?;
                    let woken = woken.clone();
                    t.after_commit(Box::new(move || {
                        woken.fetch_add(1, Ordering::SeqCst);
                    }));
                    match number % 3 {
                        0 => Ok(()),
                        1 => Err(StorageError::Missing("by intent".into())),
                        _ => panic!("by intent"),
                    }
                })
                .await
        }));
    }
    for (number, task) in tasks.into_iter().enumerate() {
        let result = task.await.unwrap();
        match number % 3 {
            0 => result.unwrap(),
            1 => assert!(matches!(result, Err(StorageError::Missing(_)))),
            _ => assert!(result.unwrap_err().to_string().contains("panicked")),
        }
    }
    let kept = storage
        .read(|t| {
            let mut kept = Vec::new();
            t.scan(NOTES, &[], &[], &mut |key, _| {
                kept.push(u32::from_be_bytes(key.try_into().unwrap()));
                ControlFlow::Continue(())
            })?;
            Ok::<_, StorageError>(kept)
        })
        .await
        .unwrap();
    assert_eq!(kept, (0..60).step_by(3).collect::<Vec<_>>());
    assert_eq!(woken.load(Ordering::SeqCst), 20, "only committed changes wake somebody");
}

#[tokio::test]
async fn an_ignored_failure_is_not_committed() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(&folder);
    let result = storage
        .write(|t| {
            t.put(NOTES, b"half", b"")?;
            let _ = t.put(Table("Bad; Name"), b"", b"");
            Ok::<_, StorageError>(())
        })
        .await;
    assert!(result.is_err());
    assert_eq!(get(&storage, "half").await, None);
}

#[tokio::test]
async fn a_view_is_consistent_and_cannot_be_changed() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(&folder);
    put(&storage, "a", "old").await;
    let (reading, started) = std::sync::mpsc::channel();
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let view = tokio::spawn({
        let storage = storage.clone();
        async move {
            storage
                .read(move |t| {
                    let first = t.get(NOTES, b"a")?;
                    let _ = reading.send(());
                    let _ = wait.recv();
                    Ok::<_, StorageError>((first, t.get(NOTES, b"a")?))
                })
                .await
        }
    });
    tokio::task::spawn_blocking(move || started.recv()).await.unwrap().unwrap();
    put(&storage, "a", "new").await;
    go_on.send(()).unwrap();
    let (first, second) = view.await.unwrap().unwrap();
    assert_eq!(first.as_deref(), Some(&b"old"[..]));
    assert_eq!(second, first);
    assert_eq!(get(&storage, "a").await.as_deref(), Some("new"));
    let refused = storage.read(|t| t.put(NOTES, b"a", b"by a view")).await;
    assert!(refused.unwrap_err().to_string().contains("view"));
}

#[tokio::test]
async fn bounds_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(&folder);
    let key = storage.write(|t| t.put(NOTES, &[b'k'; KEY_OCTETS_MAX + 1], b"")).await;
    assert!(matches!(key, Err(StorageError::TooLarge { limit: "KEY_OCTETS_MAX", .. })), "{key:?}");
    let value = storage.write(|t| t.put(NOTES, b"k", &vec![0; VALUE_OCTETS_MAX + 1])).await;
    assert!(matches!(value, Err(StorageError::TooLarge { limit: "VALUE_OCTETS_MAX", .. })), "{value:?}");
    drop(storage);

    let config = Config { content_octets_max: 10, ..Config::default() };
    let storage = Storage::open(&config, folder.path(), Reporter::silent()).unwrap();
    storage.prepare(Bytes::from_static(b"0123456789")).await.unwrap();
    let content = storage.prepare(Bytes::from_static(b"0123456789+")).await;
    assert!(matches!(content, Err(StorageError::TooLarge { limit: "content_octets_max", .. })));
    drop(storage);

    let config = Config { writes_waiting_max: 0, ..Config::default() };
    let refused = Storage::open(&config, folder.path(), Reporter::silent()).unwrap_err();
    assert!(refused.to_string().contains("writes_waiting_max"), "{refused}");
}

#[tokio::test]
async fn a_full_queue_holds_the_caller_back() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config { writes_waiting_max: 2, batch_writes_max: 1, ..Config::default() };
    let storage = Storage::open(&config, folder.path(), Reporter::silent()).unwrap();
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let (running, started) = std::sync::mpsc::channel::<()>();
    let blocker = tokio::spawn({
        let storage = storage.clone();
        async move {
            storage
                .write(move |_| {
                    let _ = running.send(());
                    let _ = wait.recv();
                    Ok::<_, StorageError>(())
                })
                .await
        }
    });
    tokio::task::spawn_blocking(move || started.recv()).await.unwrap().unwrap();
    // Two fit into the queue; the third is still in its caller's hands.
    let mut waiting = Vec::new();
    for number in 0..3u8 {
        let mut write = Box::pin({
            let storage = storage.clone();
            async move { storage.write(move |t| t.put(NOTES, &[number], b"")).await }
        });
        assert!(futures_util::poll!(&mut write).is_pending());
        waiting.push(write);
    }
    // Nobody holds the third one now: it is never made.
    drop(waiting.pop());
    go_on.send(()).unwrap();
    blocker.await.unwrap().unwrap();
    for write in waiting {
        write.await.unwrap();
    }
    let third = storage.read(|t| t.get(NOTES, &[2])).await.unwrap();
    assert_eq!(third, None);
}

#[tokio::test]
async fn many_writers_share_commits() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(&folder);
    put(&storage, "first", "").await;
    let before = storage.commits();
    let mut tasks = Vec::new();
    for number in 0..500u32 {
        let storage = storage.clone();
        tasks.push(tokio::spawn(async move {
            storage.write(move |t| t.put(NOTES, &number.to_be_bytes(), b"x")).await
        }));
    }
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let commits = storage.commits() - before;
    assert!((1..=250).contains(&commits), "500 writes took {commits} commits");
    // A change that is undone needs no sync.
    let before = storage.commits();
    let _ = storage.write(|_| Err::<(), _>(StorageError::Closed)).await;
    assert_eq!(storage.commits(), before);
}

#[tokio::test]
async fn a_folder_belongs_to_one_process() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(&folder);
    let second = Storage::open(&Config::default(), folder.path(), Reporter::silent()).unwrap_err();
    let text = second.to_string();
    assert!(text.contains(&std::process::id().to_string()), "{text}");
    assert!(text.contains(&folder.path().display().to_string()), "{text}");
    drop(storage);
    open(&folder);
}

#[tokio::test]
async fn a_batch_has_its_bound() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config { batch_writes_max: 5, ..Config::default() };
    let storage = Storage::open(&config, folder.path(), Reporter::silent()).unwrap();
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let first = storage.write(move |t| {
        let _ = wait.recv();
        t.put(NOTES, b"first", b"")
    });
    let rest: Vec<_> = (0..9u8)
        .map(|number| {
            let storage = storage.clone();
            async move { storage.write(move |t| t.put(NOTES, &[number], b"")).await }
        })
        .collect();
    let mut first = Box::pin(first);
    let mut rest = Box::pin(futures_util::future::join_all(rest));
    assert!(futures_util::poll!(&mut first).is_pending());
    assert!(futures_util::poll!(&mut rest).is_pending());
    go_on.send(()).unwrap();
    first.await.unwrap();
    assert!(rest.await.into_iter().all(|result| result.is_ok()));
    // All ten were waiting when the first commit ended: two batches of five.
    assert_eq!(storage.commits(), 2);
}

#[tokio::test]
async fn only_so_many_read_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config { readers_max: 1, ..Config::default() };
    let storage = Storage::open(&config, folder.path(), Reporter::silent()).unwrap();
    put(&storage, "a", "1").await;
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let (reading, started) = std::sync::mpsc::channel::<()>();
    let first = tokio::spawn({
        let storage = storage.clone();
        async move {
            storage
                .read(move |_| {
                    let _ = reading.send(());
                    let _ = wait.recv();
                    Ok::<_, StorageError>(())
                })
                .await
        }
    });
    tokio::task::spawn_blocking(move || started.recv()).await.unwrap().unwrap();
    let mut second = Box::pin(get(&storage, "a"));
    for _ in 0..20 {
        tokio::task::yield_now().await;
        assert!(futures_util::poll!(&mut second).is_pending(), "the only reader is busy");
    }
    go_on.send(()).unwrap();
    first.await.unwrap().unwrap();
    assert_eq!(second.await.as_deref(), Some("1"));
    // A view that panics gives its place back.
    let panicked = storage.read(|_| -> Result<(), StorageError> { panic!("by intent") }).await;
    assert!(panicked.is_err());
    assert_eq!(get(&storage, "a").await.as_deref(), Some("1"));
}
