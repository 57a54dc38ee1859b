//! One process a data folder.

use crate::StorageError;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a folder of this very process is waited for: a host that was just
/// stopped may still be letting go of it.
const OWN_PATIENCE: Duration = Duration::from_secs(2);

/// Holds a data folder for this process. The lock is the operating system's:
/// it ends with the process, however that ends.
pub(crate) struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Takes the folder, or says who has it.
    pub(crate) fn take(folder: &Path) -> Result<Self, StorageError> {
        let path = folder.join("lock");
        let failed = |error: std::io::Error| crate::files::failed(&path, error);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        let began = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => {
                    let pid = holder(&mut file);
                    if pid != std::process::id().to_string() || began.elapsed() > OWN_PATIENCE {
                        return Err(StorageError::Locked { folder: folder.to_owned(), pid });
                    }
                    std::thread::sleep(OWN_PATIENCE / 100);
                }
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
        }
        file.set_len(0).map_err(failed)?;
        file.seek(SeekFrom::Start(0)).map_err(failed)?;
        writeln!(file, "{}", std::process::id()).map_err(failed)?;
        Ok(FolderLock { _file: file })
    }
}

/// The process that has the folder, as it wrote itself down.
fn holder(file: &mut File) -> String {
    let mut pid = String::new();
    let _ = file.seek(SeekFrom::Start(0));
    let _ = file.take(20).read_to_string(&mut pid);
    match pid.trim() {
        "" => "unknown".to_owned(),
        pid => pid.to_owned(),
    }
}
