//! Secrets that others may read are refused, wherever they are read.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use tests::utopia::{Utopia, command, run, said, told};

#[test]
fn a_secret_that_others_may_read_is_refused_at_a_reload_a_check_and_a_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let mut utopia = Some(Utopia::start(&data));
    let file = data.join("utopia.toml");
    let text = fs::read_to_string(&file).expect("the configuration");
    let own_certificate =
        "\n[tls]\ncertificate_file = \"tls/certificate.pem\"\nkey_file = \"secrets/tls-key.pem\"\n";
    fs::write(&file, text + own_certificate).expect("written");
    let check = || run(&["config", "check", file.to_str().expect("a name")]);
    told(check());
    for name in ["update.tsig", "dkim-rsa.pem", "tls-key.pem"] {
        let secret = data.join("secrets").join(name);
        let chmod = |mode| fs::set_permissions(&secret, Permissions::from_mode(mode)).expect("its mode");
        let refused = |output: std::process::Output| {
            let lines = said(&output);
            let lines: Vec<_> = lines.lines().filter(|line| line.contains("chmod")).collect();
            assert_eq!(output.status.code(), Some(1), "{}", said(&output));
            let remedy = format!("`chmod 600 {}`", secret.display());
            assert!(matches!(&lines[..], [line] if line.contains(&remedy)), "{}", said(&output));
        };
        let running = utopia.take().unwrap_or_else(|| Utopia::start(&data));
        told(running.ask(&["reload"]));
        chmod(0o644);
        refused(running.ask(&["reload"]));
        refused(check());
        running.stop();
        refused(command(&["up", "--data"]).arg(&data).output().expect("utopia runs"));
        chmod(0o600);
        told(check());
    }
}
