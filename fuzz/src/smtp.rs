//! SMTP: both sides' sessions, command lines, replies, paths, the message after
//! DATA.

use bytes::Bytes;
use mail::address::{Address, Domain, HelloName, Path, parse_path};
use mail::smtp::{
    Answer, Client, ClientStep, Command, CommandError, DataDecoder, DataError, EnhancedCode, Limits, Message,
    Reply, ReplyParser, Role, Session, Settings, StartTls, Step, stuff_dots,
};

/// The sizes of the pieces in which octets arrive.
const CHUNKS: [usize; 4] = [1, 7, 61, usize::MAX];
/// Octets that one line of input can be answered with: the reply to EHLO.
const ANSWER_OCTETS_MAX: usize = 1_024;

/// Bounds that are small enough for the corpus to go beyond them.
fn limits() -> Limits {
    Limits {
        command_line_octets_max: 300,
        auth_line_octets_max: 400,
        text_line_octets_max: 200,
        message_octets_max: 2_000,
        recipients_max: 5,
        messages_max: 4,
        errors_max: 6,
        commands_idle_max: 40,
    }
}

/// Whole lines of a client: each as a command, and all of them as sessions with
/// an MX and a submission server.
pub fn smtp_line(input: &[u8]) {
    for line in input.split(|octet| *octet == b'\n') {
        command(line.strip_suffix(b"\r").unwrap_or(line));
    }
    for (role, tls) in [(Role::Exchange, false), (Role::Submission, true)] {
        let outcomes = CHUNKS.map(|chunk| serve(input, role, tls, false, chunk));
        for outcome in &outcomes {
            assert_eq!(outcome, &outcomes[0], "the pieces in which octets arrive change nothing");
        }
        serve(input, role, false, true, 13);
    }
}

fn command(line: &[u8]) {
    let text = String::from_utf8_lossy(line);
    if let Ok((path, rest)) = parse_path(&text) {
        assert!(text.ends_with(rest));
        assert_path_survives(&path);
    }
    if let Ok(address) = text.parse::<Address>() {
        assert_path_survives(&Path::Address(address));
    }
    if let Ok(name) = HelloName::parse(&text) {
        assert_eq!(HelloName::parse(name.as_str()).as_ref(), Ok(&name));
        assert!(!name.as_str().contains(char::is_control));
    }
    match Command::parse(line) {
        Ok(Command::Mail { from, parameters }) => {
            assert_path_survives(&from);
            let size = parameters.size.map_or_else(String::new, |size| format!(" SIZE={size}"));
            let utf8 = if parameters.smtputf8 { " SMTPUTF8" } else { "" };
            let again = Command::parse(format!("MAIL FROM:{from}{size}{utf8}").as_bytes());
            let Ok(Command::Mail { from: again, parameters: kept }) = again else { panic!("{again:?}") };
            assert_eq!((again, kept.size, kept.smtputf8), (from, parameters.size, parameters.smtputf8));
        }
        Ok(Command::Rcpt { to }) => {
            assert_path_survives(&to);
            assert_eq!(Command::parse(format!("RCPT TO:{to}").as_bytes()), Ok(Command::Rcpt { to }));
        }
        Ok(Command::Bdat { octets, last }) => {
            let again = format!("BDAT {octets}{}", if last { " LAST" } else { "" });
            assert_eq!(Command::parse(again.as_bytes()), Ok(Command::Bdat { octets, last }));
        }
        Ok(_) => {}
        Err(error) => {
            let reply = error.reply();
            let codes: &[u16] = match error {
                CommandError::Unknown | CommandError::NotUtf8 => &[500],
                CommandError::Argument(_) => &[501],
                CommandError::Parameter(_) => &[555],
            };
            assert!(codes.contains(&reply.code()));
            assert_lines(&written(&reply));
        }
    }
}

fn assert_path_survives(path: &Path) {
    let text = path.to_string();
    assert!(!text.contains(char::is_control), "{text:?}");
    assert_eq!(parse_path(&text), Ok((path.clone(), "")), "{text:?}");
    if let Path::Address(address) = path {
        let bare = address.to_string();
        assert_eq!(bare.parse().as_ref(), Ok(address), "{bare:?}");
        assert!(address.is_same_mailbox(address));
        if let Domain::Name(name) = address.domain() {
            assert_eq!(name, &name.to_lowercase());
        }
    }
}

fn written(reply: &Reply) -> Vec<u8> {
    let mut octets = Vec::new();
    reply.write(&mut octets);
    octets
}

/// Output is whole lines of at most 512 octets that begin with a code; only the
/// challenges of a login are longer.
fn assert_lines(output: &[u8]) {
    assert!(output.ends_with(b"\r\n"), "{:?}", String::from_utf8_lossy(output));
    for line in output.split_inclusive(|octet| *octet == b'\n') {
        let text = line.strip_suffix(b"\r\n").expect("CRLF ends a line");
        assert!(!text.contains(&b'\r'));
        assert!(line.len() <= 512 || line.starts_with(b"334 "));
        assert!(
            text.len() >= 4 && text[..3].iter().all(u8::is_ascii_digit) && matches!(text[3], b' ' | b'-')
        );
        assert!(std::str::from_utf8(text).is_ok());
    }
}

/// What a server said and did.
#[derive(Debug, PartialEq, Eq, Default)]
struct Served {
    output: Vec<u8>,
    steps: Vec<Step>,
}

fn serve(input: &[u8], role: Role, tls: bool, starttls: bool, chunk: usize) -> Served {
    let bounds = limits();
    let settings =
        Settings { hostname: "mx.test".into(), role, tls, starttls, limits: bounds.clone(), tell: true };
    let mut session = Session::new(settings);
    let mut served = Served::default();
    let mut chunks = input.chunks(chunk);
    loop {
        let step = session.poll();
        let answer = match &step {
            Step::Input => {
                served.output.extend(session.take_output());
                for exchange in session.take_exchanges() {
                    drop(exchange);
                }
                match chunks.next() {
                    Some(octets) => session.receive(octets),
                    None => break,
                }
                continue;
            }
            Step::Sender { from, .. } | Step::Recipient { to: from } => {
                assert_path_survives(from);
                Answer::Accept(String::new())
            }
            Step::Message { envelope, message } => {
                assert!(message.len() <= bounds.message_octets_max);
                assert!((1..=bounds.recipients_max).contains(&envelope.recipients.len()));
                assert_message(message, bounds.text_line_octets_max);
                Answer::Accept("taken\r\n250 forged".into())
            }
            Step::StartTls => {
                served.output.extend(session.take_output());
                session.tls_started();
                assert_eq!(session.poll(), Step::Input, "what came before the handshake is forgotten");
                assert!(session.take_output().is_empty());
                served.steps.push(step);
                continue;
            }
            Step::Authenticate { initial: None, .. } => Answer::Challenge(b"r=nonce".to_vec()),
            Step::Authenticate { initial: Some(octets), .. } | Step::Response(octets) => {
                match octets.len() % 3 {
                    0 => Answer::Challenge(octets.clone()),
                    1 => Answer::Authenticated("user".into()),
                    _ => Answer::Refuse(Reply::new(535, EnhancedCode(5, 7, 8), "no")),
                }
            }
            Step::AuthenticationCancelled => {
                served.steps.push(step);
                continue;
            }
            Step::Close => {
                served.output.extend(session.take_output());
                session.receive(b"NOOP\r\n");
                assert_eq!(session.poll(), Step::Close, "the end is the end");
                assert!(session.take_output().is_empty());
                served.steps.push(step);
                break;
            }
        };
        served.steps.push(step);
        session.answer(answer);
    }
    assert_lines(&served.output);
    let lines = input.split(|octet| *octet == b'\n').count();
    // BDAT takes no line for its chunk, and a chunk may be empty.
    assert!(
        served.output.len() <= ANSWER_OCTETS_MAX * (lines + 2) + 2 * input.len(),
        "the output outgrew the input"
    );
    served
}

/// What is taken has lines that end with CRLF, of a bounded length, and travels on
/// unchanged.
fn assert_message(message: &[u8], line_octets_max: usize) {
    let mut stuffed = Vec::new();
    stuff_dots(message, &mut stuffed);
    let mut decoder = DataDecoder::new(message.len() + 2, line_octets_max + 2);
    assert_eq!(decoder.receive(&stuffed), (stuffed.len(), true), "the end of the message is where it is");
    let mut again = decoder.finish().expect("what was taken can be sent on");
    if !message.ends_with(b"\r\n") {
        again.truncate(message.len());
    }
    assert_eq!(again, message);
}

/// The message after DATA, its line ends and dots.
pub fn smtp_data(input: &[u8]) {
    const MESSAGE_OCTETS_MAX: usize = 1_500;
    const LINE_OCTETS_MAX: usize = 120;
    let decode = |chunk: usize| {
        let mut decoder = DataDecoder::new(MESSAGE_OCTETS_MAX, LINE_OCTETS_MAX);
        let mut used = 0;
        for octets in input.chunks(chunk) {
            let (taken, done) = decoder.receive(octets);
            used += taken;
            if done {
                return (used, true, decoder.finish());
            }
            assert_eq!(taken, octets.len(), "what is no end is taken");
        }
        (used, false, decoder.finish())
    };
    let outcomes = CHUNKS.map(decode);
    for outcome in &outcomes {
        assert_eq!(outcome, &outcomes[0], "the pieces in which octets arrive change nothing");
    }
    let [(used, done, result), ..] = outcomes;
    if done {
        assert!(used == 3 || input[..used].ends_with(b"\r\n.\r\n"), "only CRLF dot CRLF ends a message");
        if let Ok(message) = result {
            assert!(message.len() <= MESSAGE_OCTETS_MAX);
            assert_message(&message, LINE_OCTETS_MAX);
            let mut stuffed = Vec::new();
            stuff_dots(&message, &mut stuffed);
            if message.is_empty() || message.ends_with(b"\r\n") {
                assert!(stuffed.len() <= used, "stuffing is what a client does");
            }
        }
    }
    // Whatever is to be sent, it ends where it ends.
    let mut stuffed = Vec::new();
    stuff_dots(input, &mut stuffed);
    assert!(stuffed.len() <= 2 * input.len() + 5, "stuffing at most doubles");
    let mut decoder = DataDecoder::new(stuffed.len(), stuffed.len() + 2);
    assert_eq!(decoder.receive(&stuffed), (stuffed.len(), true));
    let message = decoder.finish();
    if input.contains(&0) {
        assert_eq!(message, Err(DataError::Nul));
    } else {
        let mut twice = Vec::new();
        stuff_dots(&message.expect("what is sent is well formed"), &mut twice);
        assert_eq!(twice, stuffed);
    }
    let mut session = b"EHLO a\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n".to_vec();
    session.extend_from_slice(input);
    let outcomes = CHUNKS.map(|chunk| serve(&session, Role::Exchange, true, false, chunk));
    for outcome in &outcomes {
        assert_eq!(outcome, &outcomes[0], "the pieces in which octets arrive change nothing");
    }
}

/// The replies of a server to a client.
pub fn smtp_reply(input: &[u8]) {
    let outcomes = CHUNKS.map(|chunk| replies(input, chunk));
    for outcome in &outcomes {
        assert_eq!(outcome, &outcomes[0], "the pieces in which octets arrive change nothing");
    }
    let sessions = CHUNKS.map(|chunk| converse(input, StartTls::Never, chunk));
    for session in &sessions {
        assert_eq!(session, &sessions[0], "the pieces in which octets arrive change nothing");
    }
    for starttls in [StartTls::IfOffered, StartTls::Required] {
        converse(input, starttls, 29);
    }
}

fn replies(input: &[u8], chunk: usize) -> Vec<Result<Reply, String>> {
    const LINE: usize = ReplyParser::LINE_OCTETS_MAX;
    let mut parser = ReplyParser::default();
    let mut seen = Vec::new();
    let mut pending = 0;
    for octets in input.chunks(chunk) {
        parser.receive(octets);
        pending += octets.len();
        loop {
            match parser.next_reply() {
                Ok(None) => break,
                Ok(Some(reply)) => {
                    pending = octets.len();
                    assert!(reply.lines().len() <= ReplyParser::LINES_MAX);
                    // Octets that are no UTF-8 become three.
                    assert!(reply.lines().iter().all(|line| line.len() <= 3 * LINE));
                    assert_lines(&written(&reply));
                    assert_rereads(&reply);
                    seen.push(Ok(reply));
                }
                Err(error) => {
                    seen.push(Err(error.to_string()));
                    return seen;
                }
            }
        }
        assert!(
            pending <= octets.len() + LINE * (ReplyParser::LINES_MAX + 1),
            "the reader buffers without bound"
        );
    }
    seen
}

/// What we write, we read as what it was, but for lines that were cut.
fn assert_rereads(reply: &Reply) {
    let mut parser = ReplyParser::default();
    parser.receive(&written(reply));
    let again = parser.next_reply().expect("a reply").expect("a whole one");
    assert!(parser.is_empty(), "one reply stays one");
    assert_eq!((again.code(), again.lines().len()), (reply.code(), reply.lines().len()));
    assert_eq!(again.is_positive(), reply.is_positive());
    if reply.enhanced().is_some() {
        assert_eq!(again.enhanced(), reply.enhanced());
    }
}

fn converse(input: &[u8], starttls: StartTls, chunk: usize) -> (Vec<u8>, Vec<String>) {
    let recipients: Vec<Address> = ["a@b.test", "c@d.test", "\"e f\"@g.test"]
        .iter()
        .map(|text| text.parse().expect("an address"))
        .collect();
    let message = Message {
        from: Path::Null,
        recipients: recipients.clone(),
        octets: Bytes::from_static(b"Subject: x\r\n\r\n.dot\r\n"),
        smtputf8: false,
    };
    let mut client = Client::new("client.test", starttls, false);
    let (mut output, mut steps, mut sent) = (Vec::new(), Vec::new(), 0);
    let mut chunks = input.chunks(chunk);
    loop {
        let step = client.poll();
        output.extend(client.take_output());
        match &step {
            Ok(ClientStep::Input) => match chunks.next() {
                Some(octets) => {
                    client.receive(octets);
                    continue;
                }
                None => break,
            },
            Ok(ClientStep::StartTls) => client.tls_started(),
            Ok(ClientStep::Ready) => {
                sent += 1;
                if sent > 2 {
                    client.quit();
                } else {
                    client.send(message.clone());
                }
            }
            Ok(ClientStep::Sent(outcome)) => {
                assert_eq!(outcome.recipients.len(), recipients.len(), "a word on each recipient");
            }
            Ok(ClientStep::Authenticated | ClientStep::AuthenticationFailed(_)) => panic!("nobody logs in"),
            Ok(ClientStep::Closed) | Err(_) => {
                steps.push(format!("{step:?}"));
                break;
            }
        }
        steps.push(format!("{step:?}"));
    }
    assert!(output.is_empty() || output.ends_with(b"\r\n"));
    assert!(output.len() <= 4_096, "a client says what it has to say");
    (output, steps)
}
