"""Load from the client's host, and the servers at the other end. Every measurement takes the address
where the services' ports are: the server's own, a forward's, or the one in somebody's tunnel."""

from __future__ import annotations

import json
import re
import socket
import sys

from ztna_lab.namespaces import Host, LabError, need, wait_for
from ztna_lab.programs import program

from .figures import Figure, in_turns
from .places import GAME, PERF, WEB, Place

GAME_RATE = 125  # datagrams a second, of 100 octets
_PAGE = "x" * 612
_NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx-error.log; user root;
events {{ worker_connections 4096; }}
http {{ access_log off; keepalive_requests 100000000;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{ listen 0.0.0.0:{port}; root {folder}/www; }} }}
"""


def serve(place: Place, web: bool = False):
    """iperf3 and a UDP echo on the server's host; with `web`, nginx too."""
    host, folder = place.server, place.lab.folder
    wanted = {f":{PERF} "}
    host.spawn("iperf3", need("iperf3", "iperf3"), "-s", "-p", str(PERF))
    host.spawn("echo", program("udp_latency"), "echo", str(GAME))
    if web:
        (folder / "www").mkdir()
        (folder / "www/index.html").write_text(_PAGE)
        (folder / "nginx.conf").write_text(_NGINX.format(folder=folder, port=WEB))
        host.spawn("nginx", need("nginx", "nginx"), "-c", str(folder / "nginx.conf"),
                   "-e", str(folder / "nginx-error.log"))
        wanted.add(f":{WEB} ")
    wait_for(lambda: all(port in host.run("ss", "-Hltn").stdout for port in wanted)
             and f":{GAME} " in host.run("ss", "-Hlun").stdout, "the servers")


def answers(client: Host, address: str) -> bool:
    """Does the UDP echo answer by this way now?"""
    with client.socket(socket.SOCK_DGRAM) as asking:
        asking.settimeout(0.3)
        try:
            asking.connect((address, GAME))
            asking.send(b"?")
            return asking.recv(16) == b"?"
        except OSError:
            return False


def iperf(client: Host, address: str, seconds: float, streams: int = 1, down: bool = False) -> float:
    """Gbit/s of goodput, without the first half second."""
    done = client.run(need("iperf3", "iperf3"), "-c", address, "-p", str(PERF), "-t", f"{seconds:g}",
                      "-O", "0.5", "-P", str(streams), "-J", *(["-R"] if down else []), check=False,
                      timeout=seconds + 30)
    report = json.loads(done.stdout or "{}")
    if "end" not in report or "sum_received" not in report["end"]:
        raise LabError(f"iperf3 at {address}: {report.get('error') or done.stderr.strip()}")
    return report["end"]["sum_received"]["bits_per_second"] / 1e9


def udp(client: Host, address: str, seconds: float, rate: int = GAME_RATE) -> dict[str, float]:
    """sent, received, p50_us, p99_us, jitter_us."""
    done = client.run(program("udp_latency"), "ping", address, str(GAME), str(rate), f"{seconds:g}",
                      "100", timeout=seconds + 30)
    return json.loads(done.stdout)


def wrk(client: Host, address: str, seconds: int, *extra: str) -> float:
    """Requests a second over 50 connections."""
    done = client.run(need("wrk", "wrk"), "-t1", "-c50", f"-d{seconds}s", *extra,
                      f"http://{address}:{WEB}/", timeout=seconds + 30)
    errors = re.search(r"Socket errors.*", done.stdout)
    if errors:
        print(f"  wrk at {address}: {errors.group()}", file=sys.stderr)
    return float(re.search(r"Requests/sec:\s+([\d.]+)", done.stdout).group(1))


def round_trips(rounds: int, seconds: float, place: Place, ways: dict[str, str]) -> list[Figure]:
    """Four figures of a stream of small datagrams; `ways`: way to address."""
    taken = in_turns(rounds, {way: (lambda a=address: udp(place.client, a, seconds))
                              for way, address in ways.items()})

    def samples(key: str) -> dict[str, list[float]]:
        return {way: [each[key] for each in all_of] for way, all_of in taken.items()}

    lost = {way: [each["sent"] - each["received"] for each in all_of] for way, all_of in taken.items()}
    rate = f"UDP {GAME_RATE}/s"
    return [Figure(f"{rate}, RTT p50", "µs", samples("p50_us")),
            Figure(f"{rate}, RTT p99", "µs", samples("p99_us")),
            Figure(f"{rate}, jitter", "µs", samples("jitter_us")),
            Figure(f"{rate}, lost in all", "packets", lost, summary=sum)]
