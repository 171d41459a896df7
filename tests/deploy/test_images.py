"""The images of deploy/docker, built by buildah from the very Dockerfile and run by podman: alone, as the
system of compose.yaml, and as the pods of the overlay for a Pi."""

from __future__ import annotations

import copy
import json
import pathlib
import re
import shutil
import subprocess
import sys
import time

import pytest
import yaml

from containers import MEGABYTE, OTHERS, OURS, ROLES, Compose, Machine, empty, health, http_get, wait
from manifests import ROOT, arguments, expand, named, of_kind, overlay, pod_of

sys.path.insert(0, str(ROOT / "tests/e2e"))
from ztna import BIN  # noqa: E402

HARDENED = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", *empty("/run/ztna"))


@pytest.fixture(scope="module")
def machine():
    machine = Machine()
    try:
        machine.make_base()
        ready = machine.ready(BIN)
        for target in (*OURS, *OTHERS):
            machine.build(target, ready)
        yield machine
    finally:
        machine.close()


@pytest.fixture
def clean(machine):
    yield machine
    machine.run("podman", "pod", "rm", "--all", "--force", "--time", "2", check=False)
    machine.run("podman", "rm", "--all", "--force", "--time", "2", check=False)
    for what in ("volume", "network"):
        machine.run("podman", what, "prune", "--force", check=False)


# --- the images by themselves

def test_an_image_that_compiles_has_all_that_it_configures(tmp_path):
    """Compiling takes minutes; that something was not copied shows before."""
    stage = re.search(r"(?ms)^FROM \S+ AS build\n(.*?)^FROM ", (ROOT / "deploy/docker/Dockerfile").read_text())[1]
    for sources, destination in re.findall(r"(?m)^COPY (?!--)(.*) (\S+)$", stage):
        for source in map(ROOT.joinpath, sources.split()):
            copy_of = shutil.copytree if source.is_dir() else shutil.copy
            copy_of(source, tmp_path / destination)
    [configure] = re.findall(r"cmake --preset [^&\\]*", stage)
    subprocess.run(configure.split(), cwd=tmp_path, check=True, timeout=120)


@pytest.mark.parametrize("target", OURS)
def test_an_image_is_small(machine, target):
    size = machine.compressed_size(f"ztna/{target}")
    print(f"{target}: {size / MEGABYTE:.1f} MB compressed")
    assert size < 60 * MEGABYTE


@pytest.mark.parametrize("target", [*OURS, *OTHERS])
def test_an_image_runs_as_a_number_and_not_as_root(machine, target):
    config = machine.inspect(f"ztna/{target}")["Config"]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", config["User"])
    assert not config.get("Cmd") or target == "tools"


@pytest.mark.parametrize("target", ROLES)
def test_a_role_says_what_it_is_and_has_a_health_check(machine, target):
    image = f"ztna/{target}"
    assert machine.inspect(image)["Healthcheck"]["Test"][:2] == ["CMD", "ztna-health"]
    program = machine.inspect(image)["Config"]["Entrypoint"][0]
    help_text = machine.podman("run", "--rm", "--network", "none", *HARDENED, image, "--help")
    assert f"{program}: " in help_text
    assert machine.podman("run", "--rm", "--network", "none", "--entrypoint", "ztna", image, "--version")


# --- a local system

def test_the_compose_file_is_a_whole_system(clean):
    machine = clean
    compose = Compose(machine, {"AGENT_PORT": "18888", "SERVICE_ID": "page"})
    compose.up()
    page = wait(lambda: http_get(machine, "http://127.0.0.1:18888/"), "the page through the tunnel")
    assert page == "This page is private.\n"
    # Through the tunnel only: the network of the page has no way out, and the CA's key went to nobody.
    assert machine.run("podman", "exec", "agent", "bash", "-c", "echo >/dev/tcp/web/8080",
                       check=False).returncode != 0
    for role in ("intermediate", "connector", "agent"):
        assert wait(lambda role=role: health(machine, role), f"the health of {role}")
        assert "ca-key.pem" not in machine.podman("exec", role, "ls", "/certs")
    # People look from inside.
    status = machine.podman("exec", "agent", "ztna", "status")
    assert "agent alice of example.org: ready" in status
    # A role that has lost what it needs is not healthy; one that ends says goodbye and ends well.
    machine.podman("stop", "--time", "5", "intermediate")
    assert machine.podman("inspect", "--format", "{{.State.ExitCode}}", "intermediate") == "0"
    assert wait(lambda: not health(machine, "connector"), "an unhealthy Connector")


def test_sigterm_to_process_1_drains(clean):
    """The Agent learns at once that its Connector is gone: it was told, and did not wait for silence."""
    machine = clean
    Compose(machine, {"AGENT_PORT": "18888"}).up()
    wait(lambda: http_get(machine, "http://127.0.0.1:18888/"), "the page through the tunnel")
    assert machine.podman("exec", "connector", "cat", "/proc/1/comm") == "app-connector"
    started = time.monotonic()
    machine.podman("stop", "--time", "10", "connector")
    assert time.monotonic() - started < 5
    assert machine.podman("inspect", "--format", "{{.State.ExitCode}}", "connector") == "0"
    assert "shutting down" in machine.run("podman", "logs", "agent").stderr + machine.podman("logs", "agent")


# --- the overlay for a Pi

SITE = {"INTERMEDIATE_PORT": "4433", "SERVICE_ID": "home-test-service",
        "LOCAL_ADDR": "http-app.ztna.svc.cluster.local:8080", "GAME_SERVICE_ID": "quake",
        "GAME_ADDR": "quake.ztna.svc.cluster.local:27960", "NODE_PORT": "30434"}
NODE_IP = "192.0.2.5"  # nobody is there


def as_node(deployment: dict, site: dict[str, str], names: dict[str, str]) -> dict:
    """What a cluster does with a pod before the container engine sees it, and podman does not:
    the variables in its arguments, the downward API, and the cluster's DNS. And secrets: podman 4.3
    leaves them in base64, so they come as config maps."""
    deployment = copy.deepcopy(deployment)
    variables = dict(site)
    pod = pod_of(deployment)
    for container in pod["containers"]:
        for variable in container.get("env", []):
            assert variable.pop("valueFrom") == {"fieldRef": {"fieldPath": "status.hostIP"}}
            variable["value"] = variables[variable["name"]] = NODE_IP
        container["args"] = [expand(word, variables) for word in container.get("args", [])]
    for volume in pod["volumes"]:
        if secret := volume.pop("secret", None):
            volume["configMap"] = {"name": secret["secretName"], "optional": False}
    pod["hostAliases"] = [{"ip": address, "hostnames": [name]} for name, address in names.items()]
    return deployment


def play(machine: Machine, *items: dict) -> tuple[str, str, str]:
    """The pod's container, the address of the pod, and the node's own, as its pods see it."""
    machine.run("podman", "kube", "play", "-", data=yaml.safe_dump_all(items), timeout=120)
    deployment = items[-1]
    pod = next(p for p in json.loads(machine.podman("pod", "ps", "--format", "json"))
               if p["Name"].startswith(f"{deployment['metadata']['name']}-pod"))
    infra = json.loads(machine.podman("inspect", pod["InfraId"]))[0]
    [network] = infra["NetworkSettings"]["Networks"].values()
    [name] = [c["Names"] for c in pod["Containers"] if c["Id"] != pod["InfraId"]]
    return name, network["IPAddress"], network["Gateway"]


def config_map(name: str, data: dict[str, str]) -> dict:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def test_the_pods_for_a_pi_run_and_an_agent_reaches_the_app(clean):
    machine = clean
    items = overlay("overlays/pi-home")
    for deployment in of_kind(items, "Deployment"):
        [container] = pod_of(deployment)["containers"]
        name = container["image"].rsplit("/", 1)[1].split(":")[0]
        if name in (*OURS, *OTHERS):
            machine.podman("tag", f"localhost/ztna/{name}", container["image"])

    pki = machine.folder / "pki"
    pki.mkdir(mode=0o777)
    pki.chmod(0o777)
    ztna = str(BIN / "ztna")
    machine.run(ztna, "ca", "init", "--trust-domain", "example.org", "--out", f"{pki}/ca")
    machine.run(ztna, "ca", "issue", "--ca-dir", f"{pki}/ca", "--role", "connector", "--name", "home",
                "--serve", SITE["SERVICE_ID"], "quake", "--out", f"{pki}/home")
    for role, name in (("intermediate", "relay"), ("agent", "alice")):
        machine.run(ztna, "ca", "issue", "--ca-dir", f"{pki}/ca", "--role", role, "--name", name,
                    "--out", f"{pki}/{name}")
    policy = ('[[serve]]\nconnectors = ["home"]\nservices = ["*"]\n'
              '[[allow]]\nagents = ["alice"]\nservices = ["home-test-service"]\n')
    (pki / "relay/policy.toml").write_text(policy)
    machine.run("chown", "-R", "65532:65532", str(pki))

    app, app_address, node = play(machine, as_node(named(items, "Deployment", "http-app"), SITE, {}))
    site = {**SITE, "INTERMEDIATE_HOST": node}

    # The Intermediate and the Agent are outside of the cluster.
    machine.podman("run", "--detach", "--name", "intermediate", "--network", "host", *HARDENED,
                   "--volume", f"{pki}/relay:/certs:ro", "localhost/ztna/intermediate",
                   "--listen", f"0.0.0.0:{site['INTERMEDIATE_PORT']}")
    service = named(items, "Service", "http-app")
    assert site["LOCAL_ADDR"] == f"http-app.ztna.svc.cluster.local:{service['spec']['ports'][0]['port']}"
    connector = named(items, "Deployment", "app-connector")
    files = {"connector-cert.pem": "cert.pem", "connector-key.pem": "key.pem", "ca-cert.pem": "ca-cert.pem"}
    certs = {key: (pki / "home" / name).read_text() for key, name in files.items()}
    pod, address, _ = play(machine, config_map("connector-tls", certs), config_map("ztna-site", site),
                           config_map("ztna-policy", {"policy.toml": policy}),
                           as_node(connector, site, {"http-app.ztna.svc.cluster.local": app_address}))
    machine.podman("run", "--detach", "--name", "agent", "--network", "host", *HARDENED,
                   "--volume", f"{pki}/alice:/certs:ro", "localhost/ztna/agent",
                   "--intermediate", f"{site['INTERMEDIATE_HOST']}:{site['INTERMEDIATE_PORT']}",
                   "--forward", f"tcp://127.0.0.1:18080={site['SERVICE_ID']}")

    try:
        got = wait(lambda: http_get(machine, "http://127.0.0.1:18080/get?through=tunnel"),
                   "an answer of the app")
    except AssertionError as error:
        logs = [machine.run("podman", "logs", name, check=False) for name in (pod, app, "intermediate", "agent")]
        raise AssertionError("\n".join([str(error), *(log.stdout + log.stderr for log in logs)])) from None
    assert json.loads(got)["args"] == {"through": "tunnel"}

    # The pod's security context holds, and its probes say what the kubelet would hear.
    status = machine.podman("exec", pod, "cat", "/proc/1/status")
    fields = dict(line.split(":\t", 1) for line in status.splitlines())
    assert fields["Uid"].split() == ["65532"] * 4
    assert int(fields["CapEff"], 16) == int(fields["CapBnd"], 16) == 0
    assert fields["NoNewPrivs"] == "1" and fields["Seccomp"] == "2"
    assert machine.run("podman", "exec", pod, "touch", "/etc/x", check=False).returncode != 0
    container = pod_of(connector)["containers"][0]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    for probe in (container["livenessProbe"], container["readinessProbe"]):
        target = probe["httpGet"]
        assert http_get(machine, f"http://{address}:{ports[target['port']]}{target['path']}")
    assert "connector home of example.org: ready" in machine.podman("exec", pod, "ztna", "status")
    assert arguments(connector, site)[-1] == f"0.0.0.0:{ports['health']}"

    # It drains as a pod that is deleted.
    machine.podman("stop", "--time", "10", pod)
    assert machine.podman("inspect", "--format", "{{.State.ExitCode}}", pod) == "0"
