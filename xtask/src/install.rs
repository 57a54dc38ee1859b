//! Installs what the tests need and is absent: the foreign peers, as packages of
//! Debian and of PyPI where that may be done, and `cargo deny`.

use crate::{cargo, root, run};
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
    ("nginx", "nginx-light"),
    ("microsocks", "microsocks"),
    ("danted", "dante-server"),
    ("python3:libtorrent", "python3-libtorrent"),
    ("python3:ensurepip", "python3-venv"),
    ("transmission-remote", "transmission-cli"),
    ("ip", "iproute2"),
];

/// Peers that Debian has not, or too old, as packages of PyPI, and a module each
/// that shows whether it is there. They are put into a folder of their own.
const PYTHON_PEERS: &[(&str, &str)] = &[
    // Debian's 2.0 cannot announce to the distributed hash table from Python.
    ("libtorrent", "libtorrent>=2.1"),
    // rqbit as a library; there is no package of the program.
    ("pyrqbit", "pyrqbit"),
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

/// Installs the peers that come from PyPI below `target/`. Where that cannot be
/// done, their tests say that they are skipped.
pub(crate) fn python_peers() {
    let folder = root().join("target/python");
    let python = folder.join("bin/python3");
    let is_there = |module: &str| {
        let mut import = Command::new(&python);
        import.args(["-c", &format!("import {module}")]).stderr(Stdio::null());
        import.status().is_ok_and(|status| status.success())
    };
    let absent = || PYTHON_PEERS.iter().filter(|(module, _)| !is_there(module)).map(|(_, package)| *package);
    if absent().next().is_none() {
        return;
    }
    let mut make = Command::new("/usr/bin/python3");
    make.args(["-m", "venv"]).arg(&folder).stdout(Stdio::null());
    if !python.is_file()
        && let Err(reason) = run(&mut make)
    {
        println!("no place for peers from PyPI, their tests will be skipped: {reason}");
        return;
    }
    // Each by itself: one that has no package for this system does not keep the others away.
    for package in absent() {
        println!("installing {package} from PyPI");
        let mut pip = Command::new(&python);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        pip.args(["--only-binary", ":all:", "--retries", "1", "--timeout", "20", package]);
        if let Err(reason) = run(&mut pip) {
            println!("{package} could not be installed, its tests will be skipped: {reason}");
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
