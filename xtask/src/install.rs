//! Installs what the tests need and is absent: the foreign peers, as Debian
//! packages where that may be done, and `cargo deny`.

use crate::{cargo, run};
use std::path::Path;
use std::process::{Command, Stdio};

/// A program the tests use, or a module of Perl (`Net::SSLeay`) or of Debian's
/// Python (`python3:libtorrent`), and the Debian package that brings it.
const PEERS: &[(&str, &str)] = &[
    ("dig", "bind9-dnsutils"),
    ("kdig", "knot-dnsutils"),
    ("knotd", "knot"),
    ("nsd", "nsd"),
    ("unbound", "unbound"),
    ("curl", "curl"),
    ("systemd-analyze", "systemd"),
    ("swaks", "swaks"),
    ("Net::SSLeay", "libnet-ssleay-perl"),
    ("Authen::SASL", "libauthen-sasl-perl"),
    ("mutt", "mutt"),
    ("mbsync", "isync"),
    ("python3", "python3"),
    ("tshark", "tshark"),
    ("chromium", "chromium"),
    ("aria2c", "aria2"),
    ("python3:libtorrent", "python3-libtorrent"),
];

/// Whether a program is on the path or in a folder for servers, or a module can
/// be loaded.
pub(crate) fn has(program: &str) -> bool {
    if program.contains("::") {
        let mut perl = Command::new("perl");
        perl.args(["-M".to_owned() + program, "-e".to_owned(), "1".to_owned()]);
        return perl.stderr(Stdio::null()).status().is_ok_and(|status| status.success());
    }
    if let Some(module) = program.strip_prefix("python3:") {
        // Debian's own: another Python on the path does not see its packages.
        let mut python = Command::new("/usr/bin/python3");
        python.args(["-c".to_owned(), format!("import {module}")]);
        return python.stderr(Stdio::null()).status().is_ok_and(|status| status.success());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(Into::into))
        .any(|folder| folder.join(program).is_file())
}

/// Installs the absent peers; what could not be installed is left to the tests,
/// which say that they skip it. Returns whether all are there now.
pub(crate) fn peers() -> bool {
    let absent: Vec<_> =
        PEERS.iter().filter(|(program, _)| !has(program)).map(|(_, package)| *package).collect();
    if absent.is_empty() {
        return true;
    }
    if !has("apt-get") || !is_root() {
        println!("absent peers, their tests will be skipped: apt-get install {}", absent.join(" "));
        return false;
    }
    println!("installing {}", absent.join(" "));
    let mut update = Command::new("apt-get");
    update.args(["-qq", "update"]);
    let mut install = Command::new("apt-get");
    // A server that a package brings must not be started by its installation.
    install
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("RUNLEVEL", "1")
        .args(["-qq", "install", "-y", "--no-install-recommends"])
        .args(&absent)
        .stdout(Stdio::null());
    match run(&mut update).and_then(|()| run(&mut install)) {
        Ok(()) => true,
        Err(reason) => {
            println!("the peers could not be installed, their tests will be skipped: {reason}");
            false
        }
    }
}

/// Installs `cargo deny` where it is absent.
pub(crate) fn cargo_deny() -> Result<(), String> {
    if has("cargo-deny") {
        return Ok(());
    }
    println!("installing cargo-deny");
    run(cargo().args(["install", "--quiet", "--debug", "--locked", "cargo-deny", "--version", "0.20.2"]))
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(Path::new("/proc/self")).is_ok_and(|metadata| metadata.uid() == 0)
}
