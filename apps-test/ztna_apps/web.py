"""HTTP: httpbin and nginx behind the Connector, asked with curl and by 200 at once; a download that is
compared octet by octet; a WebSocket echo."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import pathlib
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import websockets
from ztna_bench.figures import RAW, Figure, quantile
from ztna_lab import traffic
from ztna_lab.namespaces import Laboratory, LabError, need

from .places import DIRECT, RELAY, TCP, End, Homes, host_environment

MEGA = 1_000_000
AT_ONCE = 200
MOVES = "moves to another path meanwhile"
WORDS = "what was posted"
FRAMES = (0, 1, 125, 126, 65_535, 65_536, MEGA)  # RFC 6455 writes their lengths in three ways
_FORMAT = "\n%{http_code} %{time_total}"
_WORKERS = 2


def start_services(homes: Homes, download: int) -> None:
    homes.serve_files(download)
    homes.server.spawn("httpbin", sys.executable, need("gunicorn", "gunicorn"), "-b",
                       f"0.0.0.0:{TCP['httpbin']}", "-w", str(_WORKERS), "httpbin:app",
                       env=host_environment(homes.lab, "httpbin"))
    homes.server.spawn("echo", sys.executable, "-B",
                       str(pathlib.Path(__file__).with_name("websocket_echo.py")), str(TCP["echo"]))
    homes.wait_port("httpbin")
    homes.wait_port("echo")


class Web:
    """One way to the services. Each method is one measurement, and checks what it got."""

    def __init__(self, homes: Homes, end: End):
        self._client = homes.client
        self._address = end.address

    def curl(self, path: str, *options: str) -> tuple[dict, float]:
        """(the answer, seconds). httpbin answers in JSON."""
        url = f"http://{self._address}:{TCP['httpbin']}{path}"
        done = self._client.run(need("curl", "curl"), "-s", "-S", "--max-time", "30", "-w", _FORMAT,
                                *options, url)
        body, _, figures = done.stdout.rpartition("\n")
        code, seconds = figures.split()
        if code != "200":
            raise LabError(f"HTTP {code} for {url}")
        return json.loads(body), float(seconds)

    def get(self) -> float:
        """ms, as of 20 requests."""
        taken = []
        for number in range(20):
            answer, seconds = self.curl(f"/get?number={number}")
            _same(answer["args"], {"number": str(number)})
            taken.append(1000 * seconds)
        return statistics.median(taken)

    def delay(self) -> float:
        return self.curl("/delay/1")[1]

    def post(self) -> float:
        answer, seconds = self.curl("/post", "-d", WORDS)
        _same(answer["form"], {WORDS: ""})
        return 1000 * seconds

    def download(self, size: int) -> float:
        """Mbit/s; what came has the SHA-256 of what it must be."""
        began = time.monotonic()
        download = traffic.Download(self._client, TCP["files"], size, address=self._address)
        error = download.result(600)
        if error:
            raise LabError(f"download from {self._address}: {error}")
        return 8e-6 * size / (time.monotonic() - began)

    def frames(self) -> float:
        """ms for the echo of one small frame, as of 100; larger ones have to come back as they were."""
        try:
            return asyncio.run(self._frames())
        except websockets.WebSocketException as error:
            raise LabError(f"the WebSocket echo at {self._address}: {error}") from None

    async def _frames(self) -> float:
        sock = self._client.socket()
        sock.settimeout(10)
        sock.connect((self._address, TCP["echo"]))
        taken = []
        async with websockets.connect(f"ws://{self._address}:{TCP['echo']}/", sock=sock, max_size=None,
                                      compression=None) as connection:
            for size in FRAMES:
                sent = os.urandom(size)
                await connection.send(sent)
                _same(await asyncio.wait_for(connection.recv(), 30), sent)
            for number in range(100):
                began = time.perf_counter()
                await connection.send(str(number))
                _same(await asyncio.wait_for(connection.recv(), 30), str(number))
                taken.append(1000 * (time.perf_counter() - began))
        return statistics.median(taken)

    def at_once(self) -> list[float]:
        """200 requests that begin together, each on a connection of its own: seconds of each."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(self._one, range(AT_ONCE)))

    def _one(self, number: int) -> float:
        began = time.monotonic()
        connection = http.client.HTTPConnection(self._address, TCP["httpbin"])
        connection.sock = self._client.socket()
        connection.sock.settimeout(60)
        try:
            connection.sock.connect((self._address, TCP["httpbin"]))
            connection.request("GET", f"/get?number={number}")
            response = connection.getresponse()
            answer = json.loads(response.read())
            _same((response.status, answer["args"]), (200, {"number": str(number)}))
            return time.monotonic() - began
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise LabError(f"request {number} of {AT_ONCE} at once: {error!r}") from None
        finally:
            connection.close()


def _same(found, wanted) -> None:
    if found != wanted:
        raise LabError(f"not what it must be: {str(found)[:200]!r}, and not {str(wanted)[:200]!r}")


def measure(line, size: int, say) -> list[Figure]:
    with Laboratory() as lab:
        homes = Homes(lab, line)
        start_services(homes, size)
        homes.start()
        for way in (DIRECT, RELAY):
            homes.start_path(way)
        samples: dict[str, dict[str, list[float]]] = {}
        for way in (RAW, DIRECT, RELAY):
            web, began = Web(homes, homes.end(way)), time.time()
            for name, taken in _one_way(web, size, lambda text, w=way: say(f"http, {w}: {text}")):
                samples.setdefault(name, {})[way] = [taken]
            samples.setdefault(MOVES, {})[way] = [len(homes.moves(way, began, time.time()))]
        return [Figure(name, unit, samples[name], *target) for name, unit, *target in _rows(size)]


def _one_way(web: Web, size: int, say):
    """(name, value) of each row."""
    say("/get, /delay/1, POST /post")
    yield "GET /get, p50 of 20", web.get()
    yield "GET /delay/1", web.delay()
    yield "POST /post", web.post()
    say(f"{size / MEGA:,.0f} MB")
    yield _download_name(size), web.download(size)
    say("WebSocket")
    yield "WebSocket echo, p50 of 100", web.frames()
    say(f"{AT_ONCE} requests at once")
    taken = web.at_once()
    yield f"{AT_ONCE} × GET /get at once, all answered after", 1000 * max(taken)
    yield f"{AT_ONCE} × GET /get at once, p50", 1000 * quantile(taken, 0.5)


def _download_name(size: int) -> str:
    return f"download of {size / MEGA:,.0f} MB, SHA-256 as it must be"


def _rows(size: int):
    """name, unit, and for some what was to be reached."""
    def a_second_and_little(figure: Figure) -> bool:
        return all(1 <= figure.value(way) < 1.25 for way in figure.samples)

    return [("GET /get, p50 of 20", "ms"), ("GET /delay/1", "s", "1 to 1.25", a_second_and_little),
            ("POST /post", "ms"), (_download_name(size), "Mbit/s"),
            ("WebSocket echo, p50 of 100", "ms"),
            (f"{AT_ONCE} × GET /get at once, all answered after", "ms"),
            (f"{AT_ONCE} × GET /get at once, p50", "ms"), (MOVES, "moves")]
