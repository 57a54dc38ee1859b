//! The hashes of single blocks of v2 torrents (BEP 52), over real sockets: given to
//! peers that ask, and asked of peers when a piece is bad.

use bittorrent::metainfo::merkle::{HashRequest, Tree, TreeShape, leaves};
use bittorrent::wire::{HashRange, Message};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tests::hostile::{Hostile, Wire, content, id, watch, wire_hash};
use tests::torrent::{Place, address, getting, seed};
use tests::utopia::{command, told};

const ONE: &[u8; 20] = b"-XX0001-one000000000";
const OTHER: &[u8; 20] = b"-XX0001-other0000000";

fn tree(octets: &[u8], piece_octets: u32) -> Tree {
    let shape = TreeShape::new(octets.len() as u64, piece_octets);
    Tree::new(shape, 0, leaves(octets)).expect("a tree")
}

fn range(tree: &Tree, request: HashRequest) -> HashRange {
    let HashRequest { base_layer, index, length, proof_layers } = request;
    HashRange { pieces_root: tree.root(), base_layer, index, length, proof_layers }
}

/// Sends a message.
fn say(wire: &mut Wire, message: &Message<'_>) -> Option<()> {
    let mut octets = Vec::new();
    message.encode_to(&mut octets);
    wire.send(octets[4], &octets[5..])
}

/// What a message about hashes is about.
fn range_in(body: &[u8]) -> HashRange {
    let number = |at: usize| u32::from_be_bytes(body[at..at + 4].try_into().expect("four octets"));
    let pieces_root = body[..32].try_into().expect("a root");
    HashRange {
        pieces_root,
        base_layer: number(32),
        index: number(36),
        length: number(40),
        proof_layers: number(44),
    }
}

#[test]
fn whoever_asks_is_given_them_up_to_a_bound() {
    let place = Place::with_file(6_000_000);
    let (file, _) = place.torrent("v2", &[]);
    let at = address();
    let ours = seed(&place, &file, at, &[]);
    let tree = tree(&content(&place), 65_536);
    let shape = tree.shape();

    let mut wire = Wire::connect(at).expect("it listens");
    wire.0.set_read_timeout(Some(Duration::from_secs(30))).expect("a time-out");
    wire.greet(&wire_hash(&file), ONE).expect("it answers");
    assert_eq!(wire.read().map(|(kind, _)| kind), Some(id::HAVE_ALL), "what it has comes first");
    let mut ask = |request: HashRequest| {
        let asked = range(&tree, request);
        say(&mut wire, &Message::HashRequest(asked)).expect("it reads");
        let (kind, body) = loop {
            let (kind, body) = wire.read().expect("it answers");
            if matches!(kind, id::HASHES | id::HASH_REJECT) {
                break (kind, body);
            }
        };
        assert_eq!(range_in(&body), asked);
        (kind == id::HASHES).then(|| body[48..].to_vec())
    };
    let right = |request: HashRequest| request.answer(&tree).ok().map(|hashes| hashes.concat());

    // A piece by itself, half of one with its proof, several with theirs, all, and
    // the end with the padding behind it.
    for request in [
        HashRequest { base_layer: 0, index: 40, length: 4, proof_layers: 1 },
        HashRequest::to_root(&shape, 0, 42, 2),
        HashRequest::to_root(&shape, 1, 64, 32),
        HashRequest::to_root(&shape, 0, 0, 512),
        HashRequest::to_root(&shape, 0, 364, 4),
    ] {
        let answer = ask(request);
        assert!(answer.is_some() && answer == right(request), "{request:?}");
    }
    // A request of 66 octets has 6 MB read and hashed: not as often as one likes.
    let all = HashRequest::to_root(&shape, 0, 0, 512);
    let began = Instant::now();
    let answers: Vec<_> = std::iter::repeat_with(|| ask(all)).take(100).collect();
    let given = answers.iter().flatten().count() as f64;
    let most = 32.0 * 1.048_576 / 6.0 * (began.elapsed().as_secs_f64() + 1.0) + 1.0;
    assert!(given <= most, "{given} answers, at most {most}");
    assert!(given < 100.0 || began.elapsed() > Duration::from_secs(15));
    ours.stop();
}

#[test]
fn who_sent_the_wrong_block_is_known_before_the_piece_comes_anew() {
    let place = Place::with_file(4_000_000);
    let file = place.path("one.torrent");
    let mut create = command(&["torrent", "create", "--format", "v2", "--piece-octets", "4194304"]);
    told(create.arg(place.source()).arg("--out").arg(&file).output().expect("utopia runs"));
    let (hash, octets) = (wire_hash(&file), content(&place));
    let (asked, gone) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));

    let speak = |name: &'static [u8; 20], lies: bool| {
        let (octets, asked, gone, over) = (octets.clone(), asked.clone(), gone.clone(), gone.clone());
        let serve = move |mut wire: Wire| -> Option<()> {
            wire.greet(&hash, name)?;
            wire.send(id::HAVE_ALL, &[])?;
            wire.send(id::UNCHOKE, &[])?;
            let tree = tree(&octets, 4_194_304);
            while let Some((kind, body)) = wire.read() {
                match kind {
                    id::HASH_REQUEST => {
                        let range = range_in(&body);
                        assert_eq!(range.pieces_root, tree.root());
                        let HashRange { base_layer, index, length, proof_layers, .. } = range;
                        let request = HashRequest { base_layer, index, length, proof_layers };
                        let hashes = request.answer(&tree).expect("a right request").concat();
                        say(&mut wire, &Message::Hashes { range, hashes: &hashes })?;
                        asked.fetch_add(1, Ordering::Relaxed);
                        // No block more until the liar is gone.
                        while !lies && gone.load(Ordering::Relaxed) == 0 {
                            std::thread::sleep(Duration::from_millis(10));
                        }
                    }
                    id::REQUEST if body.len() == 12 => {
                        std::thread::sleep(Duration::from_millis(4));
                        let number = |at: usize| {
                            u32::from_be_bytes(body[at..at + 4].try_into().expect("four octets")) as usize
                        };
                        let (begin, length) = (number(4), number(8));
                        let mut block = octets[begin..begin + length].to_vec();
                        if lies && begin / 16_384 % 8 == 3 {
                            block[100] ^= 1;
                        }
                        wire.send(id::PIECE, &[&body[..8], &block].concat())?;
                    }
                    _ => {}
                }
            }
            Some(())
        };
        Hostile::listen(move |wire| {
            serve(wire);
            over.fetch_add(u64::from(lies), Ordering::Relaxed);
        })
    };
    let (honest, liar) = (speak(ONE, false), speak(OTHER, true));
    let peers: [SocketAddr; 2] = [honest.address, liar.address];
    let out = place.path("out");
    let mut get = getting(&place, file.to_str().expect("a name"), &out, &["--json"]);
    for peer in peers {
        get.args(["--peer", &peer.to_string()]);
    }
    let run = watch(get);
    place.compare(&out);
    assert!(run.last("bad_pieces") > 0, "the liar had a part in it");
    assert!(asked.load(Ordering::Relaxed) > 0, "nobody was asked for hashes");
    assert_eq!((honest.came(), liar.came()), (1, 1), "who is banned is not sought again, and no other was");
}
