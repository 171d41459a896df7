"""A droplet without DigitalOcean: a root file system of its own around this machine's programs, in a
mount namespace for each command. apt-get, dpkg-query, systemctl and cloud-init are stand-ins; the
daemons, nginx, openssl, tar, curl and all scripts are real. Ports are this machine's."""

from __future__ import annotations

import base64
import os
import pathlib
import shutil
import signal
import subprocess
import sys
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
    nginx) nginx ;;
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
  "reload-or-restart nginx") if runs nginx; then nginx -s reload; else nginx; fi ;;
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
[[ $6 == install && $7 == --yes ]]
shift 7
for file in "$@"; do
  [[ $file == /* && -s $file ]] || { echo "E: Unable to locate package $file" >&2; exit 100; }
  name=${file##*/}
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

CURL = r"""#!/bin/bash
# https://packages.example.org is a folder; all else is fetched by the real one.
set -eu
url=${*: -1}
if [[ $url != https://packages.example.org/* ]]; then exec /usr/bin/curl "$@"; fi
[[ " $* " == *" --proto =https "* ]]
cp "/repository/${url##*/}" .
"""


class Droplet:
    def __init__(self, root: pathlib.Path):
        self.root = root

    def command(self, line: str) -> list[str]:
        return ["unshare", "--mount", "--propagation", "private", "bash", "-c", ENTER, "enter",
                str(self.root), str(BIN), line]

    def run(self, line: str) -> str:
        done = subprocess.run(self.command(line), capture_output=True, text=True, timeout=60)
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
        for name, text in (("systemctl", SYSTEMCTL), ("apt-get", APT_GET), ("dpkg-query", DPKG_QUERY),
                           ("curl", CURL), ("cloud-init", '#!/bin/sh\n[ "$*" = "status --wait" ]\n')):
            (self.root / "standins" / name).write_text(text)
            (self.root / "standins" / name).chmod(0o755)

    def boot(self, user_data: str):
        """What cloud-init does with this at the first boot."""
        if (self.root / "usr").exists():
            return
        # Only here: every ssh would pay for it.
        sys.path.append("/usr/lib/python3/dist-packages")
        import yaml

        self.make()
        config = yaml.safe_load(user_data)
        for entry in config["write_files"]:
            path = entry["path"].removeprefix("/")
            target = self.root / path.replace("usr/local/", ".local/")
            target.parent.mkdir(parents=True, exist_ok=True)
            assert entry["encoding"] == "b64"
            target.write_bytes(base64.b64decode(entry["content"]))
            target.chmod(int(entry["permissions"], 8))
        for name in os.environ.get("ZTNA_DROPLET_REPOSITORY", "").split():
            shutil.copy(name, self.root / "repository")
        for argv in config["runcmd"]:
            with (self.root / "var/log/cloud-init-output.log").open("ab") as log:
                subprocess.run(self.command(" ".join(argv)), stdout=log, stderr=log, timeout=60)

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
