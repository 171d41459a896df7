"""wireguard-go: the server behind a forwarded port."""

from __future__ import annotations

from ztna_lab.namespaces import Host, need, run, wait_for

from .. import load
from ..places import Homes
from .peer import Peer, Way

PORT = 51820
CLIENT, SERVER = "10.91.1.1", "10.91.1.2"
# Its control socket goes to /run, which the program shall have for itself: `ip netns exec` has given it
# a view of the mounts of its own. It waits for its keys in the background.
_SCRIPT = """
mount -t tmpfs tmpfs /run
{{
  until wg setconf wg0 {conf}; do sleep 0.05; done
  ip addr add {address}/24 dev wg0 && ip link set dev wg0 up && echo configured
}} &
exec wireguard-go -f wg0
"""


class WireGuard(Peer):
    programs = {"wireguard-go": "wireguard-go/bookworm-backports", "wg": "wireguard-tools"}
    udp_forwards = (PORT,)

    def start(self, place: Homes) -> list[Way]:
        wg = need("wg", "wireguard-tools")
        keys = {host.name: run([wg, "genkey"]).stdout for host in (place.client, place.server)}
        public = {name: run([wg, "pubkey"], key).stdout.strip() for name, key in keys.items()}
        self._run(place, place.client, CLIENT, keys["client"],
                  f"PublicKey = {public['server']}\nAllowedIPs = {SERVER}/32\n"
                  f"Endpoint = {place.raw}:{PORT}\n")
        self._run(place, place.server, SERVER, keys["server"],
                  f"PublicKey = {public['client']}\nAllowedIPs = {CLIENT}/32\n")
        wait_for(lambda: load.answers(place.client, SERVER), "an answer through wireguard-go")
        return [Way("wireguard-go", SERVER)]

    @staticmethod
    def _run(place: Homes, host: Host, address: str, key: str, peer: str):
        conf = place.lab.folder / f"wg-{host.name}.conf"
        conf.touch(mode=0o600)
        conf.write_text(f"[Interface]\nPrivateKey = {key.strip()}\nListenPort = {PORT}\n[Peer]\n{peer}")
        host.spawn(f"wireguard-{host.name}", "sh", "-c", _SCRIPT.format(conf=conf, address=address),
                   ).wait_log("configured")
