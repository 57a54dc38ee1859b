//! The control socket: a Unix socket in the data folder, through which the
//! command line speaks to the running program. Only the user who runs it may
//! open it.

use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

/// The longest request or reply, in octets.
pub const CONTROL_LINE_OCTETS_MAX: u64 = 4 * 1024 * 1024;

/// Waits for the command line. The socket's file goes when it is dropped.
#[derive(Debug)]
pub struct ControlListener {
    unix: UnixListener,
    path: PathBuf,
}

/// One exchange: a line there, a line back.
#[derive(Debug)]
pub struct ControlStream {
    unix: BufReader<UnixStream>,
}

impl ControlListener {
    /// Listens at `path`. A socket that a crashed process left there is replaced;
    /// the caller makes sure that no other process uses the folder.
    pub fn bind(path: &Path) -> io::Result<Self> {
        if std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket()) {
            std::fs::remove_file(path)?;
        }
        let unix = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        Ok(Self { unix, path: path.to_owned() })
    }

    /// The next caller.
    pub async fn accept(&self) -> io::Result<ControlStream> {
        let (unix, _) = self.unix.accept().await?;
        Ok(ControlStream { unix: BufReader::new(unix) })
    }
}

impl Drop for ControlListener {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

impl ControlStream {
    /// Calls the program that listens at `path`.
    pub async fn connect(path: &Path) -> io::Result<Self> {
        Ok(Self { unix: BufReader::new(UnixStream::connect(path).await?) })
    }

    /// The next line, without its end; an empty one when the other side is gone.
    pub async fn receive(&mut self) -> io::Result<String> {
        let mut line = String::new();
        (&mut self.unix).take(CONTROL_LINE_OCTETS_MAX + 1).read_line(&mut line).await?;
        if line.len() as u64 > CONTROL_LINE_OCTETS_MAX {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the line exceeds CONTROL_LINE_OCTETS_MAX",
            ));
        }
        line.truncate(line.trim_end_matches('\n').len());
        Ok(line)
    }

    /// Sends one line; it must not contain a line feed.
    pub async fn send(&mut self, line: &str) -> io::Result<()> {
        self.unix.write_all(line.as_bytes()).await?;
        self.unix.write_all(b"\n").await?;
        self.unix.flush().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_line_goes_there_and_one_comes_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("control");
        let listener = ControlListener::bind(&path).expect("a listener");
        let mode = std::fs::metadata(&path).expect("metadata").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let asking = tokio::spawn(async move {
            let mut stream = ControlStream::connect(&path).await.expect("connected");
            stream.send("hello").await.expect("sent");
            stream.receive().await.expect("a reply")
        });
        let mut stream = listener.accept().await.expect("a caller");
        assert_eq!(stream.receive().await.expect("a line"), "hello");
        stream.send("HELLO").await.expect("sent");
        assert_eq!(asking.await.expect("asked"), "HELLO");
    }

    #[tokio::test]
    async fn a_line_beyond_the_bound_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("control");
        let listener = ControlListener::bind(&path).expect("a listener");
        let flooding = tokio::spawn(async move {
            let mut stream = ControlStream::connect(&path).await.expect("connected");
            let flood = "x".repeat(CONTROL_LINE_OCTETS_MAX as usize + 2);
            let _ = stream.send(&flood).await;
        });
        let mut stream = listener.accept().await.expect("a caller");
        assert_eq!(stream.receive().await.expect_err("too long").kind(), io::ErrorKind::InvalidData);
        drop(stream);
        flooding.await.expect("flooded");
    }

    #[tokio::test]
    async fn a_socket_left_by_a_crash_is_replaced_but_a_file_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("control");
        std::mem::forget(ControlListener::bind(&path).expect("a listener"));
        assert!(ControlListener::bind(&path).is_ok());
        let file = folder.path().join("file");
        std::fs::write(&file, "precious").expect("a file");
        assert!(ControlListener::bind(&file).is_err());
        assert_eq!(std::fs::read_to_string(&file).expect("the file"), "precious");
    }
}
