"""The packages of the build under test: their contents, and one life of them on Debian 12."""

from __future__ import annotations

import pathlib
import shutil
import stat
import subprocess

import pytest
from deployment import PACKAGES, ROLES, SOURCE, check_lintian, dependencies, live_through_it, package, run
from machine import Machine, folder, need  # noqa: F401

@pytest.fixture(scope="module")
def debs(folder) -> list[pathlib.Path]:
    return package(folder / "debs", "deb")


@pytest.fixture(scope="module")
def tarball(folder) -> pathlib.Path:
    return package(folder / "tar", "tar")[0]


@pytest.fixture(scope="module")
def rpm(folder) -> pathlib.Path:
    return package(folder / "rpm", "rpm")[0]


def test_every_package_is_there_and_lintian_finds_no_error(debs):
    assert sorted(deb.name.split("_")[0] for deb in debs) == sorted(PACKAGES)
    check_lintian(debs)


def test_the_libraries_asked_for_have_the_names_of_all_distributions(debs):
    for deb in debs:
        names = dependencies(deb)
        # libgnutls30t64 provides libgnutls30 on Debian 13 and Ubuntu 24.04.
        known = {"libc6", "libgcc-s1", "libstdc++6", "adduser", "libgnutls30"}
        if pathlib.Path("/etc/os-release").read_text().find('VERSION_ID="12"') < 0:
            known.add("libgnutls30t64")
        assert names <= known, deb
        assert ("adduser" in names) == (deb.name.split("_")[0] != "ztna"), deb


def test_the_rpm_has_what_the_packages_have(rpm, debs):
    in_debs = set()
    for deb in debs:
        listed = run("dpkg-deb", "--fsys-tarfile", deb, text=False).stdout
        names = run("tar", "--list", text=False, input=listed).stdout.decode().split()
        in_debs |= {name.removeprefix(".") for name in names if not name.endswith("/")}
    in_rpm = set(run(need("rpm"), "--query", "--package", "--list", rpm).stdout.split())
    assert in_rpm >= {name for name in in_debs if not name.startswith("/usr/share/doc/ztna-")}
    # No folder of another package.
    assert not in_rpm & {"/etc", "/usr", "/usr/bin", "/usr/lib/systemd/system", "/usr/share/man/man1"}
    config = run("rpm", "--query", "--package", "--configfiles", rpm).stdout.split()
    assert config == [f"/etc/ztna/{role}.env" for role in sorted(ROLES)]
    requires = run("rpm", "--query", "--package", "--requires", rpm).stdout
    assert "libgnutls.so.30" in requires and "ngtcp2" not in requires and "protobuf" not in requires


def test_the_rpm_unpacks_and_its_scripts_are_shell(rpm, folder):
    root = folder / "rpm-root"
    root.mkdir()
    archive = subprocess.run([need("rpm2cpio"), str(rpm)], capture_output=True, check=True, timeout=60).stdout
    run(need("cpio"), "--extract", "--make-directories", "--quiet", cwd=root, input=archive, text=False)
    program = root / "usr/bin/ztna"
    assert stat.S_IMODE(program.stat().st_mode) == 0o755 and run(program, "--version").stdout.startswith("ztna ")
    scripts = run("rpm", "--query", "--package", "--queryformat", "%{POSTIN}\n%{PREUN}\n%{POSTUN}\n", rpm).stdout
    assert "useradd" in scripts and "try-restart" in scripts
    done = run(need("shellcheck"), "--shell=sh", "-", input=scripts, check=False)
    assert done.returncode == 0, done.stdout


def test_a_droplet_installs_them_beside_options_that_were_there_first(folder, debs):
    """cloud-init writes /etc/ztna before there is a package, and nobody is there to answer dpkg."""
    (folder / "droplet").mkdir()
    machine = Machine("bookworm", folder / "droplet")
    try:
        script = SOURCE / "deploy/digitalocean/droplet/ztna-droplet"
        shutil.copy(script, machine.path("/usr/local/sbin/"))
        for name in ("/etc/ztna", "/var/cache/ztna-packages"):
            machine.path(name).mkdir()
        options = "CERT_DIR=/opt/ztna/certs/connector\n"
        machine.write("/etc/ztna/connector.env", options)
        for deb in debs:
            shutil.copy(deb, machine.path("/var/cache/ztna-packages"))
            # One that was made for another kind of machine lies beside it.
            machine.write(f"/var/cache/ztna-packages/{deb.name.replace('_amd64', '_arm64')}", "")
        machine.prepare("ztna-droplet", "install")
        assert machine.path("/etc/ztna/connector.env").read_text() == options
        assert machine.prepare("dpkg-query", "-W", "-f", "${db:Status-Status}\n", *PACKAGES) == "installed\n" * 4
    finally:
        machine.close()


def test_debian_12_from_installation_to_purge(folder, debs, tarball):
    live_through_it("bookworm", folder, debs, tarball)
