# libtorrent as a client, with nothing beside the transfer.
# Arguments: torrent file, folder, listen address, seed's address or -, tcp|utp|rc4.
import sys, time, libtorrent as lt
file, folder, listen, seed, over = sys.argv[1:6]
policy = lt.enc_policy.forced if over == "rc4" else lt.enc_policy.disabled
session = lt.session({
    "listen_interfaces": listen, "enable_dht": False, "enable_lsd": False, "enable_upnp": False,
    "enable_natpmp": False, "enable_outgoing_utp": over == "utp", "enable_incoming_utp": over == "utp",
    "enable_outgoing_tcp": over != "utp", "enable_incoming_tcp": over != "utp",
    "allow_multiple_connections_per_ip": True, "out_enc_policy": int(policy), "in_enc_policy": int(policy),
    "allowed_enc_level": int(lt.enc_level.rc4), "prefer_rc4": True, "alert_mask": 0})
parameters = lt.add_torrent_params()
parameters.ti = lt.torrent_info(file)
parameters.save_path = folder
parameters.flags &= ~(lt.torrent_flags.paused | lt.torrent_flags.auto_managed)
torrent = session.add_torrent(parameters)
if seed != "-":
    host, port = seed.rsplit(":", 1)
    torrent.connect_peer((host, int(port)))
while True:
    time.sleep(60)
