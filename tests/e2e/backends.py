"""Programs that nobody here wrote, as backends; and a few sockets of our own."""

from __future__ import annotations

import contextlib
import pathlib
import shutil
import socket
import threading

import pytest

from ztna import World, free_port, wait_for, wait_listening


def need(program: str) -> str:
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/games:/sbin")
    if path is None:
        pytest.fail(f"{program} is not installed: run ./setup --tests")
    return path


def nginx(world: World, host: str = "127.0.0.1", port: int | None = None, prefix=()):
    """Serves <folder>/www, with PUT. Returns (process, port, www)."""
    port = port or free_port()
    root = world.folder / "nginx"
    www = root / "www"
    www.mkdir(parents=True, exist_ok=True)
    (root / "nginx.conf").write_text(f"""
daemon off;
worker_processes 1;
pid {root}/nginx.pid;
error_log {root}/error.log;
user root;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {root}/body;
  proxy_temp_path {root}/proxy;
  fastcgi_temp_path {root}/fastcgi;
  uwsgi_temp_path {root}/uwsgi;
  scgi_temp_path {root}/scgi;
  client_max_body_size 0;
  server {{
    listen {host}:{port};
    root {www};
    location / {{ dav_methods PUT; create_full_put_path on; }}
  }}
}}
""")
    process = world.spawn("nginx", [need("nginx"), "-c", str(root / "nginx.conf"), "-e", str(root / "error.log")],
                          prefix=prefix)
    if not prefix:
        wait_listening(port, "nginx")
    return process, port, www


def httpbin(world: World):
    port = free_port()
    process = world.spawn("httpbin", ["/usr/bin/python3", need("gunicorn"), "-b", f"127.0.0.1:{port}",
                                      "-w", "2", "httpbin:app"])
    wait_listening(port, what="httpbin")
    return process, port


def redis(world: World):
    port = free_port()
    process = world.spawn("redis", [need("redis-server"), "--port", str(port), "--bind", "127.0.0.1",
                                    "--save", "", "--appendonly", "no", "--dir", str(world.folder)])
    wait_listening(port, what="redis")
    return process, port


class UdpEcho:
    """Echoes datagrams, on one thread, until closed."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.bind((host, port))
        self.host, self.port = self.socket.getsockname()
        self.closing = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        with contextlib.suppress(OSError):
            while True:
                data, source = self.socket.recvfrom(65536)
                if self.closing:
                    return
                self.socket.sendto(data, source)

    def close(self):
        """Returns when the port is free again: a thread in recvfrom() would keep it."""
        self.closing = True
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.sendto(b"", (self.host, self.port))
        self.thread.join(10)
        self.socket.close()


class TcpServer:
    """Accepts, and calls `serve(connection)` on a thread for each."""

    def __init__(self, serve, host: str = "127.0.0.1", port: int = 0):
        self.listener = socket.create_server((host, port))
        self.port = self.listener.getsockname()[1]
        self.serve = serve
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection):
        with contextlib.suppress(OSError), connection:
            self.serve(connection)

    def close(self):
        self.listener.close()


def random_file(path: pathlib.Path, size: int):
    with open("/dev/urandom", "rb") as source, path.open("wb") as target:
        left = size
        while left:
            chunk = source.read(min(left, 1 << 20))
            target.write(chunk)
            left -= len(chunk)


def wait_udp_bound(port: int):
    """Until some process of this network namespace has the UDP port."""
    tail = f":{port:04X}"

    def bound():
        table = pathlib.Path("/proc/net/udp").read_text().splitlines()[1:]
        return any(line.split()[1].endswith(tail) for line in table)

    wait_for(bound, f"UDP port {port} bound")
