"""Figures of the whole system, through real processes in network namespaces on veth:

    client ── Intermediate ── Connector

each against the raw path (the Intermediate's host routing between the same two hosts) in the same
run. Prints a table and stores JSON. Root only. Touches nothing outside the namespaces it makes.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time

CLIENT, MIDDLE, SERVER = "10.81.1.2", "10.81.1.1", "10.81.2.2"
MIDDLE_SERVER = "10.81.2.1"  # the Intermediate's other interface
POLICY = """
[[serve]]
connectors = ["*"]
services = ["perf", "web", "game"]
[[allow]]
agents = ["*"]
services = ["perf", "web", "game"]
"""


def sh(*argv: str, check: bool = True) -> str:
    done = subprocess.run(argv, capture_output=True, text=True)
    if check and done.returncode != 0:
        raise SystemExit(f"{' '.join(argv)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


class Bench:
    def __init__(self, binaries: pathlib.Path):
        self.bin = binaries.resolve()
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="ztna-bench-"))
        tag = f"{os.getpid():x}"
        self.hosts = {name: f"zb-{tag}-{name}" for name in ("client", "middle", "server")}
        self.children: list[subprocess.Popen] = []

    # --- hosts
    def __enter__(self):
        for name in self.hosts.values():
            sh("ip", "netns", "add", name)
            sh("ip", "-n", name, "link", "set", "dev", "lo", "up")
        self.link("client", "middle", f"{CLIENT}/24", f"{MIDDLE}/24")
        self.link("server", "middle", f"{SERVER}/24", f"{MIDDLE_SERVER}/24")
        self.run("client", "ip", "route", "add", "default", "via", MIDDLE)
        self.run("server", "ip", "route", "add", "default", "via", MIDDLE_SERVER)
        self.run("middle", "sysctl", "-qw", "net.ipv4.ip_forward=1")
        return self

    def __exit__(self, *_):
        for child in reversed(self.children):
            child.terminate()
        for child in self.children:
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
        for name in self.hosts.values():
            sh("ip", "netns", "del", name, check=False)
        shutil.rmtree(self.dir, ignore_errors=True)

    def link(self, a: str, b: str, address_a: str, address_b: str):
        sh("ip", "-n", self.hosts[a], "link", "add", f"to-{b}", "type", "veth", "peer", "name", f"to-{a}",
           "netns", self.hosts[b])
        for host, peer, address in ((a, b, address_a), (b, a, address_b)):
            sh("ip", "-n", self.hosts[host], "addr", "add", address, "dev", f"to-{peer}")
            sh("ip", "-n", self.hosts[host], "link", "set", "dev", f"to-{peer}", "up")

    def inside(self, host: str, *argv: str) -> list[str]:
        return ["ip", "netns", "exec", self.hosts[host], *argv]

    def run(self, host: str, *argv: str, timeout: float = 200) -> str:
        done = subprocess.run(self.inside(host, *argv), capture_output=True, text=True, timeout=timeout)
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(argv)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def start(self, host: str, *argv: str, log: str | None = None) -> subprocess.Popen:
        output = (self.dir / f"{log}.log").open("ab") if log else subprocess.DEVNULL
        # ip netns exec replaces itself by the program, so the pid is the program's.
        child = subprocess.Popen(self.inside(host, *argv), stdout=output, stderr=output,
                                 stdin=subprocess.DEVNULL)
        self.children.append(child)
        return child

    def stop(self, child: subprocess.Popen):
        child.terminate()
        child.wait(10)
        self.children.remove(child)

    # --- the system
    def ztna(self, *argv: str):
        sh(str(self.bin / "ztna"), *argv)

    def status(self, name: str) -> dict:
        text = sh("curl", "-s", "--unix-socket", str(self.dir / f"{name}.sock"),
                  "http://localhost/v1/status", check=False)
        return json.loads(text) if text else {}

    def wait(self, name: str, condition, what: str):
        for _ in range(500):
            status = self.status(name)
            if status and condition(status):
                return
            time.sleep(0.02)
        log = self.dir / f"{name}.log"
        raise SystemExit(f"{name}: not {what}\n{log.read_text() if log.exists() else ''}")

    def system(self):
        ca, d = str(self.dir / "ca"), self.dir
        self.ztna("ca", "init", "--trust-domain", "bench.test", "--out", ca)
        addresses = f"{MIDDLE},{MIDDLE_SERVER},127.0.0.1"
        for role, extra in (("intermediate", ["--ip", addresses]), ("connector", ["--serve", "*"]), ("agent", [])):
            self.ztna("ca", "issue", "--ca-dir", ca, "--role", role, "--name", "bench", *extra,
                      "--out", str(d / role))
        (d / "policy.toml").write_text(POLICY)
        common = ["--health", "off"]
        policy = ["--policy", str(d / "policy.toml")]
        self.intermediate = self.start(
            "middle", str(self.bin / "intermediate-server"), "--listen", "0.0.0.0:4433",
            "--max-uplinks-per-identity", "10000",  # idle_uplinks all have one
            "--cert-dir", str(d / "intermediate"), "--control", str(d / "intermediate.sock"), *policy, *common,
            log="intermediate")
        self.wait("intermediate", lambda s: s.get("ready"), "ready")
        self.connector = self.start(
            "server", str(self.bin / "app-connector"), "--intermediate", f"{MIDDLE_SERVER}:4433",
            "--cert-dir", str(d / "connector"), "--control", str(d / "connector.sock"), *policy, *common,
            "--service", "perf=tcp://127.0.0.1:5201", "--service", "web=tcp://127.0.0.1:8080",
            "--service", "game=udp://127.0.0.1:27960", log="connector")
        self.wait("connector", lambda s: s["uplinks"][0]["state"] == "up", "connected")
        self.agent = self.start(
            "client", str(self.bin / "ztna-agent"), "--intermediate", f"{MIDDLE}:4433", "--no-p2p",
            "--cert-dir", str(d / "agent"), "--control", str(d / "agent.sock"), *common,
            "--forward", "tcp://127.0.0.1:5201=perf", "--forward", "tcp://127.0.0.1:8080=web",
            "--forward", "udp://127.0.0.1:27960=game", log="agent")
        self.wait("agent", lambda s: len(s.get("services", [])) == 3, "connected")

    def cpu_seconds(self) -> dict[str, float]:
        tick = os.sysconf("SC_CLK_TCK")
        seconds = {}
        for name in ("intermediate", "connector", "agent"):
            fields = pathlib.Path(f"/proc/{getattr(self, name).pid}/stat").read_text().rsplit(")", 1)[1].split()
            seconds[name] = (int(fields[11]) + int(fields[12])) / tick
        return seconds

    def memory_kib(self, child: subprocess.Popen) -> int:
        text = pathlib.Path(f"/proc/{child.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", text).group(1))

    # --- measurements; `host` is where the client connects to
    def iperf(self, host: str, seconds: int, streams: int, reverse: bool = False) -> float:
        argv = ["iperf3", "-c", host, "-p", "5201", "-t", str(seconds), "-P", str(streams), "-J"]
        report = json.loads(self.run("client", *argv, *(["-R"] if reverse else [])))
        return report["end"]["sum_received"]["bits_per_second"] / 1e9

    def udp(self, host: str, seconds: float) -> dict:
        return json.loads(self.run("client", str(self.bin / "udp_latency"), "ping", host, "27960", "125",
                                   str(seconds), "100"))

    def wrk(self, host: str, seconds: int, *extra: str) -> float:
        text = self.run("client", "wrk", "-t1", "-c50", f"-d{seconds}s", *extra, f"http://{host}:8080/")
        errors = re.search(r"(Socket errors.*)", text)
        if errors:
            print(f"  wrk at {host}: {errors.group(1)}", file=sys.stderr)
        return float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1))

    def backends(self):
        (self.dir / "www").mkdir()
        (self.dir / "www/index.html").write_text("x" * 612)
        (self.dir / "nginx.conf").write_text(f"""
daemon off; worker_processes 1; pid {self.dir}/nginx.pid; error_log {self.dir}/nginx-error.log; user root;
events {{ worker_connections 4096; }}
http {{ access_log off; keepalive_requests 100000000;
  client_body_temp_path {self.dir}/b; proxy_temp_path {self.dir}/p; fastcgi_temp_path {self.dir}/f;
  uwsgi_temp_path {self.dir}/u; scgi_temp_path {self.dir}/s;
  server {{ listen 0.0.0.0:8080; root {self.dir}/www; }} }}
""")
        os.chmod(self.dir, 0o755)
        self.start("server", "iperf3", "-s", "-p", "5201")
        self.start("server", "nginx", "-c", str(self.dir / "nginx.conf"), "-e", str(self.dir / "nginx-error.log"))
        self.start("server", str(self.bin / "udp_latency"), "echo", "27960")
        time.sleep(1)  # three servers; the first measurement fails loudly where this is too short

    def idle_uplinks(self, count: int) -> float:
        """KiB resident at the Intermediate for each idle uplink."""
        before = self.memory_kib(self.intermediate)
        child = subprocess.Popen(
            self.inside("middle", str(self.bin / "idle_uplinks"), "127.0.0.1:4433", str(self.dir / "agent"),
                        str(count)), stdout=subprocess.PIPE, text=True)
        self.children.append(child)
        ready, _, _ = select.select([child.stdout], [], [], 30 + count / 20)
        line = child.stdout.readline().strip() if ready else "not up in time"
        if line != f"up {count}":
            raise SystemExit(f"idle_uplinks: {line or 'ended early'}")
        time.sleep(2)  # handshake buffers are given back
        after = self.memory_kib(self.intermediate)
        self.stop(child)
        return (after - before) / count


def measure(bench: Bench, quick: bool) -> list[dict]:
    seconds, udp_seconds, uplinks = (3, 5, 500) if quick else (10, 60, 2000)
    rows: list[dict] = []

    def row(name: str, unit: str, raw: float | None, ours: float, target: str = ""):
        rows.append({"name": name, "unit": unit, "raw": raw, "relay": ours, "target": target})
        print(f"  {name}: {ours:.4g} {unit}", file=sys.stderr)

    bench.backends()
    bench.system()
    raw, ours = SERVER, "127.0.0.1"
    cpu = bench.cpu_seconds()
    gigabits = bench.iperf(ours, seconds, 1)
    used = {name: after - cpu[name] for name, after in bench.cpu_seconds().items()}
    row("TCP, 1 stream, up", "Gbit/s", bench.iperf(raw, seconds, 1), gigabits, "≥ 2.0")
    for name, value in used.items():
        row(f"CPU, {name}", "s/Gbit", None, value / (gigabits * seconds))
    row("TCP, 1 stream, down", "Gbit/s", bench.iperf(raw, seconds, 1, True),
        bench.iperf(ours, seconds, 1, True), "≥ 2.0")
    row("TCP, 8 streams, up", "Gbit/s", bench.iperf(raw, seconds, 8), bench.iperf(ours, seconds, 8))
    direct, relayed = bench.udp(raw, udp_seconds), bench.udp(ours, udp_seconds)
    row("UDP 125/s, RTT p50", "µs", direct["p50_us"], relayed["p50_us"], "added ≤ 250")
    row("UDP 125/s, RTT p99", "µs", direct["p99_us"], relayed["p99_us"])
    row("UDP 125/s, jitter", "µs", direct["jitter_us"], relayed["jitter_us"])
    row("UDP 125/s, lost", "packets", direct["sent"] - direct["received"],
        relayed["sent"] - relayed["received"], "0")
    row("HTTP, 50 connections", "req/s", bench.wrk(raw, seconds), bench.wrk(ours, seconds))
    row("new flows (HTTP, connection: close)", "flows/s", bench.wrk(raw, seconds, "-H", "Connection: close"),
        bench.wrk(ours, seconds, "-H", "Connection: close"))
    for name in ("intermediate", "connector", "agent"):
        row(f"resident memory, {name}", "MiB", None, bench.memory_kib(getattr(bench, name)) / 1024)
    row(f"idle uplink ({uplinks} of them)", "KiB", None, bench.idle_uplinks(uplinks), "≤ 64")
    return rows


def table(rows: list[dict]) -> str:
    lines = ["| | raw path | over the relay | ratio | to reach |", "|---|---|---|---|---|"]
    for r in rows:
        raw = "" if r["raw"] is None else f"{r['raw']:.4g}"
        ratio = "" if not r["raw"] else f"{r['relay'] / r['raw']:.2f}"
        lines.append(f"| {r['name']} ({r['unit']}) | {raw} | {r['relay']:.4g} | {ratio} | {r['target']} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=pathlib.Path, default=pathlib.Path("build/release/bin"))
    parser.add_argument("--quick", action="store_true", help="shorter measurements")
    parser.add_argument("--json", type=pathlib.Path, default=pathlib.Path("build/figures.json"),
                        help="where to store the figures (default: %(default)s)")
    parser.add_argument("--no-micro", action="store_true", help="leave the in-memory benchmarks out")
    args = parser.parse_args()
    if os.geteuid() != 0:
        raise SystemExit("network namespaces need root: sudo bench/run")
    with Bench(args.bin) as bench:
        rows = measure(bench, args.quick)
    print(table(rows))
    micro = {}
    if not args.no_micro:
        text = sh(str(args.bin / "bench_quic"), "--benchmark_format=json",
                  "--benchmark_min_time=" + ("0.2" if args.quick else "1"))
        micro = json.loads(text)
        print("\n| in memory, one core | time | rate |\n|---|---|---|")
        for b in micro["benchmarks"]:
            rate = b.get("bytes_per_second")
            shown = f"{rate * 8 / 1e9:.1f} Gbit/s" if rate else ""
            print(f"| {b['name']} | {b['real_time']:.4g} {b['time_unit']} | {shown} |")
    args.json.parent.mkdir(parents=True, exist_ok=True)
    args.json.write_text(json.dumps({"when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                                     "system": rows, "memory": micro}, indent=1))
    print(f"\nstored in {args.json}", file=sys.stderr)


if __name__ == "__main__":
    main()
