//! Accounts and logins on a real storage.

use super::{AccountError, Accounts, Config};
use crate::mailbox::{AccountId, MailboxId, Mailboxes};
use event::Reporter;
use mail::sasl::{ScramClient, ScramServer};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use storage::Storage;

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

fn open(folder: &Path, config: Config) -> Accounts {
    let storage = Storage::open(&storage::Config::default(), folder, Reporter::silent()).unwrap();
    Accounts::new(config, Mailboxes::new(crate::mailbox::Config::default(), storage))
}

#[tokio::test]
async fn an_account_from_its_creation_to_its_removal() {
    let folder = tempfile::tempdir().unwrap();
    let accounts = open(folder.path(), Config::default());
    let alice = accounts.create("Alice@Utopia.Test", "crepes").await.unwrap();
    let bob = accounts.create("bob@utopia.test", "hamburger").await.unwrap();
    assert_eq!((alice, bob), (AccountId(1), AccountId(2)));
    let twice = accounts.create("ALICE@utopia.test", "x").await;
    assert!(matches!(twice, Err(AccountError::Exists(_))), "{twice:?}");
    assert_eq!(accounts.verify_plain("alice@utopia.test", "crepes", PEER).await.unwrap(), Some(alice));
    assert_eq!(accounts.verify_plain("ALICE@UTOPIA.TEST", "crepes", PEER).await.unwrap(), Some(alice));
    assert_eq!(accounts.verify_plain("alice@utopia.test", "hamburger", PEER).await.unwrap(), None);
    assert_eq!(accounts.verify_plain("alice+x@utopia.test", "crepes", PEER).await.unwrap(), None);
    assert_eq!(accounts.verify_plain("nobody@utopia.test", "crepes", PEER).await.unwrap(), None);
    assert_eq!(accounts.verify_plain("nobody@utopia.test", "", PEER).await.unwrap(), None);

    accounts.set_password("Alice@utopia.test", "galettes").await.unwrap();
    drop(accounts);
    let accounts = open(folder.path(), Config::default());
    assert_eq!(accounts.verify_plain("alice@utopia.test", "crepes", PEER).await.unwrap(), None);
    assert_eq!(accounts.verify_plain("alice@utopia.test", "galettes", PEER).await.unwrap(), Some(alice));
    let list = accounts.list().await.unwrap();
    let list: Vec<_> = list.iter().map(|account| account.address.as_str()).collect();
    assert_eq!(list, ["alice@utopia.test", "bob@utopia.test"]);

    accounts.remove("alice@utopia.test").await.unwrap();
    assert!(matches!(accounts.remove("alice@utopia.test").await, Err(AccountError::NoAccount(_))));
    assert!(matches!(accounts.set_password("alice@utopia.test", "x").await, Err(AccountError::NoAccount(_))));
    assert_eq!(accounts.verify_plain("alice@utopia.test", "galettes", PEER).await.unwrap(), None);
    assert!(accounts.mailboxes.info(alice, MailboxId::INBOX).await.is_err());
    // Who comes after her does not get her id, which old sessions may hold.
    assert_eq!(accounts.create("alice@utopia.test", "x").await.unwrap(), AccountId(3));
}

#[tokio::test]
async fn addresses_and_passwords_that_cannot_be() {
    let folder = tempfile::tempdir().unwrap();
    let accounts = open(folder.path(), Config::default());
    for address in
        ["", "alice", "@utopia.test", "alice@", "alice+x@utopia.test", "alice@[192.0.2.1]", "a b@c"]
    {
        let refused = accounts.create(address, "crepes").await;
        assert!(matches!(refused, Err(AccountError::BadAddress { .. })), "{address}: {refused:?}");
    }
    for password in ["", "a\u{7}b", &"x".repeat(1025)] {
        let refused = accounts.create("alice@utopia.test", password).await;
        assert!(matches!(refused, Err(AccountError::BadPassword(_))), "{password:?}: {refused:?}");
    }
    assert_eq!(accounts.list().await.unwrap(), []);
}

#[tokio::test]
async fn whose_mail_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let accounts = open(folder.path(), Config::default());
    assert_eq!(accounts.find("postmaster@utopia.test").await.unwrap(), None, "there is nobody yet");
    let alice = accounts.create("alice@utopia.test", "x").await.unwrap();
    let bob = accounts.create("bob@crepes.test", "x").await.unwrap();
    for (address, whose) in [
        ("alice@utopia.test", Some(alice)),
        ("ALICE@Utopia.TEST", Some(alice)),
        ("\"alice\"@utopia.test", Some(alice)),
        ("alice+lists+x@utopia.test", Some(alice)),
        ("alice+@utopia.test", Some(alice)),
        ("+alice@utopia.test", None),
        ("alice@crepes.test", None),
        ("alice", None),
        ("postmaster@utopia.test", Some(alice)),
        ("Postmaster@crepes.test", Some(bob)),
        ("Postmaster", Some(alice)),
        ("abuse@crepes.test", Some(bob)),
        ("hostmaster@utopia.test", Some(alice)),
        ("hostmaster", None),
        ("postmaster@elsewhere.test", None),
        ("", None),
    ] {
        assert_eq!(accounts.find(address).await.unwrap(), whose, "{address}");
    }
    assert_eq!(accounts.find(&format!("{}@utopia.test", "x".repeat(100_000))).await.unwrap(), None);
    drop(accounts);
    let accounts =
        open(folder.path(), Config { postmaster: Some("Bob@crepes.test".into()), ..Config::default() });
    assert_eq!(accounts.find("postmaster@utopia.test").await.unwrap(), Some(bob));
    assert_eq!(accounts.find("postmaster@elsewhere.test").await.unwrap(), None);
}

async fn scram(accounts: &Accounts, address: &str, password: &str) -> (Option<AccountId>, bool) {
    let mut client = ScramClient::new(address, password, "rOprNGfwEbeRWgbNEkqO").unwrap();
    let mut server = ScramServer::client_first(&client.client_first(), "hvYDpWUa2RaTCAfuxFIlj").unwrap();
    let login = accounts.scram_sha_256(server.username(), PEER).await.unwrap();
    let challenge = server.server_first(login.keys);
    let proof = client.server_first(&challenge).unwrap();
    let outcome = server.client_final(&proof);
    accounts.scram_ended(address, PEER, outcome.is_ok());
    if let Ok(signature) = &outcome {
        client.server_final(signature).unwrap();
    }
    (login.account, outcome.is_ok())
}

#[tokio::test]
async fn scram_knows_the_password_and_hides_who_exists() {
    let folder = tempfile::tempdir().unwrap();
    let accounts = open(folder.path(), Config::default());
    let alice = accounts.create("alice@utopia.test", "cr\u{ea}pes").await.unwrap();
    assert_eq!(scram(&accounts, "alice@utopia.test", "cr\u{ea}pes").await, (Some(alice), true));
    // SASLprep: the same letter composed on another keyboard.
    assert_eq!(scram(&accounts, "Alice@utopia.test", "cre\u{302}pes").await, (Some(alice), true));
    assert_eq!(accounts.verify_plain("alice@utopia.test", "cre\u{302}pes", PEER).await.unwrap(), Some(alice));
    assert_eq!(scram(&accounts, "alice@utopia.test", "crepes").await, (Some(alice), false));
    assert_eq!(scram(&accounts, "nobody@utopia.test", "crepes").await, (None, false));
    // A name nobody has gets the same salt each time, of the same size as a real one.
    let real = accounts.scram_sha_256("alice@utopia.test", PEER).await.unwrap().keys;
    let first = accounts.scram_sha_256("nobody@utopia.test", PEER).await.unwrap().keys;
    drop(accounts);
    let accounts = open(folder.path(), Config::default());
    let again = accounts.scram_sha_256("Nobody@utopia.test", PEER).await.unwrap().keys;
    assert_eq!(first.salt, again.salt);
    assert_eq!((first.salt.len(), first.iterations), (real.salt.len(), real.iterations));
    let other = accounts.scram_sha_256("other@utopia.test", PEER).await.unwrap().keys;
    assert_ne!(first.salt, other.salt);
}

#[tokio::test]
async fn guessing_is_slowed_down_by_either_way_in() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config { failures_per_peer_max: 4, failure_forgotten_seconds: 3600, ..Config::default() };
    let accounts = open(folder.path(), config);
    let bob = accounts.create("bob@utopia.test", "hamburger").await.unwrap();
    for _ in 0..4 {
        // Logging in is not failing.
        let right = accounts.verify_plain("bob@utopia.test", "hamburger", PEER).await.unwrap();
        assert_eq!(right, Some(bob));
    }
    assert_eq!(accounts.verify_plain("bob@utopia.test", "guess", PEER).await.unwrap(), None);
    assert_eq!(scram(&accounts, "bob@utopia.test", "guess").await, (Some(bob), false));
    let third = accounts.verify_plain("bob@utopia.test", "hamburger", PEER).await;
    assert!(matches!(third, Err(AccountError::Throttled { retry_seconds: 1..=3600 })), "{third:?}");
    assert!(matches!(
        accounts.scram_sha_256("bob@utopia.test", PEER).await,
        Err(AccountError::Throttled { .. })
    ));
    let elsewhere: IpAddr = "198.51.100.1".parse().unwrap();
    assert_eq!(accounts.verify_plain("bob@utopia.test", "hamburger", elsewhere).await.unwrap(), Some(bob));
}

#[tokio::test]
async fn only_so_many_wait_for_a_hash() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config { hashes_max: 1, hashes_waiting_max: 1, ..Config::default() };
    let accounts = open(folder.path(), config);
    let mut tries = Vec::new();
    for _ in 0..6 {
        let accounts = accounts.clone();
        tries.push(tokio::spawn(async move { accounts.verify_plain("bob@utopia.test", "x", PEER).await }));
    }
    let (mut refused, mut checked) = (0, 0);
    for attempt in tries {
        match attempt.await.unwrap() {
            Err(AccountError::Busy) => refused += 1,
            Ok(None) => checked += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(refused >= 1 && checked >= 2, "{refused} refused, {checked} checked");
    assert_eq!(accounts.verify_plain("bob@utopia.test", "x", PEER).await.unwrap(), None);
}
