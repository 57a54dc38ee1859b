//! The processor time of threads, and keeping them on one processor.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// A server and the threads that answer in it, as folders of /proc.
pub(crate) struct Measured {
    pub(crate) address: SocketAddr,
    pub(crate) threads: Vec<PathBuf>,
}

impl Measured {
    /// The server at `address` that the process `id` and its children are.
    pub(crate) fn of_process(address: SocketAddr, id: u32) -> io::Result<Self> {
        let mut family = vec![id];
        let mut threads = Vec::new();
        let mut index = 0;
        while let Some(id) = family.get(index) {
            for entry in std::fs::read_dir(format!("/proc/{id}/task"))? {
                let thread = entry?.path();
                let children = std::fs::read_to_string(thread.join("children"))?;
                family.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
                threads.push(thread);
            }
            index += 1;
        }
        Ok(Self { address, threads })
    }

    /// Seconds its threads have run, in the kernel and outside of it.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        let nanoseconds = |thread: &PathBuf| -> Option<f64> {
            std::fs::read_to_string(thread.join("schedstat")).ok()?.split(' ').next()?.parse().ok()
        };
        self.threads.iter().filter_map(nanoseconds).sum::<f64>() / 1e9
    }
}

/// The threads of this process with this name, of which there must be one: a
/// thread takes its name only when it begins to run.
pub(crate) fn threads_named(name: &str) -> io::Result<Vec<PathBuf>> {
    for _ in 0..100 {
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc/self/task")? {
            let thread = entry?.path();
            if std::fs::read_to_string(thread.join("comm"))?.trim() == name {
                found.push(thread);
            }
        }
        if !found.is_empty() {
            return Ok(found);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Err(io::Error::other(format!("no thread is named {name}")))
}

/// Keeps a thread on one processor, so that the load runs on the other.
pub(crate) fn pin(thread: &Path, processor: &str) {
    let id = thread.file_name().unwrap_or_default();
    let _ = Command::new("taskset").args(["-pc", processor]).arg(id).stdout(Stdio::null()).status();
}

/// The calling thread, as a folder of /proc.
pub(crate) fn this_thread() -> io::Result<PathBuf> {
    Ok(Path::new("/proc").join(std::fs::read_link("/proc/thread-self")?))
}
