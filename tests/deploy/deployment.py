"""The packages of the build under test, and what they must do on a machine from installation to purge."""

from __future__ import annotations

import json
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import threading

from machine import Machine, need, wait_for

from ztna import BIN, Process

SOURCE = pathlib.Path(__file__).resolve().parents[2]
ROLES = ("intermediate", "connector", "agent")
PACKAGES = ("ztna", *(f"ztna-{role}" for role in ROLES))
NEWER = "99.1.0"

POLICY = """
[[serve]]
connectors = ["home"]
services = ["web"]
[[allow]]
agents = ["alice"]
services = ["web"]
"""
# Sends octets slowly, so that a download lasts as long as a test wants: until the file "enough" exists.
SERVER = """
import http.server, pathlib, sys, time
class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *of): pass
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        sent = 0
        while self.path == "/slow" and not pathlib.Path(sys.argv[2]).exists():
            self.wfile.write(b"%09d\\n" % sent)
            sent += 1
            time.sleep(0.01)
        self.wfile.write(b"end\\n")
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def run(*argv: object, check: bool = True, **options) -> subprocess.CompletedProcess:
    done = subprocess.run([str(a) for a in argv], **{"capture_output": True, "text": True, "timeout": 300, **options})
    if check and done.returncode != 0:
        raise AssertionError(f"{argv}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def package(out: pathlib.Path, *arguments: str) -> list[pathlib.Path]:
    done = run(SOURCE / "scripts/package", "--build", BIN.parent, "--out", out, *arguments)
    return [pathlib.Path(line) for line in done.stdout.splitlines()]


def dependencies(deb: pathlib.Path) -> set[str]:
    """The names of the packages that it asks for."""
    return {name.split()[0] for name in run("dpkg-deb", "--field", deb, "Depends").stdout.split(", ")}


def check_lintian(debs: list[pathlib.Path]):
    done = run(need("lintian"), "--fail-on", "error", "--no-tag-display-limit", "--allow-root", *debs, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def newer_of(debs: list[pathlib.Path], out: pathlib.Path) -> list[pathlib.Path]:
    """The same packages with a higher version."""
    out.mkdir()
    made = []
    for deb in debs:
        tree = out / "tree"
        run("dpkg-deb", "--raw-extract", deb, tree)
        control = tree / "DEBIAN/control"
        control.write_text(re.sub(r"(?m)^Version: .*$", f"Version: {NEWER}-1", control.read_text()))
        made.append(out / deb.name.replace(deb.name.split("_")[1], f"{NEWER}-1"))
        run("dpkg-deb", "-Zgzip", "-z1", "--root-owner-group", "--build", tree, made[-1])
        shutil.rmtree(tree)
    return made


class Deployment:
    """The three daemons on one machine, as services, with a page behind them."""

    def __init__(self, machine: Machine, folder: pathlib.Path):
        self.machine = machine
        self.ztna = "ztna"
        self.enough = folder / "enough"
        server = folder / "server.py"
        server.write_text(SERVER)
        # The machine's network is its own: these ports are free there.
        self.server = Process("server", [sys.executable, str(server), "8000", str(self.enough)],
                              folder / "server.log", tuple(machine.network))

    def configure(self):
        m = self.machine
        m.run(self.ztna, "ca", "init", "--trust-domain", "example.org", "--out", "/root/ca", "--force")
        for role, name, *more in (("intermediate", "relay", "--ip", "127.0.0.1"),
                                  ("connector", "home", "--serve", "web"), ("agent", "alice")):
            m.run(self.ztna, "ca", "issue", "--ca-dir", "/root/ca", "--role", role, "--name", name, *more,
                  "--out", f"/etc/ztna/{role}")
        m.write("/etc/ztna/policy.toml", POLICY)
        for role, text in (("intermediate", "ZTNA_LISTEN=127.0.0.1:4433\n"),
                           ("connector", "ZTNA_INTERMEDIATE=127.0.0.1:4433\nZTNA_SERVICE=web=tcp://127.0.0.1:8000\n"
                            "ZTNA_AUDIT_LOG=/var/lib/ztna/connector/audit.jsonl\n"),
                           # A privileged port: the unit grants it.
                           ("agent", "ZTNA_INTERMEDIATE=127.0.0.1:4433\nZTNA_FORWARD=tcp://127.0.0.1:80=web\n"
                            "ZTNA_NO_P2P=1\n")):
            with m.path(f"/etc/ztna/{role}.env").open("a") as file:
                file.write(text)

    def start(self):
        for role in ROLES:
            done = self.machine.run("systemctl", "enable", "--now", f"ztna-{role}", check=False)
            assert done.returncode == 0, done.stderr + self.machine.journal(f"ztna-{role}")

    def fetch(self, path: str = "/") -> str:
        done = run(*self.machine.network, "curl", "--silent", "--show-error", "--noproxy", "*", "--max-time", "60",
                   f"http://127.0.0.1{path}", check=False)
        return done.stdout if done.returncode == 0 else ""

    def wait_reachable(self):
        wait_for(lambda: self.fetch() == "end\n", "a page through the services", 30)

    def state(self, name: str) -> dict[str, str]:
        return {role: self.machine.property(f"ztna-{role}", name) for role in ROLES}

    def download(self):
        """In the background, until finish_download()."""
        self.got: list[str] = []
        self.downloading = threading.Thread(target=lambda: self.got.append(self.fetch("/slow")))
        self.downloading.start()

    def finish_download(self):
        self.enough.touch()
        self.downloading.join(60)
        self.enough.unlink()
        lines = self.got[0].splitlines()
        assert len(lines) > 10 and lines == [*(f"{n:09d}" for n in range(len(lines) - 1)), "end"]


def check_doctor(machine: Machine):
    """It knows what the units say besides the file, also of a path that does not begin at the root."""
    for role in ROLES:
        done = machine.run("sh", "-c", f"cd /etc/ztna && ztna doctor --env ./{role}.env --json", check=False)
        findings = {each["check"]: each for each in json.loads(done.stdout)}
        assert f"/etc/ztna/{role}/cert.pem" in findings["config"]["text"], findings
        assert findings["certificate"]["status"] == findings["policy"]["status"] == "ok" or role == "agent", findings


def check_not_started(machine: Machine):
    for role in ROLES:
        unit = f"ztna-{role}"
        assert machine.property(unit, "UnitFileState") == "disabled"
        assert machine.property(unit, "ActiveState") == "inactive"
        # Started without a configuration it says what is missing, once.
        assert machine.run("systemctl", "start", unit, check=False).returncode != 0
        assert machine.property(unit, "ActiveState") == "failed" and machine.property(unit, "NRestarts") == "0"
        assert f"/etc/ztna/{role}/cert.pem" in machine.journal(unit) or "--intermediate" in machine.journal(unit)


def check_sandbox(machine: Machine, role: str):
    unit = f"ztna-{role}"
    pid = machine.property(unit, "MainPID")
    status = dict(line.split(":\t", 1) for line in
                  machine.run("cat", f"/proc/{pid}/status").stdout.splitlines() if ":\t" in line)
    user = machine.run("id", "--user", unit).stdout.strip()
    assert status["Uid"].split() == [user] * 4 and user != "0"
    assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
    granted = 0 if role == "connector" else 1 << 10  # CAP_NET_BIND_SERVICE
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == granted
    # The key is the service's to read, nobody else's, and not to change.
    listed = machine.run("stat", "--format=%U %G %a", f"/etc/ztna/{role}", f"/etc/ztna/{role}/key.pem").stdout
    assert listed.splitlines() == [f"root {unit} 750", f"root {unit} 640"]
    other = next(r for r in ROLES if r != role)
    for user, allowed in ((unit, True), (f"ztna-{other}", False), ("nobody", False)):
        done = machine.run("setpriv", f"--reuid={user}", f"--regid={user if allowed or user != 'nobody' else 'nogroup'}",
                           "--clear-groups", "cat", f"/etc/ztna/{role}/key.pem", check=False)
        assert (done.returncode == 0) == allowed, (user, done.stderr)


def check_units(machine: Machine):
    units = [f"/usr/lib/systemd/system/ztna-{role}.service" for role in ROLES]
    done = machine.run("systemd-analyze", "verify", "--man=no", *units)
    assert done.stdout + done.stderr == ""
    for unit in units:
        done = machine.run("systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", unit,
                           check=False)
        assert done.returncode == 0, done.stdout


def check_reload(machine: Machine, role: str, name: str):
    unit = f"ztna-{role}"
    pid = machine.property(unit, "MainPID")
    machine.run("ztna", "ca", "renew", "--ca-dir", "/root/ca", "--role", role, "--name", name, "--days", "33",
                "--out", f"/etc/ztna/{role}")
    machine.run("systemctl", "reload", unit)
    wait_for(lambda: machine.status(role)["certificate"]["days_left"] in (32, 33), f"{role} with the new certificate")
    assert machine.property(unit, "MainPID") == pid


def check_upgrade(deployment: Deployment, newer: list[pathlib.Path]):
    machine = deployment.machine
    (machine.root / "root/newer").mkdir()
    for deb in newer:
        shutil.copy(deb, machine.root / "root/newer")

    def upgrade(*names: str):
        files = [f"/root/newer/{d.name}" for d in newer if d.name.split("_")[0] in names]
        assert len(files) == len(names)
        machine.run("dpkg", "--install", *files)

    # A download goes on while the Intermediate is replaced below it: its session's uplinks reconnect.
    before = deployment.state("MainPID")
    deployment.download()
    wait_for(lambda: any(s["role"] == "agent" and s["sessions"] for s in [machine.status("agent")]), "a session")
    upgrade("ztna-intermediate", "ztna")
    connects = wait_for(lambda: [u for u in machine.status("agent")["uplinks"]
                                 if u["state"] == "up" and u["connects"] >= 2], "a second uplink")
    assert connects
    deployment.finish_download()
    # The ends of the session are replaced: their flows end, and new ones are served at once.
    upgrade("ztna-connector", "ztna-agent")
    deployment.wait_reachable()
    after = deployment.state("MainPID")
    assert not set(before.values()) & set(after.values()) and "0" not in after.values()
    shown = machine.run("dpkg-query", "--show", "--showformat=${Version} ${db:Status-Abbrev}\n", *PACKAGES).stdout
    assert shown.splitlines() == [f"{NEWER}-1 ii "] * 4
    assert "ZTNA_LISTEN=127.0.0.1:4433" in machine.path("/etc/ztna/intermediate.env").read_text()
    shutil.rmtree(machine.root / "root/newer")


def check_removal(deployment: Deployment, clean: set[str]):
    machine = deployment.machine
    machine.run("dpkg", "--remove", *PACKAGES)
    assert not any(machine.path(f"/usr/bin/{program}").exists()
                   for program in ("ztna", "intermediate-server", "app-connector", "ztna-agent"))
    assert machine.run("pgrep", "-f", "/usr/bin/(intermediate-server|app-connector|ztna-agent)",
                       check=False).returncode == 1
    # Configuration and identity stay until the purge.
    assert machine.path("/etc/ztna/agent/key.pem").exists() and machine.path("/etc/ztna/agent.env").exists()
    # The policy goes with the last role that has one; to an Agent it is somebody's.
    policy = machine.path("/etc/ztna/policy.toml")
    machine.run("dpkg", "--purge", "ztna", "ztna-intermediate")
    assert policy.exists()
    machine.run("dpkg", "--purge", "ztna-connector")
    assert not policy.exists()
    policy.write_text(POLICY)
    machine.run("dpkg", "--purge", "ztna-agent")
    assert policy.read_text() == POLICY
    policy.unlink()
    policy.parent.rmdir()
    check_nothing_left(machine, clean)


def check_nothing_left(machine: Machine, clean: set[str]):
    left = {f for f in machine.files() - clean if not f.startswith("root/ca")}
    assert not left, sorted(left)
    assert machine.run("ls", "-A", "/run/ztna", check=False).returncode != 0
    assert "ztna" not in machine.run("cat", "/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow").stdout


def check_tarball(deployment: Deployment, tarball: pathlib.Path, clean: set[str]):
    """The same daemons out of the tarball, under another prefix, and gone again."""
    machine = deployment.machine
    with tarfile.open(tarball) as archive:
        archive.extractall(machine.root / "root")
    name = tarball.name.removesuffix(".tar.gz")
    installer = f"/root/{name}/install.sh"
    assert machine.run(installer, "--check").stdout == "Nothing is missing.\n"
    assert machine.run(installer, "--prefix", "here", check=False).returncode == 2
    machine.run(installer, "--prefix", "/opt/ztna")
    deployment.ztna = "/opt/ztna/bin/ztna"
    deployment.configure()
    deployment.start()
    deployment.wait_reachable()
    # Once more, as an upgrade does: what a person wrote stays, what runs is restarted.
    before = deployment.state("MainPID")
    machine.run(installer, "--prefix", "/opt/ztna")
    assert "ZTNA_LISTEN=127.0.0.1:4433" in machine.path("/etc/ztna/intermediate.env").read_text()
    deployment.wait_reachable()
    assert not set(before.values()) & set(deployment.state("MainPID").values())
    # By another prefix nothing is touched.
    for options in ([], ["--uninstall"], ["--uninstall", "--purge"]):
        refused = machine.run(installer, "--prefix", "/opt/other", *options, check=False)
        assert refused.returncode == 1 and "is installed in /opt/ztna" in refused.stderr
    assert not machine.path("/opt/other").exists() and machine.path("/etc/ztna/agent/key.pem").exists()
    deployment.wait_reachable()
    machine.run(installer, "--prefix", "/opt/ztna", "--uninstall")
    assert not machine.path("/opt/ztna").exists()
    assert machine.path("/etc/ztna/agent/key.pem").exists()
    unit = machine.path("/usr/lib/systemd/system/ztna-agent.service")
    unit.write_text("[Unit]\n")
    refused = machine.run(installer, "--prefix", "/opt/ztna", "--uninstall", "--purge", check=False)
    assert refused.returncode == 1 and "is of a package" in refused.stderr
    unit.unlink()
    machine.run(installer, "--prefix", "/opt/ztna", "--uninstall", "--purge")
    shutil.rmtree(machine.root / "root" / name)
    check_nothing_left(machine, clean)


def live_through_it(release: str, folder: pathlib.Path, debs: list[pathlib.Path], tarball: pathlib.Path):
    machine = Machine(release, folder)
    deployment = None
    try:
        clean = machine.files()
        for deb in debs:
            shutil.copy(deb, machine.root / "root")
        machine.prepare("sh", "-c", "apt-get install --yes -qq --no-install-recommends /root/*.deb && rm /root/*.deb")
        machine.boot()
        deployment = Deployment(machine, folder)
        check_not_started(machine)
        check_units(machine)
        deployment.configure()
        check_doctor(machine)
        deployment.start()
        deployment.wait_reachable()
        for role, name in (("intermediate", "relay"), ("connector", "home"), ("agent", "alice")):
            check_sandbox(machine, role)
            check_reload(machine, role, name)
        assert machine.path("/var/lib/ztna/connector/audit.jsonl").read_text().count("\n") >= 1
        assert not re.search(r"warn|error|denied|EPERM", "".join(map(machine.journal, ["ztna-connector"])))
        check_upgrade(deployment, newer_of(debs, folder / "newer"))
        check_removal(deployment, clean)
        check_tarball(deployment, tarball, clean)
    finally:
        if deployment is not None:
            deployment.server.stop()
        machine.close()
