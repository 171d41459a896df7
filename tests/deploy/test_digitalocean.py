"""deploy/digitalocean against a stand-in for doctl that checks every flag and body, and a droplet that is a
root file system of its own, in which everything but apt, dpkg and systemd is real: at the end an Agent
fetches from the HTTP echo through what up.sh has started."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
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
        ssh = self.folder / "first" / "ssh"
        ssh.parent.mkdir(exist_ok=True)
        ssh.write_text(QUIET_SSH)
        ssh.chmod(0o755)


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
    assert "PRIVATE" not in droplet["user_data"]
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
        else:
            check_another_host_name(cloud)
        assert cloud.changes(seen) == ["compute firewall update"]
        http = ("tcp", str(cloud.values["HTTP_PORT"]), *everyone)
        assert (http in rules(cloud.account()["firewalls"][0], "inbound_rules")) == opened
        wait_for(lambda: (curl(f"http://127.0.0.1:{cloud.values['HTTP_PORT']}/x").returncode == 0) == opened,
                 f"--open-http {opened}")

    seen = len(cloud.calls())
    output = cloud.script("up.sh", "--open-acme", "--dry-run")
    assert "protocol:tcp\\,ports:80" in output and cloud.changes(seen) == []

    cloud.script("down.sh", "--yes")
    account = cloud.account()
    assert (account["droplets"], account["firewalls"], account["tags"]) == ([], [], [])
    assert "Nothing of ztna-relay is there" in cloud.script("down.sh", "--yes")
    assert cloud.try_script("status.sh").returncode == 1


def check_another_host_name(cloud):
    """It is a new certificate for the Intermediate, and another address for the Connector to dial."""
    certificate = cloud.droplet.root / "opt/ztna/certs/intermediate/cert.pem"

    def names() -> str:
        return subprocess.run(["openssl", "x509", "-in", certificate, "-noout", "-ext", "subjectAltName"],
                              capture_output=True, text=True, check=True).stdout

    assert "IP Address:127.0.0.1" in names()
    cloud.values["INTERMEDIATE_HOST"] = "192.0.2.7"
    refused = cloud.try_script("up.sh")
    assert refused.returncode == 1 and "the droplet has 127.0.0.1" in refused.stderr
    cloud.values["INTERMEDIATE_HOST"] = "localhost"
    done = len(cloud.droplet.calls())
    cloud.script("up.sh")
    assert "DNS:localhost" in names()
    did = [c for c in cloud.droplet.calls()[done:] if "is-active" not in c and "nginx" not in c]
    assert did == ["systemctl reload ztna-intermediate.service", "systemctl enable ztna-connector.service",
                   "systemctl restart ztna-connector.service"]


def test_packages_from_the_web_are_checked(cloud):
    cloud.values["PACKAGE_SOURCE"] = "https://packages.example.org/v0.1.0"
    folder = cloud.folder / "packages"
    files = sorted(folder.glob("*.deb"))
    sums = folder / "SHA256SUMS"
    sums.write_text("".join(f"{hashlib.sha256(f.read_bytes()).hexdigest()}  {f.name}\n" for f in files))
    files[0].write_text("something else")
    cloud.env["ZTNA_DROPLET_REPOSITORY"] = " ".join(map(str, [*files, sums]))
    refused = cloud.try_script("up.sh")
    assert refused.returncode == 1 and "are not what SHA256SUMS says" in refused.stderr
    assert cloud.droplet.calls() == ["systemctl reload-or-restart nginx"], "nothing was installed"
    # The source is put right, and up.sh goes on from there.
    sums.write_text("".join(f"{hashlib.sha256(f.read_bytes()).hexdigest()}  {f.name}\n" for f in files))
    for file in (*files, sums):
        shutil.copy(file, cloud.droplet.root / "repository")
    assert "intermediate: active, ready" in cloud.script("up.sh")
    assert cloud.changes().count("compute droplet create") == 1


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
    assert "#cloud-config" in output and cloud.changes() == []
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
    # Somebody else's droplet with our tag: not ours by name, and it keeps its tag.
    twin["name"] = "somebody-elses"
    cloud.state.write_text(json.dumps({**account, "droplets": [*account["droplets"], twin]}))
    assert "The tag ztna stays" in cloud.script("down.sh", "--yes")
    assert [d["name"] for d in cloud.account()["droplets"]] == ["somebody-elses"]


def test_a_firewall_that_somebody_changed_is_put_right(cloud):
    cloud.pretend_it_is_set_up()
    cloud.script("up.sh")
    account = cloud.account()
    good = rules(account["firewalls"][0], "inbound_rules")
    account["firewalls"][0]["inbound_rules"].append(
        {"protocol": "tcp", "ports": "22", "sources": {"addresses": ["0.0.0.0/0"]}})
    account["firewalls"][0]["inbound_rules"].reverse()
    cloud.state.write_text(json.dumps(account))
    seen = len(cloud.calls())
    cloud.script("up.sh")
    assert cloud.changes(seen) == ["compute firewall update"]
    assert rules(cloud.account()["firewalls"][0], "inbound_rules") == good


@pytest.mark.parametrize("name, value, expected", [
    ("ADMIN_ADDRESSES", "<your-ip>/32", "ADMIN_ADDRESSES is still a placeholder"),
    ("SSH_KEY_ID", "12345", "does not know the key SSH_KEY_ID=12345"),
    ("PACKAGE_SOURCE", "/nowhere", "there is no ztna-intermediate_*_amd64.deb in /nowhere"),
    ("CA_DIR", "/nowhere", "ztna ca init --trust-domain example.org --out /nowhere"),
    ("P2P_PORT", "70000", "expected a port")])
def test_wrong_inputs_are_found_before_anything_is_made(cloud, name, value, expected):
    cloud.values[name] = value
    refused = cloud.try_script("up.sh")
    assert refused.returncode in (1, 2) and expected in refused.stderr, refused.stderr
    assert cloud.changes() == []


def test_usage_errors(cloud):
    for script in ("up.sh", "down.sh", "status.sh"):
        assert cloud.try_script(script, "--nonsense").returncode == 2
        shown = cloud.try_script(script, "--help")
        assert shown.returncode == 0 and shown.stdout.startswith(f"usage: deploy/digitalocean/{script}")
    refused = cloud.try_script("down.sh")
    assert refused.returncode == 0, "there is nothing to ask about"


# --- the user data

# docs.cloud-init.io: the keys of a cloud-config that ours may use, and what is below them.
CLOUD_CONFIG = {"package_update": bool, "packages": list, "write_files": list, "runcmd": list}
WRITE_FILES = {"path", "permissions", "encoding", "content"}


@pytest.mark.parametrize("flags", [[], ["--open-http"]])
@pytest.mark.parametrize("source", ["folder", "https://packages.example.org/v0.1.0"])
def test_user_data_is_a_cloud_config(cloud, flags, source, tmp_path):
    if source != "folder":
        cloud.values["PACKAGE_SOURCE"] = source
    output = cloud.script("up.sh", "--dry-run", *flags)
    text = output[output.index("#cloud-config\n"):output.rindex("==> Then, over ssh")]
    config = yaml.safe_load(text)
    assert {k: type(v) for k, v in config.items()} == CLOUD_CONFIG
    for entry in config["write_files"]:
        assert set(entry) == WRITE_FILES and entry["encoding"] == "b64"
        assert isinstance(entry["permissions"], str) and int(entry["permissions"], 8) & 0o002 == 0
    assert [c[1:] for c in config["runcmd"]] == [
        ["http", *(["open"] if flags else [])], *([["install", source]] if source != "folder" else [])]
    assert "@" not in text.replace("@example", "")
    validator = shutil.which("cloud-init")
    if validator:
        file = tmp_path / "user-data.yaml"
        file.write_text(text)
        done = subprocess.run([validator, "schema", "--config-file", file], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


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
