"""A browser: Chromium, without a window, opens a page behind the Connector and talks to the game server
through the page's WebSocket."""

from __future__ import annotations

import asyncio
import base64
import json
import pathlib
import statistics
import sys
import time

import websockets
from ztna_bench.tables import number
from ztna_lab import traffic
from ztna_lab.namespaces import Laboratory, LabError, need, wait_for

from . import game, grades, plays
from .places import DIRECT, RELAY, TCP, WAYS, Homes, host_environment

DEBUG_PORT = 9222  # of a host that nobody else is on
PINGS = 20
SIZE = 760, 740


class Chromium:
    def __init__(self, homes: Homes, name: str, url: str):
        self._host = homes.client
        home = host_environment(homes.lab, name)
        self._process = homes.client.spawn(
            f"chromium-{name}", need("chromium", "chromium"), "--headless=new", "--no-sandbox",
            "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-extensions",
            "--disable-background-networking", f"--user-data-dir={home['HOME']}/profile",
            f"--window-size={SIZE[0]},{SIZE[1]}", "--hide-scrollbars",
            f"--remote-debugging-port={DEBUG_PORT}", url, env=home)
        wait_for(self._target, lambda: f"Chromium:\n{self._process.log()[-2000:]}", 60)

    def _target(self) -> str:
        """Where the page can be asked."""
        if not self._process.running():
            raise LabError(f"Chromium ended early:\n{self._process.log()[-2000:]}")
        try:
            pages = json.loads(traffic.get(self._host, DEBUG_PORT, "/json"))
        except LabError:
            return ""
        return next((page["webSocketDebuggerUrl"] for page in pages if page["type"] == "page"), "")

    async def _call(self, method: str, **values) -> dict:
        sock = self._host.socket()
        sock.settimeout(10)
        sock.connect(("127.0.0.1", DEBUG_PORT))
        async with websockets.connect(self._target(), sock=sock, max_size=None,
                                      compression=None) as connection:
            await connection.send(json.dumps({"id": 1, "method": method, "params": values}))
            while True:
                answer = json.loads(await asyncio.wait_for(connection.recv(), 30))
                if answer.get("id") == 1:
                    return answer["result"]

    def _ask(self, method: str, **values) -> dict:
        try:
            return asyncio.run(self._call(method, **values))
        except websockets.WebSocketException as error:
            raise LabError(f"Chromium does not answer: {error}\n{self._process.log()[-2000:]}") from None

    def evaluate(self, expression: str):
        return self._ask("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def screenshot(self) -> bytes:
        return base64.b64decode(self._ask("Page.captureScreenshot", format="png")["data"])

    def stop(self) -> None:
        self._process.stop(timeout=3)


def visit(line, screenshot: pathlib.Path | None, say) -> dict:
    with Laboratory() as lab:
        homes = Homes(lab, line or plays.CLEAN)
        homes.serve_files()
        server = game.Server(homes, bot_minplayers=3)
        homes.server.spawn("gateway", sys.executable, "-B", str(pathlib.Path(__file__).with_name("gateway.py")),
                           str(TCP["page"]), str(game.PORT))
        homes.wait_port("page")
        homes.start()
        seen = {}
        for way in (DIRECT, RELAY):
            homes.start_path(way)
            say(f"browser, {way}")
            seen[way] = _one_way(homes, way, screenshot if way == DIRECT else None)
        server.stop()
        return seen


def _one_way(homes: Homes, way: str, screenshot: pathlib.Path | None) -> dict:
    chromium = Chromium(homes, f"browser-{way}", f"http://{homes.end(way).address}:{TCP['page']}/")
    try:
        began = time.monotonic()
        wait_for(lambda: (chromium.evaluate("window.state ? state.asked : 0") or 0) >= PINGS,
                 lambda: f"{PINGS} pings in the page: {chromium.evaluate('document.body.innerText')}", 90)
        state = chromium.evaluate("state")
        if not state["status"] or not state["challenge"] or len(state["pings"]) < 2:
            raise LabError(f"the page did not reach the game server: {state}")
        if screenshot:
            screenshot.write_bytes(chromium.screenshot())
    finally:
        chromium.stop()
    pings = state["pings"]
    jitter = statistics.fmean(abs(b - a) for a, b in zip(pings, pings[1:]))
    loss = 100 * state["lost"] / state["asked"]
    return {"server": state["status"]["sv_hostname"], "map": state["status"]["mapname"],
            "players": state["players"], "challenge": state["challenge"], "pings_ms": pings,
            "ping_ms": statistics.median(pings), "jitter_ms": jitter, "loss_percent": loss,
            "grade": grades.grade(statistics.median(pings), jitter, loss),
            "seconds": time.monotonic() - began}


def markdown(seen: dict) -> str:
    rows = [("the page names the server", lambda s: f"{s['server']}, map {s['map']}"),
            ("players it lists", lambda s: ", ".join(s["players"])),
            ("getchallenge is answered", lambda s: "yes" if s["challenge"] else "no"),
            (f"ping, median of {PINGS} (ms)", lambda s: number(s["ping_ms"])),
            ("jitter (ms)", lambda s: number(s["jitter_ms"])),
            ("loss (%)", lambda s: number(s["loss_percent"])),
            ("**grade**", lambda s: f"**{s['grade']}**")]
    lines = [f"| | {' | '.join(WAYS[way] for way in seen)} |", "|---|" + "---|" * len(seen)]
    return "\n".join(lines + [f"| {name} | {' | '.join(cell(s) for s in seen.values())} |"
                              for name, cell in rows])
