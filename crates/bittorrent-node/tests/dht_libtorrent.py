# Nodes of libtorrent on loopback that do what lines on standard input say.
import sys
import time

import libtorrent as lt


def session():
    return lt.session({
        "listen_interfaces": "127.0.0.1:0",
        "enable_dht": True,
        "enable_lsd": False,
        "enable_upnp": False,
        "enable_natpmp": False,
        # Several nodes on one address, whose ids fit none.
        "dht_restrict_routing_ips": False,
        "dht_restrict_search_ips": False,
        "dht_prefer_verified_node_ids": False,
        "dht_enforce_node_id": False,
        "dht_bootstrap_nodes": "",
        "alert_mask": 0xFFFFFFFF,
    })


def wait(node, kind, pick, seconds=60):
    """The first alert of a kind that says something."""
    end = time.time() + seconds
    while time.time() < end:
        for alert in node.pop_alerts():
            if isinstance(alert, kind):
                picked = pick(alert)
                if picked is not None:
                    return picked
        time.sleep(0.02)
    return "nothing"


def start(count, known):
    nodes = [session() for _ in range(count)]
    time.sleep(1)
    for node in nodes:
        for other in nodes:
            if other is not node:
                node.add_dht_node(("127.0.0.1", other.listen_port()))
        for address in known:
            node.add_dht_node(address)
    time.sleep(3)
    return nodes


def obey(nodes, words):
    node, last = nodes[0], nodes[-1]
    sha1 = lambda digits: lt.sha1_hash(bytes.fromhex(digits))
    salt = lambda text: b"" if text == "-" else text.encode()
    match words:
        case ["peers", info_hash]:
            node.dht_get_peers(sha1(info_hash))
            peers = lambda alert: " ".join(f"{ip}:{port}" for ip, port in alert.peers()) or None
            return wait(node, lt.dht_get_peers_reply_alert, peers)
        case ["announce", info_hash, port]:
            last.dht_announce(sha1(info_hash), int(port), 0)
            time.sleep(3)
            return "announced"
        case ["put", text]:
            target = last.dht_put_immutable_item(text)
            wait(last, lt.dht_put_alert, lambda alert: "put")
            return str(target)
        case ["get", target]:
            node.dht_get_immutable_item(sha1(target))
            return wait(node, lt.dht_immutable_item_alert, lambda alert: alert.item.decode())
        case ["put-mutable", secret, public, salted, text]:
            last.dht_put_mutable_item(bytes.fromhex(secret), bytes.fromhex(public), text.encode(), salt(salted))
            return wait(last, lt.dht_put_alert, lambda alert: "put")
        case ["get-mutable", public, salted]:
            node.dht_get_mutable_item(bytes.fromhex(public), salt(salted))
            item = lambda alert: f"{alert.seq} {alert.item.decode()}" if alert.authoritative else None
            return wait(node, lt.dht_mutable_item_alert, item)
    return "no such command"


nodes = start(3, [])
print(*(node.listen_port() for node in nodes), flush=True)
for line in sys.stdin:
    words = line.split()
    if words[0] == "restart":
        # One that has stored nothing, and knows others only.
        nodes.clear()
        nodes = start(1, [(host, int(port)) for host, port in (word.split(":") for word in words[1:])])
        print("restarted", flush=True)
    else:
        print(obey(nodes, words), flush=True)
