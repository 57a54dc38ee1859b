//! A process that is killed amid its writes: what it was told to be durable is
//! there, exactly once, and what was half done is not.
//!
//! The test runs its own binary as a child, which writes and prints what was
//! acknowledged; the parent kills it with SIGKILL, opens the folder, and looks.

use bytes::Bytes;
use event::Reporter;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, Stdio};
use storage::{Config, ContentId, Storage, StorageError, Table};

const FOLDER: &str = "STORAGE_CRASH_FOLDER";
const ROUND: &str = "STORAGE_CRASH_ROUND";

/// Number → content id, in both tables, or in neither.
const FIRST: Table = Table("first");
const SECOND: Table = Table("second");

const WRITERS: u64 = 16;
const ACKNOWLEDGED_PER_ROUND: usize = 150;

fn open(folder: &Path) -> Storage {
    // Every third content is a blob.
    let config = Config { content_inline_octets_max: 100, batch_writes_max: 8, ..Config::default() };
    Storage::open(&config, folder, Reporter::silent()).unwrap()
}

fn content(number: u64) -> Bytes {
    format!("{number:0>width$}", width = if number.is_multiple_of(3) { 300 } else { 30 }).into()
}

/// The child: never ends by itself.
#[tokio::test]
async fn child() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let round: u64 = std::env::var(ROUND).unwrap().parse().unwrap();
    let storage = open(Path::new(&folder));
    let mut writers = Vec::new();
    for writer in 0..WRITERS {
        let storage = storage.clone();
        writers.push(tokio::spawn(async move {
            for step in 0.. {
                let number = round * 1_000_000 + step * WRITERS + writer;
                let prepared = storage.prepare(content(number)).await.unwrap();
                storage
                    .write(move |t| {
                        let key = number.to_be_bytes();
                        let before = t.get(FIRST, &key)?;
                        assert_eq!(before, None, "written twice");
                        t.put(FIRST, &key, &prepared.id.0)?;
                        t.keep(&prepared)?;
                        t.put(SECOND, &key, &prepared.id.0)
                    })
                    .await
                    .unwrap();
                // One write call, so that lines are not torn.
                std::io::stdout().write_all(format!("\nack {number}\n").as_bytes()).unwrap();
            }
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
}

async fn rows(storage: &Storage, table: Table) -> Vec<(u64, ContentId)> {
    storage
        .read(move |t| {
            let mut rows = Vec::new();
            t.scan(table, &[], &[], &mut |key, value| {
                rows.push((
                    u64::from_be_bytes(key.try_into().unwrap()),
                    ContentId(value.try_into().unwrap()),
                ));
                ControlFlow::Continue(())
            })?;
            Ok::<_, StorageError>(rows)
        })
        .await
        .unwrap()
}

#[tokio::test]
async fn what_was_acknowledged_survives_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = BTreeSet::new();
    for round in 0..4u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["child", "--exact", "--nocapture", "--test-threads=1"])
            .env(FOLDER, folder.path())
            .env(ROUND, round.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut fresh = 0;
        while fresh < ACKNOWLEDGED_PER_ROUND {
            let line = lines.next().expect("the child writes until it is killed").unwrap();
            if let Some(number) = line.strip_prefix("ack ") {
                assert!(acknowledged.insert(number.parse::<u64>().unwrap()));
                fresh += 1;
            }
        }
        child.kill().unwrap();
        // What it still said before it died counts as well.
        for line in lines.map_while(Result::ok) {
            if let Some(Ok(number)) = line.strip_prefix("ack ").map(str::parse::<u64>) {
                acknowledged.insert(number);
            }
        }
        child.wait().unwrap();

        let storage = open(folder.path());
        let first = rows(&storage, FIRST).await;
        assert_eq!(first, rows(&storage, SECOND).await, "both or none");
        let there: BTreeSet<_> = first.iter().map(|(number, _)| *number).collect();
        let lost: Vec<_> = acknowledged.difference(&there).collect();
        assert!(lost.is_empty(), "acknowledged, but lost: {lost:?}");
        assert!(there.len() <= acknowledged.len() + (round as usize + 1) * WRITERS as usize);
        // The collector takes what the crash left, and nothing that is kept.
        storage.collect().await.unwrap();
        for (number, id) in &first {
            assert_eq!(storage.content(*id).await.unwrap(), content(*number));
        }
        let kept = first.iter().filter(|(number, _)| number.is_multiple_of(3)).count();
        assert_eq!(blobs(folder.path()), kept, "one file each, nothing half written");
    }
}

fn blobs(folder: &Path) -> usize {
    let shelves = std::fs::read_dir(folder.join("blobs")).unwrap();
    shelves.map(|shelf| std::fs::read_dir(shelf.unwrap().path()).unwrap().count()).sum()
}
