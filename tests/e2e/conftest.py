import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from backends import nginx  # noqa: E402
from netns import Net  # noqa: E402
from ztna import World, wait_service  # noqa: E402


@pytest.fixture
def world():
    world = World()
    yield world
    world.close()


@pytest.fixture
def net():
    net = Net()
    yield net
    net.close()


@pytest.fixture
def local(world):
    """An Agent and a Connector on this machine."""
    world.allow({"alice": ["web"], "bob": ["web", "payroll"]})
    world.intermediate()
    _, port, _ = nginx(world)
    world.home = world.connector("home", {name: f"tcp://127.0.0.1:{port}"
                                          for name in ("web", "payroll")})
    world.alice = world.agent("alice")
    wait_service(world.alice, "web")
    return world


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failing test shows the end of every daemon's log."""
    outcome = yield
    report = outcome.get_result()
    world = item.funcargs.get("world") if hasattr(item, "funcargs") else None
    if report.when == "call" and report.failed and world is not None:
        for process in world.processes:
            report.sections.append((f"log of {process.name}", process.log()[-4000:]))
