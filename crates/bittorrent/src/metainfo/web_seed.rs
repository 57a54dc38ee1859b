//! Where a web seed has a file (BEP 19).

use super::layout::Layout;
use crate::percent;

/// The address of a file at a web seed. An address that ends with a slash is a
/// folder: the torrent's name and the path in it follow. Another is the file of a
/// single-file torrent itself.
pub fn web_seed_url(web_seed: &str, layout: &Layout, file: usize) -> Option<String> {
    let file = layout.files().get(file)?;
    if layout.folder().is_none() && !web_seed.ends_with('/') {
        return Some(web_seed.to_owned());
    }
    let mut address = web_seed.trim_end_matches('/').to_owned();
    let mut append = |component: &[u8]| {
        address.push('/');
        percent::encode(component, &mut address);
    };
    if let Some(folder) = layout.folder() {
        append(folder.as_bytes());
    }
    match &file.raw_path {
        Some(raw) => raw.iter().for_each(|component| append(component)),
        None => file.path.iter().for_each(|component| append(component.as_bytes())),
    }
    Some(address)
}
