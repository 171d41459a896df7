"""What tests of deploy/aws need: the server that answers in the place of AWS, and an administrator's machine."""

from __future__ import annotations

import functools
import json
import pathlib
import socket
import subprocess
from typing import Any, Iterator

import pytest

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = HERE.parents[2]
SCRIPTS = SOURCE / "deploy" / "aws"
READS = ("Describe", "List", "Get")
FILES = ("ca-cert.pem", "cert.pem", "key.pem")
AWS_FUNCTION = (HERE / "aws.sh").read_text().partition("aws() ")[2].replace("{", "() {", 1)
# More than the default values, so that nothing can be written into the scripts.
SETTINGS = {
    "INTERMEDIATE_HOST": "<cloud-ip>", "INTERMEDIATE_PORT": "14433", "P2P_PORT": "14434", "STUN_ALT_PORT": "14435",
    "INTERMEDIATE_HEALTH": "127.0.0.1:19090", "CONNECTOR_HEALTH": "127.0.0.1:19091",
    "SERVICE_ID": "some-service", "CERT_DIR": "/opt/ztna/certs", "ADMIN_ADDRESSES": "192.0.2.1,198.51.100.0/24",
    "ZTNA_AWS_KEY_PAIR": "admin", "ZTNA_AWS_HTTP_APP_PORT": "18080", "ZTNA_AWS_GAME_SERVER_PORT": "17960",
    "ZTNA_AWS_PACKAGES": "s3://packages.example.org/ztna/ztna-intermediate_0.1.0_amd64.deb,"
                         "https://packages.example.org/ztna_0.1.0_amd64.deb",
}


class Aws:
    """The server, and one world in it."""

    def __init__(self, *options: str) -> None:
        self.process = subprocess.Popen(["/usr/bin/python3", HERE / "server.py", *options],
                                        stdout=subprocess.PIPE, text=True)
        assert self.process.stdout
        self.port = self.process.stdout.readline().strip()
        self.first: tuple[subprocess.CompletedProcess[str], list[str]] | None = None
        assert self.port, "the offline AWS has not come up; is awscli installed (./setup --tests)?"

    def end(self) -> None:
        self.process.kill()
        self.process.wait()

    def control(self, *words: str) -> Any:
        with socket.create_connection(("127.0.0.1", int(self.port)), timeout=60) as connection:
            for word in (len(words) + 1, "/", "offline", *words):
                connection.sendall(f"{word}\0".encode())
            with connection.makefile("rb") as stream:
                status, length, _ = map(int, stream.readline().split())
                out = stream.read(length)
        assert status == 0, words
        return json.loads(out)

    def set(self, id_: str, **fields: Any) -> None:
        self.control("set", id_, json.dumps(fields))

    def calls(self) -> list[str]:
        """The operations since the last question, all of which were answered."""
        return [f"{service} {operation}" for service, operation, result in self.control("calls") if result == "ok"]

    def changes(self) -> list[str]:
        return [call for call in self.calls() if not call.split()[1].startswith(READS)]

    def things(self, kind: str | None = None, **fields: Any) -> list[dict[str, Any]]:
        return [thing for thing in self.control("things") if kind in (None, thing["kind"])
                and all(thing[name] == value for name, value in fields.items())]

    def one(self, kind: str, **fields: Any) -> dict[str, Any]:
        (thing,) = self.things(kind, **fields)
        return thing

    def left(self) -> list[str]:
        """Task definitions stay, inactive, until they are deleted by hand; and what is gone is still shown
        for an hour."""
        return [thing["id"] for thing in self.things() if thing.get("status") != "INACTIVE"
                and thing.get("state") not in ("deleted", "terminated")]


@functools.cache
def pair(role: str, _number: int) -> tuple[str, str]:
    """A key and its certificate."""
    made = subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                           "-subj", f"/CN={role}", "-keyout", "-"], check=True, capture_output=True, text=True, timeout=60)
    key, end, certificate = made.stdout.partition("-----END PRIVATE KEY-----\n")
    return key + end, certificate


class Site:
    """The administrator's machine: settings, certificates, and programs in PATH."""

    def __init__(self, folder: pathlib.Path, aws: Aws):
        self.folder, self.aws = folder, aws
        self.programs = folder / "bin"
        self.programs.mkdir()
        (self.programs / "podman").symlink_to(HERE / "podman")
        for role in ("relay", "home"):
            (folder / role).mkdir()
            self.issue(role)
        self.write("policy.toml", "# \"$\\\n[[serve]]\nconnectors = [\"home\"]\nservices = [\"some-service\"]\n")
        self.settings = {**SETTINGS, "ZTNA_AWS_INTERMEDIATE_CERTS": str(folder / "relay"),
                         "ZTNA_AWS_CONNECTOR_CERTS": str(folder / "home"),
                         "ZTNA_AWS_POLICY": str(folder / "policy.toml")}

    def issue(self, role: str, number: int = 0) -> None:
        """A certificate and key, the first or a later one. It is signed by itself."""
        key, certificate = pair(role, number)
        for file, text in (("ca-cert.pem", certificate), ("cert.pem", certificate), ("key.pem", key)):
            self.write(f"{role}/{file}", text)

    def write(self, name: str, text: str) -> pathlib.Path:
        path = self.folder / name
        path.write_text(text)
        return path

    def environment(self) -> dict[str, str]:
        return {"PATH": f"{self.programs}:/usr/bin:/bin:/usr/sbin:/sbin", "HOME": str(self.folder), "LC_ALL": "C.UTF-8",
                "ZTNA_AWS_RETRY_DELAY": "0", "OFFLINE_AWS": self.aws.port, "BASH_FUNC_aws%%": AWS_FUNCTION}

    def run(self, script: str, *args: str, status: int | None = 0) -> subprocess.CompletedProcess[str]:
        env = self.write("site.env", "".join(f"{name}={value}\n" for name, value in self.settings.items()))
        done = subprocess.run([SCRIPTS / script, "--env", env, *args], env=self.environment(), cwd=self.folder,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=500)
        assert status is None or done.returncode == status, done.stdout[-3000:] + done.stderr[-3000:]
        return done

    def up(self, *args: str, status: int | None = 0) -> subprocess.CompletedProcess[str]:
        return self.run("up.sh", "--yes", *args, status=status)

    def down(self, *args: str, status: int | None = 0) -> subprocess.CompletedProcess[str]:
        return self.run("down.sh", "--yes", *args, status=status)


@pytest.fixture(scope="module")
def server() -> Iterator[Aws]:
    aws = Aws()
    yield aws
    aws.end()


@pytest.fixture
def aws(server: Aws) -> Aws:
    server.control("new")
    return server


@pytest.fixture
def deployed(aws: Aws, site: "Site") -> "Site":
    """A complete deployment: made by up.sh once, and the same world for each test."""
    if aws.first is None:
        done = site.up()
        aws.first = done, aws.changes()
        aws.control("save")
    aws.control("load")
    return site


@pytest.fixture
def site(tmp_path: pathlib.Path, aws: Aws) -> Site:
    return Site(tmp_path, aws)
