"""The packages of the build under test: their contents, and one life of them on Debian 12."""

from __future__ import annotations

import hashlib
import pathlib
import platform
import re
import shutil
import stat
import subprocess

import pytest
from deployment import BIN, PACKAGES, ROLES, SOURCE, check_lintian, dependencies, live_through_it, newer_of, package, run
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


def test_what_was_made_is_named(folder):
    """Each kind, not only the last, and nothing that lay there before."""
    out = folder / "kinds"
    out.mkdir()
    (out / "ztna_0.0.1-1_amd64.deb").write_text("of an earlier run")
    made = package(out, "deb", "tar")
    assert sorted(made) == sorted(set(out.iterdir()) - {out / "ztna_0.0.1-1_amd64.deb"}) and len(made) == 5


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


def test_the_tarball_says_what_brings_a_missing_library(tmp_path):
    """What ldd says where glibc or libstdc++ is older than the programs, or GnuTLS is not there."""
    shutil.copy(SOURCE / "deploy/packages/install.sh", tmp_path)
    (tmp_path / "MACHINE").write_text(platform.machine() + "\n")
    (tmp_path / "files/usr/bin").mkdir(parents=True)
    (tmp_path / "files/usr/bin/ztna").write_text("")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/ldd").write_text("""#!/bin/sh
echo "$1: /lib/x86_64-linux-gnu/libc.so.6: version \\`GLIBC_2.34' not found (required by $1)" >&2
echo "$1: /lib/x86_64-linux-gnu/libstdc++.so.6: version \\`GLIBCXX_3.4.30' not found (required by $1)" >&2
echo "	libgnutls.so.30 => not found"
""")
    (tmp_path / "bin/ldd").chmod(0o755)
    done = run("sh", tmp_path / "install.sh", "--check", check=False,
               env={"PATH": f"{tmp_path / 'bin'}:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"})
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "GLIBCXX_3.4.30: libstdc++ of GCC 12 or newer (Debian 12, Ubuntu 22.04, Fedora 36)",
        "GLIBC_2.34: glibc 2.34 or newer (Debian 12, Ubuntu 22.04, Fedora 35)",
        "libgnutls.so.30: libgnutls30 or libgnutls30t64 (Debian, Ubuntu), gnutls (Fedora, Arch)"]


def test_the_programs_need_no_newer_libraries_than_install_md_says():
    """glibc 2.34 and GCC 12's libstdc++, which has up to GLIBCXX_3.4.30: of what is built on Debian 12."""
    if 'VERSION_ID="12"' not in pathlib.Path("/etc/os-release").read_text():
        pytest.skip("releases are built on Debian 12")
    for program in ("ztna", "intermediate-server", "app-connector", "ztna-agent"):
        symbols = run(need("objdump"), "--dynamic-syms", BIN / program).stdout
        for family, most in (("GLIBC", (2, 34)), ("GLIBCXX", (3, 4, 30)), ("CXXABI", (1, 3, 13))):
            versions = {tuple(map(int, v.split("."))) for v in re.findall(rf"\({family}_([\d.]+)\)", symbols)}
            assert versions and max(versions) <= most, (program, family, max(versions))


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


def put_into_cache(machine: Machine, debs: list[pathlib.Path]) -> list[str]:
    """As up.sh does, by what the droplet asks for."""
    sums = "".join(f"{hashlib.sha256(deb.read_bytes()).hexdigest()}  {deb.name}\n" for deb in debs)
    # Those for another kind of machine are in the list, too.
    machine.write("/root/sums", sums + sums.replace("_amd64", "_arm64"))
    asked = machine.prepare("sh", "-c", "ztna-droplet wants </root/sums").split()
    for deb in debs:
        if deb.name in asked:
            shutil.copy(deb, machine.path("/var/cache/ztna-packages"))
    return asked


def test_a_droplet_installs_them_beside_options_that_were_there_first(folder, debs):
    """Nobody is there to answer dpkg. Then it follows what PACKAGE_SOURCE has: newer, and older again."""
    (folder / "droplet").mkdir()
    machine = Machine("bookworm", folder / "droplet")
    try:
        # Stand for those of the distribution: no network is needed.
        for name in ("ca-certificates", "curl", "nginx", "openssl"):
            tree = folder / "droplet" / name
            (tree / "DEBIAN").mkdir(parents=True)
            (tree / "DEBIAN/control").write_text(f"Package: {name}\nVersion: 1\nArchitecture: all\n"
                                                 "Maintainer: nobody <nobody@example.org>\nDescription: nothing\n")
            run("dpkg-deb", "--build", tree, machine.root / f"root/{name}.deb")
            machine.prepare("dpkg", "--install", f"/root/{name}.deb")
        script = SOURCE / "deploy/digitalocean/droplet/ztna-droplet"
        shutil.copy(script, machine.path("/usr/local/sbin/"))
        machine.path("/etc/ztna").mkdir()
        options = "CERT_DIR=/opt/ztna/certs/connector\n"
        machine.write("/etc/ztna/connector.env", options)
        for files in (debs, newer_of(debs, folder / "droplet/newer"), debs):
            assert sorted(put_into_cache(machine, files)) == sorted(deb.name for deb in files)
            machine.prepare("ztna-droplet", "install")
            assert machine.path("/etc/ztna/connector.env").read_text() == options
            shown = machine.prepare("dpkg-query", "-W", "-f", "${Package}_${Version} ${db:Status-Status}\n", *PACKAGES)
            assert sorted(shown.splitlines()) == sorted(f"{deb.name.removesuffix('_amd64.deb')} installed" for deb in files)
            assert put_into_cache(machine, files) == [], "they are installed"
    finally:
        machine.close()


def test_debian_12_from_installation_to_purge(folder, debs, tarball):
    live_through_it("bookworm", folder, debs, tarball)
