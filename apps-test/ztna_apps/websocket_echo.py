"""The WebSocket service: what comes in goes back.

    python3 websocket_echo.py PORT      prints "serving" when it can be reached
"""

from __future__ import annotations

import asyncio
import sys

import websockets


async def echo(connection):
    async for message in connection:
        await connection.send(message)


async def main(port: int):
    async with websockets.serve(echo, "0.0.0.0", port, max_size=None, compression=None):
        print("serving", flush=True)
        await asyncio.Future()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
