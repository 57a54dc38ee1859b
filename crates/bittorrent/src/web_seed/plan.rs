//! From blocks to requests over HTTP, and back.

use super::WebSeed;
use crate::metainfo::{InfoHashV1, Layout, web_seed_url};
use crate::percent;
use crate::torrent::Octets;
use std::fmt::Write as _;
use std::ops::Range;

/// A request over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What is asked for.
    pub url: String,
    /// The file it is of; `None` for what a script gives (BEP 17).
    pub file: Option<usize>,
    /// Octets of the file, to be asked for by a Range (RFC 9110 section 14.2); for
    /// a script as many octets from 0 on, without a Range.
    pub range: Range<u64>,
    /// Octets of the whole file; for a script those of the answer.
    pub whole_octets: u64,
}

/// The next octets of the blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Come from a web seed.
    Fetch(Request),
    /// Are padding, which nobody has (BEP 47): so many zeros.
    Zeros(u64),
}

/// What brings the octets of `blocks`, in their order and without a gap. Blocks
/// that follow one another in a file (or for a script in a piece) come by one
/// request. Empty where the torrent has not such blocks, or has no info-hash that
/// a script could be asked by.
pub fn plan(
    web_seed: &WebSeed,
    layout: &Layout,
    info_hash: Option<&InfoHashV1>,
    blocks: &[Octets],
) -> Vec<Step> {
    let steps = match web_seed {
        WebSeed::Files(address) => of_files(address, layout, blocks),
        WebSeed::Script(address) => info_hash.map(|hash| of_script(address, layout, hash, blocks)),
    };
    steps.unwrap_or_default()
}

fn of_files(address: &str, layout: &Layout, blocks: &[Octets]) -> Option<Vec<Step>> {
    let mut steps: Vec<Step> = Vec::new();
    for block in blocks {
        for slice in layout.slices(block.piece, block.begin, block.octets)? {
            let octets = u64::from(slice.length);
            let file = layout.files().get(slice.file)?;
            match (file.is_padding(), steps.last_mut()) {
                (true, Some(Step::Zeros(zeros))) => *zeros += octets,
                (true, _) => steps.push(Step::Zeros(octets)),
                (false, Some(Step::Fetch(request)))
                    if request.file == Some(slice.file) && request.range.end == slice.offset =>
                {
                    request.range.end += octets;
                }
                (false, _) => steps.push(Step::Fetch(Request {
                    url: web_seed_url(address, layout, slice.file)?,
                    file: Some(slice.file),
                    range: slice.offset..slice.offset + octets,
                    whole_octets: file.length,
                })),
            }
        }
    }
    Some(steps)
}

fn of_script(address: &str, layout: &Layout, hash: &InfoHashV1, blocks: &[Octets]) -> Vec<Step> {
    let mut steps = Vec::new();
    for of_piece in blocks.chunk_by(|one, next| one.piece == next.piece) {
        let Some(piece) = of_piece.first().map(|block| block.piece) else { continue };
        let mut ranges: Vec<Range<u32>> = Vec::new();
        for block in of_piece {
            match ranges.last_mut() {
                Some(last) if last.end == block.begin => last.end += block.octets,
                _ => ranges.push(block.begin..block.begin.saturating_add(block.octets)),
            }
        }
        let mut url = address.to_owned();
        url.push(if address.contains('?') { '&' } else { '?' });
        url.push_str("info_hash=");
        percent::encode(&hash.0, &mut url);
        let _ = write!(url, "&piece={piece}");
        let whole = 0..layout.piece_octets(piece);
        if ranges.len() != 1 || ranges.first() != Some(&whole) {
            let texts = ranges.iter().map(|range| format!("{}-{}", range.start, range.end.saturating_sub(1)));
            let _ = write!(url, "&ranges={}", texts.collect::<Vec<_>>().join(","));
        }
        let octets = of_piece.iter().map(|block| u64::from(block.octets)).sum();
        steps.push(Step::Fetch(Request { url, file: None, range: 0..octets, whole_octets: octets }));
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metainfo::{CreateOptions, Creator, FileSpec, Metainfo, Version};

    const PIECE: u32 = 32 * 1024;
    const BLOCK: u32 = 16 * 1024;

    /// A torrent of zeros with these files; one without a path alone.
    fn torrent(version: Version, files: &[(&str, u64)]) -> Metainfo {
        let spec = |(path, length): &(&str, u64)| FileSpec {
            path: path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect(),
            length: *length,
            executable: false,
            hidden: false,
            symlink: None,
        };
        let options =
            CreateOptions { version, piece_length: Some(PIECE), ..CreateOptions::new("my film".to_owned()) };
        let mut creator = Creator::new(files.iter().map(spec).collect(), options).expect("a torrent");
        let total = creator.total_octets();
        creator.update(&vec![0; total as usize]).expect("hashed");
        creator.finish().expect("a torrent")
    }

    /// All blocks of a torrent.
    fn blocks(layout: &Layout) -> Vec<Octets> {
        let of = |piece: u32| (0..layout.block_count(piece)).map(move |block| (piece, block));
        let all = (0..layout.piece_count()).flat_map(of);
        all.map(|(piece, block)| Octets {
            piece,
            begin: block * BLOCK,
            octets: layout.block_octets(piece, block),
        })
        .collect()
    }

    fn fetch(url: &str, file: usize, range: Range<u64>, whole_octets: u64) -> Step {
        Step::Fetch(Request { url: url.to_owned(), file: Some(file), range, whole_octets })
    }

    #[test]
    fn one_file_comes_by_one_request_from_the_address_itself_or_a_folder() {
        let torrent = torrent(Version::V1, &[("", 100_000)]);
        let layout = torrent.info.layout();
        let (all, hash) = (blocks(layout), torrent.info.hashes().v1);
        let seed = WebSeed::Files("http://w.test/x".into());
        assert_eq!(
            plan(&seed, layout, hash.as_ref(), &all),
            [fetch("http://w.test/x", 0, 0..100_000, 100_000)]
        );
        let folder = WebSeed::Files("http://w.test/x/".into());
        let gap = [all[1], all[2], all[5]];
        assert_eq!(
            plan(&folder, layout, hash.as_ref(), &gap),
            [
                fetch("http://w.test/x/my%20film", 0, 16_384..49_152, 100_000),
                fetch("http://w.test/x/my%20film", 0, 81_920..98_304, 100_000)
            ]
        );
    }

    #[test]
    fn blocks_over_several_files_come_by_a_request_for_each_and_padding_by_none() {
        let files = [("a", 10_000), ("b/ä", 40_000), ("c", 5)];
        let seed = WebSeed::Files("http://w.test/d".into());
        let v1 = torrent(Version::V1, &files);
        let steps = |torrent: &Metainfo| {
            let layout = torrent.info.layout();
            plan(&seed, layout, torrent.info.hashes().v1.as_ref(), &blocks(layout))
        };
        let a = fetch("http://w.test/d/my%20film/a", 0, 0..10_000, 10_000);
        let b = |file| fetch("http://w.test/d/my%20film/b/%C3%A4", file, 0..40_000, 40_000);
        let c = |file| fetch("http://w.test/d/my%20film/c", file, 0..5, 5);
        assert_eq!(steps(&v1), [a.clone(), b(1), c(2)]);
        assert_eq!(steps(&torrent(Version::V2, &files)), [a.clone(), b(1), c(2)]);
        assert_eq!(
            steps(&torrent(Version::Hybrid, &files)),
            [a, Step::Zeros(22_768), b(2), Step::Zeros(25_536), c(4)]
        );
    }

    #[test]
    fn the_steps_are_the_octets_of_the_blocks_whatever_they_are() {
        for version in [Version::V1, Version::V2, Version::Hybrid] {
            let torrent =
                torrent(version, &[("a", 70_000), ("e", 0), ("b", 1), ("c", 32_768), ("d", 99_999)]);
            let layout = torrent.info.layout();
            let all = blocks(layout);
            for start in 0..all.len() {
                for end in start + 1..=all.len() {
                    let some = &all[start..end];
                    for seed in
                        [WebSeed::Files("http://w.test/".into()), WebSeed::Script("http://w.test/".into())]
                    {
                        let hash = torrent.info.hashes().v1;
                        let steps = plan(&seed, layout, hash.as_ref(), some);
                        let count = |step: &Step| match step {
                            Step::Fetch(request) => request.range.end - request.range.start,
                            Step::Zeros(zeros) => *zeros,
                        };
                        let wanted: u64 = some.iter().map(|block| u64::from(block.octets)).sum();
                        let script_of_v2 = hash.is_none() && matches!(seed, WebSeed::Script(_));
                        assert_eq!(
                            steps.iter().map(count).sum::<u64>(),
                            if script_of_v2 { 0 } else { wanted }
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn a_script_is_asked_as_bep_17_says() {
        let torrent = torrent(Version::V1, &[("", 100_000)]);
        let layout = torrent.info.layout();
        let (all, hash) = (blocks(layout), InfoHashV1(*b"0123456789abcdef \x00\xff~"));
        let seed = WebSeed::Script("http://w.test/seed.php?k=v".into());
        let urls: Vec<String> = plan(&seed, layout, Some(&hash), &[all[0], all[1], all[3], all[6]])
            .into_iter()
            .filter_map(|step| if let Step::Fetch(request) = step { Some(request.url) } else { None })
            .collect();
        let before = "http://w.test/seed.php?k=v&info_hash=0123456789abcdef%20%00%FF~&piece=";
        assert_eq!(
            urls,
            [format!("{before}0"), format!("{before}1&ranges=16384-32767"), format!("{before}3")]
        );
    }

    #[test]
    fn what_the_torrent_has_not_is_not_asked_for() {
        let torrent = torrent(Version::V1, &[("", 100_000)]);
        let layout = torrent.info.layout();
        let seed = WebSeed::Files("http://w.test/".into());
        for (piece, begin, octets) in [(4, 0, 1), (3, 0, 16_384), (0, u32::MAX, 2)] {
            assert_eq!(plan(&seed, layout, None, &[Octets { piece, begin, octets }]), []);
        }
    }
}
