"""A machine of a test's own: a minimal Debian with systemd as its process 1, in namespaces. Made anew
for each test, or unpacked from $ZTNA_TEST_ROOTS/RELEASE.tar (what mmdebstrap makes with MAKE).

What a unit's options do (users, folders, sandbox, system call filter) is done by systemd itself.
Needs root and mmdebstrap. Nothing stays mounted and nothing keeps running: all of it is in a PID
and a mount namespace that end with the machine."""

from __future__ import annotations

import ctypes
import glob
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

from backends import need  # noqa: E402
from netns import require_netns  # noqa: E402
from ztna import wait_for  # noqa: E402

MIRROR = "http://deb.debian.org/debian"
# With what our packages depend on, so that only they are new in it, and apt's lists.
MAKE = ["--quiet", "--variant=minbase", "--include=systemd,adduser,libgnutls30,procps", "--skip=cleanup/apt"]
ENVIRONMENT = ["env", "-i", "HOME=/root", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
               "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"]

# Process 1 of the new PID namespace: builds the machine's file systems, makes its root the root of
# the mount namespace, and becomes systemd. Kernel settings are the host's, so they are read-only.
BOOT = """
set -e
root=$1
mount --bind "$root" "$root"
cd "$root"
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,ro,bind proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
mount -t tmpfs -o mode=755 tmpfs dev
for node in null zero full random urandom tty; do
  touch "dev/$node"
  mount --bind "/dev/$node" "dev/$node"
done
mkdir dev/pts dev/shm .host
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount -t tmpfs -o mode=1777 tmpfs dev/shm
pivot_root . .host
exec chroot . /bin/sh -c 'umount -l /.host && rmdir /.host && exec env -i container=test \
  PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --unit=multi-user.target'
"""

# Commands before it runs: in a chroot of the same kind, but on the host's network.
CHROOT = """
set -e
root=$1
shift
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for node in null zero full random urandom; do
  touch "$root/dev/$node"
  mount --bind "/dev/$node" "$root/dev/$node"
done
exec chroot "$root" "$@"
"""


def unified_cgroup() -> pathlib.Path:
    """Where the host has cgroup2."""
    for line in pathlib.Path("/proc/self/mounts").read_text().splitlines():
        _, where, kind, *_ = line.split()
        if kind == "cgroup2":
            return pathlib.Path(where)
    pytest.fail("no cgroup2 is mounted on this machine, and systemd needs one")


@pytest.fixture(scope="module")
def folder():
    """Where there is room for root file systems: /tmp may be in memory."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="ztna-deploy-", dir="/var/tmp"))
    yield folder
    shutil.rmtree(folder)


class Machine:
    def __init__(self, release: str, folder: pathlib.Path):
        require_netns()
        self.root = folder / release
        self.init: subprocess.Popen | None = None
        self.pid = 0
        self.cgroup: pathlib.Path | None = None
        made = pathlib.Path(os.environ.get("ZTNA_TEST_ROOTS", "/nonexistent")) / f"{release}.tar"
        if made.exists():
            self.root.mkdir()
            self._run(["tar", "--extract", "--file", str(made), "--directory", str(self.root)], 300, check=True)
        else:
            self._run([need("mmdebstrap"), *MAKE, release, str(self.root), MIRROR], 600, check=True)
        # A machine behind a proxy or mirror tells apt so in these.
        for source in ["/etc/resolv.conf", "/etc/hosts", *glob.glob("/etc/apt/apt.conf.d/99*")]:
            shutil.copy(source, str(self.root) + source)

    # --- before it runs
    def prepare(self, *argv: str, timeout: float = 120) -> str:
        return self._run(["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", CHROOT,
                          "sh", str(self.root), *ENVIRONMENT, *argv], timeout, check=True).stdout

    def path(self, name: str) -> pathlib.Path:
        return self.root / name.lstrip("/")

    def write(self, name: str, text: str):
        self.path(name).write_text(text)

    def files(self) -> set[str]:
        """All there is, without what package management and systemd keep for themselves."""
        keep = ("var/lib/dpkg", "var/lib/apt", "var/cache", "var/log", "var/lib/systemd", "proc", "sys", "dev",
                "run", "tmp", "etc/machine-id", "etc/.updated", "var/.updated", "var/tmp")
        found = set()
        for folder, folders, names in os.walk(self.root):
            relative = os.path.relpath(folder, self.root)
            folders[:] = [f for f in folders if os.path.normpath(f"{relative}/{f}") not in keep]
            found |= {os.path.normpath(f"{relative}/{n}") for n in [*names, *folders]}
        return {f for f in found if f not in keep}

    # --- running
    def boot(self):
        self.cgroup = unified_cgroup() / f"ztna-test-{os.getpid()}-{time.monotonic_ns()}"
        self.cgroup.mkdir()

        def enter():
            # Whoever ends this test, with whatever signal, ends the machine.
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
            (self.cgroup / "cgroup.procs").write_text(str(os.getpid()))

        self.init = subprocess.Popen(
            ["unshare", "--mount", "--net", "--pid", "--uts", "--ipc", "--cgroup", "--fork", "--kill-child",
             "sh", "-c", BOOT, "sh", str(self.root)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, preexec_fn=enter)

        def child() -> int:
            assert self.init.poll() is None, f"no machine: {self.init.stderr.read().decode()}"
            listed = pathlib.Path(f"/proc/{self.init.pid}/task/{self.init.pid}/children").read_text().split()
            return int(listed[0]) if listed else 0

        self.pid = wait_for(child, "a process 1")
        wait_for(lambda: self.run("systemctl", "is-system-running", check=False).stdout.strip()
                 in ("running", "degraded"), "a machine that is up", 60)

    @property
    def network(self) -> list[str]:
        """Before a host's program: runs it in the machine's network."""
        return ["nsenter", f"--target={self.pid}", "--net"]

    def run(self, *argv: str, check: bool = True, timeout: float = 120) -> subprocess.CompletedProcess:
        return self._run(["nsenter", f"--target={self.pid}", "--mount", "--uts", "--ipc", "--net", "--pid",
                          "--root", "--wd", *ENVIRONMENT, *argv], timeout, check)

    def property(self, unit: str, name: str) -> str:
        return self.run("systemctl", "show", "--property", name, "--value", unit).stdout.strip()

    def journal(self, unit: str) -> str:
        return self.run("journalctl", "--no-pager", "--output=cat", "--unit", unit).stdout

    def status(self, role: str) -> dict:
        """What `ztna status` knows of the daemon."""
        done = self.run("ztna", "status", "--json", check=False)
        for line in done.stdout.splitlines():
            status = json.loads(line)
            if status["role"] == role:
                return status
        return {}

    def close(self):
        if self.init is not None:
            # With process 1 goes all that is in its namespace.
            if self.pid:
                os.kill(self.pid, 9)
            else:
                self.init.kill()
            self.init.wait()
            self.init.stderr.close()
        if self.cgroup is not None:
            groups = sorted((pathlib.Path(d) for d, _, _ in os.walk(self.cgroup)), key=lambda p: -len(p.parts))
            for group in groups:
                wait_for(lambda g=group: self._removed(g), f"an empty {group}")
        shutil.rmtree(self.root, ignore_errors=True)

    @staticmethod
    def _removed(group: pathlib.Path) -> bool:
        try:
            group.rmdir()
        except OSError:
            return False
        return True

    @staticmethod
    def _run(argv: list[str], timeout: float, check: bool) -> subprocess.CompletedProcess:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout)
        if check and done.returncode != 0:
            raise AssertionError(f"{argv}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done
