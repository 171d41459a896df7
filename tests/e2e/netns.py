"""Hosts of our own: network namespaces around a router, for as long as a test needs them."""

from __future__ import annotations

import itertools
import os
import subprocess

import pytest

from backends import need

_numbers = itertools.count(1)


def require_netns():
    """Skips where namespaces cannot be made, unless ZTNA_REQUIRE_NETNS=1 makes that a failure."""
    why = ""
    if os.geteuid() != 0:
        why = "needs root for network namespaces"
    else:
        probe = subprocess.run([need("unshare"), "-n", "true"], capture_output=True, text=True)
        if probe.returncode != 0:
            why = f"cannot make network namespaces: {probe.stderr.strip()}"
    if not why:
        return
    if os.environ.get("ZTNA_REQUIRE_NETNS") == "1":
        pytest.fail(why)
    pytest.skip(why)


def run(*argv: str, data: str | None = None) -> str:
    done = subprocess.run(argv, input=data, capture_output=True, text=True, timeout=30)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(argv)}: {done.stdout}{done.stderr}")
    return done.stdout


class Host:
    def __init__(self, name: str):
        self.name = name
        self.address = ""
        self.prefix = (need("ip"), "netns", "exec", name)

    def run(self, *argv: str, data: str | None = None) -> str:
        return run(*self.prefix, *argv, data=data)


class Net:
    """client, intermediate and connector, each on a link of its own to the router. IPv4 only.

    Interfaces: eth0 in the hosts; to-<host> in the router."""

    HOSTS = ("client", "intermediate", "connector")

    def __init__(self):
        require_netns()
        self.tag = f"ztna-{os.getpid()}-{next(_numbers)}"
        self.hosts: dict[str, Host] = {}
        try:
            self.router = self._add("router")
            self.router.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
            for index, name in enumerate(self.HOSTS, 1):
                self._link(name, index)
        except BaseException:
            self.close()
            raise

    def _add(self, name: str) -> Host:
        host = Host(f"{self.tag}-{name}")
        run(need("ip"), "netns", "add", host.name)
        self.hosts[name] = host
        host.run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
        host.run("ip", "link", "set", "dev", "lo", "up")
        return host

    def _link(self, name: str, index: int):
        host = self._add(name)
        host.address = f"10.77.{index}.2"
        # Both ends are made inside: names never meet those of this machine.
        run("ip", "-n", self.router.name, "link", "add", f"to-{name}", "type", "veth", "peer",
            "name", "eth0", "netns", host.name)
        run("ip", "-n", self.router.name, "addr", "add", f"10.77.{index}.1/24", "dev", f"to-{name}")
        run("ip", "-n", self.router.name, "link", "set", "dev", f"to-{name}", "up")
        run("ip", "-n", host.name, "addr", "add", f"{host.address}/24", "dev", "eth0")
        run("ip", "-n", host.name, "link", "set", "dev", "eth0", "up")
        run("ip", "-n", host.name, "route", "add", "default", "via", f"10.77.{index}.1")

    def __getattr__(self, name: str) -> Host:
        try:
            return self.__dict__["hosts"][name]
        except KeyError:
            raise AttributeError(name) from None

    def set_mtu(self, name: str, mtu: int):
        """Of the link between the router and the host, at both ends."""
        run("ip", "-n", self.router.name, "link", "set", "dev", f"to-{name}", "mtu", str(mtu))
        run("ip", "-n", self.hosts[name].name, "link", "set", "dev", "eth0", "mtu", str(mtu))

    def set_loss(self, percent: int):
        """Of all that the router forwards."""
        self.router.run(need("nft"), "-f", "-", data=f"""
table inet loss {{
  chain forward {{
    type filter hook forward priority 0;
    numgen random mod 100 < {percent} counter drop
  }}
}}
""")

    def lost(self) -> int:
        text = self.router.run(need("nft"), "list", "table", "inet", "loss")
        return int(text.split("counter packets ")[1].split()[0])

    def close(self):
        for host in self.hosts.values():
            subprocess.run([need("ip"), "netns", "del", host.name], capture_output=True, timeout=30)
