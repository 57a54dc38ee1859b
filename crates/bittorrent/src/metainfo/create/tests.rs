//! What is created reads back the same.

use super::super::layout::{FileKind, Version};
use super::super::tests::{content, made, specs};
use super::super::verify::{Verdict, Verifier};
use super::*;
use proptest::prelude::*;

fn create(files: &[(&str, u64)], options: CreateOptions) -> Result<Metainfo, CreateError> {
    let mut creator = Creator::new(specs(files), options)?;
    let order: Vec<_> = creator.order().collect();
    for index in order {
        creator.update(&content(index, files[index].1))?;
    }
    assert_eq!(creator.done_octets(), creator.total_octets());
    creator.finish()
}

fn error(files: &[(&str, u64)], change: impl FnOnce(&mut CreateOptions)) -> CreateError {
    let mut options = CreateOptions::new("name");
    change(&mut options);
    Creator::new(specs(files), options).expect_err("refused")
}

#[test]
fn a_single_file_stays_a_single_file_torrent() {
    for version in [Version::V1, Version::V2, Version::Hybrid] {
        let metainfo = create(&[("", 40_000)], CreateOptions { version, ..CreateOptions::new("film.mp4") });
        let metainfo = metainfo.expect("a torrent");
        let layout = metainfo.info.layout();
        assert_eq!((layout.folder(), layout.name(), layout.files().len()), (None, "film.mp4", 1));
        assert_eq!(layout.version(), version);
        // One file in a folder is something else.
        let metainfo =
            create(&[("film.mp4", 40_000)], CreateOptions { version, ..CreateOptions::new("film.mp4") });
        let folder = metainfo.expect("a torrent").info.layout().folder().map(ToOwned::to_owned);
        // A file tree cannot tell, so v2 makes no difference.
        assert_eq!(folder.as_deref(), (version != Version::V2).then_some("film.mp4"));
    }
}

#[test]
fn files_are_sorted_as_the_tree_is_and_hybrids_are_padded() {
    let files = [("b", 5), ("a.x", 7), ("a/z", 20_000), ("a/empty", 0), ("B", 3)];
    let metainfo = made(&files, Version::Hybrid, 16_384);
    let layout = metainfo.info.layout();
    let found: Vec<_> = layout.files().iter().map(|file| (file.path.join("/"), file.length)).collect();
    let expected = [
        ("B", 3),
        (".pad/16381", 16_381),
        ("a/empty", 0),
        ("a/z", 20_000),
        (".pad/12768", 12_768),
        ("a.x", 7),
        (".pad/16377", 16_377),
        ("b", 5),
    ];
    assert_eq!(found, expected.map(|(path, length)| (path.to_owned(), length)));
    assert_eq!(layout.content_octets(), 20_015);
    let plain = made(&files, Version::V1, 16_384);
    assert_eq!((plain.info.layout().files().len(), plain.info.layout().total_octets()), (5, 20_015));
}

#[test]
fn attributes_and_options_are_kept() {
    let mut files = specs(&[("run", 10), ("link", 0)]);
    (files[0].executable, files[0].hidden) = (true, true);
    files[1].symlink = Some(vec!["run".into()]);
    let options = CreateOptions {
        private: true,
        trackers: vec![
            vec!["udp://a.test:1".into(), "http://b.test/".into()],
            vec![],
            vec!["https://c.test/".into()],
        ],
        web_seeds: vec!["https://w.test/".into()],
        nodes: vec![("n.test".into(), 6881)],
        comment: Some("a comment".into()),
        created_by: Some("a program".into()),
        creation_date_seconds: Some(1_000_000_000),
        source: Some("SITE".into()),
        ..CreateOptions::new("name")
    };
    let mut creator = Creator::new(files, options).expect("a creator");
    assert_eq!(creator.order().collect::<Vec<_>>(), [0]);
    creator.update(&[1; 10]).expect("room");
    let metainfo = creator.finish().expect("a torrent");
    let read = Metainfo::parse(&metainfo.encode(), &Limits::DEFAULT).expect("a torrent");
    assert_eq!(read, metainfo);
    assert!(read.info.is_private() && read.info.source() == Some("SITE"));
    assert_eq!(read.trackers.len(), 2);
    let [link, run] = read.info.layout().files() else { panic!("two files") };
    assert_eq!(link.kind, FileKind::Symlink(vec!["run".into()]));
    assert!(run.executable && run.hidden);
}

#[test]
fn what_cannot_be_made() {
    type Change = fn(&mut CreateOptions);
    let same: Change = |_| {};
    assert_eq!(error(&[], same), CreateError::NoContent);
    assert_eq!(error(&[("a", 0)], same), CreateError::NoContent);
    assert_eq!(error(&[("a", 1), ("", 1)], same), CreateError::Name(String::new()));
    for name in ["..", ".", "\u{1}", "x\\y"] {
        assert_eq!(error(&[(name, 1)], same), CreateError::Name(name.into()));
    }
    let name = |options: &mut CreateOptions| options.name = "a/b".into();
    assert_eq!(error(&[("a", 1)], name), CreateError::Name("a/b".into()));
    assert_eq!(error(&[("a/b", 1), ("a/b", 2)], same), CreateError::Twice("a/b".into()));
    assert_eq!(error(&[("a/b", 1), ("a", 2)], same), CreateError::Twice("a/b".into()));
    assert_eq!(
        error(&[(&"a/".repeat(64), 1), (&"b/".repeat(65), 1)], same),
        CreateError::Deep(["b"; 65].join("/"))
    );
    assert_eq!(error(&[("a", u64::MAX)], same), CreateError::Long(u64::MAX));
    assert_eq!(error(&[("a", 1), ("b", u64::MAX)], same), CreateError::Long(u64::MAX));
    for length in [0, 1, 8192, 16_385, 512 << 20] {
        let change = |options: &mut CreateOptions| options.piece_length = Some(length);
        assert_eq!(error(&[("a", 1)], change), CreateError::PieceLength(length));
    }
    let short = |options: &mut CreateOptions| options.piece_length = Some(16_384);
    let most = u64::from(Limits::DEFAULT.pieces_max);
    assert_eq!(error(&[("a", most * 16_384 + 1)], short), CreateError::Pieces(Limits::DEFAULT.pieces_max));
    assert_eq!(
        error(&[("a", most * 16_384), ("b", 1)], short),
        CreateError::Pieces(Limits::DEFAULT.pieces_max)
    );
    let tracker = |options: &mut CreateOptions| options.trackers = vec![vec!["t.test".into()]];
    assert_eq!(error(&[("a", 1)], tracker), CreateError::Address("t.test".into()));
    let web_seed = |options: &mut CreateOptions| options.web_seeds = vec!["udp://t.test".into()];
    assert_eq!(error(&[("a", 1)], web_seed), CreateError::Address("udp://t.test".into()));
}

#[test]
fn files_that_change_meanwhile_are_noticed() {
    let creator = || Creator::new(specs(&[("a", 10)]), CreateOptions::new("name")).expect("a creator");
    let mut grown = creator();
    assert_eq!(grown.update(&[0; 11]), Err(CreateError::Surplus));
    let mut shrunk = creator();
    shrunk.update(&[0; 9]).expect("room");
    assert_eq!(shrunk.finish(), Err(CreateError::Missing { missing_octets: 1 }));
}

#[test]
fn pieces_are_as_short_as_their_number_allows() {
    for (content, piece_length) in [
        (1, 16 << 10),
        (PIECES_AIM * (16 << 10), 16 << 10),
        (PIECES_AIM * (16 << 10) + 1, 32 << 10),
        (1 << 30, 1 << 20),
        (1 << 50, 16 << 20),
    ] {
        assert_eq!(piece_length_for(content), piece_length);
    }
}

proptest! {
    #[test]
    fn what_is_created_reads_back_the_same_and_verifies(
        lengths in prop::collection::vec(prop_oneof![Just(0u64), 1u64..100, 1u64..120_000], 1..6),
        version in prop_oneof![Just(Version::V1), Just(Version::V2), Just(Version::Hybrid)],
        exponent in 0u32..3,
        cut in 1usize..40_000,
    ) {
        prop_assume!(lengths.iter().any(|length| *length > 0));
        let names: Vec<_> = (0..lengths.len()).map(|index| format!("{}/{index}", index % 2)).collect();
        let files: Vec<_> = names.iter().map(String::as_str).zip(lengths).collect();
        let metainfo = made(&files, version, 16_384 << exponent);
        let options =
            CreateOptions { version, piece_length: Some(16_384 << exponent), ..CreateOptions::new("torrent") };
        // Octets cut anywhere give the same torrent.
        let mut creator = Creator::new(specs(&files), options).expect("a creator");
        let octets: Vec<u8> = creator.order().flat_map(|index| content(index, files[index].1)).collect();
        for chunk in octets.chunks(cut) {
            creator.update(chunk).expect("room");
        }
        prop_assert_eq!(creator.finish(), Ok(metainfo.clone()));
        prop_assert_eq!(Metainfo::parse(&metainfo.encode(), &Limits::DEFAULT), Ok(metainfo.clone()));

        let layout = metainfo.info.layout();
        prop_assert_eq!(metainfo.piece_layers.missing(layout).count(), 0);
        let verifier = Verifier::new(&metainfo.info, &metainfo.piece_layers);
        for piece in 0..layout.piece_count() {
            let mut octets = Vec::new();
            for slice in layout.slices(piece, 0, layout.piece_octets(piece)).expect("the piece") {
                let file = &layout.files()[slice.file];
                let whole = match files.iter().position(|(path, _)| file.path.join("/") == *path) {
                    Some(index) => content(index, file.length),
                    None => vec![0; file.length as usize],
                };
                octets.extend_from_slice(&whole[slice.offset as usize..][..slice.length as usize]);
            }
            prop_assert_eq!(verifier.verify(piece, &octets), Verdict::Right);
        }
    }
}
