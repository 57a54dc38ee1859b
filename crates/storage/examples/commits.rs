//! How many durable commits a second: three rows each, one by one and with 64
//! writers at once. Pass a folder on the disk to be measured.
//!
//! `cargo run --release -p utopia-storage --example commits -- /var/tmp/measured`

use event::Reporter;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use storage::{Config, Storage, StorageError, Table};

const ROWS: [Table; 3] = [Table("first"), Table("second"), Table("third")];
const MEASURED: Duration = Duration::from_secs(3);

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).map(PathBuf::from).ok_or("which folder? e.g. /var/tmp/measured")?;
    let storage = Storage::open(&Config::default(), &folder, Reporter::silent())?;
    for writers in [1u64, 8, 64, 256] {
        let (commits, start) = (storage.commits(), Instant::now());
        let mut tasks = Vec::new();
        for writer in 0..writers {
            let storage = storage.clone();
            tasks.push(tokio::spawn(async move {
                let mut written = 0u64;
                while start.elapsed() < MEASURED {
                    storage.write(move |transaction| three_rows(transaction, writer, written)).await?;
                    written += 1;
                }
                Ok::<_, StorageError>(written)
            }));
        }
        let mut written = 0;
        for task in tasks {
            written += task.await??;
        }
        let seconds = start.elapsed().as_secs_f64();
        println!(
            "{writers:>3} writers: {:>7.0} durable writes/s in {:>6.0} commits/s",
            written as f64 / seconds,
            (storage.commits() - commits) as f64 / seconds
        );
    }
    Ok(())
}

fn three_rows(
    transaction: &mut dyn storage::Transaction,
    writer: u64,
    number: u64,
) -> Result<(), StorageError> {
    let key = [writer.to_be_bytes(), number.to_be_bytes()].concat();
    ROWS.into_iter().try_for_each(|table| transaction.put(table, &key, &[0x2a; 100]))
}
