//! A node of the distributed hash table that does what lines on its standard
//! input say, for trying it out against other programs:
//!
//! ```text
//! cargo run --example dht -- 127.0.0.1:0 [NODE:PORT …]
//! announce INFO_HASH PORT    peers INFO_HASH       node ADDRESS:PORT
//! put TEXT                   get TARGET            status
//! put-mutable SEED SALT TEXT get-mutable KEY SALT  (SALT may be -)
//! ```

use bittorrent::bencode;
use bittorrent::dht::{Item, PublicKey, SecretKey, Value, Wanted};
use bittorrent_node::dht::{Dht, Id, Options, PeersWanted, Wires};
use net::{Network, Shutdown};
use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let listen: SocketAddr = arguments.next().ok_or("the address to listen at is missing")?.parse()?;
    let nodes = arguments.map(|node| node.parse()).collect::<Result<_, _>>()?;
    let shutdown = Shutdown::new();
    let (wires, bound) = Wires::open(&Network::new(), &[listen], &shutdown)?;
    let look_up = Arc::new(|_| Box::pin(async { Ok(Vec::new()) }) as _);
    let dht = Dht::start(Options { nodes, ..Options::default() }, wires, look_up, &shutdown);
    println!("listening {}", bound.first().ok_or("bound to nothing")?);
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        match obey(&dht, &line).await {
            Ok(answer) => println!("{answer}"),
            Err(error) => println!("error {error}"),
        }
    }
    shutdown.finish(Duration::from_secs(5)).await;
    Ok(())
}

async fn obey(dht: &Dht, line: &str) -> Result<String, Box<dyn Error>> {
    let words: Vec<&str> = line.split(' ').collect();
    let id = |digits: &str| Id::from_hex(digits).ok_or("no 40 hexadecimal digits");
    let salt = |salt: &str| if salt == "-" { Vec::new() } else { salt.as_bytes().to_vec() };
    let shown = |item: Option<Item>| match item {
        Some(item) => format!("item {:?} {}", item.sequence(), item.value().octets().escape_ascii()),
        None => "nothing".to_owned(),
    };
    Ok(match words[..] {
        ["announce", info_hash, port] => {
            let finding = dht.announce(id(info_hash)?, Some(port.parse()?), false).await?;
            format!("announced {:?}", finding.finish().await?)
        }
        ["peers", info_hash] => {
            let finding = dht.peers(id(info_hash)?, PeersWanted::default()).await?;
            format!("peers {:?}", finding.all().await?.0)
        }
        ["node", address] => {
            dht.add_node(address.parse()?).await?;
            "added".to_owned()
        }
        ["put", text] => {
            let item = Item::Immutable(Value::encode(&bencode::Item::from(text))?);
            let target = item.target();
            format!("stored {} {target}", dht.put(item, None).await?)
        }
        ["get", target] => shown(dht.get(Wanted::Immutable(id(target)?)).await?),
        ["put-mutable", seed, salted, text] => {
            let secret = SecretKey::from_seed(&key(seed)?);
            let value = Value::encode(&bencode::Item::from(text))?;
            let item = dht.update(&secret, &salt(salted), value).await?;
            format!("stored {} {:?}", secret.public(), item.sequence())
        }
        ["get-mutable", digits, salted] => {
            let wanted = Wanted::Mutable { key: PublicKey(key(digits)?), salt: salt(salted) };
            shown(dht.get(wanted).await?)
        }
        ["status"] => format!("{:?}", dht.status().await?),
        _ => return Err("no such command".into()),
    })
}

/// The 32 octets that 64 hexadecimal digits stand for.
fn key(digits: &str) -> Result<[u8; 32], Box<dyn Error>> {
    let mut octets = [0; 32];
    for (octet, place) in octets.iter_mut().zip(0..) {
        *octet = u8::from_str_radix(digits.get(2 * place..2 * place + 2).ok_or("too short")?, 16)?;
    }
    Ok(octets)
}
