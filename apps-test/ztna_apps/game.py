"""A game: OpenArena's server behind the Connector, and its client, the real program with a player in
it, on the client's host. Nobody looks: the picture goes into the memory of a virtual screen."""

from __future__ import annotations

import pathlib
import re
import time

from ztna_lab.namespaces import Host, LabError, need, wait_for

from . import quake
from .places import UDP, End, Homes, host_environment

PORT = UDP["game"]
MAP = "oa_dm1"
# The server answers one address every 1.2 s, for ever.
ASK_EVERY = 1.25
JOINING = 999  # the ping of a player who is not in the game yet
FRAMES = 60    # pictures, and so packets, a second

# The player runs in circles and shoots: who stands still sends and gets less.
_PLAY = "wait 60\n+forward\n+left\n+attack\n"


class Server:
    def __init__(self, homes: Homes, **more):
        self._host = homes.server
        self._process = homes.server.spawn(
            "game-server", need("openarena-server", "openarena-server"),
            *_settings(dedicated=1, net_ip="0.0.0.0", net_port=PORT, sv_pure=0, sv_maxclients=8,
                       sv_hostname="behind two NATs", g_gametype=0, timelimit=0, fraglimit=0,
                       sv_fps=20, sv_maxRate=0, **more), "+map", MAP, env=host_environment(homes.lab, "game-server"))
        self._asked = 0.0
        wait_for(lambda: self.status() is not None, lambda: f"the game server:\n{self._process.log()}", 60)

    def status(self) -> quake.Status | None:
        """What it says on its own host. Waits until it may be asked again."""
        time.sleep(max(0.0, self._asked + ASK_EVERY - time.monotonic()))
        self._asked = time.monotonic()
        return quake.status(self._host, "127.0.0.1", PORT)

    def stop(self) -> None:
        self._process.stop(timeout=1)


class Player:
    def __init__(self, homes: Homes, end: End, name: str):
        self.name = name
        host, home = homes.client, host_environment(homes.lab, name)
        folder = pathlib.Path(home["HOME"]) / ".openarena/baseoa"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "play.cfg").write_text(_PLAY)
        self._screen = host.spawn(f"screen-{name}", need("Xvfb", "xvfb"), "-displayfd", "1",
                                  "-screen", "0", "320x240x24", "-nolisten", "tcp")
        display = self._display(host)
        self._process = host.spawn(
            f"player-{name}", need("openarena", "openarena"),
            *_settings(r_mode=-1, r_customwidth=160, r_customheight=120, r_fullscreen=0,
                       cl_renderer="opengl1", s_initsound=0, com_maxfps=FRAMES, cl_maxpackets=FRAMES,
                       cl_allowDownload=0, rate=25000, snaps=20, name=name, com_introplayed=1),
            "+connect", f"{end.address}:{PORT}", "+exec", "play.cfg",
            env={**home, "DISPLAY": display, "LIBGL_ALWAYS_SOFTWARE": "1", "SDL_AUDIODRIVER": "dummy"})

    def _display(self, host: Host) -> str:
        def number():
            if not self._screen.running():
                raise LabError(f"Xvfb ended early:\n{self._screen.log()}")
            return re.search(r"^(\d+)$", self._screen.log(), re.MULTILINE)

        return f":{wait_for(number, 'a virtual screen').group(1)}"

    def wait_playing(self, server: Server) -> None:
        def playing():
            if not self._process.running():
                raise LabError(f"the game ended early:\n{self._process.log()[-2000:]}")
            status = server.status()
            player = status and status.player(self.name)
            return player and player.ping < JOINING

        wait_for(playing, lambda: f"{self.name} in the game:\n{self._process.log()[-2000:]}", 60)

    def running(self) -> bool:
        return self._process.running()

    def stop(self) -> None:
        """The game takes no notice of SIGTERM."""
        self._process.stop(timeout=0.2)
        self._screen.stop(timeout=2)


def _settings(**values) -> list[str]:
    return [part for name, value in values.items() for part in ("+set", name, str(value))]
