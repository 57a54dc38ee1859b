//! One transfer, from the start of the seed to the end of both processes.

use super::clients::{Client, Over, Role};
use super::{NAME, OCTETS, Place};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, UdpSocket};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How often the file of the leecher is looked at.
const LOOK: Duration = Duration::from_millis(2);
/// A process that uses less than a tick of its processor in this time has done
/// what it has to.
const IDLE: Duration = Duration::from_millis(1_200);
/// How long a client may take to check what it seeds, and to find the seed.
const START_PATIENCE: Duration = Duration::from_mins(1);
/// How long a transfer may take.
const PATIENCE: Duration = Duration::from_mins(5);
/// Clock ticks a second in /proc/…/stat: `USER_HZ`, 100 on every Linux.
const TICKS: f64 = 100.0;

/// What one process took.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Spent {
    /// Seconds of processor time while the octets passed.
    pub(super) cpu_seconds: f64,
    /// The most memory it ever held, in MiB.
    pub(super) memory_mebioctets: f64,
}

/// What one transfer took.
#[derive(Debug, Clone, Copy)]
pub(super) struct Transfer {
    /// From the first octet in the file to the last.
    pub(super) seconds: f64,
    pub(super) seed: Spent,
    pub(super) leecher: Spent,
}

/// A process that ends with its measurement.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    fn cpu_seconds(&self) -> io::Result<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.id()))?;
        // The second field, the name in parentheses, may hold spaces. utime and
        // stime are the fields 14 and 15; what follows begins with the third.
        let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
        Ok(fields.skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / TICKS)
    }

    /// The most it ever held resident.
    fn memory_mebioctets(&self) -> io::Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let kibioctets = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kibioctets = kibioctets.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
        Ok(kibioctets.unwrap_or_default() / 1024.0)
    }

    /// Waits until it has nothing to do any more; says what it had used by then.
    fn wait_until_idle(&mut self, patience: Duration) -> io::Result<f64> {
        let start = Instant::now();
        loop {
            let before = self.cpu_seconds()?;
            thread::sleep(IDLE);
            if let Some(status) = self.0.try_wait()? {
                return Err(io::Error::other(format!("a client ended: {status}")));
            }
            let now = self.cpu_seconds()?;
            if now - before < 2.0 / TICKS || start.elapsed() > patience {
                return Ok(now);
            }
        }
    }
}

/// Seeds with a client and gets with the same.
pub(super) fn measure(place: &Place, client: &Client, over: Over) -> io::Result<Transfer> {
    let run = place.folder.join("run");
    if run.exists() {
        fs::remove_dir_all(&run)?;
    }
    fs::create_dir_all(run.join("got"))?;
    let said = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", client.name()));
    let transfer = transfer(place, client, over, &run).map_err(said)?;
    if !are_equal(&run.join("got").join(NAME), &place.folder.join("seed").join(NAME))? {
        return Err(said(io::Error::other("what it got is not what was seeded")));
    }
    fs::remove_dir_all(&run)?;
    Ok(transfer)
}

fn transfer(place: &Place, client: &Client, over: Over, run: &Path) -> io::Result<Transfer> {
    let seed_at = free_address()?;
    let mut seed = start(place, client, over, &Role::Seed { at: seed_at })?;
    let seed_before = {
        seed.wait_until_idle(START_PATIENCE)?;
        touch_memory(&run.join("memory"))?;
        seed.cpu_seconds()?
    };
    let mut leecher = start(place, client, over, &Role::Leecher { at: free_address()?, seed: seed_at })?;
    let file = run.join("got").join(NAME);
    wait_for(&mut leecher, &file, 1, START_PATIENCE)?;
    let (began, leecher_before) = (Instant::now(), leecher.cpu_seconds()?);
    wait_for(&mut leecher, &file, OCTETS, PATIENCE)?;
    let seconds = began.elapsed().as_secs_f64();
    let leecher_after = leecher.wait_until_idle(IDLE)?;
    Ok(Transfer {
        seconds,
        seed: Spent {
            cpu_seconds: seed.cpu_seconds()? - seed_before,
            memory_mebioctets: seed.memory_mebioctets()?,
        },
        leecher: Spent {
            cpu_seconds: leecher_after - leecher_before,
            memory_mebioctets: leecher.memory_mebioctets()?,
        },
    })
}

fn start(place: &Place, client: &Client, over: Over, role: &Role) -> io::Result<Running> {
    let mut command = client.command(place, over, role);
    command.current_dir(place.folder.join("run")).stdin(Stdio::null());
    Ok(Running(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?))
}

/// Waits until so many octets of a file have been written, wherever in it.
fn wait_for(process: &mut Running, file: &Path, octets: u64, patience: Duration) -> io::Result<()> {
    let start = Instant::now();
    // Blocks are of 512 octets, whatever the file system's are.
    while fs::metadata(file).map_or(0, |file| file.blocks() * 512) < octets {
        if let Some(status) = process.0.try_wait()? {
            return Err(io::Error::other(format!("a client ended before all was there: {status}")));
        }
        if start.elapsed() > patience {
            return Err(io::Error::other("a client does not get on"));
        }
        thread::sleep(LOOK);
    }
    Ok(())
}

/// Has as much memory at hand as the transfer needs.
fn touch_memory(file: &Path) -> io::Result<()> {
    let mut memory = File::create(file)?;
    let zeros = vec![0; 1 << 20];
    for _ in 0..(OCTETS + OCTETS / 4) >> 20 {
        memory.write_all(&zeros)?;
    }
    fs::remove_file(file)
}

fn are_equal(one: &Path, other: &Path) -> io::Result<bool> {
    let (mut one, mut other) = (File::open(one)?, File::open(other)?);
    let (mut left, mut right) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    for _ in 0..OCTETS >> 20 {
        one.read_exact(&mut left)?;
        other.read_exact(&mut right)?;
        if left != right {
            return Ok(false);
        }
    }
    Ok(true)
}

/// An address whose port nobody has, over UDP and TCP, and that was not given
/// before. Below those that the system gives to clients.
fn free_address() -> io::Result<SocketAddrV4> {
    static NEXT: AtomicU16 = AtomicU16::new(21_000);
    let free = |address: &SocketAddrV4| {
        let address = SocketAddr::V4(*address);
        UdpSocket::bind(address).is_ok() && TcpListener::bind(address).is_ok()
    };
    std::iter::repeat_with(|| NEXT.fetch_add(1, Ordering::Relaxed))
        .take_while(|port| *port < 30_000)
        .map(|port| SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))
        .find(free)
        .ok_or_else(|| io::Error::other("no port is free"))
}
