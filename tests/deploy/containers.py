"""A machine with podman and buildah of its own: namespaces for network, mounts and processes, a storage
folder, and a Debian base image made of Debian's packages. All of it is gone at the end."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest

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
POLICY = '{"default": [{"type": "insecureAcceptAnything"}]}'


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

    # --- images
    def make_base(self, release: str = "bookworm"):
        tar = self.folder / "base.tar"
        slim = " ".join(f'"$1"/usr/share/{name}/*' for name in SLIM)
        excluded = "".join(f"path-exclude=/usr/share/{name}/*\\n" for name in SLIM)
        hooks = [f"rm -rf {slim}", f'printf "{excluded}" >"$1"/etc/dpkg/dpkg.cfg.d/slim',
                 # A machine behind a proxy or mirror tells apt so in these.
                 'for file in /etc/apt/apt.conf.d/99*; do cp "$file" "$1"/etc/apt/apt.conf.d/; done || true']
        self.run("mmdebstrap", "--quiet", "--variant=minbase",
                 *[f"--customize-hook={hook}" for hook in hooks], release, str(tar),
                 "http://deb.debian.org/debian", outside=True, timeout=600,
                 env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TMPDIR": str(self.folder)})
        self.podman("import", str(tar), f"docker.io/library/debian:{release}-slim")
        tar.unlink()

    def ready(self, folder: pathlib.Path) -> pathlib.Path:
        """The programs without their symbols, as the Dockerfile's own build leaves them."""
        out = self.folder / "ready"
        out.mkdir()
        for name in PROGRAMS:
            subprocess.run(["install", "--strip", "-m", "0755", folder / name, out], check=True, timeout=60)
        return out

    def build(self, target: str, tag: str, ready: pathlib.Path):
        self.run("buildah", "bud", "--isolation", "chroot", "--network", "host", "--pull=never", "--layers",
                 "--format", "docker", "--file", "deploy/docker/Dockerfile", "--target", target,
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
