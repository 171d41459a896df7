"""Scenarios of `ztna prove`: what the programs say of their path, and what must come out of it.
`scenarios` has them in its list."""

from __future__ import annotations

import json

from .events import HOMES
from .namespaces import run
from .programs import program
from .scene import WEB, Plan, Scene, home


def _prove(scene: Scene) -> tuple[int, str]:
    """Makes a report, has another check it by the CA, and says what that one reads."""
    scene.start()
    scene.system.wait_service(scene.agent, WEB)
    made = run([program("ztna"), "prove", WEB, "--json", "--control", scene.agent.control], check=False,
               timeout=120)
    report = scene.lab.folder / "report.json"
    report.write_text(made.stdout)
    checked = run([program("ztna"), "prove", "--verify", str(report), "--ca",
                   str(scene.lab.folder / "ca/ca-cert.pem")], check=False)
    for line in (checked.stdout + checked.stderr).splitlines():
        scene.say(line)
    scene.expect(checked.returncode == made.returncode, f"both end with exit code {made.returncode}")
    return made.returncode, made.stdout


def _passed(report: str) -> list[bool]:
    return [test["passed"] for test in json.loads(report)["verdict"]["tests"]]


def proven(scene: Scene):
    """All four tests, and what Intermediate and ends counted fits what they signed."""
    code, report = _prove(scene)
    scene.expect(code == 0 and _passed(report) == [True] * 4, "all four tests passed")
    scene.expect_direct()
    scene.exact()


def not_proven(scene: Scene):
    code, report = _prove(scene)
    scene.expect(code == 1 and not any(_passed(report)), "no test passed")
    scene.exact()


PROOFS = (
    ("prove", "ztna prove between two homes: all four tests pass", HOMES, proven),
    ("prove-relay", "ztna prove between two symmetric NATs: none of them does",
     Plan(home("symmetric"), home("symmetric")), not_proven),
)
