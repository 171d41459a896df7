"""SOCKS5 (RFC 1928) and the Agent's own loopback addresses."""

import contextlib
import ipaddress
import socket
import struct

import pytest

from backends import TcpServer, UdpEcho, nginx
from ztna import curl, free_port, wait_for, wait_service

# RFC 1928 §6.
SUCCEEDED, NOT_ALLOWED, REFUSED, NO_COMMAND = 0, 2, 5, 7
CONNECT, BIND, ASSOCIATE = 1, 2, 3


@pytest.fixture
def site(world):
    """An Agent that may reach web (nginx), echo (UDP) and down (nobody listens), not secret."""
    _, port, www = nginx(world)
    (www / "index.html").write_text("the page\n")
    echo = UdpEcho()
    secret = TcpServer(lambda connection: connection.sendall(b"secret"))
    world.policy("""
[[serve]]
connectors = ["*"]
services = ["*"]
[[allow]]
agents = ["alice"]
services = ["web", "echo", "down"]
""")
    world.intermediate()
    world.connector("home", {"web": f"tcp://127.0.0.1:{port}", "echo": f"udp://127.0.0.1:{echo.port}",
                             "down": f"tcp://127.0.0.1:{free_port()}?health=none",
                             "secret": f"tcp://127.0.0.1:{secret.port}"})
    agent = world.agent("alice", "--socks", "127.0.0.1:0", "--auto-forward")
    for service in ("web", "echo", "down"):
        wait_service(agent, service)
    agent.outside = port  # of nginx, not through the tunnel
    yield agent
    echo.close()
    secret.close()


def door(agent) -> tuple[str, int]:
    host, port = agent.status()["socks"].rsplit(":", 1)
    return host, int(port)


def read(connection: socket.socket, size: int) -> bytes:
    got = b""
    while len(got) < size:
        more = connection.recv(size - len(got))
        assert more, f"the end after {got!r}"
        got += more
    return got


def destination(host: str, port: int) -> bytes:
    with contextlib.suppress(ValueError):
        address = ipaddress.ip_address(host)
        return bytes([1 if address.version == 4 else 4]) + address.packed + struct.pack("!H", port)
    return bytes([3, len(host)]) + host.encode() + struct.pack("!H", port)


def request(agent, command: int, host: str, port: int):
    """(reply code, bound address, the connection)"""
    connection = socket.create_connection(door(agent), 20)
    connection.sendall(b"\5\1\0")
    assert read(connection, 2) == b"\5\0"
    connection.sendall(bytes([5, command, 0]) + destination(host, port))
    version, code, reserved, kind = read(connection, 4)
    assert (version, reserved, kind) == (5, 0, 1)
    address = read(connection, 4)
    bound = socket.inet_ntoa(address), struct.unpack("!H", read(connection, 2))[0]
    return code, bound, connection


@pytest.mark.parametrize("host", ["web.ztna", "web", "WEB.ZTNA"])
def test_curl_by_name(site, host):
    address, port = door(site)
    done = curl("--noproxy", "", "--socks5-hostname", f"{address}:{port}", f"http://{host}/")
    assert done.returncode == 0, done.stderr
    assert done.stdout == b"the page\n"


def test_nothing_else_is_reachable(site):
    """Not even what really is there: nginx by its address. Each is refused with the code that says
    why, and the connection ends."""
    for host, port, code in [
            ("127.0.0.1", site.outside, NOT_ALLOWED),
            ("::1", site.outside, NOT_ALLOWED),
            ("localhost.localdomain", site.outside, NOT_ALLOWED),
            ("web.example.org", 80, NOT_ALLOWED),
            ("web.ztna.org", 80, NOT_ALLOWED),
            ("a.web.ztna", 80, NOT_ALLOWED),
            ("we*", 80, NOT_ALLOWED),
            # What is denied and what does not exist look alike: names are not to be found out.
            ("nowhere", 80, NOT_ALLOWED),
            ("secret.ztna", 80, NOT_ALLOWED),
            ("down", 80, REFUSED)]:
        got, _, connection = request(site, CONNECT, host, port)
        with connection:
            assert got == code, f"{host}: {got}"
            assert connection.recv(1) == b"", host
    address, port = door(site)
    done = curl("--noproxy", "", "--socks5", f"{address}:{port}", f"http://127.0.0.1:{site.outside}/")
    assert done.returncode == 97, done.stderr  # CURLE_PROXY


def test_bind_is_no_command_here(site):
    code, _, connection = request(site, BIND, "web.ztna", 80)
    connection.close()
    assert code == NO_COMMAND


@pytest.mark.parametrize("octets, answer", [
    (b"\4\1\0\x50\x7f\0\0\1\0", b""),          # SOCKS4
    (b"GET / HTTP/1.1\r\n\r\n", b""),            # HTTP
    (b"\5\1\2", b"\5\xff"),                     # only passwords
    (b"\5\0", b""),                           # no method at all: RFC 1928 §3 wants 1 to 255
], ids=["socks4", "http", "password", "no method"])
def test_malformed_handshakes(site, octets, answer):
    with socket.create_connection(door(site), 20) as connection:
        connection.sendall(octets)
        got = b""
        with contextlib.suppress(ConnectionResetError):
            while more := connection.recv(100):
                got += more
        assert got == answer
    # The door is still open.
    code, _, connection = request(site, CONNECT, "web", 80)
    connection.close()
    assert code == SUCCEEDED


@pytest.mark.parametrize("octets", [
    b"\4\1\0\3\3web\0\x50",                       # another version in the request
    b"\5\1\0\x09\3web\0\x50",                     # an unknown address type
    b"\5\1\0\3\0\0\x50",                          # an empty name
], ids=["version", "address type", "empty name"])
def test_malformed_requests(site, octets):
    with socket.create_connection(door(site), 20) as connection:
        connection.sendall(b"\5\1\0")
        assert read(connection, 2) == b"\5\0"
        connection.sendall(octets)
        got = b""
        with contextlib.suppress(ConnectionResetError):
            while more := connection.recv(100):
                got += more
    assert got == b"" or (got[0] == 5 and got[1] != SUCCEEDED), got


def test_a_handshake_in_single_octets(site):
    with socket.create_connection(door(site), 20) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for octet in b"\5\1\0":
            connection.send(bytes([octet]))
        assert read(connection, 2) == b"\5\0"
        for octet in bytes([5, CONNECT, 0]) + destination("web.ztna", 80):
            connection.send(bytes([octet]))
        assert read(connection, 10)[1] == SUCCEEDED
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        got = b""
        while more := connection.recv(4096):
            got += more
        assert got.endswith(b"the page\n")


def test_udp_associate_is_pinned_to_its_client(site):
    code, relay, control = request(site, ASSOCIATE, "0.0.0.0", 0)
    assert code == SUCCEEDED
    with control, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mine, \
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        header = b"\0\0\0" + destination("echo.ztna", 7)
        for s in (mine, stranger):
            s.bind(("127.0.0.1", 0))
            s.settimeout(1)

        def echoed(payload):
            mine.sendto(header + payload, relay)
            try:
                answer, source = mine.recvfrom(65536)
            except TimeoutError:
                return False
            assert source == relay
            assert answer == header + payload
            return True

        wait_for(lambda: echoed(b"one"), "the first echo", 30)
        for size in (0, 1200, 1472, 9000):
            wait_for(lambda size=size: echoed(b"x" * size), f"an echo of {size}", 30)
        # From another port: dropped. The same from the right one arrives afterwards, so that what
        # did not arrive before is not merely late.
        stranger.sendto(header + b"not mine", relay)
        for bad in (b"", b"\0\0", b"\0\0\1" + header[3:] + b"fragment", b"\0\0\0\1\x7f\0\0\1\0\7ip",
                    b"\0\0\0\3\xffshort"):
            mine.sendto(bad, relay)
        wait_for(lambda: echoed(b"last"), "the last echo", 30)
        with pytest.raises(TimeoutError):
            stranger.recv(100)
    # It ends with its connection.
    site.wait_status(lambda s: not [f for f in s["flows"] if f["service"] == "echo"], "the end of the flow")


def test_own_loopback_addresses(site):
    shown = wait_for(lambda: {s["name"]: s.get("auto_forward") for s in site.status()["services"]
                              if s.get("auto_forward")}, "loopback addresses")
    assert set(shown) == {"web", "echo", "down"}, "every service it may see, and no other"
    hosts = {name: ipaddress.ip_address(text.rsplit(":", 1)[0]) for name, text in shown.items()}
    assert all(host in ipaddress.ip_network("127.96.0.0/16") for host in hosts.values())
    assert len(set(hosts.values())) == len(hosts)

    done = curl(f"http://{shown['web']}/")
    assert done.returncode == 0 and done.stdout == b"the page\n", done.stderr
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        host, port = shown["echo"].rsplit(":", 1)
        s.connect((host, int(port)))
        s.settimeout(1)

        def echoed():
            s.send(b"hello")
            with contextlib.suppress(TimeoutError):
                return s.recv(100) == b"hello"
            return False

        wait_for(echoed, "an echo", 30)
