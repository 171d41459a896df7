"""Runs the AWS CLI for many callers in one process, which takes a second to start and then milliseconds a
call. It prints the TCP port on loopback where it listens; aws.sh has the protocol. `aws offline CONTROL …`
looks into the account or prepares a failure.

The CLI in Debian is older than the load balancers' QUIC. newer_model holds what is missing: the fields that
botocore 1.43.11 has and we use, in the form in which botocore itself adds to its models. `--as-installed` leaves
it out.
"""

from __future__ import annotations

import contextlib
import copy
import io
import json
import os
import re
import socket
import sys
import time
import traceback
from typing import Any

os.environ.update(AWS_ACCESS_KEY_ID="AKIDEXAMPLE", AWS_SECRET_ACCESS_KEY="nothing", AWS_PAGER="",
                  AWS_EC2_METADATA_DISABLED="true", AWS_CONFIG_FILE="/nonexistent",
                  AWS_SHARED_CREDENTIALS_FILE="/nonexistent")
if "--as-installed" not in sys.argv[1:]:
    os.environ["AWS_DATA_PATH"] = os.path.join(os.path.dirname(os.path.abspath(__file__)), "newer_model")

from awscli import clidriver  # noqa: E402

if __package__ is None or __package__ == "":
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from offline_aws import balancing, containers, ec2, identity  # noqa: E402
from offline_aws.account import Account, Refusal  # noqa: E402
from offline_aws.model import violations  # noqa: E402

READS = ("Describe", "List", "Get")
# Answers of AWS that its own model forbids, or the CLI makes something else of: the tags of a balancer that
# has none, and what botocore parses.
UNTOLD = ("length of DescribeTags.TagDescriptions[0].Tags is 0", "Body is", "CreateDate")
# Whatever looks like an id has been made before, wherever it stands in a call.
ID = re.compile(r"\b(?:vpc|subnet|igw|eipalloc|nat|rtb|sg|i|ns|srv)-[0-9a-f]{17}\b"
                r"|arn:aws:elasticloadbalancing:[^\"\s,]+|arn:aws:ecs:[^\"\s,]+task-definition[^\"\s,]+")


class Lost(Exception):
    """The connection breaks."""


class World:
    def __init__(self) -> None:
        self.account = Account()
        network = ec2.Ec2(self.account)
        ecr, logs = containers.Ecr(self.account), containers.Logs(self.account)
        self.ecr = ecr
        self.services = {
            "ec2": network,
            "elbv2": balancing.ElasticLoadBalancing(self.account, network),
            "iam": identity.Iam(self.account), "sts": identity.Sts(self.account),
            "ssm": identity.Ssm(self.account), "s3": identity.S3(self.account),
            "ecr": ecr, "logs": logs, "ecs": containers.Ecs(self.account, network, ecr, logs),
            "servicediscovery": containers.ServiceDiscovery(self.account, network),
        }
        self.calls: list[list[str]] = []  # service, operation, "ok" or the refusal
        self.changes = 0
        self.fail_at = 0       # the change, counted from 1, at which the connection breaks
        self.fail_after = False  # and whether it was made before that
        self.refused = ""      # an operation that we may not do

    def answer(self, service: str, operation: str, params: dict[str, Any], model: Any) -> dict[str, Any]:
        if operation == self.refused:
            raise Refusal("AccessDenied", f"not authorized to perform {service}:{operation}")
        broken = list(violations(model.input_shape, params, operation, strict=False)) if model.input_shape else []
        if broken:
            raise Refusal("ValidationError", "; ".join(broken))
        for id_ in ID.findall(json.dumps(params, default=str)):
            if id_ not in self.account.things and not operation.startswith(READS):
                raise Refusal("InvalidID.NotFound", f"{id_} does not exist")
        change = not operation.startswith(READS)
        if change:
            self.changes += 1
            if self.changes == self.fail_at and not self.fail_after:
                raise Lost
        method = re.sub(r"(?<!^)(?=[A-Z][a-z])|(?<=[a-z])(?=[A-Z])", "_", operation).lower()
        answer = getattr(self.services[service], method)(dict(params)) or {}
        wrong = list(violations(model.output_shape, answer, operation, strict=True)) if model.output_shape else []
        wrong = [each for each in wrong if not any(untold in each for untold in UNTOLD)]
        assert not wrong, f"the offline AWS answers what AWS does not: {wrong}"
        if change and self.changes == self.fail_at and self.fail_after:
            raise Lost
        return answer


class Status:
    def __init__(self, code: int):
        self.status_code = code
        self.headers: dict[str, str] = {}


class Server:
    def __init__(self) -> None:
        self.world = World()
        clidriver.disable_crt_logging = lambda: None
        self.driver = clidriver.create_clidriver()
        self.driver.session.register("before-parameter-build.*.*", self.keep)
        self.driver.session.register("before-call.*.*", self.call)
        self.events = self.driver.session.get_component("event_emitter")
        self.left_behind: list[tuple[str, Any, str | None]] = []
        self.watch_registrations()
        self.clients: dict[tuple[Any, ...], Any] = {}
        self.create_client = self.driver.session.create_client
        self.driver.session.create_client = self.client

    def watch_registrations(self) -> None:
        emitter = type(self.events)  # an attribute of the object would be copied to each client's emitter
        register = emitter._verify_and_register

        def watched(events: Any, event: str, handler: Any, unique_id: str | None, **options: Any) -> None:
            if events is self.events and (unique_id is None or unique_id not in events._unique_id_handlers):
                self.left_behind.append((event, handler, unique_id))
            register(events, event, handler, unique_id, **options)
        emitter._verify_and_register = watched

    def client(self, service: str, region_name: str | None = None, **options: Any) -> Any:
        """Making one takes most of a call's time. But that of S3 has a handler of its call, which writes to the
        file of that call."""
        if service == "s3":
            return self.create_client(service, region_name=region_name, **options)
        key = (service, region_name)
        if key not in self.clients:
            self.clients[key] = self.create_client(service, region_name=region_name, **options)
        return self.clients[key]

    def forget(self) -> None:
        """Calls leave handlers behind that confuse the next one: the CLI counts on a process of its own."""
        for event, handler, unique_id in self.left_behind:
            self.events.unregister(event, handler=handler, unique_id=unique_id)
        self.left_behind.clear()
        for service in self.driver.subcommand_table.values():
            for operation in (getattr(service, "_command_table", None) or {}).values():
                operation._arg_table = None

    def keep(self, params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        context["offline_params"] = params  # changed in place by handlers that run later

    def call(self, model: Any, context: dict[str, Any], **_: Any) -> tuple[Status, dict[str, Any]]:
        service, operation = model.service_model.service_name, model.name
        try:
            answer = self.world.answer(service, operation, context["offline_params"], model)
        except Refusal as refusal:
            self.world.calls.append([service, operation, str(refusal)])
            return Status(400), {"Error": {"Code": refusal.code, "Message": refusal.message},
                                 "ResponseMetadata": {"HTTPStatusCode": 400}}
        except Lost:
            self.world.calls.append([service, operation, "lost"])
            return Status(503), {"Error": {"Code": "ConnectionError", "Message": "the connection broke"},
                                 "ResponseMetadata": {"HTTPStatusCode": 503}}
        self.world.calls.append([service, operation, "ok"])
        return Status(200), {**answer, "ResponseMetadata": {"HTTPStatusCode": 200}}

    def run(self, args: list[str], cwd: str) -> dict[str, Any]:
        os.chdir(cwd)
        out, err = io.TextIOWrapper(io.BytesIO(), write_through=True), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                status = self.driver.main(args)
            except SystemExit as exit_:
                status = exit_.code
            except BaseException:  # noqa: BLE001  a defect here, shown to the caller
                traceback.print_exc()
                status = 99
            finally:
                self.forget()
        return {"status": status or 0, "out": out.buffer.getvalue().decode(), "err": err.getvalue()}

    def control(self, what: str, *args: str) -> Any:
        world = self.world
        match what:
            case "new":
                self.world = World()
            case "save":
                world.services["servicediscovery"].operations.clear()
                self.saved = copy.deepcopy(world)
            case "load":
                self.world = copy.deepcopy(self.saved)
            case "things":
                return list(world.account.things.values())
            case "calls":
                calls, world.calls = world.calls, []
                return calls
            case "fail":
                world.changes, world.fail_at, world.fail_after = 0, int(args[0]), args[1] == "after"
            case "refuse":
                world.refused = args[0]
            case "sign-out":
                world.services["sts"].signed_in = False
            case "set":
                world.account.things[args[0]].update(json.loads(args[1]))
            case "push":
                world.ecr.push(args[0])
        return {}

    def answer(self, args: list[str], cwd: str) -> dict[str, Any]:
        if args[0] != "offline":
            return self.run(args, cwd)
        try:
            return {"status": 0, "out": json.dumps(self.control(*args[1:]), default=str), "err": ""}
        except Refusal as refusal:
            return {"status": 1, "out": "", "err": f"{refusal}\n"}


def request(stream: io.BufferedReader) -> tuple[list[str], str]:
    words: list[str] = []
    rest = b""
    while True:
        *ended, rest = (rest + stream.read1(65536)).split(b"\0")
        words += [word.decode() for word in ended]
        if words and len(words) == int(words[0]) + 2:
            return words[2:], words[1]


def main() -> None:
    time.sleep = lambda seconds: None  # waiters ask until it is so
    server = Server()
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    print(listener.getsockname()[1], flush=True)
    while True:
        connection, _ = listener.accept()
        with connection, connection.makefile("rb") as stream:
            answer = server.answer(*request(stream))
            out_octets, err_octets = answer["out"].encode(), answer["err"].encode()
            head = f"{answer['status']} {len(out_octets)} {len(err_octets)}\n".encode()
            connection.sendall(head + out_octets + err_octets)


if __name__ == "__main__":
    main()
