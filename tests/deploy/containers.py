"""A machine with podman and buildah of its own: namespaces for network, mounts and processes, a storage
folder, and a Debian base image made of Debian's packages. All of it is gone at the end."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time

import pytest
import yaml

from manifests import ROOT

PROGRAMS = ("intermediate-server", "app-connector", "ztna-agent", "ztna")
NEEDED = ("podman", "buildah", "runc", "mmdebstrap", "nsenter", "unshare")
# What Debian's "slim" images leave out, now and of what is installed later.
SLIM = ("doc", "groff", "info", "lintian", "linda", "locale", "man")

STORAGE = """
[storage]
driver = "overlay"
graphroot = "{folder}/graph"
runroot = "{folder}/run"
"""
ENGINE = """
[containers]
default_ulimits = ["nproc=4096:4096", "nofile=16384:16384"]
log_driver = "k8s-file"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "none"
tmp_dir = "{folder}/tmp"
[network]
network_config_dir = "{folder}/networks"
"""
# Debian's names of architectures are those of the images, for all that there are packages for.
NATIVE = subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, check=True).stdout.strip()
POLICY = '{"default": [{"type": "insecureAcceptAnything"}]}'


# Targets of the Dockerfile. The image of a target is ztna/TARGET.
ROLES = ("intermediate", "app-connector", "agent")
OURS = (*ROLES, "tools")
OTHERS = ("web", "http-app")
MEGABYTE = 1_000_000


def empty(folder: str) -> list[str]:
    """--tmpfs as Docker has it: podman's, by runc, is not writable for a user who is not root."""
    return ["--mount", f"type=tmpfs,destination={folder},tmpfs-mode=1777,chown=true"]


def require_podman():
    missing = [name for name in NEEDED if shutil.which(name) is None]
    why = f"needs {', '.join(missing)} (./setup --tests)" if missing else ""
    if not why and os.geteuid() != 0:
        why = "needs root"
    if why and os.environ.get("CI") == "true":
        pytest.fail(why)
    if why:
        pytest.skip(why)


class Machine:
    def __init__(self):
        require_podman()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="ztna-images-", dir="/var/tmp"))
        (self.folder / "storage.conf").write_text(STORAGE.format(folder=self.folder))
        (self.folder / "containers.conf").write_text(ENGINE.format(folder=self.folder))
        (self.folder / "policy.json").write_text(POLICY)
        for name in ("networks", "tmp"):
            (self.folder / name).mkdir()
        # When it dies, so does every process of these namespaces, and with them every mount.
        self.holder = subprocess.Popen(
            ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
             "--propagation", "private", "sh", "-c",
             "ip link set lo up && mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /etc/cni 2>/dev/null; "
             "echo up && exec sleep infinity"],
            stdout=subprocess.PIPE, text=True)
        assert self.holder.stdout.readline() == "up\n"
        [self.pid] = subprocess.run(["pgrep", "--parent", str(self.holder.pid)], check=True,
                                    capture_output=True, text=True).stdout.split()

    def close(self):
        try:
            self.run("podman", "pod", "rm", "--all", "--force", "--time", "2", check=False)
            self.run("podman", "rm", "--all", "--force", "--time", "2", check=False)
        finally:
            self.holder.kill()
            self.holder.wait()
            shutil.rmtree(self.folder, ignore_errors=True)

    def command(self, *argv: str, outside: bool = False) -> list[str]:
        """`outside`: with the network of this computer, for Debian's packages."""
        return ["nsenter", "--target", self.pid, "--mount", "--pid", *([] if outside else ["--net"]),
                "sh", "-c", 'cd "$0" && exec "$@"', str(ROOT), *argv]

    def run(self, *argv: str, check: bool = True, outside: bool = False, data: str | None = None,
            timeout: float = 120, env: dict[str, str] | None = None) -> subprocess.CompletedProcess:
        done = subprocess.run(
            self.command(*argv, outside=outside), input=data, capture_output=True, text=True, timeout=timeout,
            env={**os.environ, "CONTAINERS_STORAGE_CONF": str(self.folder / "storage.conf"),
                 "CONTAINERS_CONF": str(self.folder / "containers.conf"), "DISABLE_HC_SYSTEMD": "true",
                 **(env or {})})
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(argv)}: {done.returncode}\n{done.stdout}{done.stderr}"[-6000:])
        return done

    def podman(self, *argv: str, **kwargs) -> str:
        return self.run("podman", *argv, **kwargs).stdout.strip()

    @contextlib.contextmanager
    def emulated_arm64(self, qemu: pathlib.Path):
        """The kernel runs arm64's programs by `qemu`, wherever they lie. It is the kernel's for as long as this
        lasts, and not of the machine alone: Linux has one list for all."""
        lists = pathlib.Path("/proc/sys/fs/binfmt_misc")
        name = f"ztna-test-{os.getpid()}"
        # An ELF of 64 bits, little endian, executable or shared, for machine 183 (elf(5)); F: opened now.
        magic = "7f454c460201010000000000000000000200b700"
        mask = "ffffffffffffff00fffffffffffffffffeffffff"
        octets = ["".join(f"\\x{value[i:i + 2]}" for i in range(0, len(value), 2)) for value in (magic, mask)]
        self.run("mount", "-t", "binfmt_misc", "binfmt_misc", str(lists))
        self.run("tee", f"{lists}/register", data=f":{name}:M::{octets[0]}:{octets[1]}:{qemu}:F")
        try:
            yield
        finally:
            self.run("tee", f"{lists}/{name}", data="-1")

    # --- images
    def make_base(self, release: str = "bookworm", architecture: str = NATIVE):
        """The image that a Dockerfile starts from; the next one, of another architecture, takes its name."""
        tar = self.folder / "base.tar"
        slim = " ".join(f'"$1"/usr/share/{name}/*' for name in SLIM)
        excluded = "".join(f"path-exclude=/usr/share/{name}/*\\n" for name in SLIM)
        hooks = [f"rm -rf {slim}", f'printf "{excluded}" >"$1"/etc/dpkg/dpkg.cfg.d/slim',
                 # A machine behind a proxy or mirror tells apt so in these.
                 'for file in /etc/apt/apt.conf.d/99*; do cp "$file" "$1"/etc/apt/apt.conf.d/; done || true']
        self.run("mmdebstrap", "--quiet", "--variant=minbase", f"--architectures={architecture}",
                 "--skip=check/qemu",
                 *[f"--customize-hook={hook}" for hook in hooks], release, str(tar),
                 "http://deb.debian.org/debian", outside=True, timeout=600,
                 env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TMPDIR": str(self.folder)})
        self.podman("import", "--arch", architecture, str(tar), f"docker.io/library/debian:{release}-slim")
        tar.unlink()

    def ready(self, folder: pathlib.Path) -> pathlib.Path:
        """The programs without their symbols, as the Dockerfile's own build leaves them."""
        out = self.folder / "ready"
        out.mkdir()
        for name in PROGRAMS:
            subprocess.run(["install", "--strip", "-m", "0755", folder / name, out], check=True, timeout=60)
        return out

    def build(self, target: str, ready: pathlib.Path, architecture: str = NATIVE):
        """Makes ztna/TARGET:latest, or for a machine of another kind :ARCHITECTURE."""
        tag = f"ztna/{target}:{'latest' if architecture == NATIVE else architecture}"
        self.run("buildah", "bud", "--isolation", "chroot", "--network", "host", "--pull=never", "--layers",
                 "--arch", architecture, "--format", "docker", "--file", "deploy/docker/Dockerfile", "--target", target,
                 "--build-context", f"ready={ready}", "--tag", tag, ".", outside=True, timeout=600)

    def inspect(self, image: str) -> dict:
        return json.loads(self.podman("image", "inspect", image))[0]

    def compressed_size(self, image: str) -> int:
        """Octets that somebody who pulls the image has to fetch."""
        out = self.folder / "pushed"
        self.run("buildah", "push", "--signature-policy", str(self.folder / "policy.json"), "--format", "oci",
                 image, f"oci:{out}:it", timeout=300)
        index = json.loads((out / "index.json").read_text())
        manifest = json.loads((out / "blobs/sha256" / index["manifests"][0]["digest"].split(":")[1]).read_text())
        shutil.rmtree(out)
        return sum(layer["size"] for layer in manifest["layers"])


class Compose:
    """What `docker compose up` does, as far as deploy/docker/compose.yaml asks for it."""

    def __init__(self, machine: Machine, variables: dict[str, str], tag: str = "latest"):
        """`tag` is that of our own images."""
        self.machine, self.tag = machine, tag
        text = (ROOT / "deploy/docker/compose.yaml").read_text()
        text = re.sub(r"\$\{(\w+):-([^}]*)\}", lambda m: variables.get(m[1], m[2]), text)
        self.file = yaml.safe_load(text)

    KNOWN = {"image", "build", "user", "network_mode", "entrypoint", "command", "environment", "volumes",
             "networks", "read_only", "cap_drop", "security_opt", "tmpfs", "restart", "depends_on", "ports"}

    def up(self):
        for name, options in self.file["networks"].items():
            internal = ["--internal"] if (options or {}).get("internal") else []
            self.machine.podman("network", "create", *internal, name)
        for name in self.file["volumes"]:
            self.machine.podman("volume", "create", name)
        done: set[str] = set()
        waiting = dict(self.file["services"])
        while waiting:
            name = next(n for n, s in waiting.items() if set(s.get("depends_on", {})) <= done)
            self.start(name, waiting.pop(name), once=any(
                s.get("depends_on", {}).get(name, {}).get("condition") == "service_completed_successfully"
                for s in self.file["services"].values()))
            done.add(name)

    def start(self, name: str, service: dict, once: bool):
        assert set(service) <= self.KNOWN, f"{name}: {set(service) - self.KNOWN}"
        argv = ["run", "--name", name, *(["--rm"] if once else ["--detach"])]
        if service.get("read_only"):
            argv.append("--read-only")
        for option, key in (("--cap-drop", "cap_drop"), ("--publish", "ports"), ("--volume", "volumes")):
            for value in service.get(key, []):
                argv += [option, value]
        for value in service.get("tmpfs", []):
            argv += empty(value.split(":")[0])
        for value in service.get("security_opt", []):
            argv += ["--security-opt", value.replace(":true", "")]
        for key, value in service.get("environment", {}).items():
            argv += ["--env", f"{key}={value}"]
        if "user" in service:
            argv += ["--user", service["user"]]
        if "entrypoint" in service:
            argv += ["--entrypoint", json.dumps(service["entrypoint"])]
        argv += ["--network", service.get("network_mode") or ",".join(service["networks"])]
        tag = self.tag if service["image"].removeprefix("ztna/") in OURS else "latest"
        self.machine.podman(*argv, f"localhost/{service['image']}:{tag}", *service.get("command", []))


def wait(condition, what: str, timeout: float = 120):
    """Asks twice a second: each question here is a few new processes."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {timeout:g} s: {what}"
        time.sleep(0.5)
    return value


def http_get(machine: Machine, url: str) -> str:
    return machine.run("curl", "--silent", "--show-error", "--fail", "--noproxy", "*", "--max-time", "5", url,
                       check=False).stdout


def health(machine: Machine, name: str) -> bool:
    return machine.run("podman", "healthcheck", "run", name, check=False).returncode == 0
