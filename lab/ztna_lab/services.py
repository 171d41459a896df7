"""The private services, as a program: HTTP with downloads of any size, and a UDP echo.

    python3 services.py HTTP_PORT UDP_PORT      prints "serving" when both can be reached
"""

from __future__ import annotations

import http.server
import pathlib
import socket
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))

from ztna_lab.content import blocks  # noqa: E402

HELLO = b"Hello from behind the Connector.\n"


class Page(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        """/ and /bytes/SIZE."""
        _, _, size = self.path.rpartition("/bytes/")
        if self.path != "/" and not size.isdigit():
            self.send_error(404)
            return
        parts = [HELLO] if self.path == "/" else blocks(int(size))
        self.send_response(200)
        self.send_header("Content-Length", str(len(HELLO) if self.path == "/" else int(size)))
        self.end_headers()
        for part in parts:
            self.wfile.write(part)

    def log_message(self, *_):
        pass


def echo(port: int):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", port))
    threading.Thread(target=_echo_loop, args=(sock,), daemon=True).start()


def _echo_loop(sock: socket.socket):
    while True:
        data, source = sock.recvfrom(65536)
        sock.sendto(data, source)


def main(http_port: int, udp_port: int):
    echo(udp_port)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", http_port), Page)
    print("serving", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
