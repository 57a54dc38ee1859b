//! Publishing and its tracker: where others reach what belongs to a torrent.

use crate::Configuration;
use bittorrent_node::publish::Addresses;
use std::net::SocketAddr;

/// Under which addresses torrents name our tracker and web server, which listen
/// there.
pub(crate) fn addresses(
    configuration: &Configuration,
    udp: &[SocketAddr],
    http: &[SocketAddr],
    web: &[SocketAddr],
) -> Addresses {
    let host = |address: &SocketAddr| match &configuration.torrents.public_name {
        Some(name) => format!("{name}:{}", address.port()),
        None if address.ip().is_unspecified() => {
            format!("{}:{}", configuration.domain.trim_end_matches('.'), address.port())
        }
        None => address.to_string(),
    };
    let mut trackers: Vec<String> =
        udp.iter().map(|address| format!("udp://{}/announce", host(address))).collect();
    trackers.extend(http.iter().map(|address| format!("http://{}/announce", host(address))));
    let mut web: Vec<String> =
        web.iter().map(|address| format!("http://{}/torrents", host(address))).collect();
    // Under one name both families are one.
    for addresses in [&mut trackers, &mut web] {
        addresses.dedup();
    }
    Addresses { trackers, web }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn torrents_name_what_can_be_reached() {
        let mut configuration = Configuration::new("example.org");
        let (four, six) = (at("192.0.2.1:6969"), at("[2001:db8::1]:6969"));
        let told = addresses(&configuration, &[four, six], &[four], &[at("192.0.2.1:80")]);
        assert_eq!(
            told.trackers,
            [
                "udp://192.0.2.1:6969/announce",
                "udp://[2001:db8::1]:6969/announce",
                "http://192.0.2.1:6969/announce"
            ]
        );
        assert_eq!(told.web, ["http://192.0.2.1:80/torrents"]);
        let (all, all_six) = (at("0.0.0.0:6969"), at("[::]:6969"));
        assert_eq!(
            addresses(&configuration, &[all, all_six], &[], &[]).trackers,
            ["udp://example.org:6969/announce"]
        );
        configuration.torrents.public_name = Some("files.example.org".to_owned());
        let told = addresses(&configuration, &[four], &[], &[four]);
        assert_eq!(told.trackers, ["udp://files.example.org:6969/announce"]);
        assert_eq!(told.web, ["http://files.example.org:6969/torrents"]);
    }
}
