//! Opening files below a folder without leaving it: no link is followed, so that
//! nobody who may write into the folder has us read what lies elsewhere.

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Component, Path};

/// Opens the plain file at `path` below `folder` for reading. The folder itself
/// may be named by links; what is below it may not.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] where `path` is not made of plain names, a part of it
/// is a link, or it is no plain file; and what the system says otherwise.
pub fn open_below(folder: &Path, path: &Path) -> io::Result<File> {
    let mut names = Vec::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => names.push(name),
            _ => return Err(ErrorKind::InvalidInput.into()),
        }
    }
    let Some(file) = names.pop() else { return Err(ErrorKind::InvalidInput.into()) };
    let way = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut at = rustix::fs::open(folder, way, Mode::empty())?;
    for name in names {
        at = rustix::fs::openat(&at, name, way | OFlags::NOFOLLOW, Mode::empty()).map_err(explain)?;
    }
    // A pipe without a writer must not hold us up.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = File::from(rustix::fs::openat(&at, file, flags, Mode::empty()).map_err(explain)?);
    if !opened.metadata()?.is_file() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "this is no plain file"));
    }
    Ok(opened)
}

fn explain(error: Errno) -> io::Error {
    match error {
        Errno::LOOP | Errno::NOTDIR => {
            io::Error::new(ErrorKind::InvalidInput, "a part of its path is a link, or no folder")
        }
        error => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn what_lies_elsewhere_is_not_opened() {
        let folder = tempfile::tempdir().expect("a folder");
        let (inside, outside) = (folder.path().join("inside"), folder.path().join("outside"));
        fs::create_dir_all(inside.join("deep")).expect("folders");
        fs::create_dir(&outside).expect("a folder");
        fs::write(inside.join("deep/file"), "here").expect("written");
        fs::write(outside.join("secret"), "there").expect("written");
        symlink(&outside, inside.join("way")).expect("a link");
        symlink(outside.join("secret"), inside.join("deep/link")).expect("a link");
        let told = |path: &str| open_below(&inside, Path::new(path)).and_then(io::read_to_string).ok();
        assert_eq!(told("deep/file").as_deref(), Some("here"));
        for path in ["", "deep", "way/secret", "deep/link", "../outside/secret", "deep/../deep/file", "none"]
        {
            assert_eq!(told(path), None, "{path}");
        }
        assert_eq!(told(outside.join("secret").to_str().expect("a name")), None, "an absolute path");
        // The folder itself may be a link.
        let linked = folder.path().join("linked");
        symlink(&inside, &linked).expect("a link");
        assert!(open_below(&linked, Path::new("deep/file")).is_ok());
    }
}
