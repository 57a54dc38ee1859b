//! The files of a v1 torrent (BEP 3, BEP 47).

use super::draft::{Attributes, Draft, check_count};
use super::error::{Fault, MetainfoError, Within};
use super::field;
use super::limits::Limits;
use super::path::safe_name;
use crate::bencode::{Dictionary, Value};

/// The folder of padding files that have no path of their own.
const PADDING_FOLDER: &[u8] = b".pad";

/// The one file of a torrent without a list: its name and length stand in the
/// info dictionary itself.
pub(super) fn single(info: &Dictionary<'_>, limits: &Limits) -> Result<Draft, MetainfoError> {
    let name = field::first_bytes(info, ["name.utf-8", "name"]).ok_or(Fault::Missing.at("name"))?;
    if safe_name(name).is_none() {
        return Err(Fault::EmptyName.at("name"));
    }
    Draft::read(info, &[name], limits)
}

/// The files of the list `files`.
pub(super) fn list(files: &[Value<'_>], limits: &Limits) -> Result<Vec<Draft>, MetainfoError> {
    let mut drafts = Vec::with_capacity(files.len().min(limits.files_max));
    for (index, file) in files.iter().enumerate() {
        check_count(drafts.len(), limits).map_err(|fault| fault.at("files"))?;
        drafts.push(entry(file, limits).within_item("files", index)?);
    }
    Ok(drafts)
}

fn entry(file: &Value<'_>, limits: &Limits) -> Result<Draft, MetainfoError> {
    let entry = file.dictionary().ok_or(Fault::Kind("dictionary"))?;
    let list = [b"path.utf-8".as_slice(), b"path"].into_iter().find_map(|key| entry.list(key));
    match list.unwrap_or_default() {
        [] if Attributes::read(entry).padding => {
            let length = entry.integer(b"length").unwrap_or_default().to_string();
            Draft::read(entry, &[PADDING_FOLDER, length.as_bytes()], limits)
        }
        [] => Err(Fault::Missing.at("path")),
        list => Draft::read(entry, &field::path(list, limits.path_components_max, "path")?, limits),
    }
}
