"""openvpn: point to point over UDP, AES-128-GCM, the server behind a forwarded port."""

from __future__ import annotations

from ztna_lab.namespaces import Host, need, run, wait_for

from .. import load
from ..places import Homes
from .peer import Peer, Way

PORT = 1194
CLIENT, SERVER = "10.91.4.1", "10.91.4.2"


class OpenVpn(Peer):
    programs = {"openvpn": "openvpn", "openssl": "openssl"}
    udp_forwards = (PORT,)

    def start(self, place: Homes) -> list[Way]:
        prints = {host.name: self._certificate(place, host.name) for host in (place.client, place.server)}
        self._run(place, place.server, prints["client"], "--ifconfig", SERVER, CLIENT,
                  "--tls-server", "--dh", "none", "--port", str(PORT))
        client = self._run(place, place.client, prints["server"], "--ifconfig", CLIENT, SERVER,
                           "--tls-client", "--nobind", "--remote", place.raw, str(PORT))
        client.wait_log("Initialization Sequence Completed")
        wait_for(lambda: load.answers(place.client, SERVER), "an answer through openvpn")
        return [Way("openvpn", SERVER)]

    @staticmethod
    def _certificate(place: Homes, name: str) -> str:
        """A self-signed one; its fingerprint."""
        base = str(place.lab.folder / f"openvpn-{name}")
        openssl = need("openssl", "openssl")
        run([openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
             "-subj", f"/CN={name}", "-days", "2", "-keyout", f"{base}.key", "-out", f"{base}.crt"])
        text = run([openssl, "x509", "-in", f"{base}.crt", "-noout", "-fingerprint", "-sha256"]).stdout
        return text.strip().partition("=")[2]

    @staticmethod
    def _run(place: Homes, host: Host, fingerprint: str, *role: str):
        base = str(place.lab.folder / f"openvpn-{host.name}")
        return host.spawn(f"openvpn-{host.name}", need("openvpn", "openvpn"),
                          "--dev", "tun", "--proto", "udp", "--cert", f"{base}.crt", "--key",
                          f"{base}.key", "--peer-fingerprint", fingerprint,
                          "--data-ciphers", "AES-128-GCM", "--keepalive", "5", "30", "--persist-tun",
                          "--verb", "3", *role)
