//! What a torrent has done by a thread that may wait for the disk: hashing, writing
//! and checking.

use super::checking::{Before, Checking, Looked};
use super::job::{Checked, Done, Job, Notes};
use super::order::Order;
use super::pool::{Pool, Turn};
use super::{Content, Held, Moved, Renames, Resume};
use bittorrent::torrent::PieceSet;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use storage::{Stamp, StorageError};
use tokio::sync::mpsc::UnboundedSender;

/// Has one torrent's jobs done. When this is dropped what was queued is still done;
/// a check of all pieces is cut short.
#[derive(Debug)]
pub(crate) struct Worker {
    work: Arc<Work>,
    pool: Pool,
}

/// The jobs of one torrent.
#[derive(Debug)]
struct Work {
    content: Arc<Content>,
    done: UnboundedSender<Done>,
    jobs: Mutex<Order>,
    stopping: AtomicBool,
}

impl Worker {
    /// On the threads of `pool`; what comes of each job goes to `done`.
    pub(crate) fn new(content: Arc<Content>, done: UnboundedSender<Done>, pool: Pool) -> Self {
        let stopping = AtomicBool::new(false);
        Self { work: Arc::new(Work { content, done, jobs: Mutex::default(), stopping }), pool }
    }

    /// A check of all pieces is cut short.
    pub(crate) fn hurry(&self) {
        self.work.stopping.store(true, Ordering::Relaxed);
    }

    /// Queues a job. How many wait is bounded by the memory their blocks may take.
    pub(crate) fn send(&self, job: Job) {
        let further = self.work.jobs().push(job);
        if further {
            self.pool.take(self.work.clone());
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.hurry();
    }
}

impl Work {
    fn jobs(&self) -> std::sync::MutexGuard<'_, Order> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn for Work {
    fn turn(&self) -> bool {
        // A binding of its own: in a `let … else` the lock would be held meanwhile.
        let begun = self.jobs().begin();
        let Some(job) = begun else { return false };
        let rest = run(&self.content, job, &self.stopping, &self.done);
        self.jobs().end(rest)
    }
}

/// Does a job, or a part of it: then gives the rest.
fn run(content: &Content, job: Job, stopping: &AtomicBool, done: &UnboundedSender<Done>) -> Option<Job> {
    let told = match job {
        Job::Piece { piece, blocks, digests } => {
            let result = content.check_and_write(piece, &blocks, digests);
            let buffers = blocks.into_iter().filter_map(|block| match block {
                Held::Memory(buffer) => Some(buffer),
                Held::Disk => None,
            });
            Done::Piece(Checked { piece, result, buffers: buffers.collect() })
        }
        Job::Spill { piece, blocks } => {
            let result = blocks.iter().try_for_each(|(block, octets)| {
                content.write(piece, block * bittorrent::wire::BLOCK_OCTETS, &[octets.as_slice()])
            });
            Done::Spilled { piece, buffers: blocks.into_iter().map(|(_, buffer)| buffer).collect(), result }
        }
        Job::Leaves { of, range, pieces, first } => {
            let below = content.below(pieces, first).unwrap_or_else(|error| {
                tracing::warn!(%error, "no hashes of blocks for a peer that asks");
                None
            });
            Done::Leaves { of, range, below }
        }
        Job::Look { notes, sealed: Some(stamps), .. } => {
            content.set_found();
            Done::Looked { result: unseal(content, &notes.resume, &stamps) }
        }
        Job::Look { notes, recheck, overwrite, wanted, sealed: None } => {
            let files = content.files();
            // Files are looked for where they ought to be, whichever were open.
            files.close();
            match find(content, &notes)
                .and_then(|()| look(content, &notes.resume, recheck, overwrite, wanted))
            {
                Ok(Look::Believed(looked)) => Done::Looked { result: Ok(looked) },
                Ok(Look::Check(checking)) => return Some(Job::Check(checking)),
                Err(error) => Done::Looked { result: Err(error) },
            }
        }
        Job::Check(mut checking) => {
            let tell = |pieces| {
                // Nobody listens any more once the torrent is gone.
                let _ = done.send(Done::Looking { pieces });
                !stopping.load(Ordering::Relaxed)
            };
            match checking.go_on(content, tell) {
                Ok(false) => return Some(Job::Check(checking)),
                Ok(true) => Done::Looked { result: checking.end(content) },
                Err(error) => Done::Looked { result: Err(error) },
            }
        }
        Job::Keep { file, octets } => {
            Done::Noted { result: storage::files::write_atomically(&file, &octets, storage::files::SECRET) }
        }
        Job::Rename { path, name, note } => {
            Done::Renamed { result: Renames::carry_out(content.files(), &path, &name, &note) }
        }
        Job::Find { folder, note } => {
            content.files().set_folder(&folder);
            Done::Noted { result: storage::files::remove(&note) }
        }
        Job::Move { to, note } => Done::Moved { result: Moved::carry_out(content.files(), &to, &note) },
        Job::Forget { notes, files } => {
            // Under their first names may lie what is not the torrent's.
            let found = if files { find(content, &notes) } else { Ok(()) };
            let files = files && found.is_ok();
            let notes = [&notes.resume, &notes.moved, &notes.names, &notes.metainfo];
            let mut result = notes.into_iter().try_for_each(|note| storage::files::remove(note));
            if files {
                result = content.files().remove().and(result);
            }
            Done::Forgotten { result: found.and(result) }
        }
        Job::Checkpoint { resume_file, have, clean, sent_octets } => {
            let checkpoint = || {
                content.files().sync()?;
                let stamps = content.stamps()?;
                Resume { have, clean, stamps, sent_octets }.write(&resume_file)
            };
            Done::Checkpointed { clean, result: checkpoint() }
        }
    };
    let _ = done.send(told);
    None
}

/// Follows what earlier runs moved and renamed, once.
fn find(content: &Content, notes: &Notes) -> Result<(), StorageError> {
    if content.is_found() {
        return Ok(());
    }
    let files = content.files();
    let names = Renames::assume(files, &notes.names)?;
    Moved::follow(files, &notes.moved)?;
    names.settle(files)?;
    content.set_found();
    Ok(())
}

/// All pieces, where no file has changed.
fn unseal(content: &Content, resume_file: &Path, sealed: &[Option<Stamp>]) -> Result<Looked, StorageError> {
    if content.stamps()? != sealed {
        return Err(StorageError::Failed {
            place: content.files().folder().display().to_string(),
            reason: format!("the files of {} have changed since the torrent was made", content.info().name()),
        });
    }
    let sent_octets = Resume::read(resume_file)?.map_or(0, |resume| resume.sent_octets);
    let have = PieceSet::full(content.info().layout().piece_count());
    Ok(Looked { have, sent_octets, fresh: false, strange: None })
}

/// What a look at what was noted finds.
enum Look {
    /// Nothing has changed since.
    Believed(Looked),
    /// All are to be checked.
    Check(Checking),
}

fn look(
    content: &Content,
    resume_file: &Path,
    recheck: bool,
    overwrite: bool,
    wanted: Vec<Range<u32>>,
) -> Result<Look, StorageError> {
    let resume = Resume::read(resume_file)?;
    let sent_octets = resume.as_ref().map_or(0, |resume| resume.sent_octets);
    let before = Before { sent_octets, noted: resume.is_some(), overwrite, wanted };
    if let Some(resume) = resume.filter(|_| !recheck)
        && let Some(have) = resume.believed(content.info(), &content.stamps()?)
    {
        return Ok(Look::Believed(Looked { have, sent_octets, fresh: false, strange: None }));
    }
    Ok(Look::Check(Checking::begin(content, before)?))
}
