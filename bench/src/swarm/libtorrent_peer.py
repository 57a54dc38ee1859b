# A peer of libtorrent with its default settings: TORRENT FOLDER ADDRESS.
# Says "done" when it has all, and stays.
import sys, time
import libtorrent

torrent, folder, address = sys.argv[1:4]
session = libtorrent.session({"listen_interfaces": address + ":6881"})
parameters = libtorrent.add_torrent_params()
parameters.ti = libtorrent.torrent_info(torrent)
parameters.save_path = folder
handle = session.add_torrent(parameters)
while not handle.status().is_seeding:
    time.sleep(0.05)
print("done", flush=True)
while True:
    time.sleep(1)
