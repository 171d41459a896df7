"""deploy/env: the files are what load.sh takes, and load.sh executes nothing and takes no nonsense."""

from __future__ import annotations

import pathlib
import subprocess

import pytest

ENV = pathlib.Path(__file__).resolve().parents[2] / "deploy" / "env"


def load(file: pathlib.Path, *names: str, show: str = "") -> subprocess.CompletedProcess:
    script = 'set -euo pipefail; . "$1/load.sh"; shift; file=$1 show=$2; shift 2\n' \
             'load_env "$file" "$@"\nif [[ -n $show ]]; then printf %s "${!show-unset}"; fi\n'
    return subprocess.run(["bash", "-c", script, "load", str(ENV), str(file), show, *names],
                          capture_output=True, text=True, timeout=30)


def write(folder: pathlib.Path, text: str) -> pathlib.Path:
    file = folder / "a.env"
    file.write_text(text)
    return file


@pytest.mark.parametrize("name", ["cloud", "home", "local"])
def test_every_variable_is_explained(name):
    lines = (ENV / f"{name}.env").read_text().splitlines()
    for before, line in zip(lines, lines[1:]):
        # A comment may stand for the lines of the same kind below it.
        if "=" in line and not line.startswith("#"):
            assert before.startswith("#") or "=" in before, f"{line} has no comment"
    assert load(ENV / f"{name}.env").returncode == 0


@pytest.mark.parametrize("name", ["cloud", "home"])
def test_placeholders_are_refused_where_they_matter(name):
    done = load(ENV / f"{name}.env", "SERVICE_ID", "INTERMEDIATE_HOST")
    assert done.returncode == 2
    assert "INTERMEDIATE_HOST is still a placeholder, fill it in" in done.stderr
    assert load(ENV / f"{name}.env", "SERVICE_ID", show="INTERMEDIATE_HOST").stdout == "unset"


def test_local_needs_nothing():
    done = load(ENV / "local.env", "INTERMEDIATE_HOST", "INTERMEDIATE_PORT", "SERVICE_ID", "CERT_DIR",
                show="INTERMEDIATE_PORT")
    assert (done.returncode, done.stdout) == (0, "4433")


def test_nothing_is_executed(tmp_path):
    trap = tmp_path / "trap"
    for text in (f"CA_DIR=$(touch {trap})", f"CA_DIR=`touch {trap}`", f"touch {trap}", f"CA_DIR=1;touch {trap}",
                 f"a[$(touch {trap})]=1", f"P2P_PORT=a[$(touch {trap})]", f"P2P_PORT=1+a[$(touch {trap})]"):
        done = load(write(tmp_path, text + "\n"), show="CA_DIR")
        assert done.returncode == 2, text
        assert "a.env:1: " in done.stderr and not trap.exists(), text


@pytest.mark.parametrize("line, expected", [
    ("P2P_PORT=0", "a port"), ("P2P_PORT=65536", "a port"), ("P2P_PORT=tcp", "a port"), ("P2P_PORT=08", "a port"),
    ("INTERMEDIATE_HOST=256.1.1.1", "a host"), ("INTERMEDIATE_HOST=a_b", "a host"),
    ("INTERMEDIATE_HOST=1.2.3", "a host"),
    ("LOCAL_ADDR=host", "HOST:PORT"), ("LOCAL_ADDR=host:0", "HOST:PORT"), ("AGENT_HEALTH=on", "or off"),
    ("ADMIN_ADDRESSES=192.0.2.0/33", "networks"), ("ADMIN_ADDRESSES=home", "networks"),
    ("ADMIN_ADDRESSES=192.0.2.1,,192.0.2.2", "networks"), ("ADMIN_ADDRESSES=2001:db8::/129", "networks"),
    ("SERVICE_ID=a/b", "letters"), ("CA_DIR=x y", "no spaces"), ('CA_DIR="x"', "no spaces"),
    ("PATH=/tmp", "PATH may not be set"), ("LD_PRELOAD=x.so", "may not be set"), ("UID=0", "may not be set"),
    ("OPENSSL_CONF=/tmp/x", "may not be set"), ("SSL_CERT_DIR=/tmp", "may not be set"),
    ("P2P_PROT=4434", "P2P_PROT may not be set here, only what a file of deploy/env has"),
    ("DIR=x", "may not be set"), ("a=1", "NAME=VALUE"), ("export CA_DIR=1", "NAME=VALUE"),
    ("CA_DIR=1\nCA_DIR=2", "set twice")])
def test_nonsense_is_refused(tmp_path, line, expected):
    done = load(write(tmp_path, line + "\n"))
    assert done.returncode == 2 and expected in done.stderr, done.stderr


@pytest.mark.parametrize("line", [
    "P2P_PORT=65535", "INTERMEDIATE_HOST=relay.example.org", "INTERMEDIATE_HOST=2001:db8::7",
    "INTERMEDIATE_HOST=192.0.2.7",
    "LOCAL_ADDR=[2001:db8::7]:80", "AGENT_HEALTH=off", "ADMIN_ADDRESSES=192.0.2.1,198.51.100.0/24,2001:db8::/32",
    "CERT_DIR=/etc/ztna", "PACKAGE_SOURCE=https://example.org/a_b/v1.0+2", "CA_DIR=",
    "P2P_ADVERTISE=192.0.2.7:30434", "ZTNA_LOG_LEVEL=debug", "  # a comment", ""])
def test_sense_is_taken(tmp_path, line):
    done = load(write(tmp_path, line))  # and without a newline at the end
    assert done.returncode == 0, done.stderr


def test_missing(tmp_path):
    done = load(tmp_path / "none.env")
    assert done.returncode == 2 and "cannot be read" in done.stderr
    for text in ("", "SERVICE_ID=\n"):
        done = load(write(tmp_path, text), "SERVICE_ID")
        assert done.returncode == 2 and "SERVICE_ID is missing" in done.stderr
