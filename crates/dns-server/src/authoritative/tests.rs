//! The server over real sockets, where the tests must see or change what is stored.

use super::{Config, DEFERRED_MAX, KeyConfig, Kind, Remote, Server, ServerError, ZoneConfig};
use super::{keeper, secondary, settings, store, tcp};
use crate::framing::{read_message, write_message};
use crate::update_client::{self, SendError};
use dns::master;
use dns::transfer;
use dns::update::Update;
use dns::zone::{WireRecord, Zone};
use dns::{Change, Name, Record};
use domain::base::MessageBuilder;
use domain::base::iana::{Class, Rcode, Rtype};
use net::{Network, Shutdown};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use storage::Storage;

const SOA: &str = "@ IN SOA ns1 hostmaster 1 3600 900 604800 60\n@ NS ns1\nns1 A 127.0.0.1\n";
const SECRETS: [&str; 2] =
    ["dXRvcGlhIHV0b3BpYSB1dG9waWEgdXRvcGlhIQ==", "Y3JlcGVzIGNyZXBlcyBjcmVwZXMgY3JlcGVzISE="];

struct Site {
    server: Server,
    shutdown: Shutdown,
}

impl Site {
    async fn start(folder: &Path, config: &Config) -> Self {
        Self::start_told(folder, config, event::Reporter::silent()).await
    }

    async fn start_told(folder: &Path, config: &Config, reporter: event::Reporter) -> Self {
        let storage = loop {
            match Storage::open(&storage::Config::default(), folder, reporter.clone()) {
                // A server that was stopped just now lets go of it.
                Err(storage::StorageError::Locked { .. }) => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                opened => break opened.unwrap(),
            }
        };
        let shutdown = Shutdown::new();
        let server =
            Server::start(config, Network::new(), storage, reporter, shutdown.clone()).await.unwrap();
        Self { server, shutdown }
    }

    fn address(&self) -> SocketAddr {
        self.server.local_addrs()[0]
    }

    fn storage(&self) -> &Storage {
        &self.server.shared.storage
    }

    fn zone(&self, name: &str) -> Option<Arc<Zone>> {
        self.server.zones().get(apex(name).as_slice()).cloned()
    }

    async fn change(&self, changes: Vec<Change>) -> Result<(), super::UpdateFailure> {
        self.server.update(Update::from_changes(&apex("utopia.test"), changes).unwrap(), "a test").await
    }

    async fn stop(self) {
        assert!(self.shutdown.finish(Duration::from_secs(10)).await, "the server did not stop");
    }
}

fn apex(name: &str) -> Name {
    master::name(name).unwrap()
}

fn zone(name: &str, text: &str) -> ZoneConfig {
    ZoneConfig { name: name.to_owned(), text: Some(format!("$TTL 300\n{text}")), ..ZoneConfig::default() }
}

fn config(zones: Vec<ZoneConfig>) -> Config {
    Config { listen: vec!["127.0.0.1:0".parse().unwrap()], threads: 1, zones, ..Config::default() }
}

/// A key file with the secret of a number, and the zone updated with it.
fn with_key(config: &mut Config, folder: &Path, secret: &str) {
    let secret_file = folder.join("key");
    storage::files::write_atomically(&secret_file, secret.as_bytes(), storage::files::SECRET).unwrap();
    config.keys =
        vec![KeyConfig { name: "tests".to_owned(), algorithm: "hmac-sha256".to_owned(), secret_file }];
    config.zones[0].allow_update = vec!["tests".to_owned()];
}

fn records(text: &str) -> Vec<Record> {
    let (records, findings) = master::read(&format!("$TTL 60\n{text}"), &apex("utopia.test"));
    assert!(findings.is_empty(), "{findings:?}");
    records.into_iter().map(|located| located.record.to_record().unwrap()).collect()
}

fn additions(text: &str) -> Vec<Change> {
    records(text).into_iter().map(Change::Add).collect()
}

/// All records, in a fixed order.
fn all(zone: &Zone) -> Vec<String> {
    let mut all: Vec<String> = zone.iter().map(|record: WireRecord| record.to_string()).collect();
    all.sort();
    all
}

fn large_text(letter: char, strings: usize) -> String {
    (0..strings).fold(String::new(), |mut text, _| {
        let _ = write!(text, " {}", letter.to_string().repeat(250));
        text
    })
}

#[tokio::test]
async fn a_reload_takes_zones_and_keys_or_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = config(vec![zone("utopia.test", SOA), zone("old.test", SOA)]);
    with_key(&mut first, folder.path(), SECRETS[0]);
    let site = Site::start(&folder.path().join("state"), &first).await;
    let update = async |secret: &str, text: &str| {
        let key = dns::tsig::key("tests", "hmac-sha256", secret).unwrap();
        let (network, zone) = (Network::new(), apex("utopia.test"));
        update_client::send(&network, site.address(), &zone, &additions(text), key).await
    };
    update(SECRETS[0], "a A 192.0.2.1\n").await.unwrap();
    assert_eq!(site.zone("utopia.test").unwrap().soa().serial, 2);

    // One goes, one comes, one changes, with a newer serial than the updated one; another secret.
    let changed = SOA.replace("hostmaster 1 ", "hostmaster 10 ") + "b A 192.0.2.2\n";
    let mut second = config(vec![zone("utopia.test", &changed), zone("new.test", SOA)]);
    with_key(&mut second, folder.path(), SECRETS[1]);
    site.server.carry_out(site.server.prepare(&second).await.unwrap()).await;
    assert!(site.zone("old.test").is_none());
    assert_eq!(site.zone("new.test").unwrap().soa().serial, 1);
    let now = site.zone("utopia.test").unwrap();
    assert_eq!((now.soa().serial, now.records()), (10, 4));
    assert!(matches!(update(SECRETS[0], "c A 192.0.2.3\n").await, Err(SendError::Refused { .. })));
    update(SECRETS[1], "c A 192.0.2.3\n").await.unwrap();

    // What is wrong changes nothing, neither what is right beside it.
    let mut broken_zone = config(vec![zone("utopia.test", SOA), zone("new.test", "@ NS nowhere\n")]);
    with_key(&mut broken_zone, folder.path(), SECRETS[1]);
    assert!(matches!(site.server.prepare(&broken_zone).await, Err(ServerError::Zone { .. })));
    let mut broken_key = config(vec![zone("other.test", SOA)]);
    with_key(&mut broken_key, folder.path(), "no base64!");
    assert!(matches!(site.server.prepare(&broken_key).await, Err(ServerError::Key { .. })));
    assert!(site.zone("other.test").is_none());
    assert_eq!(site.zone("new.test").unwrap().soa().serial, 1);
    assert_eq!(site.zone("utopia.test").unwrap().soa().serial, 11);
    update(SECRETS[1], "d A 192.0.2.4\n").await.unwrap();
    site.stop().await;
}

#[tokio::test]
async fn a_long_journal_becomes_a_snapshot_of_the_same_zone() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(vec![zone("utopia.test", SOA)]);
    let site = Site::start(folder.path(), &config).await;
    // Each replaces 20,000 octets by as many others.
    for round in 0..60_u8 {
        let mut changes = vec![Change::DeleteRrset(apex("big.utopia.test"), Rtype::TXT)];
        changes.extend(additions(&format!("big TXT{}\n", large_text(char::from(b'a' + round % 26), 80))));
        changes.extend(additions(&format!("n{round} A 192.0.2.{round}\n")));
        site.change(changes).await.unwrap();
    }
    let before = site.zone("utopia.test").unwrap();
    let (entries, octets) = journal(site.storage()).await;
    assert!(entries < 60 && octets <= store::JOURNAL_OCTETS_MAX as usize, "{entries} of {octets} octets");
    assert!(octets > 0, "some came after the snapshot");
    site.stop().await;
    drop(before.clone());
    let site = Site::start(folder.path(), &config).await;
    let again = site.zone("utopia.test").unwrap();
    assert_eq!(again.soa().serial, 61);
    assert_eq!(all(&again), all(&before));
    site.stop().await;
}

async fn journal(storage: &Storage) -> (usize, usize) {
    storage
        .read(|transaction| {
            let (mut entries, mut octets) = (0, 0);
            transaction.scan(store::JOURNAL, &[], &[], &mut |_, value| {
                (entries, octets) = (entries + 1, octets + value.len());
                std::ops::ControlFlow::Continue(())
            })?;
            Ok::<_, storage::StorageError>((entries, octets))
        })
        .await
        .unwrap()
}

#[tokio::test]
async fn what_cannot_be_stored_fails_for_the_whole_group_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    // Names whose removal together is a journal entry larger than a stored value may be.
    let (names, strings) = (290, 235);
    assert!(names * strings * 251 > storage::VALUE_OCTETS_MAX);
    let text = (0..names).fold(SOA.to_owned(), |mut text, number| {
        let _ = writeln!(text, "n{number} TXT{}", large_text('x', strings));
        text
    });
    let config = config(vec![zone("utopia.test", &text)]);
    let site = Site::start(folder.path(), &config).await;
    // So that a zone is stored and the journal goes on from it.
    site.change(additions("a A 192.0.2.1\n")).await.unwrap();
    let before = site.zone("utopia.test").unwrap();
    let too_much = (0..names)
        .map(|number| Change::DeleteRrset(apex(&format!("n{number}.utopia.test")), Rtype::TXT))
        .collect();
    // On one thread both wait before the keeper takes them as one group.
    let (refused, beside) = tokio::join!(site.change(too_much), site.change(additions("b A 192.0.2.2\n")));
    for outcome in [refused, beside] {
        assert!(matches!(outcome, Err(super::UpdateFailure::Storage(_))), "{outcome:?}");
    }
    assert!(Arc::ptr_eq(&site.zone("utopia.test").unwrap(), &before), "the version before is served");
    // The server goes on, and what it stored is what it served.
    site.change(additions("c A 192.0.2.3\n")).await.unwrap();
    let served = site.zone("utopia.test").unwrap();
    assert_eq!((served.soa().serial, served.records()), (3, names + 5));
    site.stop().await;
    let site = Site::start(folder.path(), &config).await;
    assert_eq!(all(&site.zone("utopia.test").unwrap()), all(&served));
    site.stop().await;
}

#[tokio::test]
async fn a_secondary_that_restarts_expires_as_if_it_had_not() {
    let folder = tempfile::tempdir().unwrap();
    let mut primary_zone = zone("utopia.test", SOA);
    primary_zone.allow_transfer = vec!["127.0.0.1".to_owned()];
    let primary = Site::start(&folder.path().join("primary"), &config(vec![primary_zone])).await;
    let state = folder.path().join("secondary");
    let config = config(vec![ZoneConfig {
        name: "utopia.test".to_owned(),
        kind: Kind::Secondary,
        primaries: vec![Remote { address: primary.address(), key: None }],
        ..ZoneConfig::default()
    }]);
    let key = apex("utopia.test").as_slice().to_vec();
    let secondary = Site::start(&state, &config).await;
    let mut refreshed = None;
    for _ in 0..400 {
        refreshed = store::refreshed(secondary.storage(), &key).await.unwrap();
        if refreshed.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let refreshed = refreshed.expect("the transfer is noted");
    assert!(super::now_seconds() - refreshed < 60);
    assert!(secondary.zone("utopia.test").is_some());
    primary.stop().await;

    // It was confirmed an hour ago: served. More than 604,800 s ago: expired.
    for (age, served) in [(3_600, true), (604_801, false)] {
        store::note_refreshed(secondary.storage(), &key, super::now_seconds() - age).await.unwrap();
        let again = Storage::clone(secondary.storage());
        let shutdown = Shutdown::new();
        let server =
            Server::start(&config, Network::new(), again, event::Reporter::silent(), shutdown.clone())
                .await
                .unwrap();
        assert_eq!(server.zones().get(&key).is_some(), served, "confirmed {age} s ago");
        assert!(shutdown.finish(Duration::from_secs(10)).await);
    }
    secondary.stop().await;
}

#[tokio::test]
async fn updates_beyond_what_may_wait_wait_with_their_senders() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::start(folder.path(), &config(vec![zone("utopia.test", SOA)])).await;
    let count = keeper::COMMANDS_MAX + 200;
    let mut updates = tokio::task::JoinSet::new();
    for number in 0..count {
        let server = site.server.clone();
        let changes = additions(&format!("n{number} A 192.0.2.1\n"));
        let update = Update::from_changes(&apex("utopia.test"), changes).unwrap();
        updates.spawn(async move { server.update(update, "a test").await });
    }
    while let Some(done) = updates.join_next().await {
        done.unwrap().unwrap();
    }
    assert_eq!(site.zone("utopia.test").unwrap().records(), 3 + count);
    site.stop().await;
}

#[tokio::test]
async fn more_deferred_requests_than_may_be_are_dropped_and_queries_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::start(folder.path(), &config(vec![zone("utopia.test", SOA)])).await;
    let socket = Network::new().datagrams("127.0.0.1:0".parse().unwrap()).unwrap();
    let mut buffer = [0; 1_024];
    let mut ask = async |message: &[u8]| {
        socket.send_to(message, site.address()).await.unwrap();
        let reply = tokio::time::timeout(Duration::from_secs(20), socket.receive_from(&mut buffer)).await;
        let (length, _) = reply.expect("a reply").unwrap();
        buffer[..length].to_vec()
    };
    let notify = transfer::notify(&apex("utopia.test"), None, 7);
    assert_eq!(ask(&notify).await[3] & 0xF, Rcode::NOTAUTH.to_int(), "handled beside plain queries");
    let places = site.server.shared.deferred.clone().try_acquire_many_owned(DEFERRED_MAX as u32).unwrap();
    socket.send_to(&notify, site.address()).await.unwrap();
    let query = transfer::query(transfer::Kind::Soa, &apex("utopia.test"), 8);
    // Both go to one thread in this order: the first reply is the second's.
    assert_eq!(ask(&query).await[..2], [0, 8]);
    drop(places);
    assert_eq!(ask(&notify).await[..2], [0, 7]);
    site.stop().await;
}

#[tokio::test]
async fn streams_are_bounded_in_number_and_idleness() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(vec![zone("utopia.test", SOA)]);
    config.idle_seconds_max = 1;
    config.connections_per_address_max = 2;
    let site = Site::start(folder.path(), &config).await;
    let query = transfer::query(transfer::Kind::Soa, &apex("utopia.test"), 8);
    let patience = Duration::from_secs(20);
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut stream = Network::new().connect(site.address(), patience).await.unwrap();
        write_message(&mut stream, &query).await.unwrap();
        assert_eq!(read_message(&mut stream).await.unwrap()[..2], [0, 8]);
        open.push(stream);
    }
    let mut third = Network::new().connect(site.address(), patience).await.unwrap();
    let _ = write_message(&mut third, &query).await;
    let refused = tokio::time::timeout(patience, read_message(&mut third)).await.expect("closed");
    assert!(refused.is_err(), "connections_per_address_max is 2");
    for mut stream in open {
        let idle = tokio::time::timeout(patience, read_message(&mut stream)).await;
        assert!(idle.expect("closed after idle_seconds_max").is_err());
    }
    // Those were closed, so there is room again.
    let reply = crate::framing::exchange(&Network::new(), site.address(), &query, patience).await;
    assert_eq!(reply.unwrap()[..2], [0, 8]);
    site.stop().await;
}

#[tokio::test]
async fn many_updates_at_once_are_committed_in_groups() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::start(folder.path(), &config(vec![zone("utopia.test", SOA)])).await;
    // So that a zone is stored and the journal goes on from it.
    site.change(additions("first A 192.0.2.1\n")).await.unwrap();
    let (before, _) = journal(site.storage()).await;
    let count = keeper::GROUP_MAX + 44;
    let mut updates = tokio::task::JoinSet::new();
    for number in 0..count {
        let server = site.server.clone();
        let changes = additions(&format!("n{number} A 192.0.2.1\n"));
        let update = Update::from_changes(&apex("utopia.test"), changes).unwrap();
        updates.spawn(async move { server.update(update, "a test").await });
    }
    while let Some(done) = updates.join_next().await {
        done.unwrap().unwrap();
    }
    // A group makes one entry.
    let (after, _) = journal(site.storage()).await;
    assert!(after - before >= 2, "{} entries", after - before);
    assert_eq!(site.zone("utopia.test").unwrap().records(), 4 + count);
    site.stop().await;
}

#[tokio::test]
async fn more_notifies_than_may_wait_are_answered_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    // A primary that accepts the connection for a transfer and says nothing.
    let primary = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = config(vec![ZoneConfig {
        name: "utopia.test".to_owned(),
        kind: Kind::Secondary,
        primaries: vec![Remote { address: primary.local_addr().unwrap(), key: None }],
        ..ZoneConfig::default()
    }]);
    let site = Site::start(folder.path(), &config).await;
    let _transfer = primary.accept().await.unwrap();
    let socket = Network::new().datagrams("127.0.0.1:0".parse().unwrap()).unwrap();
    let mut buffer = [0; 512];
    for number in 0..10 * secondary::NOTIFIES_MAX as u16 {
        let notify = transfer::notify(&apex("utopia.test"), None, number);
        socket.send_to(&notify, site.address()).await.unwrap();
        let reply = tokio::time::timeout(Duration::from_secs(20), socket.receive_from(&mut buffer)).await;
        reply.expect("a reply").unwrap();
        assert_eq!((&buffer[..2], buffer[3] & 0xF), (&number.to_be_bytes()[..], Rcode::NOERROR.to_int()));
    }
    site.stop().await;
}

#[tokio::test]
async fn a_secret_file_that_is_too_large_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(vec![zone("utopia.test", SOA)]);
    let octets_max = settings::SECRET_OCTETS_MAX as usize;
    let padding = octets_max - SECRETS[0].len();
    with_key(&mut config, folder.path(), &format!("{}{}", SECRETS[0], " ".repeat(padding)));
    let site = Site::start(&folder.path().join("state"), &config).await;
    with_key(&mut config, folder.path(), &format!("{}{}", SECRETS[0], " ".repeat(padding + 1)));
    let refused = site.server.prepare(&config).await.unwrap_err().to_string();
    let file = folder.path().join("key");
    assert!(refused.contains(&*file.to_string_lossy()) && refused.contains("4096"), "{refused}");
    site.stop().await;
}

#[tokio::test]
async fn a_reply_over_udp_has_no_more_octets_than_configured() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(vec![zone("utopia.test", &format!("{SOA}big TXT{}\n", large_text('x', 3)))]);
    let mut replies = Vec::new();
    for payload_octets_max in [700, 1_232] {
        config.payload_octets_max = payload_octets_max;
        let state = folder.path().join(payload_octets_max.to_string());
        let site = Site::start(&state, &config).await;
        let mut builder = MessageBuilder::new_vec().question();
        builder.push((apex("big.utopia.test"), Rtype::TXT, Class::IN)).unwrap();
        let mut builder = builder.additional();
        // The client would take more.
        let opt = builder.opt(|opt| {
            opt.set_udp_payload_size(4_096);
            Ok(())
        });
        opt.unwrap();
        let socket = Network::new().datagrams("127.0.0.1:0".parse().unwrap()).unwrap();
        socket.send_to(&builder.finish(), site.address()).await.unwrap();
        let mut buffer = [0; 4_096];
        let reply = tokio::time::timeout(Duration::from_secs(20), socket.receive_from(&mut buffer)).await;
        let (length, _) = reply.expect("a reply").unwrap();
        assert!(length <= usize::from(payload_octets_max), "{length} octets");
        let header = domain::base::Message::from_octets(&buffer[..length]).unwrap().header();
        replies.push((header.tc(), length > 750));
        site.stop().await;
    }
    assert_eq!(replies, [(true, false), (false, true)]);
}

/// Counts the transfers that were sent.
#[derive(Default)]
struct Sent(AtomicUsize);

impl event::Observer for Sent {
    fn detail(&self) -> event::Detail {
        event::Detail::Summary
    }

    fn observe(&self, told: &event::Told) {
        if matches!(told.event, event::Event::Dns(event::DnsEvent::Transferred { sent: true, .. })) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
}

#[tokio::test]
async fn a_transfer_waits_for_a_client_that_reads_slowly() {
    let folder = tempfile::tempdir().unwrap();
    // More messages than may wait, and more octets than the system keeps.
    let (names, strings) = (600, 60);
    let text = (0..names).fold(SOA.to_owned(), |mut text, number| {
        let _ = writeln!(text, "n{number} TXT{}", large_text('x', strings));
        text
    });
    let mut large = zone("utopia.test", &text);
    large.allow_transfer = vec!["127.0.0.1".to_owned()];
    let (stream, sent) = (event::Stream::new(), Arc::new(Sent::default()));
    stream.observe(sent.clone());
    let site = Site::start_told(folder.path(), &config(vec![large]), stream.reporter("a test")).await;
    let mut stream = Network::new().connect(site.address(), Duration::from_secs(20)).await.unwrap();
    let query = transfer::query(transfer::Kind::Axfr, &apex("utopia.test"), 8);
    write_message(&mut stream, &query).await.unwrap();
    // Time for too much of it to be written ahead.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(sent.0.load(Ordering::SeqCst), 0, "the last message was taken before the first was read");
    let mut incoming = transfer::Incoming::new(apex("utopia.test"), 8);
    let mut messages = 0;
    loop {
        messages += 1;
        let message = tokio::time::timeout(Duration::from_secs(20), read_message(&mut stream)).await;
        let message = message.expect("a message").unwrap();
        if incoming.handle_message(&message).unwrap() == transfer::Progress::Complete {
            break;
        }
    }
    assert!(messages > 10 * tcp::TRANSFER_MESSAGES_MAX, "{messages} messages");
    assert_eq!(incoming.finish(1).unwrap().records(), 3 + names);
    site.stop().await;
    assert_eq!(sent.0.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn queries_whose_replies_are_more_than_is_gathered_are_all_answered() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("{SOA}big TXT{}\n", large_text('x', 100));
    let site = Site::start(folder.path(), &config(vec![zone("utopia.test", &text)])).await;
    let stream = Network::new().connect(site.address(), Duration::from_secs(20)).await.unwrap();
    let (mut reader, mut writer) = tokio::io::split(stream);
    let count = 40_u16;
    let mut queries = bytes::BytesMut::new();
    for id in 0..count {
        let mut builder = MessageBuilder::new_vec();
        builder.header_mut().set_id(id);
        let mut builder = builder.question();
        builder.push((apex("big.utopia.test"), Rtype::TXT, Class::IN)).unwrap();
        crate::framing::put_message(&mut queries, &builder.finish()).unwrap();
    }
    // All of them arrive at once.
    tokio::io::AsyncWriteExt::write_all(&mut writer, &queries).await.unwrap();
    tokio::io::AsyncWriteExt::flush(&mut writer).await.unwrap();
    let mut octets = 0;
    for id in 0..count {
        let reply = tokio::time::timeout(Duration::from_secs(20), read_message(&mut reader)).await;
        let reply = reply.expect("a reply").unwrap();
        assert_eq!(reply[..2], id.to_be_bytes());
        octets += reply.len();
    }
    assert!(octets > 10 * tcp::GATHERED_OCTETS_MAX, "{octets} octets");
    site.stop().await;
}
