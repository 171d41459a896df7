import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from ztna import World  # noqa: E402


@pytest.fixture
def world():
    world = World()
    yield world
    world.close()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failing test shows the end of every daemon's log."""
    outcome = yield
    report = outcome.get_result()
    world = item.funcargs.get("world") if hasattr(item, "funcargs") else None
    if report.when == "call" and report.failed and world is not None:
        for process in world.processes:
            report.sections.append((f"log of {process.name}", process.log()[-4000:]))
