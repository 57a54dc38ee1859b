//! Requests of Transmission's RPC, read from the body of a POST: the old protocol
//! (up to 4.0) and JSON-RPC 2.0 (from 4.1 on). Names are compared without hyphens,
//! underscores and case, so that both spell them as they like.

use crate::session::plain;
use serde_json::{Map, Value, json};

/// Octets of a request: a torrent file of 30 MB in base64.
pub const REQUEST_OCTETS_MAX: usize = 40 * 1024 * 1024;
/// Requests of one batch (JSON-RPC 2.0).
pub const BATCH_MAX: usize = 100;
/// Torrents named in one request.
pub const IDS_MAX: usize = 20_000;

/// One request.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The method's plain name, e.g. `torrentget`.
    pub method: String,
    /// Its arguments.
    pub arguments: Map<String, Value>,
    dialect: Dialect,
}

/// How an answer is written.
#[derive(Debug, Clone, PartialEq)]
enum Dialect {
    Old {
        tag: Option<Value>,
    },
    /// Without id nothing is answered.
    JsonRpc {
        id: Option<Value>,
    },
}

/// All requests of one body.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// One.
    Single(Result<Request, Malformed>),
    /// Several (JSON-RPC 2.0).
    Batch(Vec<Result<Request, Malformed>>),
}

/// Why a request cannot be read.
#[derive(Debug, Clone, PartialEq)]
pub struct Malformed {
    why: String,
    dialect: Dialect,
    code: i64,
}

/// Which torrents a request is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ids {
    /// All.
    All,
    /// Those that did something a moment ago.
    Recent,
    /// These.
    These(Vec<Id>),
}

/// A torrent by its number or its info-hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Id {
    /// Its number in this run.
    Number(i64),
    /// Its info-hash in hexadecimal digits.
    Hash(String),
}

/// JSON-RPC's own codes for errors.
const PARSE_ERROR: i64 = -32_700;
const INVALID_REQUEST: i64 = -32_600;
/// Any failure of a method.
const FAILED: i64 = 1;

impl Body {
    /// Reads the body of a POST.
    pub fn read(octets: &[u8]) -> Self {
        let old = Dialect::Old { tag: None };
        match serde_json::from_slice::<Value>(octets) {
            Err(error) => Self::Single(Err(Malformed {
                why: format!("no JSON: {error}"),
                dialect: old,
                code: PARSE_ERROR,
            })),
            Ok(Value::Array(requests)) if requests.is_empty() || requests.len() > BATCH_MAX => {
                let why = format!("a batch has 1 to {BATCH_MAX} requests");
                let dialect = Dialect::JsonRpc { id: Some(Value::Null) };
                Self::Single(Err(Malformed { why, dialect, code: INVALID_REQUEST }))
            }
            Ok(Value::Array(requests)) => Self::Batch(requests.into_iter().map(Request::of).collect()),
            Ok(request) => Self::Single(Request::of(request)),
        }
    }
}

impl Request {
    fn of(value: Value) -> Result<Self, Malformed> {
        let Value::Object(mut fields) = value else {
            let dialect = Dialect::Old { tag: None };
            return Err(Malformed {
                why: "a request is an object".to_owned(),
                dialect,
                code: INVALID_REQUEST,
            });
        };
        let is_new = fields.get("jsonrpc").is_some();
        let (dialect, arguments) = if is_new {
            (Dialect::JsonRpc { id: fields.remove("id") }, fields.remove("params"))
        } else {
            (Dialect::Old { tag: fields.remove("tag") }, fields.remove("arguments"))
        };
        let malformed =
            |why: &str| Malformed { why: why.to_owned(), dialect: dialect.clone(), code: INVALID_REQUEST };
        let Some(Value::String(method)) = fields.get("method") else {
            return Err(malformed("no method name"));
        };
        let arguments = match arguments {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(arguments)) => arguments,
            Some(_) => return Err(malformed("the arguments are to be an object")),
        };
        Ok(Self { method: plain(method), arguments, dialect })
    }

    /// An argument, however it is spelled.
    pub fn argument(&self, name: &str) -> Option<&Value> {
        let name = plain(name);
        self.arguments.iter().find(|(other, _)| plain(other) == name).map(|(_, value)| value)
    }

    /// A text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.argument(name)?.as_str()
    }

    /// Yes or no; some clients write 1 and 0.
    pub fn flag(&self, name: &str) -> Option<bool> {
        let value = self.argument(name)?;
        value.as_bool().or_else(|| value.as_i64().map(|number| number != 0))
    }

    /// Which torrents it is about.
    ///
    /// # Errors
    /// When they are named in no way that there is.
    pub fn ids(&self) -> Result<Ids, String> {
        let one = |value: &Value| match value {
            Value::String(hash) => Ok(Id::Hash(hash.clone())),
            value => value.as_i64().map(Id::Number).ok_or_else(|| "ids: numbers or info-hashes".to_owned()),
        };
        match self.argument("ids") {
            None | Some(Value::Null) => Ok(Ids::All),
            Some(Value::String(text)) if plain(text) == "recentlyactive" => Ok(Ids::Recent),
            Some(Value::Array(ids)) if ids.len() > IDS_MAX => Err(format!("ids: more than {IDS_MAX}")),
            Some(Value::Array(ids)) => ids.iter().map(one).collect::<Result<_, _>>().map(Ids::These),
            Some(id) => one(id).map(|id| Ids::These(vec![id])),
        }
    }

    /// The answer; nothing to a notification.
    pub fn answer(&self, outcome: Result<Map<String, Value>, String>) -> Option<Value> {
        match &self.dialect {
            Dialect::Old { tag } => {
                let (arguments, result) = match outcome {
                    Ok(arguments) => (arguments, "success".to_owned()),
                    Err(why) => (Map::new(), why),
                };
                let mut answer = json!({"arguments": arguments, "result": result});
                if let (Value::Object(fields), Some(tag)) = (&mut answer, tag) {
                    fields.insert("tag".to_owned(), tag.clone());
                }
                Some(answer)
            }
            Dialect::JsonRpc { id } => {
                let id = id.clone()?;
                Some(match outcome {
                    Ok(result) => {
                        json!({"jsonrpc": "2.0", "result": snake_case(Value::Object(result)), "id": id})
                    }
                    Err(why) => failure(FAILED, &why, &id),
                })
            }
        }
    }
}

impl Malformed {
    /// The answer; nothing to a notification.
    pub fn answer(&self) -> Option<Value> {
        match &self.dialect {
            Dialect::Old { .. } => Some(json!({"arguments": {}, "result": self.why})),
            Dialect::JsonRpc { id } => {
                Some(failure(self.code, &self.why, id.as_ref().unwrap_or(&Value::Null)))
            }
        }
    }
}

fn failure(code: i64, why: &str, id: &Value) -> Value {
    json!({"jsonrpc": "2.0", "error": {"code": code, "message": why, "data": {"error_string": why}}, "id": id})
}

/// The keys of an answer as JSON-RPC 2.0 spells them.
fn snake_case(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            Value::Object(fields.into_iter().map(|(name, value)| (snake(&name), snake_case(value))).collect())
        }
        Value::Array(values) => Value::Array(values.into_iter().map(snake_case).collect()),
        value => value,
    }
}

fn snake(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
            snake.push(letter.to_ascii_lowercase());
        } else {
            snake.push(if letter == '-' { '_' } else { letter });
        }
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Request {
        match Body::read(text.as_bytes()) {
            Body::Single(Ok(request)) => request,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn both_protocols_are_read_and_answered_in_kind() {
        let old = read(r#"{"method":"torrent-get","arguments":{"ids":[1,"abc"],"fields":["id"]},"tag":7}"#);
        let new = read(
            r#"{"jsonrpc":"2.0","method":"torrent_get","params":{"ids":[1,"abc"],"fields":["id"]},"id":7}"#,
        );
        assert_eq!((&old.method, &old.arguments), (&new.method, &new.arguments));
        assert_eq!(old.ids(), Ok(Ids::These(vec![Id::Number(1), Id::Hash("abc".to_owned())])));
        let result =
            || json!({"torrent-added": {"hashString": "x", "bytesCompleted": 1}}).as_object().cloned();
        assert_eq!(
            old.answer(Ok(result().expect("an object"))),
            Some(json!({"arguments": {"torrent-added": {"hashString": "x", "bytesCompleted": 1}},
                "result": "success", "tag": 7}))
        );
        assert_eq!(
            new.answer(Ok(result().expect("an object"))),
            Some(json!({"jsonrpc": "2.0", "id": 7,
                "result": {"torrent_added": {"hash_string": "x", "bytes_completed": 1}}}))
        );
        assert_eq!(old.answer(Err("no".to_owned())).expect("an answer")["result"], "no");
        assert_eq!(new.answer(Err("no".to_owned())).expect("an answer")["error"]["message"], "no");
        let silent = read(r#"{"jsonrpc":"2.0","method":"session_close"}"#);
        assert_eq!(silent.answer(Ok(Map::new())), None);
    }

    #[test]
    fn torrents_are_named_in_many_ways_and_so_many_only() {
        let ids = |ids: Value| {
            read(&json!({"method": "torrent-stop", "arguments": {"ids": ids}}).to_string()).ids()
        };
        assert_eq!(ids(json!(5)), Ok(Ids::These(vec![Id::Number(5)])));
        assert_eq!(ids(json!("recently-active")), Ok(Ids::Recent));
        assert_eq!(ids(json!("recently_active")), Ok(Ids::Recent));
        assert_eq!(ids(json!("ab")), Ok(Ids::These(vec![Id::Hash("ab".to_owned())])));
        assert_eq!(ids(Value::Null), Ok(Ids::All));
        assert_eq!(read(r#"{"method":"torrent-stop"}"#).ids(), Ok(Ids::All));
        assert!(ids(json!([1.5])).is_err() && ids(json!([[1]])).is_err() && ids(json!(true)).is_err());
        assert!(ids(json!(vec![1; IDS_MAX])).is_ok() && ids(json!(vec![1; IDS_MAX + 1])).is_err());
    }

    #[test]
    fn what_is_no_request_is_answered_too() {
        for wrong in ["", "{", "5", "{}", r#"{"method":5}"#, r#"{"method":"x","arguments":[]}"#, "[]", "[5]"]
        {
            let answer = match Body::read(wrong.as_bytes()) {
                Body::Single(Err(malformed)) => malformed.answer(),
                Body::Batch(several) => several.first().and_then(|one| one.as_ref().err()?.answer()),
                other @ Body::Single(Ok(_)) => panic!("{wrong}: {other:?}"),
            };
            assert!(answer.is_some(), "{wrong}");
        }
        let batch = |count: usize| {
            Body::read(json!(vec![json!({"jsonrpc": "2.0", "method": "x"}); count]).to_string().as_bytes())
        };
        assert!(matches!(batch(BATCH_MAX), Body::Batch(all) if all.len() == BATCH_MAX));
        assert!(matches!(batch(BATCH_MAX + 1), Body::Single(Err(_))));
        // Nesting that would overflow a stack.
        assert!(matches!(Body::read("[".repeat(100_000).as_bytes()), Body::Single(Err(_))));
    }

    proptest! {
        #[test]
        fn garbage_never_panics(octets in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Body::read(&octets);
        }
    }
}
