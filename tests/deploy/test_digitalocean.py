"""deploy/digitalocean against a stand-in for doctl that checks every flag and body, and a droplet that is a
root file system of its own, in which everything but apt, dpkg and systemd is real: at the end an Agent
fetches from the HTTP echo through what up.sh has started."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys

import pytest
import yaml

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT / "tests" / "e2e")]

from droplet import BIN, Droplet  # noqa: E402
from netns import require_netns  # noqa: E402
from ztna import World, curl, forward_port, free_port, wait_for, wait_service  # noqa: E402

CHANGES = {"create", "update", "delete"}
PACKAGES = ["ztna-intermediate", "ztna-connector", "ztna-agent", "ztna"]
QUIET_SSH = "#!/bin/sh\ncat >/dev/null\n"  # a droplet that has everything already


class Cloud:
    """An account, a droplet to be, and an env file for both."""

    def __init__(self, folder: pathlib.Path, ca: str):
        self.folder = folder
        self.droplet = Droplet(folder / "droplet")
        self.state, self.log = folder / "account.json", folder / "calls.jsonl"
        self.state.write_text(json.dumps({
            "tags": [], "droplets": [], "firewalls": [], "next": 386734086, "calls": 0,
            "ssh_keys": [{"id": 289794, "fingerprint": "3b:16:e4:bf:8b:00:8b:b8:59:8c:a9:d3:f0:19:fa:45"}]}))
        packages = folder / "packages"
        packages.mkdir()
        for name in PACKAGES:
            (packages / f"{name}_0.1.0_amd64.deb").write_text(name)
        self.values = {
            "INTERMEDIATE_HOST": "", "INTERMEDIATE_PORT": free_port(socket.SOCK_DGRAM),
            "STUN_ALT_PORT": free_port(socket.SOCK_DGRAM), "P2P_PORT": free_port(socket.SOCK_DGRAM),
            "LOCAL_ADDR": f"127.0.0.1:{free_port()}", "HTTP_PORT": free_port(), "CA_DIR": ca,
            "INTERMEDIATE_HEALTH": f"127.0.0.1:{free_port()}",
            "CONNECTOR_HEALTH": f"127.0.0.1:{free_port()}",
            "ADMIN_ADDRESSES": "192.0.2.1/32,2001:db8::/64", "SSH_KEY_ID": "289794",
            "PACKAGE_SOURCE": packages}
        self.env = {**os.environ, "DOCTL_STATE": str(self.state), "DOCTL_LOG": str(self.log),
                    "DOCTL_DROPLET_IP": "127.0.0.1", "ZTNA_DROPLET_ROOT": str(self.droplet.root),
                    "ZTNA_BIN_DIR": str(BIN), "XDG_STATE_HOME": str(folder / "state"),
                    "PATH": f"{folder / 'first'}:{HERE / 'standins'}:{BIN}:{os.environ['PATH']}"}

    def write_env(self) -> pathlib.Path:
        lines = (ROOT / "deploy/env/cloud.env").read_text().splitlines()
        names = [line.partition("=")[0] for line in lines]
        assert set(self.values) <= set(names)
        file = self.folder / "cloud.env"
        file.write_text("\n".join(f"{n}={self.values[n]}" if n in self.values else line
                                  for n, line in zip(names, lines)) + "\n")
        return file

    def try_script(self, name: str, *arguments: str, fail_at: str = "") -> subprocess.CompletedProcess:
        return subprocess.run(
            [ROOT / "deploy/digitalocean" / name, "--env", self.write_env(), *arguments],
            capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL, cwd=self.folder,
            env={**self.env, "DOCTL_FAIL_AT": fail_at})

    def script(self, name: str, *arguments: str) -> str:
        done = self.try_script(name, *arguments)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout

    def account(self) -> dict:
        return json.loads(self.state.read_text())

    def calls(self, after: int = 0) -> list[dict]:
        if not self.log.exists():
            return []
        return [json.loads(line) for line in self.log.read_text().splitlines()][after:]

    def changes(self, after: int = 0) -> list[str]:
        return [c["command"] for c in self.calls(after) if c["command"].split()[-1] in CHANGES]

    def pretend_it_is_set_up(self):
        """From here on ssh says that nothing is missing on the droplet."""
        self.put_first("ssh", QUIET_SSH)

    def put_first(self, name: str, text: str):
        """A program that is found before all others of its name."""
        program = self.folder / "first" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(text)
        program.chmod(0o755)


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ca") / "ca"
    subprocess.run([BIN / "ztna", "ca", "init", "--trust-domain", "example.org", "--out", folder],
                   check=True, capture_output=True)
    return str(folder)


@pytest.fixture
def cloud(tmp_path, ca):
    require_netns()
    tmp_path.chmod(0o755)
    cloud = Cloud(tmp_path, ca)
    yield cloud
    cloud.droplet.stop()


@pytest.fixture
def world(ca):
    """For Agents only; its CA is the deployment's."""
    world = World()
    shutil.rmtree(world.path("ca"))
    shutil.copytree(ca, world.path("ca"))
    yield world
    world.close()


def rules(firewall: dict, side: str) -> set:
    what = {"inbound_rules": "sources", "outbound_rules": "destinations"}[side]
    return {(r["protocol"], r["ports"], *r[what]["addresses"]) for r in firewall[side]}


def fetch(agent, service: str) -> str:
    done = curl(f"http://127.0.0.1:{forward_port(agent, service)}/hello")
    return done.stdout.decode()


def test_up_makes_a_system_that_works(cloud, world):
    output = cloud.script("up.sh")
    port = str(cloud.values["INTERMEDIATE_PORT"])
    everyone = ("0.0.0.0/0", "::/0")
    (firewall,) = cloud.account()["firewalls"]
    assert rules(firewall, "inbound_rules") == {
        ("udp", port, *everyone), ("udp", str(cloud.values["STUN_ALT_PORT"]), *everyone),
        ("udp", str(cloud.values["P2P_PORT"]), *everyone),
        ("tcp", "22", "192.0.2.1/32", "2001:db8::/64")}
    assert firewall["tags"] == ["ztna"]
    (droplet,) = cloud.account()["droplets"]
    assert (droplet["name"], droplet["size"], droplet["image"], droplet["region"], droplet["tags"]) == (
        "ztna-relay", "s-1vcpu-1gb", "ubuntu-24-04-x64", "nyc1", ["ztna"])
    config = yaml.safe_load(droplet["user_data"])
    script = (ROOT / "deploy/digitalocean/droplet/ztna-droplet").read_text()
    assert droplet["user_data"].startswith("#cloud-config\n") and set(config) == {"package_update", "packages"}
    assert config["packages"] == re.search(r"^needed=\((.*)\)$", script, re.MULTILINE)[1].split()
    # Never a moment without the firewall.
    assert cloud.changes() == ["compute tag create", "compute firewall create", "compute droplet create"]
    assert "INTERMEDIATE_HOST=127.0.0.1 into" in output

    # An Agent from elsewhere, as the output says.
    world.intermediates.append(("127.0.0.1", int(port)))
    agent = world.agent("alice", "--forward", "tcp://127.0.0.1:0=cloud-test-service")
    wait_service(agent, "cloud-test-service")
    assert fetch(agent, "cloud-test-service").startswith("GET /hello\nhost: 127.0.0.1")
    key = cloud.droplet.root / "opt/ztna/certs/intermediate/key.pem"
    assert (key.stat().st_mode & 0o777, key.stat().st_gid) == (0o640, 901)

    # Again: nothing is made, nothing restarted, no certificate issued.
    pids, seen, done = cloud.droplet.pids(), len(cloud.calls()), len(cloud.droplet.calls())
    output = cloud.script("up.sh")
    assert cloud.changes(seen) == []
    assert [c for c in cloud.droplet.calls()[done:] if "is-active" not in c] == []
    assert cloud.droplet.pids() == pids
    assert "The certificate of intermediate relay is good" in output
    status = cloud.script("status.sh")
    assert "intermediate: active, ready" in status and "connector: active, ready" in status
    assert f"in  protocol:udp,ports:{port},address:0.0.0.0/0,address:::/0" in status

    # The echo in the open, for a comparison, and closed again.
    for flags, opened in ((["--open-http"], True), ([], False)):
        seen = len(cloud.calls())
        if opened:
            cloud.script("up.sh", *flags)
            # The Connector's way to it stays.
            assert fetch(agent, "cloud-test-service").startswith("GET /hello\nhost: 127.0.0.1")
        else:
            check_another_host_name(cloud)
        assert cloud.changes(seen) == ["compute firewall update"]
        http = ("tcp", str(cloud.values["HTTP_PORT"]), *everyone)
        assert (http in rules(cloud.account()["firewalls"][0], "inbound_rules")) == opened
        wait_for(lambda: (curl(f"http://127.0.0.1:{cloud.values['HTTP_PORT']}/x").returncode == 0) == opened,
                 f"--open-http {opened}")

    cloud.script("down.sh", "--yes")
    account = cloud.account()
    assert (account["droplets"], account["firewalls"], account["tags"]) == ([], [], [])
    assert "Nothing of ztna-relay is there to delete" in cloud.script("down.sh", "--yes")
    assert cloud.try_script("status.sh").returncode == 1


def check_another_host_name(cloud):
    """It is a new certificate for the Intermediate, and another address for the Connector to dial."""
    certificate = cloud.droplet.root / "opt/ztna/certs/intermediate/cert.pem"

    def names() -> str:
        return subprocess.run(["openssl", "x509", "-in", certificate, "-noout", "-ext", "subjectAltName"],
                              capture_output=True, text=True, check=True).stdout

    assert "IP Address:127.0.0.1" in names()
    for address in ("192.0.2.7", "2001:db8::7"):
        cloud.values["INTERMEDIATE_HOST"] = address
        refused = cloud.try_script("up.sh")
        assert refused.returncode == 1 and f"is {address}, and the droplet has 127.0.0.1" in refused.stderr
    cloud.values["INTERMEDIATE_HOST"] = "localhost"
    done = len(cloud.droplet.calls())
    cloud.script("up.sh")
    assert "DNS:localhost" in names()
    did = [c for c in cloud.droplet.calls()[done:] if "is-active" not in c and "nginx" not in c]
    assert did == ["systemctl reload ztna-intermediate.service", "systemctl enable ztna-connector.service",
                   "systemctl restart ztna-connector.service"]


def test_packages_from_the_web_are_checked(cloud):
    cloud.values["PACKAGE_SOURCE"] = "https://packages.example.org/v0.1.0"
    cloud.values["CONNECTOR_HEALTH"] = "off"
    folder = cloud.folder / "packages"
    files = sorted(folder.glob("*.deb"))
    sums = folder / "SHA256SUMS"
    sums.write_text("".join(f"{hashlib.sha256(f.read_bytes()).hexdigest()}  {f.name}\n" for f in files))
    files[0].write_text("something else")
    cloud.env["ZTNA_DROPLET_REPOSITORY"] = " ".join(map(str, [*files, sums]))
    refused = cloud.try_script("up.sh")
    assert refused.returncode == 1 and "are not what SHA256SUMS says" in refused.stderr
    assert not [c for c in cloud.droplet.calls() if ".deb" in c], "nothing was installed"
    # The source is put right, and up.sh goes on from there.
    sums.write_text("".join(f"{hashlib.sha256(f.read_bytes()).hexdigest()}  {f.name}\n" for f in files))
    for file in (*files, sums):
        shutil.copy(file, cloud.droplet.root / "repository")
    output = cloud.script("up.sh")
    assert "intermediate: active, ready" in output and "connector: active, ready" in output
    assert cloud.changes().count("compute droplet create") == 1


def test_what_an_earlier_up_left_is_brought_up_to_date(cloud):
    """The script on the droplet, and the packages when those of PACKAGE_SOURCE are others."""
    cloud.script("up.sh")
    root = cloud.droplet.root
    (root / ".local/sbin/ztna-droplet").write_text("#!/bin/sh\nexit 1\n")
    (root / "etc/ztna/policy.toml").write_text((root / "etc/ztna/policy.toml").read_text() + "# mine\n")
    (cloud.folder / "packages/ztna_0.1.0_amd64.deb").rename(cloud.folder / "packages/ztna_0.2.0_amd64.deb")
    (cloud.folder / "packages/ztna-agent_0.1.0_amd64.deb").write_text("another build of the same version")
    done = len(cloud.droplet.calls())
    cloud.script("up.sh")
    installs = [c for c in cloud.droplet.calls()[done:] if "apt-get" in c and not c.endswith(" update")]
    assert len(installs) == 1 and "/var/cache/ztna-packages/ztna_0.2.0_amd64.deb" in installs[0]
    cache = root / "var/cache/ztna-packages"
    assert sorted(p.name for p in cache.glob("*.deb")) == sorted(p.name for p in (cloud.folder / "packages").glob("*.deb"))
    assert (cache / "ztna-agent_0.1.0_amd64.deb").read_text() == "another build of the same version"
    assert (root / "etc/ztna/policy.toml").read_text().endswith("# mine\n"), "it is the administrator's"
    done = len(cloud.droplet.calls())
    cloud.script("up.sh")
    assert not [c for c in cloud.droplet.calls()[done:] if "apt-get" in c], "and once is enough"


def test_what_ssh_says_is_shown(cloud):
    cloud.put_first("ssh", f"""#!/bin/sh
if [ ! -e {cloud.folder}/tried ]; then
  touch {cloud.folder}/tried
  echo "root@127.0.0.1: Permission denied (publickey)." >&2
  exit 255
fi
cat >/dev/null
""")
    done = cloud.try_script("up.sh")
    assert done.returncode == 0 and "Permission denied (publickey)" in done.stderr


def test_cut_short_it_goes_on_or_is_torn_down(cloud):
    """After each call that makes something, and before one."""
    cloud.pretend_it_is_set_up()
    empty = cloud.state.read_text()
    cloud.script("up.sh")
    commands = [c["command"] for c in cloud.calls()]
    makes = [i for i, c in enumerate(commands, 1) if c.endswith(" create")]
    assert len(makes) == 3 and cloud.account()["calls"] == len(commands)
    for fail_at in (f"{makes[1]}", *(f"{i}+" for i in makes)):
        cloud.state.write_text(empty)
        assert cloud.try_script("up.sh", fail_at=fail_at).returncode != 0, fail_at
        half = cloud.state.read_text()
        cloud.script("up.sh")
        account = cloud.account()
        assert [len(account[k]) for k in ("droplets", "firewalls", "tags")] == [1, 1, 1], fail_at
        if fail_at.endswith("+"):
            cloud.state.write_text(half)
            cloud.script("down.sh", "--yes")
            account = cloud.account()
            assert [len(account[k]) for k in ("droplets", "firewalls", "tags")] == [0, 0, 0], fail_at


def test_dry_run_prints_and_changes_nothing(cloud):
    before = cloud.account()
    output = cloud.script("up.sh", "--dry-run")
    assert "doctl compute droplet create ztna-relay --image ubuntu-24-04-x64 --size s-1vcpu-1gb" in output
    assert cloud.changes() == []
    assert {**cloud.account(), "calls": 0} == before and not cloud.droplet.root.exists()
    # What it prints is what a shell would run, with the same effect.
    commands = [line.strip() for line in output.splitlines() if line.startswith("    doctl ")]
    assert len(commands) == 3
    for line in commands[:2]:
        subprocess.run(["bash", "-c", line], env=cloud.env, check=True, capture_output=True)
    cloud.pretend_it_is_set_up()
    seen = len(cloud.calls())
    cloud.script("up.sh")
    assert cloud.changes(seen) == ["compute droplet create"]
    assert "doctl compute droplet delete" in cloud.script("down.sh", "--dry-run")
    assert len(cloud.account()["droplets"]) == 1


def test_dry_run_without_doctl(cloud):
    cloud.env["DOCTL"] = "no-such-doctl"
    output = cloud.script("up.sh", "--dry-run")
    assert "There is no no-such-doctl here" in output and "compute firewall create" in output
    refused = cloud.try_script("up.sh")
    assert refused.returncode == 1 and "doctl is not installed: https://" in refused.stderr


def test_what_is_ambiguous_is_left_to_a_person(cloud):
    cloud.pretend_it_is_set_up()
    cloud.script("up.sh")
    account = cloud.account()
    twin = {**account["droplets"][0], "id": 7}
    cloud.state.write_text(json.dumps({**account, "droplets": [*account["droplets"], twin]}))
    for script in ("up.sh", "down.sh"):
        refused = cloud.try_script(script, *(["--yes"] if script == "down.sh" else []))
        assert refused.returncode == 1 and "there are 2 droplets named ztna-relay" in refused.stderr
    # Somebody else's droplet with our tag: not ours by name, and it keeps its tag and the firewall that guards it.
    twin["name"] = "somebody-elses"
    cloud.state.write_text(json.dumps({**account, "droplets": [*account["droplets"], twin]}))
    assert "Other droplets have the tag ztna: 7." in cloud.script("down.sh", "--yes")
    assert [d["name"] for d in cloud.account()["droplets"]] == ["somebody-elses"]
    assert (cloud.account()["firewalls"], cloud.account()["tags"]) == (account["firewalls"], account["tags"])


@pytest.mark.parametrize("covers", [{"tags": []}, {"tags": ["web"]}, {"tags": ["ztna", "web"]}, {"droplet_ids": [7]}])
def test_a_firewall_that_is_not_only_ours_is_left_alone(cloud, covers):
    cloud.pretend_it_is_set_up()
    cloud.script("up.sh")
    account = cloud.account()
    account["firewalls"][0].update(covers)
    cloud.state.write_text(json.dumps(account))
    seen = len(cloud.calls())
    for script in (["up.sh"], ["down.sh", "--yes"], ["status.sh"]):
        refused = cloud.try_script(*script)
        assert refused.returncode == 1 and "is not only for the tag ztna" in refused.stderr, refused.stderr
        assert "change FIREWALL_NAME in " in refused.stderr
    assert cloud.changes(seen) == []


def test_port_80_stays_open_until_it_is_closed(cloud):
    """certbot needs it for each renewal."""
    cloud.pretend_it_is_set_up()
    for flags, is_open in ([], False), (["--open-acme"], True), ([], True), (["--open-http"], True), (
            ["--close-acme"], False), ([], False):
        output = cloud.script("up.sh", *flags)
        firewall = cloud.account()["firewalls"][0]
        assert (("tcp", "80", "0.0.0.0/0", "::/0") in rules(firewall, "inbound_rules")) == is_open, flags
        assert ("TCP 80 stays open" in output) == (is_open and flags != ["--open-acme"]), flags


@pytest.mark.parametrize("port, addresses", [("22", ["0.0.0.0/0"]), ("80", ["198.51.100.7/32"])])
def test_a_firewall_that_somebody_changed_is_put_right(cloud, port, addresses):
    """Also where TCP 80 was let in from somewhere: that was not --open-acme."""
    cloud.pretend_it_is_set_up()
    cloud.script("up.sh")
    account = cloud.account()
    good = rules(account["firewalls"][0], "inbound_rules")
    account["firewalls"][0]["inbound_rules"].append(
        {"protocol": "tcp", "ports": port, "sources": {"addresses": addresses}})
    account["firewalls"][0]["inbound_rules"].reverse()
    cloud.state.write_text(json.dumps(account))
    seen = len(cloud.calls())
    cloud.script("up.sh")
    assert cloud.changes(seen) == ["compute firewall update"]
    assert rules(cloud.account()["firewalls"][0], "inbound_rules") == good


@pytest.mark.parametrize("name, value, expected", [
    ("ADMIN_ADDRESSES", "<your-ip>/32", "ADMIN_ADDRESSES is still a placeholder"),
    ("SSH_KEY_ID", "12345", "does not know the key SSH_KEY_ID=12345"),
    ("PACKAGE_SOURCE", "/nowhere", "/nowhere, which is no folder here"),
    ("HTTP_PORT", "80", "which is Let's Encrypt's"),
    ("INTERMEDIATE_HOST", "Relay.example.org", "a certificate has a-z"),
    ("SERVICE_ID", "web.v2", "a certificate has a-z"),
    ("PACKAGE_SOURCE", "/etc", "there is no ztna-intermediate_*_amd64.deb in /etc"),
    ("PACKAGE_SOURCE", "http://packages.example.org/v1", "an address begins with https://"),
    ("CA_DIR", "/nowhere", "ztna ca init --trust-domain example.org --out /nowhere"),
    ("P2P_PORT", "70000", "expected a port")])
def test_wrong_inputs_are_found_before_anything_is_made(cloud, name, value, expected):
    cloud.values[name] = value
    refused = cloud.try_script("up.sh")
    assert refused.returncode in (1, 2) and expected in refused.stderr, refused.stderr
    assert cloud.changes() == []


def test_usage_errors(cloud):
    for script in ("up.sh", "down.sh", "status.sh"):
        refused = cloud.try_script(script, "--nonsense")
        assert refused.returncode == 2 and f'{script}: "--nonsense" is not known' in refused.stderr
        shown = cloud.try_script(script, "--help")
        assert shown.returncode == 0 and shown.stdout.startswith(f"usage: deploy/digitalocean/{script}")
    # Nobody is asked when there is nothing, and nothing is deleted when nobody can be asked.
    assert cloud.try_script("down.sh").returncode == 0
    assert doctl(cloud, "compute", "tag", "create", "ztna").returncode == 0
    refused = cloud.try_script("down.sh")
    assert refused.returncode == 1 and "say --yes" in refused.stderr and cloud.account()["tags"] == ["ztna"]


# --- the droplet by itself


@pytest.fixture
def droplet(cloud):
    """With the script, and what up.sh sets, and no daemon."""
    droplet = cloud.droplet
    droplet.make()
    for name, place in (("ztna-droplet", ".local/sbin/ztna-droplet"), ("echo.nginx", "etc/ztna/echo.nginx")):
        (droplet.root / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "deploy/digitalocean/droplet" / name, droplet.root / place)
    for role in ("intermediate", "connector"):
        droplet.run(f"ztna-droplet set {role}.env CERT_DIR=/opt/ztna/certs/{role} ZTNA_HEALTH=127.0.0.1:1")
    return droplet


class Certificates:
    """What up.sh does about those of one role, step by step."""

    def __init__(self, droplet: Droplet, ca: str, role: str, folder: pathlib.Path):
        self.droplet, self.ca, self.role, self.work = droplet, ca, role, folder
        self.folder = droplet.root / f"opt/ztna/certs/{role}"
        self.domain, self.name = "example.org", {"intermediate": "relay", "connector": "cloud"}[role]
        self.host, self.service = "relay.example.org", "web"

    def ask(self) -> subprocess.CompletedProcess:
        san = f"DNS:{self.host}" if self.role == "intermediate" else f"DNS:{self.service}.svc.{self.domain}"
        return self.droplet.try_run(f"ztna-droplet request {self.role} {self.domain} {self.name} {san}",
                                    pathlib.Path(self.ca, "ca-cert.pem").read_text())

    def request(self) -> str:
        done = self.ask()
        assert done.returncode == 0, done.stderr
        return done.stdout

    def answer(self, csr: str, *options: str) -> subprocess.CompletedProcess:
        (self.work / "csr").write_text(csr)
        names = ["--dns", self.host] if self.role == "intermediate" else ["--serve", self.service]
        subprocess.run([BIN / "ztna", "ca", "issue", "--ca-dir", self.ca, "--role", self.role, "--name", self.name,
                        *names, *options, "--csr", self.work / "csr", "--out", self.work / "out", "--force"],
                       check=True, capture_output=True)
        archive = subprocess.run(["tar", "-c", "-C", self.work / "out", "cert.pem", "ca-cert.pem"],
                                 check=True, capture_output=True).stdout
        return subprocess.run(self.droplet.command(f"ztna-droplet accept {self.role}"), input=archive,
                              capture_output=True, timeout=60)

    def renew(self, *options: str):
        csr = self.request()
        assert "CERTIFICATE REQUEST" in csr
        done = self.answer(csr, *options)
        assert done.returncode == 0, done.stderr


def another_ca(folder: pathlib.Path) -> str:
    subprocess.run([BIN / "ztna", "ca", "init", "--trust-domain", "example.org", "--out", folder], check=True,
                   capture_output=True)
    return str(folder)


def cut_short_in_accept(c: Certificates):
    """Between the key and its certificate."""
    c.host = "other.example.org"
    csr = c.request()
    c.host = "relay.example.org"
    assert csr
    (c.folder / "new/key.pem").replace(c.folder / "key.pem")


SPOILED = {
    "another host": ("intermediate", lambda c: setattr(c, "host", "other.example.org")),
    "another service": ("connector", lambda c: setattr(c, "service", "payroll")),
    "another name": ("connector", lambda c: setattr(c, "name", "home")),
    "another CA here": ("connector", lambda c: setattr(c, "ca", another_ca(c.work / "ca2"))),
    "another CA there": ("connector", lambda c: shutil.copy(
        pathlib.Path(another_ca(c.work / "ca2"), "ca-cert.pem"), c.folder / "ca-cert.pem")),
    "half of a renewal": ("intermediate", cut_short_in_accept),
    "no key": ("connector", lambda c: (c.folder / "key.pem").unlink()),
    "an empty certificate": ("connector", lambda c: (c.folder / "cert.pem").write_text("")),
}


@pytest.mark.parametrize("spoil", SPOILED)
def test_a_certificate_is_good_only_if_all_of_it_is(droplet, ca, tmp_path, spoil):
    role, change = SPOILED[spoil]
    certificates = Certificates(droplet, ca, role, tmp_path)
    certificates.renew()
    assert certificates.request() == "", "it is good"
    change(certificates)
    certificates.renew()
    assert certificates.request() == "", "it is good again"
    assert sorted(p.name for p in certificates.folder.iterdir()) == ["ca-cert.pem", "cert.pem", "key.pem"]


def test_a_certificate_is_renewed_in_time(droplet, ca, tmp_path):
    certificates = Certificates(droplet, ca, "intermediate", tmp_path)
    certificates.renew("--days", "29")
    certificates.renew("--days", "31")
    assert certificates.request() == ""


def test_a_certificate_may_serve_more(droplet, ca, tmp_path):
    certificates = Certificates(droplet, ca, "connector", tmp_path)
    certificates.renew("--serve", "payroll")
    assert certificates.request() == ""


def test_what_dpkg_was_cut_off_in_is_finished_first(droplet):
    updates = droplet.root / "var/lib/dpkg/updates"
    updates.mkdir(parents=True)
    (updates / "0001").write_text("")
    for _ in range(2):  # the second time there is nothing to finish
        droplet.try_run("ztna-droplet install")
        assert [c for c in droplet.calls() if c.startswith("dpkg")] == ["dpkg --force-confold --configure -a"]


def test_a_policy_that_came_in_half_is_none(droplet):
    file = droplet.root / "etc/ztna/policy.toml"
    refused = droplet.try_run("ztna-droplet policy 12", "[[serve")
    assert refused.returncode == 1 and "has not come whole" in refused.stderr and not file.exists()
    droplet.run("ztna-droplet policy 12", "[[serve]]\n#\n")
    droplet.run("ztna-droplet policy 3", "new")
    assert file.read_text() == "[[serve]]\n#\n", "it is the administrator's"


def test_only_the_last_request_is_answered(droplet, ca, tmp_path):
    certificates = Certificates(droplet, ca, "intermediate", tmp_path)
    csr = certificates.request()
    assert certificates.request() != csr
    refused = certificates.answer(csr)
    assert refused.returncode == 1 and b"does not answer the last request" in refused.stderr
    assert not (certificates.folder / "cert.pem").exists()


def test_what_certbot_keeps_is_left_to_it(droplet, ca, tmp_path):
    certificates = Certificates(droplet, ca, "intermediate", tmp_path)
    certificates.renew()
    certificates.host = "other.example.org"
    csr = certificates.request()
    certificates.host = "relay.example.org"
    # What certbot's hook has made meanwhile.
    folder = certificates.folder
    (folder / "live-01").mkdir()
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-subj", "/CN=relay", "-addext", "subjectAltName=DNS:relay.example.org", "-days", "2", "-keyout",
                    folder / "live-01/key.pem", "-out", folder / "live-01/cert.pem"], check=True, capture_output=True)
    (folder / "live").symlink_to("live-01")
    for name in ("cert.pem", "key.pem"):
        (folder / name).unlink()
        (folder / name).symlink_to(f"live/{name}")
    assert certificates.request() == "", "certbot renews it"
    refused = certificates.answer(csr)
    assert refused.returncode == 1 and b"a public certificate meanwhile" in refused.stderr
    assert os.readlink(folder / "key.pem") == "live/key.pem" and os.readlink(folder / "cert.pem") == "live/cert.pem"
    certificates.host = "other.example.org"
    refused = certificates.ask()
    assert refused.returncode == 1 and "is for DNS:relay.example.org and not for DNS:other.example.org" in refused.stderr
    certificates.host, certificates.ca = "relay.example.org", another_ca(tmp_path / "ca2")
    refused = certificates.ask()
    assert refused.returncode == 1 and "is not of the CA in your CA_DIR" in refused.stderr


def test_the_echo_opens_and_closes_on_one_port(droplet):
    """As in cloud.env, where LOCAL_ADDR and HTTP_PORT have the same."""
    port = free_port()
    droplet.run(f"ztna-droplet set echo.env LISTEN=127.0.0.1:{port} HTTP_PORT={port}")
    # All of 127.0.0.0/8 is this machine, and only 127.0.0.1 is listened at when it is closed.
    for open_, statuses in ("", (0, 7)), ("open", (0, 0)), ("", (0, 7)):
        droplet.run(f"ztna-droplet http {open_}")
        for address, expected in zip(("127.0.0.1", "127.0.0.2"), statuses):
            wait_for(lambda: curl(f"http://{address}:{port}/x").returncode == expected, f"{address} {open_}")


def test_what_nginx_does_not_take_is_taken_back(droplet):
    port, other = free_port(), free_port()
    droplet.run(f"ztna-droplet set echo.env LISTEN=127.0.0.1:{port}")
    site = droplet.root / "etc/nginx/sites-available/ztna-echo"
    broken = droplet.root / "etc/nginx/sites-enabled/mine"
    broken.write_text("this is nothing that nginx takes;\n")
    refused = droplet.try_run("ztna-droplet http")
    assert refused.returncode == 1 and "nginx does not take the echo" in refused.stderr
    assert not site.exists() and not os.path.lexists(droplet.root / "etc/nginx/sites-enabled/ztna-echo")
    broken.unlink()
    droplet.run("ztna-droplet http")
    before = site.read_text()
    droplet.run(f"ztna-droplet set echo.env LISTEN=127.0.0.1:{other}")
    broken.write_text("this is nothing that nginx takes;\n")
    assert droplet.try_run("ztna-droplet http").returncode == 1
    assert site.read_text() == before and curl(f"http://127.0.0.1:{port}/x").returncode == 0
    # Cut short before nginx was told: the next run tells it.
    broken.unlink()
    site.write_text(before.replace(str(port), str(other)))
    droplet.run("ztna-droplet http")
    wait_for(lambda: curl(f"http://127.0.0.1:{other}/x").returncode == 0, "the new port")


# --- the stand-in itself


def doctl(cloud, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([HERE / "standins/doctl", *arguments], env=cloud.env, capture_output=True, text=True)


def test_the_stand_in_refuses_what_doctl_refuses(cloud):
    one = "protocol:udp,ports:4433,address:0.0.0.0/0"
    for arguments, expected in (
            (["compute", "droplet", "make", "x"], "unknown command"),
            (["compute", "droplet", "create", "x", "--image", "i", "--size", "s", "--colour", "red"],
             "unknown flag: --colour"),
            (["compute", "droplet", "create", "x", "--image", "i"], "missing required"),
            (["compute", "droplet", "create", "a_b", "--image", "i", "--size", "s"], "422 name"),
            (["compute", "droplet", "list", "--format", "Address"], "unknown column"),
            (["compute", "firewall", "create", "--name", "fw"], "422"),
            (["compute", "firewall", "create", "--name", "fw", "--inbound-rules", "udp:4433"], "422"),
            (["compute", "firewall", "create", "--name", "fw", "--inbound-rules", one, "--tag-names", "t"],
             "tag t does not exist")):
        done = doctl(cloud, *arguments)
        assert done.returncode == 1 and expected in done.stderr, (arguments, done.stderr)


def test_of_a_repeated_rule_flag_doctl_takes_the_last(cloud):
    """Why the rules are one value: given as the plan has them, only ssh would be let in."""
    flags = [word for port in ("udp,ports:4433", "udp,ports:4434", "tcp,ports:22")
             for word in ("--inbound-rules", f"protocol:{port},address:0.0.0.0/0")]
    assert doctl(cloud, "compute", "firewall", "create", "--name", "fw", *flags).returncode == 0
    (firewall,) = cloud.account()["firewalls"]
    assert [(r["protocol"], r["ports"]) for r in firewall["inbound_rules"]] == [("tcp", "22")]
