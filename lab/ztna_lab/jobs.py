"""Several laboratories at once, each in a process of its own: `python3 lab one …` prints one JSON
object."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

from .namespaces import LabError, need

_SELF = pathlib.Path(__file__).resolve().parent.parent


class Worker:
    def __init__(self, index: int, arguments: list[str]):
        self.index = index
        self.output = tempfile.TemporaryFile("w+")
        # It ends, cleaning up, when we do, however that happens.
        guard = [need("setpriv", "util-linux"), "--pdeathsig", "TERM", "--"]
        self.child = subprocess.Popen([*guard, sys.executable, "-B", str(_SELF), "one", *arguments],
                                      stdout=self.output, stdin=subprocess.DEVNULL,
                                      start_new_session=True)

    def result(self) -> dict:
        self.output.seek(0)
        try:
            return json.load(self.output)
        except ValueError:
            raise LabError(f"a worker ended with {self.child.returncode} and no result") from None


def run(tasks: list[list[str]], at_once: int) -> Iterator[tuple[int, dict]]:
    """(index of the task, its result) as they come in."""
    waiting = list(enumerate(tasks))
    working: list[Worker] = []
    try:
        while waiting or working:
            while waiting and len(working) < at_once:
                working.append(Worker(*waiting.pop(0)))
            ended = [w for w in working if w.child.poll() is not None]
            for worker in ended:
                working.remove(worker)
                yield worker.index, worker.result()
            if not ended:
                time.sleep(0.02)
    finally:
        for worker in working:
            worker.child.terminate()
        for worker in working:
            worker.child.wait()
