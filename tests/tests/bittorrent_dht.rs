//! `utopia torrent` and the distributed hash table: items, and torrents that change
//! under a key.

use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};
use tests::torrent::{Place, Running, address, ended, getting, hash_table};
use tests::utopia::{command, own_address, said, told};

/// Runs `utopia torrent dht` with a node to begin with.
fn dht(node: &str, arguments: &[&str]) -> Output {
    let mut dht = command(&["torrent", "dht"]);
    dht.args(arguments).args(["--dht-node", node, "--listen", &format!("{}:0", own_address())]);
    ended(dht)
}

#[test]
fn items_are_put_and_got() {
    let place = Place::with_folder();
    let (nodes, node) = hash_table(&place);
    let node = node.to_string();
    let target = told(dht(&node, &["put", "Hello"]));
    assert_eq!(target.trim().len(), 40);
    assert_eq!(told(dht(&node, &["get", target.trim()])), "Hello\n");
    let key = place.path("key");
    let key = key.to_str().expect("a name");
    let mut links = Vec::new();
    for (sequence, text) in [(1, "one"), (2, "two")] {
        let made = told(dht(&node, &["put", text, "--key", key, "--salt", "greeting", "--json"]));
        let made: Value = serde_json::from_str(&made).expect("JSON");
        assert_eq!(made["sequence"], sequence);
        let link = made["link"].as_str().expect("a link").to_owned();
        let got = told(dht(&node, &["get", &link, "--json"]));
        let got: Value = serde_json::from_str(&got).expect("JSON");
        assert_eq!(
            (&got["text"], &got["sequence"], &got["target"]),
            (&text.into(), &sequence.into(), &made["target"])
        );
        links.push(link);
    }
    assert_eq!(links[0], links[1], "the link stays");
    let missing = dht(&node, &["get", &"0".repeat(40)]);
    assert!(
        !missing.status.success() && said(&missing).contains("no node has an item"),
        "{}",
        said(&missing)
    );
    nodes.into_iter().for_each(Running::stop);
}

#[test]
fn a_torrent_under_a_key_is_got_and_followed_by_the_next_one() {
    let (film, album) = (Place::with_file(300_000), Place::with_folder());
    let (nodes, node) = hash_table(&film);
    let node = node.to_string();
    let key = film.path("key");
    let publish = |place: &Place, data: &str| {
        let mut seed = command(&["torrent", "seed", "--format", "hybrid", "--dht-node", &node]);
        seed.arg(place.source()).args(["--listen", &address().to_string()]).arg("--key").arg(&key);
        seed.arg("--data").arg(film.path(data));
        // Where it listens, two links, and that it is published.
        Running::start_telling(seed, 4)
    };
    let (seed, lines) = publish(&film, "first-data");
    let link = &lines[2];
    assert!(link.starts_with("magnet:?xs=urn:btpk:"), "{lines:?}");
    assert_eq!(lines[3], "published under the key as version 1");

    // One who follows, and one who does not.
    let out = film.path("out");
    let more = ["--dht-node", &node, "--json", "--follow", "--follow-interval", "1"];
    let mut following = bounded(getting(&film, link, &out, &more));
    let mut following = following.stdout(Stdio::piped()).spawn().expect("utopia runs");
    let mut shown = BufReader::new(following.stdout.take().expect("a pipe")).lines();
    let mut until_seeding = |name: &str| {
        let is_there = |line: &String| {
            let now: Value = serde_json::from_str(line).expect("JSON");
            now["stage"] == "seeding" && now["name"] == name
        };
        assert!(shown.by_ref().map_while(Result::ok).any(|line| is_there(&line)), "{name} is got");
    };
    until_seeding("film.bin");
    film.compare(&out);
    let other = film.path("other");
    let mut get = command(&["torrent", "get", link, "--dht-node", &node, "--listen", &address().to_string()]);
    get.arg("--out").arg(&other).arg("--data").arg(film.path("other-data"));
    told(ended(get));
    film.compare(&other);
    seed.stop();

    let (seed, lines) = publish(&album, "second-data");
    assert_eq!(&lines[2], link, "the link stays");
    assert_eq!(lines[3], "published under the key as version 2");
    until_seeding("album");
    album.compare(&out);
    film.compare(&out);
    seed.stop();

    // What was there before is replaced by what has its name.
    let shorter = Place::with_file(200_000);
    let (seed, lines) = publish(&shorter, "third-data");
    assert_eq!(lines[3], "published under the key as version 3");
    until_seeding("film.bin");
    shorter.compare(&out);
    let killed = Command::new("kill").arg(following.id().to_string()).status().expect("kill runs");
    assert!(killed.success() && following.wait().expect("it ends").code().is_some());
    seed.stop();
    nodes.into_iter().for_each(Running::stop);
}

/// The command, which ends at last.
fn bounded(command: Command) -> Command {
    let mut bounded = Command::new("timeout");
    bounded.arg("180").arg(command.get_program()).args(command.get_args());
    bounded
}
