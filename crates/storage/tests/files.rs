//! Files of people and other programs: whole or not at all, with their mode.

use std::os::unix::fs::PermissionsExt;
use storage::{Config, Storage, files};

#[test]
fn a_file_is_replaced_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys/dkim/key.pem");
    assert_eq!(files::read(&path, 100).unwrap(), None);
    files::write_atomically(&path, b"secret", files::SECRET).unwrap();
    assert_eq!(files::read(&path, 100).unwrap().as_deref(), Some(&b"secret"[..]));
    files::write_atomically(&path, b"public", files::PUBLIC).unwrap();
    assert_eq!(files::read_text(&path, 100).unwrap().as_deref(), Some("public"));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
    files::write_atomically(&path, b"secret", files::SECRET).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let above = path.parent().unwrap();
    assert_eq!(std::fs::metadata(above).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(std::fs::read_dir(above).unwrap().count(), 1, "no temporary file stays");
    assert_eq!(files::list(above, ".pem").unwrap(), std::slice::from_ref(&path));
    files::remove(&path).unwrap();
    files::remove(&path).unwrap();
    assert_eq!(files::list(above, "").unwrap(), Vec::<std::path::PathBuf>::new());
    assert_eq!(files::list(&folder.path().join("nothing"), "").unwrap(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn errors_name_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("zone");
    files::write_atomically(&path, b"\xff0123456789", files::PUBLIC).unwrap();
    for error in [
        files::read(&path, 10).unwrap_err(),
        files::read_text(&path, 100).unwrap_err(),
        files::write_atomically(&path.join("below"), b"", files::PUBLIC).unwrap_err(),
        files::read(folder.path(), 10).unwrap_err(),
    ] {
        let name = folder.path().display().to_string();
        assert!(error.to_string().contains(&name), "{error}");
    }
    assert_eq!(files::read(&path, 11).unwrap().map(|octets| octets.len()), Some(11));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file stays");
}

#[test]
fn a_secret_that_others_may_read_is_refused_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.pem");
    assert_eq!(files::read_secret(&path, 100).unwrap(), None);
    files::write_atomically(&path, b"secret", files::PUBLIC).unwrap();
    let told = files::read_secret(&path, 100).unwrap_err().to_string();
    let name = path.display();
    assert_eq!(told, format!("{name}: others may read or change this secret; `chmod 600 {name}`"));
    files::write_atomically(&path, b"secret", files::SECRET).unwrap();
    assert_eq!(files::read_secret(&path, 100).unwrap().as_deref(), Some("secret"));
}

#[test]
fn what_cannot_be_opened_is_told_with_its_place_and_a_remedy() {
    let folder = tempfile::tempdir().expect("a folder");
    let told = files::read_text(folder.path(), 100).expect_err("it is a folder").to_string();
    assert_eq!(told, format!("{}: this is a folder; name a file", folder.path().display()));
    let tables = folder.path().join("tables.sqlite");
    std::fs::write(&tables, "no database, but long enough to be looked at as one".repeat(100))
        .expect("written");
    let opened = Storage::open(&Config::default(), folder.path(), event::Reporter::silent());
    let told = opened.expect_err("it is refused").to_string();
    assert!(told.starts_with(&format!("{}: this is no database", tables.display())), "{told}");
    assert!(told.contains("backup"), "{told}");
}
