"""The packages of the build under test, on Debian 13."""

from __future__ import annotations

from deployment import live_through_it, package
from machine import folder  # noqa: F401


def test_debian_13_from_installation_to_purge(folder):
    live_through_it("trixie", folder, package(folder / "debs", "deb"), package(folder / "tar", "tar")[0])
