//! The files of a torrent.

use std::io::IoSlice;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use storage::{Allocation, FileSet, Member, OPEN_FILES_MAX, StorageError};

fn member(path: &str, octets: u64) -> Member {
    Member { path: PathBuf::from(path), octets, executable: false }
}

fn set(folder: &Path, allocation: Allocation) -> FileSet {
    let members = vec![member("album/one", 100), member("album/empty", 0), member("album/deep/two", 70_000)];
    FileSet::new(folder, members, allocation).expect("plain names")
}

#[test]
fn any_number_of_places_is_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = set(folder.path(), Allocation::Sparse);
    let octets: Vec<u8> = (0..5_000u32).map(|at| at as u8).collect();
    let mut places: Vec<_> = octets.chunks(2).map(IoSlice::new).collect();
    files.write_vectored(2, 7, &mut places).expect("written");
    let mut read = vec![0; 5_000];
    assert_eq!(files.read(2, 7, &mut read).expect("read"), 5_000);
    assert_eq!(read, octets);
}

#[test]
fn octets_are_read_where_they_were_written() {
    for allocation in [Allocation::Sparse, Allocation::Full] {
        let folder = tempfile::tempdir().expect("a folder");
        let files = set(folder.path(), allocation);
        let mut buffer = [7; 50];
        assert_eq!(files.read(0, 0, &mut buffer).expect("no file is no error"), 0);
        files.write(2, 69_990, &[1; 10]).expect("written");
        let places = [&b""[..], b"he", b"", b"llo", b""];
        files.write_vectored(0, 20, &mut places.map(IoSlice::new)).expect("written");
        assert_eq!(files.read(0, 20, &mut buffer[..5]).expect("read"), 5);
        assert_eq!(&buffer[..5], b"hello");
        assert_eq!(
            files.read(0, 80, &mut buffer).expect("read"),
            20,
            "the file has its whole length at once"
        );
        assert_eq!(files.read(2, 69_995, &mut buffer).expect("read"), 5);
        files.make_empty().expect("made");
        files.sync().expect("durable");
        assert_eq!(files.stamp(1).expect("a stamp").expect("a file").octets, 0);
        assert_eq!(std::fs::read(folder.path().join("album/deep/two")).expect("a file").len(), 70_000);
        // Another one finds them as they are.
        files.close();
        let again = set(folder.path(), allocation);
        again.write(0, 25, b"!").expect("written");
        assert_eq!(again.read(0, 20, &mut buffer[..6]).expect("read"), 6);
        assert_eq!(&buffer[..6], b"hello!");
    }
}

#[test]
fn a_stamp_tells_of_a_change() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = set(folder.path(), Allocation::Sparse);
    assert_eq!(files.stamp(0).expect("no error"), None);
    files.write(0, 0, b"a").expect("written");
    let before = files.stamp(0).expect("a stamp");
    assert_eq!(files.stamp(0).expect("a stamp"), before);
    std::fs::write(files.path(0), b"shorter").expect("written");
    assert_ne!(files.stamp(0).expect("a stamp"), before);
}

#[test]
fn no_path_leaves_the_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    for path in ["../up", "/etc/passwd", "a/../../b", ""] {
        let made = FileSet::new(folder.path(), vec![member(path, 1)], Allocation::Sparse);
        assert!(matches!(made, Err(StorageError::Failed { .. })), "{path:?}");
    }
}

#[test]
fn only_so_many_files_are_open() {
    let folder = tempfile::tempdir().expect("a folder");
    let members = (0..OPEN_FILES_MAX + 50).map(|number| member(&format!("f{number}"), 1)).collect();
    let files = FileSet::new(folder.path(), members, Allocation::Sparse).expect("plain names");
    let open = || {
        let links = std::fs::read_dir("/proc/self/fd").expect("a folder");
        let targets = links.filter_map(|link| std::fs::read_link(link.ok()?.path()).ok());
        targets.filter(|target| target.starts_with(folder.path())).count()
    };
    for number in 0..OPEN_FILES_MAX + 50 {
        files.write(number, 0, b"x").expect("written");
        assert!(open() <= OPEN_FILES_MAX);
    }
    assert_eq!(open(), OPEN_FILES_MAX);
    files.sync().expect("those closed meanwhile are durable too");
    let mut octet = [0];
    for number in 0..OPEN_FILES_MAX + 50 {
        assert_eq!(files.read(number, 0, &mut octet).expect("read"), 1);
    }
    files.close();
    assert_eq!(open(), 0);
}

#[test]
fn a_full_disk_says_so() {
    let files =
        FileSet::new(Path::new("/dev"), vec![member("full", 10)], Allocation::Sparse).expect("a name");
    let error = files.write(0, 0, b"x").expect_err("it is always full");
    assert!(matches!(error, StorageError::NoRoom { .. }), "{error}");
    assert_eq!(error.to_string(), "/dev/full: there is no room left; make room on the disk, then go on");
}

#[test]
fn deleting_takes_the_files_and_nothing_that_is_reached_through_a_symlink() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = set(folder.path(), Allocation::Sparse);
    files.write(0, 0, b"x").expect("written");
    files.make_empty().expect("made");
    // Somebody has put a symlink in the place of a folder.
    let elsewhere = folder.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).expect("a folder");
    std::fs::write(elsewhere.join("two"), "another's").expect("written");
    std::os::unix::fs::symlink(&elsewhere, folder.path().join("album/deep")).expect("a symlink");
    files.remove().expect("deleted");
    assert!(!folder.path().join("album/one").exists());
    assert!(elsewhere.join("two").exists());
    std::fs::remove_file(folder.path().join("album/deep")).expect("deleted");
    files.write(2, 0, b"x").expect("written");
    files.remove().expect("deleted");
    assert!(!folder.path().join("album").exists() && folder.path().exists());
    files.remove().expect("what is not there needs no deleting");
}

/// A folder on another file system than the temporary one, where there is one.
fn elsewhere() -> Option<tempfile::TempDir> {
    let shared = Path::new("/dev/shm");
    let here = tempfile::tempdir().expect("a folder");
    let device = |path: &Path| std::fs::metadata(path).ok().map(|metadata| metadata.dev());
    let is_other = device(shared).is_some_and(|other| device(here.path()) != Some(other));
    is_other.then(|| tempfile::tempdir_in(shared).ok())?
}

#[test]
fn files_move_to_another_folder_whatever_file_system_it_is_on() {
    let mut targets = vec![tempfile::tempdir().expect("a folder")];
    match elsewhere() {
        Some(folder) => targets.push(folder),
        None => println!("skipped: /dev/shm is no other file system here"),
    }
    for target in targets {
        let folder = tempfile::tempdir().expect("a folder");
        let files = set(folder.path(), Allocation::Sparse);
        files.write(0, 20, b"hello").expect("written");
        files.make_empty().expect("made");
        std::fs::write(folder.path().join("album/mine"), "x").expect("written");
        let to = target.path().join("new/place");
        files.relocate(&to, false).expect("moved");
        assert_eq!(files.folder(), to);
        assert!(!folder.path().join("album/one").exists() && folder.path().join("album/mine").exists());
        let mut buffer = [0; 5];
        assert_eq!(files.read(0, 20, &mut buffer).expect("read"), 5);
        assert_eq!(&buffer, b"hello");
        files.write(2, 0, b"later").expect("written");
        assert!(to.join("album/deep/two").exists() && to.join("album/empty").exists());
        // Back again: nothing of it stays there.
        std::fs::remove_file(folder.path().join("album/mine")).expect("deleted");
        files.relocate(folder.path(), false).expect("moved");
        assert!(!to.join("album").exists() && folder.path().join("album/deep/two").exists());
    }
}

#[test]
fn a_move_that_fails_leaves_all_where_it_was() {
    let folder = tempfile::tempdir().expect("a folder");
    let target = tempfile::tempdir().expect("a folder");
    let files = set(folder.path(), Allocation::Sparse);
    files.write(0, 0, b"ours").expect("written");
    files.write(2, 0, b"ours").expect("written");
    std::fs::create_dir_all(target.path().join("album/deep")).expect("a folder");
    std::fs::write(target.path().join("album/deep/two"), "another's").expect("written");
    files.relocate(target.path(), false).expect_err("a file is in the way");
    assert_eq!(std::fs::read(target.path().join("album/deep/two")).expect("there"), b"another's");
    // A folder in the way shows only while files are moved.
    std::fs::remove_file(target.path().join("album/deep/two")).expect("deleted");
    std::fs::remove_dir(target.path().join("album/deep")).expect("deleted");
    std::os::unix::fs::symlink("/", target.path().join("album/deep")).expect("a symlink");
    files.relocate(target.path(), false).expect_err("a symlink is in the way");
    assert_eq!(files.folder(), folder.path());
    for file in ["album/one", "album/deep/two"] {
        assert!(folder.path().join(file).exists(), "{file}");
    }
    assert!(!target.path().join("album/one").exists());
    // After a crash in the middle one file is here and one there.
    std::fs::remove_file(target.path().join("album/deep")).expect("deleted");
    std::fs::rename(folder.path().join("album/one"), target.path().join("album/one")).expect("moved");
    files.relocate(target.path(), true).expect("moved");
    assert!(target.path().join("album/one").exists() && target.path().join("album/deep/two").exists());
}

#[test]
fn a_file_may_be_executed_and_a_symlink_leads_to_its_target() {
    let folder = tempfile::tempdir().expect("a folder");
    let members = vec![
        Member { executable: true, ..member("album/run", 3) },
        member("album/deep/link", 0),
        member("album/plain", 3),
    ];
    let files = FileSet::new(folder.path(), members, Allocation::Sparse).expect("plain names");
    files.write(0, 0, b"abc").expect("written");
    files.write(2, 0, b"abc").expect("written");
    files.link(1, Path::new("album/run")).expect("made");
    files.link(1, Path::new("album/run")).expect("it is there");
    let mode = |file: &str| {
        let metadata = std::fs::metadata(folder.path().join(file)).expect("a file");
        std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o100
    };
    assert_eq!((mode("album/run"), mode("album/plain")), (0o100, 0));
    assert_eq!(std::fs::read(folder.path().join("album/deep/link")).expect("it leads there"), b"abc");
}

#[test]
fn sealed_files_are_neither_written_nor_read_through_links() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = set(folder.path(), Allocation::Sparse);
    files.write(0, 0, b"ours").expect("written");
    let place = files.path(0);
    let files = set(folder.path(), Allocation::Sparse).sealed();
    let mut octets = [0; 4];
    assert_eq!((files.read(0, 0, &mut octets).expect("read"), &octets), (4, b"ours"));
    assert!(files.write(0, 0, b"mine").is_err());
    files.close();
    std::fs::write(folder.path().join("theirs"), "secret").expect("written");
    std::fs::remove_file(&place).expect("removed");
    std::os::unix::fs::symlink(folder.path().join("theirs"), &place).expect("a link");
    assert!(files.read(0, 0, &mut octets).is_err() && files.handle_to_read(0).is_err());
    assert_eq!(&octets, b"ours");
}

#[test]
fn files_and_folders_get_other_names() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = set(folder.path(), Allocation::Sparse);
    files.write(2, 0, b"two").expect("written");
    files.rename(Path::new("album/deep"), "shallow").expect("renamed");
    files.rename(Path::new("album/shallow/two"), "zwei").expect("renamed");
    files.rename(Path::new("album"), "record").expect("renamed");
    // Of a file that is not there yet, too.
    files.rename(Path::new("record/one"), "eins").expect("renamed");
    files.write(0, 0, b"one").expect("written");
    files.write(2, 3, b"!").expect("written");
    for (name, octets) in [("record/eins", &b"one"[..]), ("record/shallow/zwei", b"two!")] {
        assert!(std::fs::read(folder.path().join(name)).expect("a file").starts_with(octets), "{name}");
    }
    assert!(!folder.path().join("album").exists());
    std::fs::write(folder.path().join("record/mine"), "x").expect("written");
    for (path, name) in [
        ("record/eins", "../eins"),
        ("record/eins", ""),
        ("record/eins", "."),
        ("record/eins", "a/b"),
        ("record/eins", "mine"),
        ("record/eins", "shallow"),
        ("record/eins", "empty"),
        ("record/mine", "ours"),
        ("", "x"),
        ("record/ein", "x"),
    ] {
        assert!(files.rename(Path::new(path), name).is_err(), "{path} {name}");
    }
    assert!(files.rename(Path::new("record/eins"), &"x".repeat(256)).is_err());
    // Another run has the names from the first one on.
    let again = set(folder.path(), Allocation::Sparse);
    let names = [
        ("album/deep", "shallow"),
        ("album/shallow/two", "zwei"),
        ("album", "record"),
        ("record/one", "eins"),
    ];
    for (path, name) in names {
        again.assume_name(Path::new(path), name).expect("assumed");
    }
    std::fs::rename(folder.path().join("record/eins"), folder.path().join("record/one")).expect("undone");
    again.settle_name(Path::new("record/one"), "eins").expect("settled");
    again.settle_name(Path::new("record/one"), "eins").expect("settled already");
    let mut buffer = [0; 3];
    assert_eq!(again.read(0, 0, &mut buffer).expect("read"), 3);
    assert_eq!(&buffer, b"one");
}

#[test]
fn a_file_that_is_taken_away_is_neither_durable_nor_made_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = set(folder.path(), Allocation::Sparse);
    let (place, aside) = (files.path(0), folder.path().join("aside"));
    let refused = |result: Result<(), StorageError>| {
        let error = result.expect_err("it is not there");
        assert!(error.to_string().contains("album/one: it was taken away"), "{error}");
    };
    files.write(0, 0, b"hello").expect("written");
    std::fs::rename(&place, &aside).expect("taken away");
    refused(files.sync());
    refused(files.stamp(0).map(drop));
    // Another in its place is not it.
    std::fs::write(&place, [0; 100]).expect("written");
    refused(files.sync());
    std::fs::rename(&aside, &place).expect("put back");
    files.sync().expect("durable");
    assert_eq!(files.stamp(0).expect("a stamp").expect("a file").octets, 100);
    // Nor one that was not open.
    std::fs::rename(&place, &aside).expect("taken away");
    let again = set(folder.path(), Allocation::Sparse);
    assert_eq!(again.stamp(0).expect("a stamp"), None, "it may never have been there");
    std::fs::rename(&aside, &place).expect("put back");
    again.stamp(0).expect("a stamp").expect("a file");
    std::fs::rename(&place, &aside).expect("taken away");
    refused(again.write(0, 5, b"!"));
    assert!(!place.exists());
    // Until all are looked at anew.
    again.close();
    again.write(0, 5, b"!").expect("written");
    again.sync().expect("durable");
}
