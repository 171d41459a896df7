"""arm64, compiled on this machine by scripts/cross-arm64: the unit tests under qemu, the packages, and images
for both kinds of machine by one name."""

from __future__ import annotations

import json
import os
import pathlib
import re
import shutil
import struct

import pytest
from containers import MEGABYTE, OURS, Compose, Machine, http_get, wait
from deployment import PACKAGES, SOURCE, check_lintian, dependencies, run
from machine import folder, need  # noqa: F401

from ztna import BIN

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
    cross(root, "scripts/build", "arm64", "ztna_unit_tests", "ztna", "intermediate-server", "app-connector",
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


@pytest.fixture(scope="module")
def packages(root) -> pathlib.Path:
    out = BUILD / "packages"
    shutil.rmtree(out, ignore_errors=True)
    cross(root, "scripts/package", "--build", "build/arm64", "--out", f"build/arm64/{out.name}", timeout=300)
    return out


@pytest.fixture(scope="module")
def programs(packages, folder) -> pathlib.Path:
    """The folder of the four, without symbols."""
    for deb in packages.glob("*.deb"):
        run("dpkg-deb", "--extract", deb, folder / "unpacked")
    return folder / "unpacked/usr/bin"


def test_the_packages_are_for_arm64_and_ask_for_what_amd64s_do(packages, programs):
    debs = sorted(packages.glob("*.deb"))
    assert {deb.name.split("_")[0] for deb in debs} == set(PACKAGES)
    for deb in debs:
        assert run("dpkg-deb", "--field", deb, "Architecture").stdout == "arm64\n"
        assert dependencies(deb) - {"adduser"} == {"libc6", "libgcc-s1", "libgnutls30", "libstdc++6"}
    files = list(programs.iterdir())
    assert len(files) == 4 and {machine_of(program) for program in files} == {EM_AARCH64}
    [rpm] = packages.glob("*.rpm")
    assert run(need("rpm"), "--query", "--package", "--queryformat", "%{ARCH}", rpm).stdout == "aarch64"
    [tarball] = packages.glob("*.tar.gz")
    said = run("tar", "--extract", "--to-stdout", "--wildcards", "--file", tarball, "*/MACHINE").stdout
    assert said == "aarch64\n" and tarball.name.endswith("-linux-aarch64.tar.gz")
    check_lintian(debs)


@pytest.fixture(scope="module")
def images(root, programs):
    """A machine with each role's image for arm64, which it runs in an emulator, and two for its own kind."""
    machine = Machine()
    try:
        machine.make_base()
        ready = machine.ready(BIN)
        for target in ("app-connector", "web"):
            machine.build(target, ready)
        with machine.emulated_arm64(root / "usr/bin/qemu-aarch64-static"):
            machine.make_base(architecture="arm64")
            for target in OURS:
                machine.build(target, programs, "arm64")
            yield machine
    finally:
        machine.close()


@pytest.mark.parametrize("target", OURS)
def test_an_image_for_arm64_is_small(images, target):
    size = images.compressed_size(f"ztna/{target}:arm64")
    print(f"{target}: {size / MEGABYTE:.1f} MB compressed")
    assert size < 60 * MEGABYTE


def test_one_name_has_an_image_for_each_kind_of_machine(images):
    name = "ztna/app-connector"
    images.run("buildah", "manifest", "create", f"{name}:both", f"localhost/{name}", f"localhost/{name}:arm64")
    index = json.loads(images.run("buildah", "manifest", "inspect", f"{name}:both").stdout)
    assert {entry["platform"]["architecture"] for entry in index["manifests"]} == {"amd64", "arm64"}


def test_the_compose_file_is_a_whole_system_of_arm64(images):
    """But for the web server, which is not ours."""
    Compose(images, {"AGENT_PORT": "18888"}, tag="arm64").up()
    for role in ("intermediate", "connector", "agent"):
        assert images.podman("exec", role, "uname", "--machine") == "aarch64"
    page = wait(lambda: http_get(images, "http://127.0.0.1:18888/"), "the page through the tunnel")
    assert page == "This page is private.\n"
