"""A droplet without DigitalOcean: a root file system of its own around this machine's programs, in a
mount namespace for each command. apt-get, dpkg-query, systemctl and cloud-init are stand-ins; the
daemons, nginx, openssl, tar, curl and all scripts are real. Ports are this machine's."""

from __future__ import annotations

import os
import pathlib
import shutil
import signal
import subprocess
import time

BIN = pathlib.Path(os.environ.get("ZTNA_BIN_DIR", "build/dev/bin")).resolve()
HERE = pathlib.Path(__file__).parent

ENTER = """
set -euo pipefail
root=$1
mount --rbind /usr "$root/usr"
mount --bind "$root/.local" "$root/usr/local"
mount --bind "$2" "$root/ztna"
mount --rbind /dev "$root/dev"
mount --rbind /proc "$root/proc"
exec chroot "$root" /usr/bin/env -i HOME=/root LC_ALL=C.UTF-8 \\
  PATH=/standins:/ztna:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin bash -c "$3"
"""

SYSTEMCTL = r"""#!/bin/bash
# Starts, stops and asks after units, as far as ztna-droplet does. nginx and the daemons are real.
set -eu
echo "systemctl $*" >>/calls
start() {
  case $1 in
    nginx) nginx >>/var/log/nginx.log 2>&1 </dev/null ;;
    ztna-*.service)
      role=${1#ztna-} role=${role%.service}
      case $role in intermediate) program=intermediate-server ;; connector) program=app-connector ;; esac
      mkdir -p "/run/ztna/$role" && chown "ztna-$role" "/run/ztna/$role"
      # ZTNA_POLICY and ZTNA_RUNTIME_DIR are in the unit.
      # shellcheck disable=SC2046
      setsid setpriv --reuid "ztna-$role" --regid "ztna-$role" --clear-groups \
        env -i ZTNA_POLICY=/etc/ztna/policy.toml "ZTNA_RUNTIME_DIR=/run/ztna/$role" \
        $(grep -v '^#' "/etc/ztna/$role.env") "$(command -v "$program")" \
        >>"/var/log/$role.log" 2>&1 </dev/null &
      echo "$!" >"/run/ztna-$role.pid"
      ;;
  esac
}
pid() { cat "/run/$1.pid" 2>/dev/null || echo none; }
runs() { kill -0 "$(pid "$1")" 2>/dev/null; }
case "$1 ${2:-}" in
  "enable --now") start "$3" ;;
  "enable "*) ;;
  "restart "*)
    name=${2%.service}
    if runs "$name"; then kill "$(pid "$name")"; while runs "$name"; do sleep 0.05; done; fi
    start "$2"
    ;;
  "reload "*) kill -HUP "$(pid "${2%.service}")" ;;
  "is-active --quiet") runs "${3%.service}" ;;
  "is-active "*) if runs "${2%.service}"; then echo active; else echo inactive && exit 3; fi ;;
  *) echo "no such systemctl: $*" >&2 && exit 1 ;;
esac
"""

APT_GET = r"""#!/bin/bash
set -eu
echo "apt-get $*" >>/calls
[[ $1 == -q && $2 == -o && $3 == DPkg::Lock::Timeout=* && $4 == -o && $5 == Dpkg::Options::=--force-confold ]]
shift 5
if [[ $* == update ]]; then exit; fi
[[ $1 == install && $2 == --yes ]]
shift 2
for file in "$@"; do
  case $file in
    --reinstall | --allow-downgrades | ca-certificates | curl | nginx | openssl) name=$file ;;
    /*) [[ -s $file ]] || exit 100; name=${file##*/} ;;
    *) echo "E: Unable to locate package $file" >&2; exit 100 ;;
  esac
  echo "${name%%_*}" >>/var/lib/installed
done
for role in intermediate connector; do id "ztna-$role" >/dev/null; done
"""

DPKG_QUERY = r"""#!/bin/bash
set -eu
[[ $1 == -W ]]
shift
if [[ $1 == -f ]]; then shift 2; fi
for name in "$@"; do grep -qx "$name" /var/lib/installed 2>/dev/null || exit 1; done
printf installed
"""

DPKG = r"""#!/bin/bash
set -eu
if [[ $* == --print-architecture ]]; then exec /usr/bin/dpkg "$@"; fi
[[ $* == "--force-confold --configure -a" && $DEBIAN_FRONTEND == noninteractive ]]
echo "dpkg $*" >>/calls
rm /var/lib/dpkg/updates/*
"""

CURL = r"""#!/bin/bash
# https://packages.example.org is a folder; all else is fetched by the real one.
set -eu
url=${*: -1}
if [[ $url != https://packages.example.org/* ]]; then exec /usr/bin/curl "$@"; fi
[[ " $* " == *" --proto =https "* ]]
if [[ " $* " == *" -O "* ]]; then cp "/repository/${url##*/}" .; else cat "/repository/${url##*/}"; fi
"""


class Droplet:
    def __init__(self, root: pathlib.Path):
        self.root = root

    def command(self, line: str) -> list[str]:
        return ["unshare", "--mount", "--propagation", "private", "bash", "-c", ENTER, "enter",
                str(self.root), str(BIN), line]

    def try_run(self, line: str, input: str = "") -> subprocess.CompletedProcess:
        return subprocess.run(self.command(line), input=input, capture_output=True, text=True, timeout=60)

    def run(self, line: str, input: str = "") -> str:
        done = self.try_run(line, input)
        assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
        return done.stdout

    def make(self):
        """The image: empty but for what a fresh Ubuntu has of /etc, and nginx's defaults."""
        for name in ("usr", ".local/sbin", "ztna", "dev", "proc", "root", "run", "tmp", "opt", "standins",
                     "repository", "etc/nginx", "var/log/nginx", "var/lib/nginx", "var/cache"):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        (self.root / "tmp").chmod(0o1777)
        for name in ("bin", "sbin", "lib", "lib64"):
            (self.root / name).symlink_to(f"usr/{name}")
        for name in ("ssl", "alternatives", "ld.so.cache", "nsswitch.conf", "hosts"):
            source = pathlib.Path("/etc", name)
            if source.is_dir():
                shutil.copytree(source, self.root / "etc" / name, symlinks=True,
                                ignore=shutil.ignore_patterns("private"))
            elif source.exists():
                shutil.copy(source, self.root / "etc" / name)
        (self.root / "etc/passwd").write_text(
            "root:x:0:0::/root:/bin/bash\nwww-data:x:33:33::/:/bin/false\n"
            "ztna-intermediate:x:901:901::/:/bin/false\nztna-connector:x:902:902::/:/bin/false\n")
        (self.root / "etc/group").write_text(
            "root:x:0:\nwww-data:x:33:\nztna-intermediate:x:901:\nztna-connector:x:902:\n")
        for name in ("sites-available", "sites-enabled"):
            (self.root / "etc/nginx" / name).mkdir()
        (self.root / "etc/nginx/nginx.conf").write_text(
            "user www-data;\nworker_processes 1;\npid /run/nginx.pid;\nevents { worker_connections 64; }\n"
            "http { access_log off; include /etc/nginx/sites-enabled/*; }\n")
        (self.root / "etc/nginx/sites-enabled/default").write_text("this is nothing that nginx takes;\n")
        for name, text in (("systemctl", SYSTEMCTL), ("apt-get", APT_GET), ("dpkg-query", DPKG_QUERY), ("dpkg", DPKG),
                           ("curl", CURL), ("cloud-init", '#!/bin/sh\n[ "$*" = "status --wait" ]\n')):
            (self.root / "standins" / name).write_text(text)
            (self.root / "standins" / name).chmod(0o755)

    def boot(self):
        """What DigitalOcean does at the first boot."""
        if (self.root / "usr").exists():
            return
        self.make()
        for name in os.environ.get("ZTNA_DROPLET_REPOSITORY", "").split():
            shutil.copy(name, self.root / "repository")

    def calls(self) -> list[str]:
        path = self.root / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def pids(self) -> list[int]:
        return [int(path.read_text()) for path in self.root.glob("run/*.pid")]

    def stop(self):
        """Ends what this droplet started, by its ids."""
        for pid in self.pids():
            if ended(pid):
                continue
            os.kill(pid, signal.SIGTERM)
            deadline = time.monotonic() + 15
            while not ended(pid):
                assert time.monotonic() < deadline, f"process {pid} does not end"
                time.sleep(0.02)


def ended(pid: int) -> bool:
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True
