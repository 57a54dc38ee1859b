//! Requests of Transmission's RPC, which any page in a browser can send.

use bittorrent_node::rpc::{BATCH_MAX, Body, IDS_MAX, Ids};
use serde_json::{Map, Value};

/// The body of a POST.
pub fn transmission_rpc(input: &[u8]) {
    let requests = match Body::read(input) {
        Body::Single(request) => vec![request],
        Body::Batch(requests) => {
            assert!((1..=BATCH_MAX).contains(&requests.len()));
            requests
        }
    };
    for request in requests {
        let request = match request {
            Ok(request) => request,
            Err(malformed) => {
                // Whoever sent it hears so.
                assert!(malformed.answer().is_some_and(|answer| answer.is_object()));
                continue;
            }
        };
        assert!(!request.method.contains(['-', '_']));
        if let Ok(Ids::These(ids)) = request.ids() {
            assert!(ids.len() <= IDS_MAX);
        }
        for (name, _) in &request.arguments {
            assert!(request.argument(name).is_some());
            let _ = (request.text(name), request.flag(name));
        }
        let result = Map::from_iter([("hashString".to_owned(), Value::Null)]);
        for outcome in [Ok(result), Err("no".to_owned())] {
            let Some(answer) = request.answer(outcome) else { continue };
            assert!(serde_json::from_str::<Value>(&answer.to_string()).is_ok());
        }
    }
}
