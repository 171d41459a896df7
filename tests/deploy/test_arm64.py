"""arm64, compiled on this machine by scripts/cross-arm64: the unit tests under qemu, and the packages."""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import struct

import pytest
from deployment import PACKAGES, SOURCE, check_lintian, dependencies, run
from machine import folder, need  # noqa: F401

BUILD = SOURCE / "build/arm64"
# What qemu's user mode does not do, and no fault of ours.
NOT_UNDER_QEMU = {"UdpSocket.FullReceiverIsSeenInTheKernelsDropCounter": "SO_RXQ_OVFL is not passed on"}
EM_AARCH64 = 183


def cross(root: pathlib.Path, *argv: str, timeout: float) -> str:
    need("mmdebstrap")
    done = run(SOURCE / "scripts/cross-arm64", root, *argv, check=False, timeout=timeout)
    assert done.returncode == 0, (done.stdout + done.stderr)[-8000:]
    return done.stdout


@pytest.fixture(scope="module")
def root(folder) -> pathlib.Path:
    """The Debian in which all is built: kept where $ZTNA_TEST_ROOTS says."""
    root = pathlib.Path(os.environ.get("ZTNA_TEST_ROOTS", folder)) / "arm64"
    cross(root, "scripts/build", "arm64", "ztna_core_tests", "ztna", "intermediate-server", "app-connector",
          "ztna-agent", "ztna_documents", timeout=2400)
    return root


def machine_of(program: pathlib.Path) -> int:
    with program.open("rb") as file:
        return struct.unpack_from("<H", file.read(20), 18)[0]


def test_the_unit_tests_pass_under_qemu(root):
    excluded = "|".join(re.escape(name) for name in NOT_UNDER_QEMU)
    said = cross(root, "ctest", "--preset", "arm64", "--parallel", str(os.cpu_count()), "--no-tests=error",
                 "--label-regex", "^unit$", "--exclude-regex", f"^({excluded})$", timeout=1800)
    [(failed, passed)] = re.findall(r"tests passed, (\d+) tests failed out of (\d+)", said)
    assert failed == "0" and int(passed) > 900


def test_the_packages_are_for_arm64_and_ask_for_what_amd64s_do(root, folder):
    out = BUILD / "packages"
    shutil.rmtree(out, ignore_errors=True)
    cross(root, "scripts/package", "--build", "build/arm64", "--out", f"build/arm64/{out.name}", timeout=300)
    debs = sorted(out.glob("*.deb"))
    assert {deb.name.split("_")[0] for deb in debs} == set(PACKAGES)
    for deb in debs:
        assert run("dpkg-deb", "--field", deb, "Architecture").stdout == "arm64\n"
        assert dependencies(deb) - {"adduser"} == {"libc6", "libgcc-s1", "libgnutls30", "libstdc++6"}
        run("dpkg-deb", "--extract", deb, folder / "unpacked")
    programs = list((folder / "unpacked/usr/bin").iterdir())
    assert len(programs) == 4 and {machine_of(p) for p in programs} == {EM_AARCH64}
    [rpm] = out.glob("*.rpm")
    assert run(need("rpm"), "--query", "--package", "--queryformat", "%{ARCH}", rpm).stdout == "aarch64"
    [tarball] = out.glob("*.tar.gz")
    said = run("tar", "--extract", "--to-stdout", "--wildcards", "--file", tarball, "*/MACHINE").stdout
    assert said == "aarch64\n" and tarball.name.endswith("-linux-aarch64.tar.gz")
    check_lintian(debs)
