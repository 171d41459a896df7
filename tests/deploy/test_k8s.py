"""deploy/k8s: manifests that the API would take and that fit the programs, and apply.sh against a
stand-in for a cluster."""

from __future__ import annotations

import base64
import copy
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest
import yaml

import kube_schema
from kube_api import Cluster, node
from manifests import (K8S, OVERLAYS, ROOT, WITH_CONNECTOR, arguments, kubectl, named, of_kind, overlay,
                       pod_of, render)

sys.path.insert(0, str(ROOT / "tests/e2e"))
from certificates import issue_odd, spiffe  # noqa: E402
from ztna import BIN  # noqa: E402

SITE = {"INTERMEDIATE_HOST": "relay.example.org", "INTERMEDIATE_PORT": "4433",
        "SERVICE_ID": "home-test-service", "LOCAL_ADDR": "http-app.ztna.svc.cluster.local:8080",
        "GAME_SERVICE_ID": "quake", "GAME_ADDR": "quake.ztna.svc.cluster.local:27960",
        "NODE_PORT": "30434"}
POLICY = """[[serve]]
connectors = ["home"]
services   = ["home-test-service", "quake"]
[[allow]]
agents   = ["alice"]
services = ["*"]
"""
RELAY_SITE = {"INTERMEDIATE_PORT": "4433", "STUN_ALT_PORT": "4435"}
NODE_IP = "192.0.2.5"
PROGRAM = {"app-connector": "app-connector", "intermediate": "intermediate-server"}


def every(kind: str) -> list:
    """(overlay, name) of every object of that kind, as parameters of a test."""
    return [pytest.param(name, item, id=f"{name}:{item['metadata']['name']}")
            for name in OVERLAYS for item in of_kind(overlay(name), kind)]


# --- the schema

@pytest.mark.parametrize("name", OVERLAYS)
def test_the_api_would_take_every_object(name):
    for item in overlay(name):
        kube_schema.check(item)


def test_the_api_would_take_what_quakekube_needs_besides():
    items = list(yaml.safe_load_all((K8S / "quakekube/service.yaml").read_text()))
    for item in items:
        kube_schema.check(item)
    assert {port["protocol"] for port in named(items, "Service", "quake")["spec"]["ports"]} == {"UDP", "TCP"}


def spoil(path: str, value, remove: bool = False) -> dict:
    item = copy.deepcopy(named(overlay("overlays/pi-home"), "Deployment", "app-connector"))
    *way, last = path.split("/")
    place = item
    for step in way:
        place = place[int(step) if isinstance(place, list) else step]
    if remove:
        del place[last]
    else:
        place[last] = value
    return item


@pytest.mark.parametrize("path, value, says", [
    ("spec/template/spec/containers/0/livenessprobe", {}, "unknown field 'livenessprobe'"),
    ("spec/template/spec/enableServiceLink", False, "unknown field 'enableServiceLink'"),
    ("spec/replicas", "1", "expected int"),
    ("spec/template/spec/containers/0/args", "--help", "expected a list"),
    ("spec/template/spec/securityContext/runAsNonRoot", "true", "expected bool"),
    ("spec/template/spec/containers/0/resources/limits", {"memory": "128 MB"}, "no quantity"),
    ("spec/template/spec/volumes/0/secret/defaultMode", "0440", "expected int"),
    ("apiVersion", "extensions/v1beta1", "none that is used here"),
])
def test_the_schema_check_sees_a_mistake(path, value, says):
    with pytest.raises(kube_schema.Invalid, match=re.escape(says)):
        kube_schema.check(spoil(path, value))


@pytest.mark.parametrize("path", ["spec/selector", "spec/template/spec/containers",
                                  "spec/template/spec/containers/0/name"])
def test_the_schema_check_sees_what_is_missing(path):
    with pytest.raises(kube_schema.Invalid):
        kube_schema.check(spoil(path, None, remove=True))


# --- what no schema says

@pytest.mark.parametrize("name, deployment", every("Deployment"))
def test_pods_ask_for_nothing_that_they_do_not_need(name, deployment):
    """Pod Security Standards, "restricted"; and no service links, no API token, a read-only root."""
    pod = pod_of(deployment)
    assert pod["enableServiceLinks"] is False
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod.get("hostNetwork", False) is (name == "overlays/intermediate-host-network")
    assert not any("hostPath" in volume for volume in pod.get("volumes", []))
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]}}
        assert set(container["resources"]["requests"]) == {"cpu", "memory"}
        assert set(container["resources"]["limits"]) == {"cpu", "memory"}


@pytest.mark.parametrize("name, deployment", every("Deployment"))
def test_selectors_probes_and_mounts_meet_what_they_name(name, deployment):
    template = deployment["spec"]["template"]
    labels = template["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()
    volumes = {volume["name"] for volume in template["spec"].get("volumes", [])}
    for container in template["spec"]["containers"]:
        ports = {port["name"]: port for port in container["ports"]}
        assert {mount["name"] for mount in container.get("volumeMounts", [])} <= volumes
        for probe in (container["livenessProbe"], container["readinessProbe"]):
            target = probe.get("httpGet") or probe.get("tcpSocket")
            if target:
                assert ports[target["port"]]["protocol"] == "TCP"
            else:
                assert probe["exec"]["command"] == ["game-health"]


@pytest.mark.parametrize("name, service", every("Service"))
def test_services_lead_to_ports_that_pods_have(name, service):
    spec = service["spec"]
    pods = [d for d in of_kind(overlay(name), "Deployment")
            if spec["selector"].items() <= d["spec"]["template"]["metadata"]["labels"].items()]
    assert len(pods) == 1
    open_ports = {(p["name"], p["protocol"]) for p in pod_of(pods[0])["containers"][0]["ports"]}
    assert {(p["targetPort"], p["protocol"]) for p in spec["ports"]} <= open_ports
    # Most load balancers take one protocol of a Service, and a health port is nobody's business.
    assert len({p["protocol"] for p in spec["ports"]}) == 1
    if spec.get("type") in ("NodePort", "LoadBalancer"):
        assert spec["externalTrafficPolicy"] == "Local", "senders would lose their addresses"


@pytest.mark.parametrize("name, policy", every("NetworkPolicy"))
def test_network_policies_name_pods_and_ports_that_exist(name, policy):
    if policy["metadata"]["name"] == "default-deny":
        assert policy["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
        return
    pods = {d["spec"]["template"]["metadata"]["labels"]["app"]: pod_of(d)
            for d in of_kind(overlay(name), "Deployment")}

    def check(rule: dict, peers: list[dict]):
        for peer in peers:
            for port in rule["ports"]:
                if isinstance(port.get("port"), str):
                    assert (port["port"], port["protocol"]) in {
                        (p["name"], p["protocol"]) for p in peer["containers"][0]["ports"]}

    own = policy["spec"]["podSelector"].get("matchLabels", {}).get("app")
    for rule in policy["spec"].get("ingress", []):
        check(rule, [pods[own]] if own else list(pods.values()))
        for peer in rule.get("from", []):
            assert peer["podSelector"]["matchLabels"]["app"] in pods
    for rule in policy["spec"].get("egress", []):
        for peer in rule["to"]:
            if "podSelector" in peer and "namespaceSelector" not in peer:
                check(rule, [pods[peer["podSelector"]["matchLabels"]["app"]]])


@pytest.mark.parametrize("name", OVERLAYS)
def test_no_overlay_has_a_secret_or_a_floating_image(name):
    items = overlay(name)
    assert not of_kind(items, "Secret")
    assert "PRIVATE KEY" not in json.dumps(items)
    version = re.search(r"project\(ztna VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text())[1]
    images = [c["image"] for d in of_kind(items, "Deployment") for c in pod_of(d)["containers"]]
    assert images and all(image.endswith(f":{version}") for image in images)


@pytest.mark.parametrize("name", OVERLAYS)
def test_all_of_it_is_in_the_namespace_that_it_makes(name):
    items = overlay(name)
    [namespace] = of_kind(items, "Namespace")
    level = "privileged" if name.endswith("host-network") else "restricted"
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == level
    assert {item["metadata"]["namespace"] for item in items if item is not namespace} == {
        namespace["metadata"]["name"]}


@pytest.mark.parametrize("name", WITH_CONNECTOR)
def test_the_node_port_of_the_plan_leads_to_the_connector(name):
    items = overlay(name)
    service = named(items, "Service", "app-connector")["spec"]
    assert [(p["port"], p["nodePort"], p["protocol"]) for p in service["ports"]] == [(4434, 30434, "UDP")]
    assert service["publishNotReadyAddresses"] is True, "direct sessions outlive the Intermediate"
    deployment = named(items, "Deployment", "app-connector")
    words = arguments(deployment, {**SITE, "NODE_IP": NODE_IP})
    assert words[words.index("--p2p-advertise") + 1] == f"{NODE_IP}:30434"
    assert words[words.index("--p2p-listen-port") + 1] == "4434"


def test_pi_home_asks_for_arm64_and_little():
    for deployment in of_kind(overlay("overlays/pi-home"), "Deployment"):
        pod = pod_of(deployment)
        assert pod["nodeSelector"] == {"kubernetes.io/arch": "arm64"}
        memory = pod["containers"][0]["resources"]["limits"]["memory"]
        assert int(memory.removesuffix("Mi")) <= 256


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_programs_take_the_arguments_and_probes_hit_their_health_port(name):
    """The real program reads what the pod would give it, and says what it makes of that."""
    deployment = next(d for d in of_kind(overlay(name), "Deployment") if d["metadata"]["name"] in PROGRAM)
    words = arguments(deployment, {**SITE, "NODE_IP": NODE_IP})
    assert not [word for word in words if "$" in word]
    container = pod_of(deployment)["containers"][0]
    done = subprocess.run([BIN / PROGRAM[deployment["metadata"]["name"]], *words, "--print-config", "--json"],
                          capture_output=True, text=True, timeout=30,
                          env={"ZTNA_RUNTIME_DIR": "/run/ztna", "CERT_DIR": "/certs", **SITE})
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", "a warning of the program"
    config = json.loads(done.stdout)
    health = next(p for p in container["ports"] if p["name"] == "health")
    # The kubelet asks the pod's address; on the node's own network that would be the Internet's, too.
    host = "127.0.0.1" if pod_of(deployment).get("hostNetwork") else "0.0.0.0"
    assert value_of(config, "health") == f"{host}:{health['containerPort']}"
    for probe in ("livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"].get("host", "0.0.0.0") == host
    mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
    for option in ("cert", "key", "ca", "policy"):
        assert str(pathlib.PurePath(value_of(config, option)).parent) in mounts
    if "p2p-listen-port" in words:
        assert value_of(config, "p2p-listen-port") == 4434


def value_of(config: dict, option: str):
    found = config[option]
    return found["value"] if isinstance(found, dict) else found


# --- apply.sh

@pytest.fixture(scope="module")
def pki(tmp_path_factory) -> pathlib.Path:
    """A CA, and the certificates of a Connector and of an Intermediate."""
    folder = tmp_path_factory.mktemp("pki")
    for words in (["init", "--trust-domain", "example.org", "--out", "ca"],
                  ["issue", "--ca-dir", "ca", "--role", "connector", "--name", "home", "--serve",
                   SITE["SERVICE_ID"], "quake", "--out", "home"],
                  ["issue", "--ca-dir", "ca", "--role", "intermediate", "--name", "relay", "--out", "relay"]):
        subprocess.run([BIN / "ztna", "ca", *words], cwd=folder, check=True, capture_output=True, timeout=60)
    return folder


class Deployer:
    """Certificates, an environment file, a policy, and a cluster to apply them to."""

    def __init__(self, folder: pathlib.Path, cluster: Cluster, pki: pathlib.Path):
        self.folder = folder
        self.cluster = cluster
        shutil.copytree(pki, folder, dirs_exist_ok=True)
        (folder / "policy.toml").write_text(POLICY)
        self.environment(SITE)

    def environment(self, values: dict[str, str]):
        (self.folder / "home.env").write_text("".join(f"{k}={v}\n" for k, v in values.items()))

    def run(self, *words: str, certs: str = "home", context: tuple[str, ...] = ("--context", "pi")):
        tools = pathlib.Path(kubectl()).parent
        return subprocess.run(
            [K8S / "apply.sh", *context, "--env", "home.env", "--certs", certs, "--policy", "policy.toml",
             *words],
            cwd=self.folder, capture_output=True, text=True, timeout=120,
            env={"PATH": f"{BIN}:{tools}:/usr/bin:/bin", "HOME": str(self.folder), "TMPDIR": str(self.folder),
                 "KUBECONFIG": str(self.cluster.kubeconfig),
                 # Of somebody's shell, and not of the file.
                 "P2P_ADVERTISE": "192.0.2.99:1"})

    def left_over(self) -> list[str]:
        return [p.name for p in self.folder.iterdir() if p.name.startswith("tmp.")]


@pytest.fixture
def deployer(tmp_path, pki):
    with Cluster(tmp_path) as cluster:
        yield Deployer(tmp_path, cluster, pki)


def test_apply_brings_all_of_it_into_the_cluster(deployer):
    done = deployer.run()
    assert done.returncode == 0, done.stderr
    cluster = deployer.cluster
    assert cluster.refused == []
    kinds = {kind for kind, _, _ in cluster.applied}
    assert kinds == {"Namespace", "Deployment", "Service", "NetworkPolicy", "Secret", "ConfigMap"}
    secret = cluster.one("Secret", "connector-tls")
    assert set(secret["data"]) == {"connector-cert.pem", "connector-key.pem", "ca-cert.pem"}
    assert cluster.one("ConfigMap", "ztna-site")["data"] == SITE
    assert "alice" in cluster.one("ConfigMap", "ztna-policy")["data"]["policy.toml"]
    # What the pod names is there, under the names that it uses.
    pod = pod_of(cluster.one("Deployment", "app-connector"))
    volumes = {v["name"]: v for v in pod["volumes"]}
    assert volumes["certs"]["secret"]["secretName"] == "connector-tls"
    assert volumes["policy"]["configMap"]["name"] == "ztna-policy"
    assert pod["containers"][0]["envFrom"] == [{"configMapRef": {"name": "ztna-site"}}]
    assert pod["containers"][0]["args"].count("--p2p-advertise") == 1
    key = (deployer.folder / "home/key.pem").read_text().splitlines()[1]
    assert key not in done.stdout + done.stderr
    assert deployer.left_over() == []


def test_a_new_policy_makes_new_pods_and_the_same_one_does_not(deployer):
    def pods() -> dict:
        assert deployer.run().returncode == 0
        return deployer.cluster.one("Deployment", "app-connector")["spec"]["template"]

    first = pods()
    assert pods() == first
    (deployer.folder / "policy.toml").write_text(POLICY.replace("alice", "bob"))
    assert pods() != first


def test_dry_run_shows_it_without_the_key_and_changes_nothing(deployer):
    done = deployer.run("--dry-run")
    assert done.returncode == 0, done.stderr
    assert deployer.cluster.changes() == []
    items = list(yaml.safe_load_all(done.stdout))
    for item in items:
        kube_schema.check(item)
    secret = named(items, "Secret", "connector-tls")
    assert b"not shown" in base64.b64decode(secret["data"]["connector-key.pem"])
    assert deployer.left_over() == []


def test_the_place_decides_ports_addresses_and_images(deployer):
    deployer.environment({**SITE, "NODE_PORT": "31000", "P2P_ADVERTISE": "198.51.100.7:4434"})
    done = deployer.run("--dry-run", "--registry", "registry.home:5000/ztna", "--tag", "7")
    items = list(yaml.safe_load_all(done.stdout))
    assert named(items, "Service", "app-connector")["spec"]["ports"][0]["nodePort"] == 31000
    deployment = named(items, "Deployment", "app-connector")
    words = arguments(deployment, {**named(items, "ConfigMap", "ztna-site")["data"], "NODE_IP": NODE_IP})
    advertised = [words[i + 1] for i, word in enumerate(words) if word == "--p2p-advertise"]
    assert advertised == [f"{NODE_IP}:31000", "198.51.100.7:4434"]
    images = {c["image"] for d in of_kind(items, "Deployment") for c in pod_of(d)["containers"]}
    assert images == {f"registry.home:5000/ztna/{name}:7"
                      for name in ("app-connector", "http-app", "game-server")}


def test_a_third_service_is_offered_where_it_is_named(deployer):
    deployer.environment({**SITE, "GAME_PAGE_SERVICE_ID": "home-test-service", "GAME_PAGE_ADDR": "quake.quake.svc:8080"})
    done = deployer.run("--dry-run")
    assert done.returncode == 0, done.stderr
    items = list(yaml.safe_load_all(done.stdout))
    words = arguments(named(items, "Deployment", "app-connector"), {})
    assert words[-2:] == ["--service", "home-test-service=tcp://quake.quake.svc:8080"]


@pytest.mark.parametrize("name, port, listens", [("intermediate", "443", "4433"),
                                                 ("intermediate-host-network", "5544", "5544")])
def test_apply_takes_an_intermediate(deployer, name, port, listens):
    deployer.cluster.nodes.append(node("edge", "amd64", labels={"ztna/intermediate": "true"}))
    deployer.environment({"INTERMEDIATE_PORT": port, "STUN_ALT_PORT": "5545"})
    done = deployer.run("--overlay", name, certs="relay")
    assert done.returncode == 0, done.stderr
    cluster = deployer.cluster
    assert set(cluster.one("Secret", "intermediate-tls")["data"]) == {
        "intermediate-cert.pem", "intermediate-key.pem", "ca-cert.pem"}
    deployment = cluster.one("Deployment", "intermediate")
    words = arguments(deployment, {})
    assert words[words.index("--listen") + 1] == f"0.0.0.0:{listens}"
    assert words[words.index("--alt-listen") + 1] == "0.0.0.0:5545"
    ports = {port["name"]: port["containerPort"] for port in pod_of(deployment)["containers"][0]["ports"]}
    assert (ports["quic"], ports["stun-alt"]) == (int(listens), 5545)
    services = [key for key in cluster.applied if key[0] == "Service"]
    assert len(services) == (1 if name == "intermediate" else 0)
    if services:
        assert [p["port"] for p in cluster.one("Service", "intermediate")["spec"]["ports"]] == [int(port), 5545]


def without(name: str) -> dict[str, str]:
    return {key: value for key, value in SITE.items() if key != name}


REFUSALS = {
    "no context": (lambda d: d.run(context=()), 2, "--context is missing; there are: elsewhere, pi"),
    "unknown context": (lambda d: d.run(context=("--context", "prod")), 1, 'no context "prod"'),
    "no arm64 node": (lambda d: d.cluster.nodes.clear() or d.cluster.nodes.append(node("pc", "amd64"))
                      or d.run(), 1, "no node is ready and arm64"),
    "no ready node": (lambda d: d.cluster.nodes.clear() or d.cluster.nodes.append(node("pi-1", ready=False))
                      or d.run("--overlay", "cloud"), 1, "no node is ready"),
    "no chosen node": (lambda d: d.environment(RELAY_SITE)
                       or d.run("--overlay", "intermediate-host-network", certs="relay"), 1, "kubectl label node"),
    "may not": (lambda d: d.cluster.forbidden.add("secrets") or d.run(), 1, "may not create secrets"),
    "may not change": (lambda d: d.cluster.forbidden.add("patch deployments") or d.run(), 1,
                       "may not patch deployments.apps"),
    "port taken": (lambda d: d.cluster.services.append(
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "game", "namespace": "other"},
         "spec": {"ports": [{"nodePort": 1}, {"nodePort": 30434}]}}) or d.run(), 1,
        "node port 30434 is taken by other/game"),
    "no certificate": (lambda d: d.run(certs="nowhere"), 1, "cannot read nowhere/cert.pem"),
    "another role": (lambda d: d.run(certs="relay"), 1, "is not a certificate of a connector"),
    "another key": (lambda d: (d.folder / "home/key.pem").write_bytes(
        (d.folder / "relay/key.pem").read_bytes()) and d.run(), 1, "is not the key of"),
    "half a page": (lambda d: d.environment({**SITE, "GAME_PAGE_ADDR": "quake.quake.svc:8080"}) or d.run(), 1,
                    "GAME_PAGE_SERVICE_ID and GAME_PAGE_ADDR belong together"),
    "page of another": (lambda d: d.environment({**SITE, "GAME_PAGE_ADDR": "quake.quake.svc:8080",
                                                 "GAME_PAGE_SERVICE_ID": "quake-page"}) or d.run(), 1,
                        "may not serve quake-page"),
    "another service": (lambda d: d.environment({**SITE, "SERVICE_ID": "payroll"}) or d.run(), 1,
                        "may not serve payroll"),
    "bad policy": (lambda d: (d.folder / "policy.toml").write_text("[[allow]]\nagent = 1\n") and d.run(), 1,
                   "policy.toml is not valid"),
    "no policy": (lambda d: (d.folder / "policy.toml").unlink() or d.run(), 1, "cannot read policy.toml, which --policy"),
    "denied": (lambda d: (d.folder / "policy.toml").write_text(POLICY.replace('", "quake"', '"')) and d.run(), 1,
               "does not let connector home serve quake"),
    "variable missing": (lambda d: d.environment(without("LOCAL_ADDR")) or d.run(), 2, "LOCAL_ADDR is missing"),
    "placeholder": (lambda d: d.environment({**SITE, "INTERMEDIATE_HOST": "<cloud-ip>"}) or d.run(), 2,
                    "INTERMEDIATE_HOST is still a placeholder"),
    "loopback": (lambda d: d.environment({**SITE, "LOCAL_ADDR": "127.0.0.1:8080"}) or d.run(), 1,
                 "the Connector's own pod"),
    "node port range": (lambda d: d.environment({**SITE, "NODE_PORT": "4434"}) or d.run(), 1,
                        "Kubernetes takes 30000 to 32767"),
    "privileged port": (lambda d: d.environment({**RELAY_SITE, "STUN_ALT_PORT": "443"})
                        or d.run("--overlay", "intermediate-host-network", certs="relay"), 1,
                        "STUN_ALT_PORT is 443, and a pod that is not root"),
    "unknown overlay": (lambda d: d.run("--overlay", "mars"), 2, 'no overlay "mars"'),
    "unknown option": (lambda d: d.run("--force"), 2, 'unknown argument "--force"'),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_apply_refuses_and_says_why_before_it_changes_anything(deployer, case):
    attempt, status, says = REFUSALS[case]
    done = attempt(deployer)
    assert says in done.stderr, done.stderr
    assert done.returncode == status
    assert deployer.cluster.changes() == []
    assert deployer.left_over() == []


def test_an_expired_certificate_is_refused(deployer):
    issue_odd(deployer.folder / "ca", deployer.folder / "old", spiffe("connector", "home"),
              end="20210101000000Z")
    done = deployer.run(certs="old")
    assert done.returncode == 1 and "has ended" in done.stderr
    assert deployer.cluster.changes() == []


def test_the_oldest_kubectl_renders_the_same():
    """Where more than one version is installed: a Pi may have an old one."""
    others = sorted(pathlib.Path(os.path.realpath(kubectl())).parent.glob("kubectl.1.*"))
    if not others:
        pytest.skip("there is no second kubectl here")
    for name in OVERLAYS:
        done = subprocess.run([others[0], "kustomize", K8S / name], capture_output=True, text=True, timeout=60)
        assert list(yaml.safe_load_all(done.stdout)) == overlay(name), done.stderr
