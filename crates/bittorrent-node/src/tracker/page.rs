//! What the tracker shows of itself over HTTP: a page for people, and metrics in
//! the OpenMetrics text format.

use super::stats::Stats;
use std::io::Write as _;

/// What the metrics are served as.
pub(super) const METRICS_KIND: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The page; it loads itself anew every few seconds.
pub(super) fn html(stats: &Stats, body: &mut Vec<u8>) {
    let sizes = &stats.sizes;
    let rows = [
        ("torrents", sizes.torrents_ipv4, sizes.torrents_ipv6),
        ("peers", sizes.peers_ipv4, sizes.peers_ipv6),
    ];
    let counts = [
        ("announces over UDP", stats.udp_announces),
        ("announces over HTTP", stats.http_announces),
        ("of them downloads that ended", stats.completed),
        ("connections given over UDP", stats.connects),
        ("scrapes", stats.scrapes),
        ("refused", stats.refused),
    ];
    // Memory takes what is written.
    let _ = write!(
        body,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta http-equiv=\"refresh\" content=\"5\"><title>Tracker</title><style>\
         :root{{color-scheme:light dark}}body{{font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:2rem auto;\
         padding:0 1.25rem}}table{{border-collapse:collapse;width:100%;margin:0 0 1.5rem}}\
         th,td{{text-align:right;padding:.35rem 0;border-bottom:1px solid #8885;font-variant-numeric:tabular-nums}}\
         th:first-child{{text-align:left}}th{{font-weight:400}}</style></head><body><h1>Tracker</h1>\
         <p>Up for {}.</p><table><thead><tr><th>known now</th><th>IPv4</th><th>IPv6</th></tr></thead><tbody>",
        span(stats.uptime_seconds)
    );
    for (what, four, six) in rows {
        let _ = write!(body, "<tr><th scope=\"row\">{what}</th><td>{four}</td><td>{six}</td></tr>");
    }
    let _ = write!(
        body,
        "</tbody></table><table><thead><tr><th>since it started</th><th></th></tr></thead><tbody>"
    );
    for (what, count) in counts {
        let _ = write!(body, "<tr><th scope=\"row\">{what}</th><td>{count}</td></tr>");
    }
    let _ = write!(
        body,
        "</tbody></table><p><a href=\"/stats\">The same as JSON</a> · <a href=\"/metrics\">Metrics</a></p>\
         </body></html>"
    );
}

/// The metrics. Those that a whole host counts, too, are called as there.
pub(super) fn metrics(stats: &Stats, body: &mut Vec<u8>) {
    let sizes = &stats.sizes;
    let by_family = [
        ("tracker_torrents", "Torrents that have peers", [sizes.torrents_ipv4, sizes.torrents_ipv6]),
        ("tracker_peers", "Peers that are known", [sizes.peers_ipv4, sizes.peers_ipv6]),
    ];
    for (name, help, counts) in by_family {
        // Memory takes what is written.
        let _ = writeln!(body, "# HELP utopia_{name} {help}.\n# TYPE utopia_{name} gauge");
        for (family, count) in ["ipv4", "ipv6"].iter().zip(counts) {
            let _ = writeln!(body, "utopia_{name}{{family=\"{family}\"}} {count}");
        }
    }
    let outcomes = [
        ("connect", stats.connects),
        ("announce", stats.udp_announces + stats.http_announces),
        ("scrape", stats.scrapes),
        ("refused", stats.refused),
    ];
    let name = "utopia_tracker_requests";
    let _ = writeln!(
        body,
        "# HELP {name} Requests to the tracker, by what became of them.\n# TYPE {name} counter"
    );
    for (outcome, count) in outcomes {
        let _ = writeln!(body, "{name}_total{{outcome=\"{outcome}\"}} {count}");
    }
    let name = "utopia_tracker_completed";
    let _ = writeln!(
        body,
        "# HELP {name} Downloads whose end was announced to the tracker.\n# TYPE {name} counter\n\
         {name}_total {}\n# EOF",
        stats.completed
    );
}

/// A span of time in words.
fn span(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}
