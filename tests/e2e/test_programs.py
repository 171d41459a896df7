"""More programs that nobody here wrote: redis, a Quake 3 server, nc."""

import socket
import subprocess

from backends import TcpServer, need, redis
from ztna import forward_port, free_port, wait_for, wait_service


def test_redis_benchmark(world):
    _, port = redis(world)
    world.allow({"alice": ["redis"]})
    world.intermediate()
    world.connector("home", {"redis": f"tcp://127.0.0.1:{port}"})
    agent = world.agent("alice", "--forward", "tcp://127.0.0.1:0=redis")
    wait_service(agent, "redis")
    done = subprocess.run([need("redis-benchmark"), "-p", str(forward_port(agent, "redis")), "-n", "20000",
                           "-c", "20", "-t", "set,get,lpush,lrange_100", "--csv"],
                          capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "rror" not in done.stdout + done.stderr, done.stdout + done.stderr
    measured = [line.split(",")[0].strip('"') for line in done.stdout.splitlines()]
    for test in ("SET", "GET", "LPUSH", "LRANGE_100 (first 100 elements)"):
        assert test in measured, done.stdout
    count = subprocess.run([need("redis-cli"), "-p", str(port), "llen", "mylist"],
                           capture_output=True, text=True, timeout=20)
    assert int(count.stdout) >= 20000


def game_status(port: int) -> bytes | None:
    """A Quake 3 server's answer; it answers an address once in a while only, hence a new socket."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect(("127.0.0.1", port))
        s.settimeout(1.2)
        try:
            s.send(b"\xff\xff\xff\xffgetstatus\n")
            return s.recv(65536)
        except OSError:
            return None


def test_a_quake_server_answers(world):
    port = free_port(socket.SOCK_DGRAM)
    home = world.folder / "home"
    home.mkdir()
    server = world.spawn("openarena", [need("openarena-server"), "+set", "dedicated", "1", "+set", "net_ip",
                                       "127.0.0.1", "+set", "net_port", str(port), "+set", "sv_pure", "0",
                                       "+set", "sv_hostname", "behind the tunnel", "+map", "oa_dm1"],
                         env={"HOME": str(home)})

    def described(answer: bytes | None) -> dict[str, str]:
        if not answer:
            return {}
        head, variables = answer.split(b"\n")[:2]
        assert head == b"\xff\xff\xff\xffstatusResponse"
        fields = variables.decode("latin-1").split("\\")[1:]
        return dict(zip(fields[::2], fields[1::2], strict=True))

    def direct():
        assert server.running(), server.log()
        found = described(game_status(port))
        return found if found.get("mapname") == "oa_dm1" else None

    expected = wait_for(direct, "the server's own answer", 90)
    assert expected["sv_hostname"] == "behind the tunnel"
    world.allow({"alice": ["quake"]})
    world.intermediate()
    world.connector("home", {"quake": f"udp://127.0.0.1:{port}"})
    agent = world.agent("alice", "--forward", "udp://127.0.0.1:0=quake")
    wait_service(agent, "quake")
    local = forward_port(agent, "quake", "udp")
    assert wait_for(lambda: described(game_status(local)), "the answer through the tunnel", 60) == expected


def test_half_close_with_nc(world):
    """The backend answers only once it has seen the end of the request."""

    def serve(connection):
        got = b""
        while data := connection.recv(65536):
            got += data
        connection.sendall(b"%d octets, then the end\n" % len(got))

    server = TcpServer(serve)
    world.allow({"alice": ["sink"]})
    world.intermediate()
    world.connector("home", {"sink": f"tcp://127.0.0.1:{server.port}"})
    agent = world.agent("alice", "--forward", "tcp://127.0.0.1:0=sink")
    wait_service(agent, "sink")
    # -N: shut the sending side down at the end of the input, and keep reading.
    done = subprocess.run([need("nc"), "-N", "127.0.0.1", str(forward_port(agent, "sink"))],
                          input=b"x" * 1_000_000, capture_output=True, timeout=60)
    server.close()
    assert done.stdout == b"1000000 octets, then the end\n"
    assert done.returncode == 0, done.stderr


def test_the_other_half_close(world):
    """The backend ends its side first; what the client sends afterwards still arrives."""
    received = []

    def serve(connection):
        connection.sendall(b"greeting")
        connection.shutdown(socket.SHUT_WR)
        got = b""
        while data := connection.recv(65536):
            got += data
        received.append(got)

    server = TcpServer(serve)
    world.allow({"alice": ["sink"]})
    world.intermediate()
    world.connector("home", {"sink": f"tcp://127.0.0.1:{server.port}"})
    agent = world.agent("alice", "--forward", "tcp://127.0.0.1:0=sink")
    wait_service(agent, "sink")
    with socket.create_connection(("127.0.0.1", forward_port(agent, "sink")), 30) as connection:
        got = b""
        while more := connection.recv(100):
            got += more
        assert got == b"greeting"
        connection.sendall(b"y" * 300_000)
        connection.shutdown(socket.SHUT_WR)
        wait_for(lambda: received, "what was sent after the greeting", 30)
    server.close()
    assert received == [b"y" * 300_000]
