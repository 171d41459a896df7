"""The overlays of deploy/k8s as kubectl renders them, and what Kubernetes makes of them."""

from __future__ import annotations

import functools
import os
import pathlib
import re
import subprocess

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
K8S = ROOT / "deploy/k8s"
WITH_CONNECTOR = ("overlays/pi-home", "overlays/cloud")
OVERLAYS = (*WITH_CONNECTOR, "intermediate", "overlays/intermediate-host-network")


@functools.cache
def kubectl() -> str:
    done = subprocess.run([ROOT / "scripts/get-kubectl"], capture_output=True, text=True, timeout=240)
    if done.returncode == 0:
        return done.stdout.strip()
    if os.environ.get("CI") == "true":
        pytest.fail(done.stderr)
    pytest.skip(done.stderr)


def render(folder: pathlib.Path) -> list[dict]:
    done = subprocess.run([kubectl(), "kustomize", str(folder)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, ""), f"{folder}: {done.stderr}"
    return list(yaml.safe_load_all(done.stdout))


@functools.cache
def overlay(name: str) -> list[dict]:
    return render(K8S / name)


def of_kind(items: list[dict], kind: str) -> list[dict]:
    return [item for item in items if item["kind"] == kind]


def named(items: list[dict], kind: str, name: str) -> dict:
    found = [item for item in of_kind(items, kind) if item["metadata"]["name"] == name]
    assert len(found) == 1, f"{kind}/{name} is there {len(found)} times"
    return found[0]


def pod_of(deployment: dict) -> dict:
    return deployment["spec"]["template"]["spec"]


def expand(text: str, variables: dict[str, str]) -> str:
    """$(NAME) in args, as the kubelet does it: a name that is not there stays as it is."""
    return re.sub(r"\$\(([A-Za-z_][A-Za-z0-9_]*)\)", lambda m: variables.get(m[1], m[0]), text)


def arguments(deployment: dict, variables: dict[str, str]) -> list[str]:
    return [expand(word, variables) for word in pod_of(deployment)["containers"][0].get("args", [])]
