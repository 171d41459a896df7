"""What a person without root reads who has to install something first. Nothing is installed here."""

import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest

SOURCE = pathlib.Path(__file__).resolve().parents[2]
NOBODY = 65534


@pytest.fixture
def clone():
    """The scripts alone, where everybody may read them, with a dpkg that knows of no package and,
    like a minimal Debian, without sudo."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="ztna-e2e-setup-"))
    tools = folder / "tools"
    tools.mkdir()
    (tools / "dpkg-query").write_text("#!/bin/sh\n")
    for name in ("setup", "check", "quickstart"):
        shutil.copy(SOURCE / name, folder)
    for name in ("bash", "env", "realpath", "dirname", "dpkg"):
        (tools / name).symlink_to(shutil.which(name))
    (tools / "dpkg-query").chmod(0o755)
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("command, option", [("setup", " --tests"), ("check", " --tests"),
                                             ("quickstart", "")])
def test_without_root_the_command_to_run_is_said(clone, command, option):
    as_nobody = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    done = subprocess.run([clone / command, *(option.split() if command == "setup" else [])],
                          env={"PATH": str(clone / "tools"), "LC_ALL": "C.UTF-8"}, cwd="/",
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
                          **as_nobody)
    assert done.returncode == 2, done.stdout + done.stderr
    # What quickstart prints is its report, an object with --json.
    assert bool(done.stdout) == (command != "quickstart")
    said = done.stdout + done.stderr
    assert "setup: missing on Debian" in said and "libngtcp2-dev" in said
    assert done.stderr.splitlines()[-2:] == [
        "setup: installing them needs root. Run:",
        f"    su -c '{clone}/setup --yes{option}'"]
