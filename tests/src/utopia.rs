//! The built program, started as a person starts it, on a loopback address that
//! no other test has.

use serde_json::Value;
use std::fs::{self, File};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{PipeWriter, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long the program may take to start, or to stop, on a slow machine.
const PATIENCE: Duration = Duration::from_mins(1);
/// How often we look whether something has happened.
const GLANCE: Duration = Duration::from_millis(20);

/// The program, which stands two folders above the test's own executable.
///
/// # Panics
/// When it has not been built.
pub fn program() -> PathBuf {
    let test = std::env::current_exe().expect("a test has an executable");
    let program = test.ancestors().nth(2).expect("a target folder").join("utopia");
    assert!(program.is_file(), "{} is not there: run `cargo build -p utopia` first", program.display());
    program
}

/// A command of the program, with nothing of the caller's environment that
/// would change what it does.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.args(arguments).stdin(Stdio::null());
    for name in ["UTOPIA_DATA", "UTOPIA_LOG", "NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"] {
        command.env_remove(name);
    }
    command
}

/// Runs a command of the program to its end.
///
/// # Panics
/// When it cannot be run.
pub fn run(arguments: &[&str]) -> Output {
    command(arguments).output().expect("utopia runs")
}

/// A pipe to write into that nobody reads.
///
/// # Panics
/// When the system gives none.
pub fn closed_pipe() -> PipeWriter {
    std::io::pipe().expect("a pipe").1
}

/// Runs any command to its end with something on its standard input.
///
/// # Panics
/// When it cannot be run.
pub fn run_with_input(mut command: Command, input: &str) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program runs");
    let mut stdin = child.stdin.take().expect("a pipe");
    // One that ends without reading is judged by its exit status.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    child.wait_with_output().expect("the program ends")
}

/// What a program said on both of its outputs.
pub fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Standard output of a program that must have ended well.
///
/// # Panics
/// When it failed.
#[track_caller]
pub fn told(output: Output) -> String {
    assert!(output.status.success(), "{}: {}", output.status, said(&output));
    String::from_utf8(output.stdout).expect("text")
}

/// A loopback address of 127.128.0.0/9 that is this caller's alone: drawn at
/// random among eight million, for tests run side by side in many processes.
pub fn own_address() -> IpAddr {
    let drawn = RandomState::new().build_hasher().finish();
    let [a, b, c, ..] = drawn.to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(127, 128 | (a & 0x3f), b, c.clamp(1, 254)))
}

/// A configuration with no listener of a mail service.
pub fn without_mail(configuration: &str) -> String {
    let mut section = "";
    let kept = configuration.lines().filter(|line| {
        section = if line.starts_with('[') { line } else { section };
        !(line.starts_with("listen") && matches!(section, "[smtp]" | "[imap]"))
    });
    kept.flat_map(|line| [line, "\n"]).collect()
}

/// Waits until `holds` gives something.
///
/// # Panics
/// When that takes longer than a minute.
#[track_caller]
pub fn wait_for<T>(what: &str, mut holds: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = holds() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "{what}: not within {} s", PATIENCE.as_secs());
        sleep(GLANCE);
    }
}

/// The running program.
#[derive(Debug)]
pub struct Utopia {
    child: Child,
    data: PathBuf,
    /// Where its outputs go.
    output: PathBuf,
    services: Vec<Value>,
}

impl Utopia {
    /// Runs `utopia up` on a data folder; one that is set up now gets an address
    /// of its own.
    ///
    /// # Panics
    /// When it does not become ready.
    pub fn start(data: &Path) -> Self {
        let mut up = command(&["up"]);
        if !data.join("utopia.toml").exists() {
            up.args(["--address", &own_address().to_string()]);
        }
        up.arg("--data").arg(data);
        Self::start_command(up, data)
    }

    /// Runs any command that makes the program run on a data folder, and waits
    /// until `utopia status --json` ends with 0.
    ///
    /// # Panics
    /// When it does not become ready.
    pub fn start_command(mut command: Command, data: &Path) -> Self {
        let output = data.with_extension("output");
        let file = File::create(&output).expect("a file for what it says");
        let second = file.try_clone().expect("the same file");
        let child = command.stdout(file).stderr(second).spawn().expect("utopia runs");
        let mut utopia = Self { child, data: data.to_owned(), output, services: Vec::new() };
        utopia.wait_ready();
        utopia
    }

    fn wait_ready(&mut self) {
        let status = wait_for("utopia up is ready", || {
            if let Some(ended) = self.child.try_wait().expect("it can be waited for") {
                panic!("utopia ended with {ended}: {}", self.said());
            }
            let output = self.ask(&["status", "--json"]);
            output.status.success().then(|| serde_json::from_slice::<Value>(&output.stdout).expect("JSON"))
        });
        self.services.clone_from(status["services"].as_array().expect("services"));
    }

    /// What `utopia status --json` listed when it became ready.
    pub fn services(&self) -> &[Value] {
        &self.services
    }

    /// The address of a service on `host`, over the transport.
    fn find(&self, host: Option<&str>, name: &str) -> SocketAddr {
        let service = self.services.iter().find(|service| {
            service["name"] == name && host.is_none_or(|host| service["host"].as_str() == Some(host))
        });
        let service = service.unwrap_or_else(|| panic!("no {name} among {:?}", self.services));
        service["address"].as_str().and_then(|text| text.parse().ok()).expect("an address")
    }

    /// The first address of a service.
    ///
    /// # Panics
    /// When there is no such service.
    pub fn at(&self, name: &str) -> SocketAddr {
        self.find(None, name)
    }

    /// The address of a service of a host of the lab.
    ///
    /// # Panics
    /// When there is no such service.
    pub fn at_host(&self, host: &str, name: &str) -> SocketAddr {
        self.find(Some(host), name)
    }

    /// Runs another command of the program on the same data folder.
    pub fn ask(&self, arguments: &[&str]) -> Output {
        self.asking(arguments).output().expect("utopia runs")
    }

    /// The same, to be run by the caller.
    pub fn asking(&self, arguments: &[&str]) -> Command {
        let mut command = command(arguments);
        command.arg("--data").arg(&self.data);
        command
    }

    /// What it has said so far on both outputs.
    pub fn said(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.output).unwrap_or_default()).into_owned()
    }

    /// The password of a user that the first start told.
    ///
    /// # Panics
    /// When it told none.
    pub fn password(&self, address: &str) -> String {
        let said = wait_for("the passwords are told", || {
            let said = self.said();
            said.contains("Stop with Ctrl-C").then_some(said)
        });
        let told = said.lines().find_map(|line| line.trim().strip_prefix(address)).map(str::trim);
        told.unwrap_or_else(|| panic!("no password of {address} in: {said}")).to_owned()
    }

    /// The certificate of its CA.
    pub fn ca_file(&self) -> PathBuf {
        self.data.join("tls/ca.pem")
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal, e.g. `HUP`.
    ///
    /// # Panics
    /// When that cannot be done.
    pub fn signal(&self, name: &str) {
        let signal = format!("-{name}");
        let sent = Command::new("kill").args([&signal, &self.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// Waits for it to end by itself.
    ///
    /// # Panics
    /// When it does not.
    pub fn wait(&mut self) -> ExitStatus {
        wait_for("utopia ends", || self.child.try_wait().expect("it can be waited for"))
    }

    /// Asks it to end, and waits until it has.
    ///
    /// # Panics
    /// When it does not, or not well.
    pub fn stop(mut self) {
        self.signal("TERM");
        let status = self.wait();
        assert!(status.success(), "{status}: {}", self.said());
    }

    /// Kills it, as a power cut of the program would.
    pub fn kill(self) {}
}

impl Drop for Utopia {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("what utopia said: {}", self.said());
        }
    }
}
