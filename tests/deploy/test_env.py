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
    for text in (f"A_X=$(touch {trap})", f"A_X=`touch {trap}`", f"touch {trap}", f"A_X=1;touch {trap}",
                 f"a[$(touch {trap})]=1", f"A_PORT=a[$(touch {trap})]", f"A_PORT=1+a[$(touch {trap})]"):
        done = load(write(tmp_path, text + "\n"), show="A_X")
        assert done.returncode == 2, text
        assert "a.env:1: " in done.stderr and not trap.exists(), text


@pytest.mark.parametrize("line, expected", [
    ("A_PORT=0", "a port"), ("A_PORT=65536", "a port"), ("A_PORT=tcp", "a port"), ("A_PORT=08", "a port"),
    ("A_HOST=256.1.1.1", "a host"), ("A_HOST=a_b", "a host"), ("A_HOST=1.2.3", "a host"),
    ("A_ADDR=host", "HOST:PORT"), ("A_ADDR=host:0", "HOST:PORT"), ("A_HEALTH=on", "or off"),
    ("A_ADDRESSES=192.0.2.0/33", "networks"), ("A_ADDRESSES=home", "networks"),
    ("A_ADDRESSES=192.0.2.1,,192.0.2.2", "networks"), ("A_ADDRESSES=2001:db8::/129", "networks"),
    ("SERVICE_ID=a/b", "letters"), ("A=x y", "no spaces"), ('A="x"', "no spaces"),
    ("PATH=/tmp", "may not be set"), ("LD_PRELOAD=x.so", "may not be set"),
    ("BASH_ENV=x", "may not be set"), ("a=1", "NAME=VALUE"), ("export A=1", "NAME=VALUE"),
    ("A=1\nA=2", "set twice")])
def test_nonsense_is_refused(tmp_path, line, expected):
    done = load(write(tmp_path, line + "\n"))
    assert done.returncode == 2 and expected in done.stderr, done.stderr


@pytest.mark.parametrize("line", [
    "A_PORT=65535", "A_HOST=relay.example.org", "A_HOST=2001:db8::7", "A_HOST=192.0.2.7",
    "A_ADDR=[2001:db8::7]:80", "A_HEALTH=off", "A_ADDRESSES=192.0.2.1,198.51.100.0/24,2001:db8::/32",
    "A_DIR=/etc/ztna", "URL=https://example.org/a_b/v1.0+2", "EMPTY=", "  # a comment", ""])
def test_sense_is_taken(tmp_path, line):
    done = load(write(tmp_path, line))  # and without a newline at the end
    assert done.returncode == 0, done.stderr


def test_missing(tmp_path):
    done = load(tmp_path / "none.env")
    assert done.returncode == 2 and "cannot be read" in done.stderr
    for text in ("", "A_ID=\n"):
        done = load(write(tmp_path, text), "A_ID")
        assert done.returncode == 2 and "A_ID is missing" in done.stderr
