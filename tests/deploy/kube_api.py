"""A stand-in for a cluster's API server, for the real kubectl: it answers what deploy/k8s/apply.sh asks,
refuses what the API's schema does not know, and keeps what was applied."""

from __future__ import annotations

import http.server
import json
import pathlib
import threading
import urllib.parse

import yaml

import kube_schema

# group/version -> plural -> (kind, namespaced)
RESOURCES = {
    "v1": {"namespaces": ("Namespace", False), "nodes": ("Node", False), "secrets": ("Secret", True),
           "configmaps": ("ConfigMap", True), "services": ("Service", True), "pods": ("Pod", True)},
    "apps/v1": {"deployments": ("Deployment", True)},
    "networking.k8s.io/v1": {"networkpolicies": ("NetworkPolicy", True)},
    "authorization.k8s.io/v1": {"selfsubjectaccessreviews": ("SelfSubjectAccessReview", False)},
}


def node(name: str, arch: str = "arm64", ready: bool = True, labels: dict | None = None) -> dict:
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels or {}},
            "status": {"nodeInfo": {"architecture": arch},
                       "conditions": [{"type": "MemoryPressure", "status": "False"},
                                      {"type": "Ready", "status": "True" if ready else "Unknown"}]}}


class Cluster:
    """`with Cluster() as cluster:`; `cluster.kubeconfig` is for kubectl, its context is called "pi"."""

    def __init__(self, folder: pathlib.Path):
        self.nodes = [node("pi-1"), node("pi-2")]
        self.services: list[dict] = []
        self.forbidden: set[str] = set()  # "secrets", or "patch secrets": what nobody may
        self.applied: dict[tuple[str, str, str], dict] = {}  # kind, namespace, name
        self.requests: list[str] = []
        self.refused: list[str] = []
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler_for(self))
        self.kubeconfig = folder / "kubeconfig"
        self.kubeconfig.write_text(yaml.safe_dump({
            "apiVersion": "v1", "kind": "Config", "current-context": "elsewhere",
            "clusters": [{"name": "pi", "cluster": {
                "server": f"http://127.0.0.1:{self.server.server_port}"}}],
            "users": [{"name": "me", "user": {}}],
            "contexts": [{"name": name, "context": {"cluster": "pi", "user": "me"}}
                         for name in ("pi", "elsewhere")]}))

    def __enter__(self) -> Cluster:
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def changes(self) -> list[str]:
        return [request for request in self.requests
                if not request.startswith("GET") and "selfsubjectaccessreviews" not in request]

    def one(self, kind: str, name: str) -> dict:
        found = [item for (k, _, n), item in self.applied.items() if (k, n) == (kind, name)]
        assert len(found) == 1, f"{kind}/{name}: {list(self.applied)}"
        return found[0]

    # --- what the handler asks
    def get(self, path: str) -> dict | None:
        parts = path.strip("/").split("/")
        if path == "/api":
            return {"kind": "APIVersions", "versions": ["v1"]}
        if path == "/apis":
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [
                {"name": v.split("/")[0], "versions": [{"groupVersion": v, "version": "v1"}],
                 "preferredVersion": {"groupVersion": v, "version": "v1"}}
                for v in RESOURCES if "/" in v]}
        if path == "/version":
            return {"major": "1", "minor": "32", "gitVersion": "v1.32.0"}
        if path == "/openapi/v3":
            return {"paths": {prefix(v).strip("/"): {"serverRelativeURL": f"/openapi/v3{prefix(v)}"}
                              for v in RESOURCES}}
        if path.startswith("/openapi/v3/"):
            return openapi(path.removeprefix("/openapi/v3"))
        for version, resources in RESOURCES.items():
            if path == prefix(version):
                return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version,
                        "resources": [{"name": plural, "singularName": kind.lower(), "kind": kind,
                                       "namespaced": spaced,
                                       "verbs": ["create", "get", "list", "patch", "watch"]}
                                      for plural, (kind, spaced) in resources.items()]}
        if path == "/api/v1/nodes":
            return {"kind": "NodeList", "apiVersion": "v1", "metadata": {}, "items": self.nodes}
        if path == "/api/v1/services":
            return {"kind": "ServiceList", "apiVersion": "v1", "metadata": {}, "items": self.services}
        if len(parts) >= 2 and parts[-2] == "deployments":
            return self.applied.get(("Deployment", parts[-3], parts[-1]))
        if parts[-1] == "deployments":
            return {"kind": "DeploymentList", "apiVersion": "apps/v1", "metadata": {"resourceVersion": "1"},
                    "items": [item for (kind, space, _), item in self.applied.items()
                              if kind == "Deployment" and space == parts[-2]]}
        return None

    def apply(self, item: dict) -> dict:
        kube_schema.check(item)
        if item["kind"] == "Deployment":
            item["metadata"]["generation"] = 1
            count = item["spec"]["replicas"]
            item["status"] = {"observedGeneration": 1, "replicas": count, "updatedReplicas": count,
                              "readyReplicas": count, "availableReplicas": count}
        meta = item["metadata"]
        self.applied[item["kind"], meta.get("namespace", ""), meta["name"]] = item
        return item


def prefix(version: str) -> str:
    return f"/apis/{version}" if "/" in version else f"/api/{version}"


def openapi(path: str) -> dict:
    """As much as kubectl looks at: that the server checks fields itself when it is asked to."""
    version = next(v for v in RESOURCES if prefix(v) == path)
    group = version.split("/")[0] if "/" in version else ""
    return {"openapi": "3.0.0", "info": {"title": "stand-in", "version": "1"}, "paths": {
        f"{path}/{plural}/{{name}}": {"patch": {
            "parameters": [{"name": name, "in": "query", "schema": {"type": "string"}}
                           for name in ("dryRun", "fieldManager", "fieldValidation", "force")],
            "responses": {},
            "x-kubernetes-group-version-kind": {"group": group, "version": "v1", "kind": kind}}}
        for plural, (kind, _) in RESOURCES[version].items()}}


def handler_for(cluster: Cluster) -> type:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def answer(self, code: int, body: dict | str):
            data = (body if isinstance(body, str) else json.dumps(body)).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def refuse(self, code: int, reason: str, message: str):
            cluster.refused.append(message)
            self.answer(code, {"kind": "Status", "apiVersion": "v1", "status": "Failure",
                               "reason": reason, "message": message, "code": code})

        def begin(self) -> tuple[str, bytes]:
            cluster.requests.append(f"{self.command} {self.path}")
            length = int(self.headers.get("Content-Length") or 0)
            return urllib.parse.urlsplit(self.path).path, self.rfile.read(length)

        def do_GET(self):  # noqa: N802
            path, _ = self.begin()
            if path == "/readyz":
                return self.answer(200, "ok")
            found = cluster.get(path)
            if found is None:
                return self.refuse(404, "NotFound", f"no {path}")
            return self.answer(200, found)

        def do_POST(self):  # noqa: N802
            path, body = self.begin()
            if not path.endswith("/selfsubjectaccessreviews"):
                return self.refuse(405, "MethodNotAllowed", f"POST {path}")
            # Asked in protobuf, where strings stand as they are; answered in JSON.
            denied = any(all(word.encode() in body for word in what.split()) for what in cluster.forbidden)
            return self.answer(201, {"kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1",
                                     "spec": {}, "status": {"allowed": not denied}})

        def do_PATCH(self):  # noqa: N802
            path, body = self.begin()
            if self.headers.get("Content-Type") != "application/apply-patch+yaml":
                return self.refuse(415, "UnsupportedMediaType", self.headers.get("Content-Type", ""))
            item = yaml.safe_load(body)
            try:
                applied = cluster.apply(item)
            except kube_schema.Invalid as error:
                return self.refuse(400, "BadRequest", str(error))
            if not path.endswith(f"/{item['metadata']['name']}"):
                return self.refuse(400, "BadRequest", f"{path} is not where this object is")
            return self.answer(200, applied)

    return Handler
