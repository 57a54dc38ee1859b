//! What /proc says of processes.

use std::io;

/// Clock ticks a second in /proc/…/stat: `USER_HZ`, 100 on every Linux.
const TICKS: f64 = 100.0;

/// Seconds of processor time of a process and of its children that have ended
/// and been waited for.
pub(super) fn cpu_seconds(id: u32) -> io::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
    // The second field, the name in parentheses, may hold spaces.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    // utime, stime, cutime, cstime are the fields 14 to 17; `fields` begins with the third.
    Ok(fields.skip(11).take(4).filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / TICKS)
}

/// A process with all that descend from it.
pub(super) fn family(id: u32) -> Vec<u32> {
    let mut family = vec![id];
    let mut index = 0;
    while let Some(id) = family.get(index) {
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        family.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        index += 1;
    }
    family
}
