//! `--capture FILE`: everything on the wire, for Wireshark.

use net::Capture;
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

/// Begins a capture; an error is for the person.
pub(crate) fn begin(file: &Path) -> Result<Capture, String> {
    let failed =
        |error| format!("cannot write the capture {}: {error}; name a file you may write", file.display());
    let writer = BufWriter::new(File::create(file).map_err(failed)?);
    Capture::new(writer).map_err(failed)
}
