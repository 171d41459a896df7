"""Runs one scenario, and says what was seen."""

from __future__ import annotations

import os
import shutil
import tempfile
import time

from .namespaces import Laboratory, LabError
from .scenarios import Scenario
from .scene import Scene

LOG_LINES = 15


def play(scenario: Scenario, say) -> dict:
    """{name, ok, seconds, said, error, folder}; `folder` keeps the logs of one that failed."""
    said: list[str] = []
    began = time.monotonic()

    def tell(text: str):
        said.append(text)
        say(f"  {time.monotonic() - began:6.2f} s  {text}")

    error = folder = ""
    with Laboratory() as lab:
        scene = None
        try:
            scene = Scene(lab, scenario.plan, tell)
            scenario.play(scene)
        except (LabError, OSError) as problem:
            error = str(problem)
            folder = _keep(lab)
            for name, daemon in (scene.system.daemons if scene else {}).items():
                tail = "\n".join(daemon.log().splitlines()[-LOG_LINES:])
                say(f"--- the end of {name}'s log\n{tail}")
    return {"name": scenario.name, "ok": not error, "seconds": round(time.monotonic() - began, 2),
            "said": said, "error": error, "folder": folder}


def _keep(lab: Laboratory) -> str:
    """A copy of the logs, under a name that no cleaning up takes for its own."""
    folder = tempfile.mkdtemp(prefix="ztna-failed-")
    for log in lab.folder.glob("*.log"):
        shutil.copy(log, os.path.join(folder, log.name))
    return folder
