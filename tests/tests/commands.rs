//! The command line: every command explains itself with an example, wrong use
//! gets one clear line and exit status 2, and each command does what the README
//! says.

use serde_json::Value;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;
use tests::peer;
use tests::utopia::{Utopia, closed_pipe, command, own_address, run, run_with_input, said, told, wait_for};

/// Every command, as the help of its parent lists it.
fn commands(path: &[String], all: &mut Vec<Vec<String>>) {
    let mut arguments: Vec<_> = path.iter().map(String::as_str).collect();
    arguments.push("--help");
    let help = told(run(&arguments));
    assert!(help.contains("Example"), "utopia {} has no example: {help}", arguments.join(" "));
    assert!(help.contains("Usage: utopia"), "{help}");
    all.push(path.to_vec());
    let listed = help.split("\nCommands:\n").nth(1).unwrap_or_default();
    for line in listed.lines().take_while(|line| line.starts_with("  ")) {
        // Further lines of an explanation are indented deeper.
        let name = line[2..].split(' ').next().unwrap_or_default();
        if !name.is_empty() {
            commands(&[path, &[name.to_owned()]].concat(), all);
        }
    }
}

#[test]
fn every_command_explains_itself_with_an_example() {
    let mut all = Vec::new();
    commands(&[], &mut all);
    let names: Vec<_> = all.iter().map(|path| path.join(" ")).collect();
    for expected in [
        "up",
        "status",
        "reload",
        "init",
        "lab",
        "user add",
        "user passwd",
        "user list",
        "user remove",
        "dns query",
        "dns zone check",
        "mail send",
        "mail queue list",
        "socket listen",
        "socket connect",
        "config check",
        "config reference",
    ] {
        assert!(names.iter().any(|name| name == expected), "{expected} is not among {names:?}");
    }
    assert!(told(run(&["--version"])).starts_with("utopia "));
    let up = told(run(&["up", "--help"]));
    assert!(up.contains("utopia reload") && up.contains("SIGHUP"), "{up}");
}

#[test]
fn wrong_use_gets_one_line_and_exit_status_2() {
    let wrong: [(&[&str], &str); 17] = [
        (&["stat"], "'status'"),
        (&["up", "--dta", "x"], "'--data'"),
        (&["up", "--address", "192.0.2.1"], "utopia init"),
        (&["up", "--address", "localhost"], "--address"),
        (&["init"], "<DOMAIN>"),
        (&["init", "nodots", "--address", "192.0.2.1"], "example.org"),
        (&["lab"], "<SCENARIO|up>"),
        (&["lab", "smpt"], "'smtp'"),
        (&["lab", "smtp", "--seed", "x"], "--seed"),
        (&["lab", "smtp", "--dns-port", "53"], "lab up"),
        (&["user", "add"], "<ADDRESS>"),
        (&["mail", "send", "--from", "alice@utopia.test"], "--to"),
        (&["dns", "query", "example.org", "NOTYPE"], "NOTYPE"),
        (&["dns", "update", "example.org", "--server", "x"], "like 192.0.2.1:53"),
        (&["dns", "query", "example.org", "--root", "127.1.0.1"], "--trace"),
        (&["config", "chek"], "'check'"),
        (&["socket", "connect", "--udp", "--tls", "1"], "--tls"),
    ];
    for (arguments, word) in wrong {
        let output = run(arguments);
        let shown = arguments.join(" ");
        assert_eq!(output.status.code(), Some(2), "utopia {shown}: {}", said(&output));
        assert!(output.stdout.is_empty(), "utopia {shown}: {}", said(&output));
        let line = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(line.lines().count(), 1, "utopia {shown}: {line}");
        assert!(line.contains(word), "utopia {shown}: {line}");
    }
    // A word that needs another one after it shows what there is.
    for arguments in [&[][..], &["user"], &["mail", "queue"]] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2));
        assert!(said(&output).contains("Commands:"), "{}", said(&output));
    }
}

/// One line on standard error, exit status 1, naming `place`.
#[track_caller]
fn fails(arguments: &[&str], place: &str) {
    let output = run(arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", said(&output));
    let line = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(line.lines().count(), 1, "{line}");
    assert!(line.contains(place), "{line}");
}

#[test]
fn a_message_that_is_too_large_is_not_sent() {
    let folder = tempfile::tempdir().expect("a folder");
    let (password, ca) = (folder.path().join("password"), folder.path().join("ca.pem"));
    fs::write(&password, "x\n").expect("written");
    let authority = net::tls::Authority::create("a test", SystemTime::now()).expect("a CA");
    fs::write(&ca, authority.cert_pem()).expect("written");
    // Nobody listens there; the message is refused before anybody is asked.
    let nobody = SocketAddr::new(own_address(), 9).to_string();
    let mut command =
        command(&["mail", "send", "--from", "a@x.test", "--to", "b@x.test", "--server", &nobody]);
    command.arg("--password-file").arg(&password).arg("--ca").arg(&ca);
    let message = format!("Subject: x\n\n{}", "x".repeat(64 * 1024 * 1024));
    let output = run_with_input(command, &message);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("more than 67108864 octets"), "{}", said(&output));
}

#[test]
fn what_cannot_be_done_is_said_in_one_line_that_names_the_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("nothing");
    let data = data.to_str().expect("a path");
    fails(&["status", "--data", data], data);
    fails(&["reload", "--data", data], data);
    fails(&["mail", "queue", "list", "--data", data], data);
    fails(&["user", "list", "--data", data], data);
    fails(&["config", "check", data], data);
    fails(&["up", "--config", data, "--data", data], data);
    assert!(!Path::new(data).exists(), "and no folder is made of it");

    // What the person named is said once, with what to do.
    let twice = folder.path().to_str().expect("a path");
    let output = run(&["config", "check", twice]);
    assert_eq!(said(&output), format!("utopia: {twice}: this is a folder; name a file\n"));
    let latin = folder.path().join("latin.toml");
    fs::write(&latin, b"version = 1 # \xe9\n").expect("written");
    let latin = latin.to_str().expect("a path");
    assert_eq!(
        said(&run(&["config", "check", latin])),
        format!("utopia: {latin}: it is not UTF-8 text; save it as that\n")
    );
    for command in [&["status"][..], &["user", "list"], &["reload"]] {
        fails(&[command, &["--data", latin]].concat(), "is no folder: name a data folder with --data");
    }
    fails(
        &["mail", "send", "--from", "a@x.test", "--to", "b@x.test", "--password-file", data],
        "there is no such file; write the password of a@x.test into it",
    );
    fails(
        &["socket", "listen", "0", "--tls", "--cert", latin, "--key", latin],
        "latin.toml: it is not UTF-8 text",
    );

    // A folder that cannot be written, because it is a file.
    let file = folder.path().join("file");
    fs::write(&file, "").expect("written");
    fails(&["up", "--data", file.to_str().expect("a path")], "file");
    fails(
        &["init", "example.org", "--address", "192.0.2.53", "--data", file.to_str().expect("a path")],
        "file",
    );

    let configuration = folder.path().join("utopia.toml");
    let text = configuration.to_str().expect("a path");
    for (content, place) in [
        ("", ":1: begin the file with `version = 1`"),
        ("version = 7\n", ":1: version 7"),
        ("version = 1\ndomain = \"x.test\"\n[dsn]\n", ":3: unknown key `dsn`; did you mean `dns`?"),
        ("version = 1\ndomain = \"x.test\"\n[http]\nlisten = [\"here\"]\n", ":4: "),
        ("version = 1\ndomain = 5\n", ":2: "),
        ("version = 1\ndomain = \"x.test\"\n\u{0}", ":3: "),
    ] {
        fs::write(&configuration, content).expect("written");
        fails(&["config", "check", text], &format!("{text}{place}"));
    }
}

#[test]
fn a_pipe_that_nobody_reads_ends_a_command_quietly() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let utopia = Utopia::start(&data);
    let zone = data.join("zones/utopia.test.zone");
    let zone = zone.to_str().expect("a path");
    let dns = utopia.at("dns").to_string();
    for arguments in [
        &["config", "reference"][..],
        &["--help"],
        &["dns", "zone", "show", zone],
        &["dns", "zone", "check", zone, "--json"],
        &["dns", "query", "utopia.test", "SOA", "--server", &dns],
        &["status"],
        &["status", "--json"],
        &["user", "list"],
        &["mail", "queue", "list"],
    ] {
        let has_data = ["status", "user", "mail"].contains(&arguments[0]);
        let mut command = if has_data { utopia.asking(arguments) } else { command(arguments) };
        let output = command.stdout(closed_pipe()).output().expect("utopia runs");
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", said(&output));
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{arguments:?}");
    }
    // A full disk is another matter.
    let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
    let output = command(&["config", "reference"]).stdout(full).output().expect("utopia runs");
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).starts_with("utopia: standard output cannot be written: "), "{}", said(&output));
    utopia.stop();
}

#[test]
fn a_domain_runs_whether_what_it_says_is_read_or_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let mut up = command(&["up", "--address", &own_address().to_string(), "--data"]);
    up.arg(&data).stdout(closed_pipe()).stderr(closed_pipe());
    let mut up = up.spawn().expect("utopia runs");
    let data = data.to_str().expect("a path");
    wait_for("it is ready", || run(&["status", "--data", data]).status.success().then_some(()));
    told(run(&["reload", "--data", data]));
    assert!(Command::new("kill").arg(up.id().to_string()).status().expect("kill runs").success());
    let status = up.wait().expect("it ends");
    assert!(status.success(), "{status}");
}

#[test]
fn a_configuration_is_right_exactly_where_the_domain_starts() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().to_str().expect("a path");
    let file = folder.path().join("utopia.toml");
    let at = own_address();
    let dns = format!("[dns]\nlisten = [\"{at}:5300\"]\n");
    let smtp = format!("[smtp]\nlisten = [\"{at}:2525\"]\n");
    for wrong in [
        "[resolver]\nallow = [\"10.0.0.0/33\"]\n".to_owned(),
        "[resolver.stub_zones]\n\"a..b\" = [\"127.0.0.1:53\"]\n".to_owned(),
        format!("{dns}[[dns.zones]]\nname = \"\"\n"),
        format!("{dns}[[dns.zones]]\nname = \"a.test\"\n"),
        format!("{dns}[[dns.zones]]\nname = \"a.test\"\nkind = \"secondary\"\n"),
        format!("{dns}[[dns.zones]]\nname = \"a.test\"\nfile = \"utopia.toml\"\n"),
        format!("{dns}[[dns.zones]]\nname = \"a.test\"\ntext = \"\"\nallow_transfer = [\"foo\"]\n"),
        format!("{dns}[[dns.keys]]\nname = \"k\"\nsecret_file = \"utopia.toml\"\nalgorithm = \"md5\"\n"),
        format!("{smtp}hostname = \"a b\"\n"),
        format!("{smtp}session_seconds_max = 9223372036854775807\n"),
        format!("{smtp}[[smtp.dkim]]\nselector = \"a\"\nkey_file = \"utopia.toml\"\n"),
        format!("{smtp}[tls]\ncertificate_file = \"utopia.toml\"\nkey_file = \"utopia.toml\"\n"),
        "[storage]\nreaders_max = 9223372036854775807\n".to_owned(),
    ] {
        fs::write(&file, format!("version = 1\ndomain = \"utopia.test\"\n{wrong}")).expect("written");
        let up = run(&["up", "--data", data]);
        let check = run(&["config", "check", file.to_str().expect("a path")]);
        for output in [&up, &check] {
            assert_eq!(output.status.code(), Some(1), "{wrong}: {}", said(output));
            assert!(!said(output).contains("panicked"), "{wrong}: {}", said(output));
        }
        let last = |output| said(output).lines().last().unwrap_or_default().replace("utopia: ", "");
        // A start says of a file that the configuration names it; a check is told
        // which configuration.
        assert!(last(&check).ends_with(&last(&up)), "{}\n{}", last(&check), last(&up));
    }
}

#[test]
fn the_configuration_reference_names_every_key_that_is_written() {
    let reference = told(run(&["config", "reference"]));
    for key in ["domain", "listen_submissions", "allow_update", "stub_zones", "key_file", "connections_max"] {
        assert!(reference.contains(&format!("`{key}`")), "{key}: {reference}");
    }
}

#[test]
fn init_prints_what_the_registrar_needs_and_refuses_a_second_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let data = data.to_str().expect("a path");
    let init =
        ["init", "example.org", "--address", "192.0.2.53", "--address", "2001:db8::53", "--data", data];
    let output = told(run(&init));
    for name in ["ns1.example.org", "ns2.example.org"] {
        assert!(output.contains(name), "{output}");
    }
    for address in ["192.0.2.53", "2001:db8::53"] {
        assert!(output.contains(address), "{output}");
    }
    fails(&init, "utopia.toml");

    let configuration = format!("{data}/utopia.toml");
    assert!(told(run(&["config", "check", &configuration])).contains("is right"));
    let zone = format!("{data}/zones/example.org.zone");
    told(run(&["dns", "zone", "check", &zone]));
    let shown = told(run(&["dns", "zone", "show", &zone]));
    assert!(shown.contains("2001:db8::53") && shown.contains("v=DKIM1"), "{shown}");
    for secret in fs::read_dir(format!("{data}/secrets")).expect("secrets") {
        use std::os::unix::fs::PermissionsExt;
        let secret = secret.expect("a file");
        let mode = secret.metadata().expect("its mode").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", secret.path().display());
    }

    let other = folder.path().join("other");
    let json = told(run(&[
        "init",
        "example.net",
        "--address",
        "192.0.2.54",
        "--json",
        "--data",
        other.to_str().expect("a path"),
    ]));
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert!(json.to_string().contains("ns1.example.net"), "{json}");
}

#[test]
fn names_are_asked_and_waiting_mail_is_looked_after() {
    let Some(swaks) = peer("swaks") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let utopia = Utopia::start(&data);
    let (dns, resolver) = (utopia.at("dns").to_string(), utopia.at("resolver").to_string());
    let answer = told(run(&["dns", "query", "utopia.test", "MX", "--server", &dns, "--json"]));
    assert!(serde_json::from_str::<Value>(&answer).expect("JSON").to_string().contains("mail.utopia.test"));
    for more in [&["--tcp"][..], &[]] {
        let query = ["dns", "query", "utopia.test", "SOA", "--server", &resolver];
        assert!(told(run(&[&query, more].concat())).contains("postmaster"));
    }
    // Each refusal of an update says what to look at.
    for (arguments, words) in [
        (&["utopia.test", "--key", "other"][..], "it does not know the key"),
        (&["elsewhere.test"], "it is not the zone's primary"),
        (&["utopia.test", "--secret-file", "none"], "none: there is no such file; name the file"),
    ] {
        let update = utopia.ask(&[&["dns", "update", "--add", "new 300 A 192.0.2.7"], arguments].concat());
        assert_eq!(update.status.code(), Some(1), "{}", said(&update));
        assert!(said(&update).contains(words), "{}", said(&update));
    }
    let wrong = utopia.ask(&["user", "add", "carol"]);
    assert!(said(&wrong).contains("write one like alice@example.org"), "{}", said(&wrong));
    let nobody = format!("{}:9", own_address());
    let output = run(&["dns", "query", "utopia.test", "--tcp", "--server", &nobody]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains(&nobody), "{}", said(&output));

    let list = || -> Value {
        serde_json::from_str(&told(utopia.ask(&["mail", "queue", "list", "--json"]))).expect("JSON")
    };
    assert_eq!(list(), Value::Array(Vec::new()));
    assert_eq!(told(utopia.ask(&["mail", "queue", "list"])), "nothing waits\n");
    // A destination that nobody serves: a name server of its own is configured for
    // it, which does not answer.
    let file = data.join("utopia.toml");
    let text = fs::read_to_string(&file).expect("the configuration");
    let stub = format!("[resolver.stub_zones]\n\"elsewhere.test\" = [\"{nobody}\"]\n");
    let changed = text.replace("[resolver.stub_zones]\n", &stub);
    assert_ne!(changed, text);
    fs::write(&file, changed).expect("written");
    let password = utopia.password("alice@utopia.test");
    utopia.stop();
    let utopia = Utopia::start(&data);
    let list = || -> Value {
        serde_json::from_str(&told(utopia.ask(&["mail", "queue", "list", "--json"]))).expect("JSON")
    };
    let at = utopia.at("submissions");
    let mut submit = Command::new(swaks);
    submit.args(["--server", &at.ip().to_string(), "--port", &at.port().to_string(), "--tls-on-connect"]);
    submit.args(["--auth", "PLAIN", "--auth-user", "alice@utopia.test", "--auth-password", &password]);
    submit.args(["--from", "alice@utopia.test", "--to", "erin@elsewhere.test", "--timeout", "60"]);
    told(submit.output().expect("swaks runs"));
    let waiting = wait_for("the message was tried", || {
        let list = list();
        (list[0]["attempts"].as_u64() > Some(0)).then_some(list)
    });
    assert_eq!(waiting[0]["from"], "alice@utopia.test", "{waiting}");
    assert_eq!(waiting[0]["domain"], "elsewhere.test", "{waiting}");
    assert!(
        waiting[0]["reason"].as_str().is_some_and(|reason| reason.contains("elsewhere.test")),
        "{waiting}"
    );
    let id = waiting[0]["id"].as_str().expect("an id");
    assert!(told(utopia.ask(&["mail", "queue", "list"])).contains(id));
    told(utopia.ask(&["mail", "queue", "retry", "elsewhere.test"]));
    wait_for("it was tried again", || (list()[0]["attempts"].as_u64() > Some(1)).then_some(()));
    let wrong = utopia.ask(&["mail", "queue", "remove", "0000"]);
    assert_eq!(wrong.status.code(), Some(1), "{}", said(&wrong));
    told(utopia.ask(&["mail", "queue", "remove", id]));
    assert_eq!(list(), Value::Array(Vec::new()));
    utopia.stop();
}
