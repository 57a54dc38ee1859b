//! Mail that waits, on a host whose mail services go and come.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use tests::utopia::{Utopia, own_address, run_with_input, said, told, wait_for, without_mail};

/// Takes mail on one connection, and tells of each message before it says that it
/// has it.
fn take_mail(stream: TcpStream, arrived: &Sender<()>, accept: &Receiver<()>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let say = |line: &str| (&stream).write_all(format!("{line}\r\n").as_bytes()).ok();
    say("220 sink.test")?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|octets| *octets > 0)?;
        let command = line.trim().to_uppercase();
        if command == "DATA" {
            say("354 go on")?;
            while line != ".\r\n" {
                line.clear();
                reader.read_line(&mut line).ok().filter(|octets| *octets > 0)?;
            }
            arrived.send(()).ok()?;
            accept.recv().ok()?;
        }
        say(if command == "QUIT" { "221 bye" } else { "250 fine" })?;
    }
}

#[test]
fn what_waits_outlives_the_listeners_and_is_sent_once_after_reloads_that_failed() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let utopia = Utopia::start(&data);
    let password = folder.path().join("password");
    fs::write(&password, utopia.password("alice@utopia.test")).expect("written");
    let http = utopia.at("http");
    utopia.stop();

    // A server that is not there yet.
    let sink = TcpListener::bind((own_address(), 0)).expect("a port").local_addr().expect("its address");
    let file = data.join("utopia.toml");
    let text = fs::read_to_string(&file).expect("the configuration");
    let queue = format!("\n[queue]\nremote_port = {}\nretry_seconds_first = 1\n", sink.port());
    let with_mail = format!("{text}{queue}retry_seconds_max = 1\n");
    let without = without_mail(&with_mail);
    fs::write(&file, &with_mail).expect("written");
    let utopia = Utopia::start(&data);
    let to = format!("bob@[{}]", sink.ip());
    let mut send = utopia.asking(&["mail", "send", "--from", "alice@utopia.test", "--to", &to]);
    send.arg("--password-file").arg(&password);
    let sent = run_with_input(send, "Subject: once\n\nHi Bob\n");
    assert!(sent.status.success(), "{}", said(&sent));
    utopia.stop();

    // No mail service any more: what waits is still listed, and tried.
    fs::write(&file, &without).expect("written");
    let utopia = Utopia::start(&data);
    let list = || -> serde_json::Value {
        serde_json::from_str(&told(utopia.ask(&["mail", "queue", "list", "--json"]))).expect("JSON")
    };
    let first = list();
    assert_eq!(first[0]["from"], "alice@utopia.test", "{first}");
    told(utopia.ask(&["mail", "queue", "retry"]));
    wait_for("it is tried", || {
        (list()[0]["attempts"].as_u64() > first[0]["attempts"].as_u64()).then_some(())
    });

    // Reloads that want mail again, and fail at something else.
    let taken = TcpListener::bind(SocketAddr::new(http.ip(), 0)).expect("a port");
    let taken_address = taken.local_addr().expect("its address").to_string();
    fs::write(&file, with_mail.replace(&http.to_string(), &taken_address)).expect("written");
    for _ in 0..3 {
        let refused = utopia.ask(&["reload"]);
        assert!(!refused.status.success() && said(&refused).contains(&taken_address), "{}", said(&refused));
    }
    fs::write(&file, &with_mail).expect("written");
    told(utopia.ask(&["reload"]));

    // The server comes, and takes its time, in which others would send the same.
    let listener = TcpListener::bind(sink).expect("the same port");
    let (arrived, arrivals) = channel();
    let (accept, accepted) = channel();
    std::thread::spawn(move || {
        let mut accepted = Some(accepted);
        for stream in listener.incoming().flatten() {
            let arrived = arrived.clone();
            // Who comes second is told at once that it has come too much.
            let accepted = accepted.take().unwrap_or_else(|| channel().1);
            std::thread::spawn(move || take_mail(stream, &arrived, &accepted));
        }
    });
    arrivals.recv().expect("the message");
    let second = arrivals.recv_timeout(std::time::Duration::from_secs(4));
    assert!(second.is_err(), "a second copy came while the first was being taken");
    accept.send(()).expect("somebody waits");
    wait_for("nothing waits", || list().as_array().is_some_and(Vec::is_empty).then_some(()));
    assert!(arrivals.try_recv().is_err(), "it came twice");
    utopia.stop();
}
