"""A page, and its way to a game server: browsers have no UDP, so each binary message of the WebSocket
/game is one datagram to the one server, and each of the server's datagrams one message.

    python3 gateway.py PORT SERVER_PORT      prints "serving" when it can be reached
"""

from __future__ import annotations

import asyncio
import http
import pathlib
import sys

import websockets

PAGE = pathlib.Path(__file__).with_name("page.html")
LARGEST = 16_384  # what a Quake 3 server takes
_HEADERS = [("Content-Type", "text/html; charset=utf-8"),
            ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; "
             "script-src 'unsafe-inline'; connect-src 'self'; img-src data:"),
            ("Cache-Control", "no-store")]


class Player(asyncio.DatagramProtocol):
    """The socket that the server sees for one WebSocket."""

    def __init__(self):
        self.came: asyncio.Queue[bytes] = asyncio.Queue(256)

    def datagram_received(self, data, _):
        if not self.came.full():  # as a full socket would
            self.came.put_nowait(data)

    def error_received(self, _):  # nobody there: as with any datagram, silence
        pass


async def page(path, _):
    if path == "/game":
        return None
    if path == "/":
        return http.HTTPStatus.OK, _HEADERS, PAGE.read_bytes()
    return http.HTTPStatus.NOT_FOUND, [], b""


async def main(port: int, server_port: int):
    loop = asyncio.get_running_loop()

    async def play(connection):
        transport, player = await loop.create_datagram_endpoint(Player,
                                                                remote_addr=("127.0.0.1", server_port))

        async def back():
            while True:
                await connection.send(await player.came.get())

        answers = asyncio.ensure_future(back())
        try:
            async for message in connection:
                if isinstance(message, bytes):
                    transport.sendto(message)
        finally:
            answers.cancel()
            transport.close()

    async with websockets.serve(play, "0.0.0.0", port, process_request=page, max_size=LARGEST,
                                compression=None):
        print("serving", flush=True)
        await asyncio.Future()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
