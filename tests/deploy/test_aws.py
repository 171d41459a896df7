"""deploy/aws against an AWS without a network: the real AWS CLI checks and serialises every call, and what
answers holds it against the service's model, keeps the state, and refuses what AWS refuses (offline_aws)."""

from __future__ import annotations

import hashlib
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
from typing import Any

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

from offline_aws.account import Account, Refusal
from offline_aws.balancing import ElasticLoadBalancing
from offline_aws.ec2 import Ec2
from offline_aws.harness import FILES, SCRIPTS, Aws, Site, aws, deployed, server, site  # noqa: F401
from offline_aws.identity import S3
from ztna import BIN

ACCOUNT = "123456789012"


# --- What the scripts make

def check_network(aws: Aws) -> None:
    vpc = aws.one("vpc")
    assert vpc["cidr"] == "10.0.0.0/16" and all(vpc["attributes"].values())
    subnets = {subnet["cidr"]: subnet for subnet in aws.things("subnet")}
    assert set(subnets) == {"10.0.1.0/24", "10.0.2.0/24"}
    public, private = subnets["10.0.1.0/24"], subnets["10.0.2.0/24"]
    gateway, nat = aws.one("internet-gateway", vpc=vpc["id"]), aws.one("nat-gateway", state="available")
    assert nat["subnet"] == public["id"]
    routes = {tuple(table["associations"].values()): table["routes"] for table in aws.things("route-table")}
    assert routes == {(public["id"],): {"0.0.0.0/0": gateway["id"]}, (private["id"],): {"0.0.0.0/0": nat["id"]}}


def rules_of(aws: Aws) -> dict[str, set[tuple[str, int, str]]]:
    names = {group["id"]: group["name"] for group in aws.things("security-group")}
    return {group["name"]: {(protocol, port, names.get(source, source)) for protocol, port, source in
                            group["rules"].values()} for group in aws.things("security-group")}


def check_rules(aws: Aws) -> None:
    everybody = "0.0.0.0/0"
    assert rules_of(aws) == {
        "ztna-nlb-sg": {("udp", 14433, everybody), ("udp", 14434, everybody)},
        "ztna-intermediate-sg": {("udp", 14433, everybody), ("udp", 14435, everybody), ("tcp", 19090, "ztna-nlb-sg"),
                                 ("tcp", 22, "192.0.2.1/32"), ("tcp", 22, "198.51.100.0/24")},
        "ztna-app-connector-sg": {("udp", 14434, everybody), ("tcp", 19091, "ztna-nlb-sg")},
        "ztna-http-app-sg": {("tcp", 18080, "ztna-app-connector-sg")},
        "ztna-game-server-sg": {("udp", 17960, "ztna-app-connector-sg")},
    }


def listeners_of(aws: Aws) -> dict[tuple[str, str, int], tuple[Any, ...]]:
    """(load balancer, protocol, port) of each: what it sends to."""
    found = {}
    for listener in aws.things("listener"):
        balancer = aws.one("load-balancer", id=listener["balancer"], state="active", scheme="internet-facing")
        targets = aws.one("target-group", id=listener["targets"])
        found[balancer["name"], listener["protocol"], listener["port"]] = (
            targets["protocol"], targets["type"], targets["health"],
            {id_: (target["port"], target["server_id"]) for id_, target in targets["targets"].items()})
        assert targets["attributes"]["deregistration_delay.connection_termination.enabled"] == "true"
    return found


def balancer_groups(aws: Aws) -> dict[str, list[str]]:
    names = {group["id"]: group["name"] for group in aws.things("security-group")}
    return {balancer["name"]: [names[id_] for id_ in balancer["groups"]] for balancer in aws.things("load-balancer")}


def address_of(aws: Aws, balancer: str) -> str:
    return aws.one("address", user=aws.one("load-balancer", name=balancer)["id"])["ip"]


CONNECTOR_LISTENER = {("ztna-nlb", "UDP", 14434): ("UDP", "ip", ["TCP", "19091"], {"10.0.2.99": (14434, None)})}


def check_load_balancer(aws: Aws) -> None:
    instance = aws.one("instance", state="running")
    assert balancer_groups(aws) == {"ztna-nlb": ["ztna-nlb-sg"]}
    assert listeners_of(aws) == {
        ("ztna-nlb", "UDP", 14433): ("UDP", "instance", ["TCP", "19090"], {instance["id"]: (14433, None)}),
        **CONNECTOR_LISTENER}


def check_instance(aws: Aws) -> None:
    instance = aws.one("instance")
    assert instance["type"] == "t3.micro" and instance["public"] and instance["tokens"] == "required"
    assert instance["profile"] == "ztna-intermediate"
    assert all(disk["Ebs"]["Encrypted"] for disk in instance["disks"])
    assert "PRIVATE KEY" not in instance["user_data"]


def check_services(aws: Aws, site: Site) -> None:
    names = {subnet["id"]: subnet["cidr"] for subnet in aws.things("subnet")}
    services = {service["name"]: service for service in aws.things("service", state="ACTIVE")}
    assert set(services) == {"app-connector", "http-app", "game-server"}
    ports = {}
    for name, service in services.items():
        assert (service["launch"], service["platform"], service["public"]) == ("FARGATE", "1.4.0", "DISABLED")
        assert aws.one("task-definition", id=service["definition"])["runtime"] == \
            {"cpuArchitecture": "X86_64", "operatingSystemFamily": "LINUX"}
        assert [names[id_] for id_ in service["subnets"]] == ["10.0.2.0/24"] and service["desired"] == 1
        definition = aws.one("task-definition", id=service["definition"])
        ports[name] = [(mapping["protocol"], mapping["containerPort"]) for container in definition["containers"]
                       for mapping in container.get("portMappings", [])]
        # ECS cannot have both in one service behind a load balancer.
        assert len({protocol for protocol, _ in ports[name]}) == 1
    assert ports == {"app-connector": [("udp", 14434)], "http-app": [("tcp", 18080)], "game-server": [("udp", 17960)]}
    registries = {registry["id"]: registry["name"] for registry in aws.things("registry")}
    assert [registries[id_] for name in ("http-app", "game-server") for id_ in services[name]["registries"]] == \
        ["http-app", "game-server"]

    certificates, connector = aws.one("task-definition", family="ztna-app-connector", status="ACTIVE")["containers"]
    address = address_of(aws, "ztna-nlb")
    assert {each["name"]: each["value"] for each in connector["environment"]} == {
        "ZTNA_INTERMEDIATE": f"{address}:14433", "ZTNA_P2P_ADVERTISE": f"{address}:14434",
        "ZTNA_SERVICE": "some-service=tcp://http-app.ztna.internal:18080,quake=udp://game-server.ztna.internal:17960",
        "CERT_DIR": "/opt/ztna/certs", "ZTNA_P2P_LISTEN_PORT": "14434", "ZTNA_HEALTH": "0.0.0.0:19091",
        "ZTNA_CONTROL": "off", "ZTNA_LOG_FORMAT": "json"}
    assert "secrets" not in connector and connector["readonlyRootFilesystem"] and connector["user"] == "65532:65532"
    assert connector["dependsOn"] == [{"containerName": "certificates", "condition": "SUCCESS"}]
    check_certificates_container(aws, site, certificates)


def check_certificates_container(aws: Aws, site: Site, container: dict[str, Any]) -> None:
    """Runs its command with the secrets that ECS would put in."""
    folder = site.folder / "task"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    secrets = {each["name"]: aws.one("parameter", name=each["valueFrom"].partition(":parameter")[2])["value"]
               for each in container["secrets"]}
    (command,) = container["command"]
    assert command.endswith(" && chown -R 65532:65532 .")
    command = command.replace("cd /certs", f"cd {folder}").removesuffix(" && chown -R 65532:65532 .")
    subprocess.run([*container["entryPoint"], command], env={"PATH": "/usr/bin:/bin", **secrets}, check=True)
    for file in FILES:
        assert (folder / file).read_text().rstrip("\n") == (site.folder / "home" / file).read_text().rstrip("\n")
        assert (folder / file).stat().st_mode & 0o077 == 0


def check_roles(aws: Aws) -> None:
    roles = {role["name"]: role for role in aws.things("role")}
    assert set(roles) == {"ztna-intermediate", "ztna-app-connector-execution", "ztna-http-app-execution",
                          "ztna-game-server-execution"}
    allowed: dict[str, dict[str, list[str]]] = {}
    for name, role in roles.items():
        (policy,) = role["policies"].values()
        allowed[name] = {action: statement["Resource"] for statement in policy["Statement"]
                         for action in statement["Action"]}
        (trust,) = role["trust"]["Statement"]
        assert trust["Principal"] == {"Service": "ec2.amazonaws.com" if name == "ztna-intermediate"
                                      else "ecs-tasks.amazonaws.com"}
        for action, resources in allowed[name].items():
            assert "*" not in action
            if action == "ecr:GetAuthorizationToken":
                continue  # AWS has no narrower resource for it
            for resource in resources:
                # The streams of one log group carry the ids of tasks.
                assert "*" not in resource.removesuffix("/*" if action.startswith("logs:") else "")
    files = (*FILES, "policy.toml")

    def parameters(role: str) -> list[str]:
        return [f"arn:aws:ssm:us-east-2:{ACCOUNT}:parameter/ztna/{role}/{file}" for file in files]
    assert allowed["ztna-intermediate"] == {
        "ssm:GetParameters": parameters("intermediate"),
        "s3:GetObject": ["arn:aws:s3:::packages.example.org/ztna/ztna-intermediate_0.1.0_amd64.deb"]}
    assert allowed["ztna-app-connector-execution"]["ssm:GetParameters"] == parameters("app-connector")
    for service, repository in (("http-app", "http-app"), ("game-server", "quakekube")):
        assert "ssm:GetParameters" not in allowed[f"ztna-{service}-execution"]
        assert allowed[f"ztna-{service}-execution"]["ecr:BatchGetImage"] == \
            [f"arn:aws:ecr:us-east-2:{ACCOUNT}:repository/ztna/{repository}"]


def check_storage(aws: Aws, site: Site) -> None:
    assert {repository["name"] for repository in aws.things("repository")} == \
        {"ztna/app-connector", "ztna/http-app", "ztna/quakekube"}
    assert {(group["name"], group["days"]) for group in aws.things("log-group")} == \
        {("/ztna/app-connector", 14), ("/ztna/http-app", 14), ("/ztna/game-server", 14)}
    parameters = {thing["name"]: thing for thing in aws.things("parameter")}
    assert len(parameters) == 8 and {thing["type"] for thing in parameters.values()} == {"SecureString"}
    assert parameters["/ztna/intermediate/key.pem"]["value"] == (site.folder / "relay/key.pem").read_text()


def check_all(aws: Aws, site: Site) -> None:
    check_network(aws)
    check_rules(aws)
    check_load_balancer(aws)
    check_instance(aws)
    check_services(aws, site)
    check_roles(aws)
    check_storage(aws, site)
    for thing in aws.things():
        assert thing["tags"].get("ztna-deployment") == "ztna", thing


def test_up_makes_it_and_up_again_changes_nothing_and_down_leaves_nothing(aws: Aws, deployed: Site) -> None:
    site = deployed
    check_all(aws, site)
    assert aws.first
    first, changes = aws.first
    assert f"done: {len(changes) + 3} changes" in first.stderr  # and three images pushed
    address = address_of(aws, "ztna-nlb")
    assert first.stdout.splitlines()[-2:] == [f"INTERMEDIATE_HOST={address}", "INTERMEDIATE_PORT=14433"]
    before = aws.things()

    again = site.up()
    assert aws.changes() == [] and "done: 0 changes" in again.stderr
    assert aws.things() == before

    status = site.run("status.sh")
    assert aws.changes() == []
    lines = [" ".join(line.split()) for line in status.stdout.splitlines()]
    assert "service app-connector 1/1 running" in lines and f"{address} UDP 14434" in lines
    assert "missing" not in status.stdout and "wanted" not in status.stdout

    dry = site.run("down.sh", "--dry-run")
    assert aws.changes() == [] and "delete-vpc" in dry.stdout
    site.down()
    assert aws.left() == []
    assert "there was nothing to remove" in site.down().stderr


# --- The layout with a load balancer that reads QUIC connection ids

def check_quic_load_balancers(aws: Aws) -> str:
    """And the server id of the machine."""
    instance = aws.one("instance", state="running")
    server_id = "0x" + hashlib.sha256(instance["id"].encode()).hexdigest()[:16]
    assert balancer_groups(aws) == {"ztna-nlb": ["ztna-nlb-sg"], "ztna-quic": []}
    assert listeners_of(aws) == {
        ("ztna-quic", "QUIC", 14433): ("QUIC", "instance", ["TCP", "19090"], {instance["id"]: (14433, server_id)}),
        **CONNECTOR_LISTENER}
    assert all(balancer["address_type"] == "ipv4" for balancer in aws.things("load-balancer"))
    return server_id


def check_quic_rules(aws: Aws) -> None:
    everybody, rules = "0.0.0.0/0", rules_of(aws)
    assert rules["ztna-nlb-sg"] == {("udp", 14434, everybody)}
    # The load balancer has no group: its health checks come from the public subnet.
    assert rules["ztna-intermediate-sg"] >= {("udp", 14433, everybody), ("udp", 14435, everybody),
                                             ("tcp", 19090, "10.0.1.0/24")}
    assert not any(source == "ztna-nlb-sg" for _, _, source in rules["ztna-intermediate-sg"])


def check_quic_machine(aws: Aws, site: Site, server_id: str) -> None:
    """Its user data makes the id that the load balancer was told, and the daemon takes it."""
    root, _, environment = machine(site)
    (root / "var/lib/cloud/data").mkdir(parents=True)
    (root / "var/lib/cloud/data/instance-id").write_text(aws.one("instance", state="running")["id"] + "\n")
    user_data = site.write("user-data", aws.one("instance", state="running")["user_data"])
    subprocess.run(["bash", user_data], env=environment, check=True, capture_output=True, timeout=60)
    lines = (root / "etc/ztna/intermediate.env").read_text().splitlines()
    assert f"ZTNA_QUIC_LB_SERVER_ID={server_id}" in lines
    settings = dict(line.split("=", 1) for line in lines)
    shown = subprocess.run([BIN / "intermediate-server", "--print-config"], env=settings, capture_output=True,
                           text=True, check=True, timeout=60).stdout
    assert re.search(rf"{server_id[2:]}\b.*ZTNA_QUIC_LB_SERVER_ID", shown), shown


def test_quic_layout(aws: Aws, site: Site) -> None:
    site.settings["ZTNA_AWS_LAYOUT"] = "quic"
    made = site.up()
    server_id = check_quic_load_balancers(aws)
    check_quic_rules(aws)
    check_quic_machine(aws, site, server_id)
    front, back = address_of(aws, "ztna-quic"), address_of(aws, "ztna-nlb")
    assert made.stdout.splitlines()[-2:] == [f"INTERMEDIATE_HOST={front}", "INTERMEDIATE_PORT=14433"]
    _, connector = aws.one("task-definition", family="ztna-app-connector", status="ACTIVE")["containers"]
    told = {each["name"]: each["value"] for each in connector["environment"]}
    assert (told["ZTNA_INTERMEDIATE"], told["ZTNA_P2P_ADVERTISE"]) == (f"{front}:14433", f"{back}:14434")

    aws.calls()
    assert "done: 0 changes" in site.up().stderr and aws.changes() == []
    lines = [" ".join(line.split()) for line in site.run("status.sh").stdout.splitlines()]
    assert f"{front} QUIC 14433" in lines and f"{back} UDP 14434" in lines

    # A new machine has an id of its own.
    aws.set(aws.one("instance")["id"], state="terminated")
    site.up()
    assert check_quic_load_balancers(aws) != server_id
    site.settings["ZTNA_AWS_LAYOUT"] = "udp"  # down.sh removes either
    site.down()
    assert aws.left() == []


@pytest.mark.parametrize("script", ["up.sh", "status.sh"])
def test_a_layout_is_not_changed_under_what_stands(aws: Aws, deployed: Site, script: str) -> None:
    aws.calls()
    deployed.settings["ZTNA_AWS_LAYOUT"] = "quic"
    refused = deployed.run(script, *(["--yes"] if script == "up.sh" else []), status=1)
    assert "ztna stands in the layout udp" in refused.stderr and "down.sh" in refused.stderr
    assert aws.changes() == []


def test_what_is_left_of_the_other_layout_is_removed_first(aws: Aws, site: Site) -> None:
    site.settings["ZTNA_AWS_LAYOUT"] = "quic"
    calls = [line for line in site.run("up.sh", "--dry-run").stdout.splitlines() if line.startswith("aws ")]
    (_, second) = [number for number, call in enumerate(calls, 1) if "'create-load-balancer'" in call]
    aws.control("fail", str(second), "before")
    site.up(status=1)
    assert aws.things("target-group", name="ztna-quic") and not aws.things("load-balancer", name="ztna-quic")
    aws.calls()
    site.settings["ZTNA_AWS_LAYOUT"] = "udp"
    assert "ztna stands in the layout quic" in site.up(status=1).stderr
    assert aws.changes() == []
    site.down()
    assert aws.left() == []


def test_an_aws_cli_that_does_not_know_quic_is_named(tmp_path: pathlib.Path) -> None:
    old = Aws("--as-installed")
    try:
        site = Site(tmp_path, old)
        known = subprocess.run(["bash", "-c", "aws elbv2 register-targets --generate-cli-skeleton input"],
                               env=site.environment(), cwd=tmp_path, capture_output=True, text=True, check=True,
                               timeout=60).stdout
        if "QuicServerId" in known:
            pytest.skip("the AWS CLI here knows QUIC")
        site.settings["ZTNA_AWS_LAYOUT"] = "quic"
        assert "this AWS CLI is too old for ZTNA_AWS_LAYOUT=quic (aws-cli/" in site.up(status=1).stderr
        assert old.things() == []
    finally:
        old.end()


@pytest.fixture
def balancing() -> tuple[ElasticLoadBalancing, dict[str, str]]:
    """A load balancer service with one network, and the arns of what is in it."""
    account = Account()
    account.add("vpc", "vpc-1", cidr="10.0.0.0/16")
    account.add("subnet", "subnet-1", vpc="vpc-1")
    account.add("internet-gateway", "igw-1", vpc="vpc-1")
    account.add("security-group", "sg-1", vpc="vpc-1")
    for machine_ in ("i-1", "i-2"):
        account.add("instance", machine_, state="running")
    service, made = ElasticLoadBalancing(account, Ec2(account)), {}
    for name, options in (("plain", {}), ("grouped", {"SecurityGroups": ["sg-1"]}),
                          ("dual", {"IpAddressType": "dualstack"})):
        account.add("address", f"eipalloc-{name}", user=None)
        made[name] = service.create_load_balancer({
            "Name": name, "Type": "network", "Scheme": "internet-facing", **options,
            "SubnetMappings": [{"SubnetId": "subnet-1", "AllocationId": f"eipalloc-{name}"}],
        })["LoadBalancers"][0]["LoadBalancerArn"]
        account.made += 1
    for protocol in ("UDP", "QUIC"):
        made[protocol] = service.create_target_group({
            "Name": protocol, "Protocol": protocol, "Port": 4433, "VpcId": "vpc-1", "TargetType": "instance",
            "HealthCheckProtocol": "TCP", "HealthCheckPort": "9090"})["TargetGroups"][0]["TargetGroupArn"]
    return service, made


@pytest.mark.parametrize("wrong", [
    [("grouped", "QUIC")], [("dual", "QUIC")], [("plain", "UDP"), ("plain", "QUIC")],
    [("plain", "QUIC"), ("plain", "UDP")], [("plain", "QUIC"), ("plain", "QUIC")],
])
def test_the_offline_account_refuses_quic_listeners_as_aws_does(balancing: Any, wrong: list[tuple[str, str]]) -> None:
    service, made = balancing

    def listen(port: int, balancer: str, protocol: str) -> None:
        service.create_listener({"LoadBalancerArn": made[balancer], "Protocol": protocol, "Port": port,
                                 "DefaultActions": [{"Type": "forward", "TargetGroupArn": made[protocol]}]})
    for port, (balancer, protocol) in enumerate(wrong[:-1], 4433):
        listen(port, balancer, protocol)
    with pytest.raises(Refusal, match="listeners are not allowed"):
        listen(5000, *wrong[-1])


def test_the_offline_account_refuses_server_ids_as_aws_does(balancing: Any) -> None:
    service, made = balancing
    good = "0x00000000000000a1"

    def register(machine_: str, server_id: str | None, protocol: str = "QUIC") -> None:
        service.register_targets({"TargetGroupArn": made[protocol], "Targets": [
            {"Id": machine_, **({"QuicServerId": server_id} if server_id else {})}]})
    register("i-1", good)
    register("i-1", good)
    register("i-1", None, "UDP")
    for refused in (("i-2", None), ("i-2", good), ("i-2", "0x00000000000000A1"), ("i-2", "00000000000000a2"),
                    ("i-2", "0xa2"), ("i-1", "0x00000000000000a2"), ("i-2", good, "UDP")):
        with pytest.raises(Refusal):
            register(*refused)
    with pytest.raises(Refusal, match="QUIC cannot check health"):
        service.create_target_group({"Name": "other", "Protocol": "QUIC", "Port": 1, "VpcId": "vpc-1",
                                     "TargetType": "instance", "HealthCheckProtocol": "QUIC"})


# --- Before, between and after

@pytest.mark.parametrize("layout", ["udp", "quic"])
def test_cost_is_shown_before_anything_is_made(aws: Aws, site: Site, layout: str) -> None:
    site.settings["ZTNA_AWS_LAYOUT"] = layout
    shown = site.run("up.sh", status=2)  # nobody is there to agree
    assert "dollars a month" in shown.stdout and "https://aws.amazon.com/vpc/pricing/" in shown.stdout
    assert aws.changes() == []
    rows = [line.split("\t") for line in (SCRIPTS / "prices.tsv").read_text().splitlines()
            if line.startswith(("fixed\t", f"{layout}\t"))]
    assert len(rows) == (9 if layout == "udp" else 11)
    total = sum(float(row[2]) * float(row[3]) for row in rows)
    (line,) = [line for line in shown.stdout.splitlines() if "dollars a month" in line]
    assert float(line.split()[1]) == pytest.approx(total, abs=0.01)


def test_status_of_nothing(aws: Aws, site: Site) -> None:
    assert site.run("status.sh", status=1).stdout.count("missing") == 15
    assert aws.changes() == []


def test_dry_run_prints_the_calls_that_up_makes(aws: Aws, deployed: Site) -> None:
    assert aws.first
    made = [call.split() for call in aws.first[1]]
    site = deployed
    aws.control("new")
    dry = site.run("up.sh", "--dry-run")
    assert aws.changes() == [] and aws.things() == []
    aws.control("sign-out")
    unknown = site.run("up.sh", "--dry-run")

    def plain(text: str) -> str:  # without paths of the run, and sums over what names the account
        text = re.sub(r"file:///\S+/|(?<=value=)[0-9a-f]{16}", "", text)
        return text.replace("000000000000", ACCOUNT)
    (ami,) = re.findall(r"'--image-id' '(ami-[0-9a-f]{17})'", dry.stdout)  # which only AWS can tell
    assert plain(unknown.stdout) == plain(dry.stdout).replace(ami, "<ami>")
    assert site.up(status=1).stderr.count("aws configure") == 1
    printed = [shlex.split(line)[3:5] for line in dry.stdout.splitlines() if line.startswith("aws ")]
    assert [(service, operation.replace("-", "")) for service, operation in printed] == \
        [(service, operation.lower()) for service, operation in made]


@pytest.mark.parametrize("at, after", [(24, True), (63, False)])
def test_a_run_that_broke_is_resumed(aws: Aws, site: Site, at: int, after: bool) -> None:
    aws.control("fail", str(at), "after" if after else "before")
    assert "Run up.sh again" in site.up(status=1).stderr
    site.up()
    check_all(aws, site)


@pytest.mark.parametrize("at, after", [(14, False), (55, True)])
def test_a_run_that_broke_is_removed(aws: Aws, site: Site, at: int, after: bool) -> None:
    aws.control("fail", str(at), "after" if after else "before")
    site.up(status=1)
    assert aws.left() != []
    site.down()
    assert aws.left() == []


@pytest.mark.parametrize("at, after", [(24, True)])
def test_a_removal_that_broke_is_resumed(aws: Aws, deployed: Site, at: int, after: bool) -> None:
    aws.control("fail", str(at), "after" if after else "before")
    deployed.down(status=1)
    assert aws.left() != []
    deployed.down()
    assert aws.left() == []


def test_new_settings_reach_what_runs(aws: Aws, deployed: Site) -> None:
    site = deployed
    aws.calls()
    site.issue("home", 1)
    site.settings["ADMIN_ADDRESSES"] = "192.0.2.1,203.0.113.9"
    site.settings["INTERMEDIATE_HOST"] = "relay.example.org"
    balancer_group = aws.one("security-group", name="ztna-nlb-sg")
    aws.set(balancer_group["id"], rules={**balancer_group["rules"], "sgr-x": ["udp", 14433, "0.0.0.0/0", 14500]})
    site.up()
    assert sorted(aws.changes()) == [
        "ec2 AuthorizeSecurityGroupIngress", "ec2 RevokeSecurityGroupIngress", "ec2 RevokeSecurityGroupIngress",
        "ecs RegisterTaskDefinition", "ecs UpdateService", *["ssm PutParameter"] * 3]
    assert "sgr-x" not in aws.one("security-group", name="ztna-nlb-sg")["rules"]
    assert ("tcp", 22, "203.0.113.9/32") in rules_of(aws)["ztna-intermediate-sg"]
    assert ("tcp", 22, "198.51.100.0/24") not in rules_of(aws)["ztna-intermediate-sg"]
    service = aws.one("service", name="app-connector")
    definition = aws.one("task-definition", id=service["definition"])
    assert {"name": "ZTNA_INTERMEDIATE", "value": "relay.example.org:14433"} in \
        definition["containers"][1]["environment"]
    site.up()
    assert aws.changes() == []

    # A machine that was stopped, and a NAT gateway that somebody took away.
    instance, nat = aws.one("instance"), aws.one("nat-gateway")
    aws.set(instance["id"], state="stopped")
    aws.set(nat["id"], state="deleted")
    aws.set(nat["address"], user=None)
    ill = site.run("status.sh", status=1)
    assert "stopped (wanted: running)" in ill.stdout
    site.up()
    assert aws.changes() == ["ec2 CreateNatGateway", "ec2 ReplaceRoute", "ec2 StartInstances"]


def test_an_intermediate_that_does_not_come_up_is_no_success(aws: Aws, deployed: Site) -> None:
    assert aws.first and "waiting: the Intermediate to be ready" in aws.first[0].stderr
    aws.set(aws.one("instance")["id"], ill=True)
    ended = deployed.up(status=1)
    assert "get-console-output" in ended.stderr and "the Intermediate to be ready" in ended.stderr
    assert "INTERMEDIATE_HOST=" not in ended.stdout
    assert "unhealthy (wanted: healthy)" in deployed.run("status.sh", status=1).stdout


@pytest.mark.parametrize("changed", [{"P2P_PORT": "15434"}, {"INTERMEDIATE_HEALTH": "127.0.0.1:19099"}])
def test_ports_are_not_changed_under_what_stands(aws: Aws, deployed: Site, changed: dict[str, str]) -> None:
    aws.calls()
    deployed.settings.update(changed)
    refused = deployed.up(status=1)
    assert "ztna stands with the ports 144" in refused.stderr and "down.sh" in refused.stderr
    assert aws.changes() == []


def test_a_nat_gateway_that_failed_is_removed_with_the_one_that_took_its_place(aws: Aws, deployed: Site) -> None:
    failed = aws.one("nat-gateway")
    aws.set(failed["id"], state="failed")
    aws.set(failed["address"], user=None)
    deployed.up()
    assert len(aws.things("nat-gateway")) == 2
    aws.set(failed["id"], state="available")
    assert "there is more than one" in deployed.up(status=1).stderr
    aws.set(failed["id"], state="failed")
    deployed.down()
    assert aws.left() == []


@pytest.mark.parametrize("call", ["DescribeListeners", "DescribeParameters", "ListRolePolicies"])
def test_a_question_that_fails_is_no_answer(aws: Aws, deployed: Site, call: str) -> None:
    """What cannot be seen would be left behind."""
    aws.control("refuse", call)
    deployed.down(status=1)
    aws.control("refuse", "")
    deployed.down()
    assert aws.left() == []


def test_an_image_for_another_machine_is_not_pushed(aws: Aws, site: Site) -> None:
    (site.programs / "podman").unlink()
    site.write("bin/podman", "#!/bin/sh\n[ \"$1\" != image ] || echo arm64\n").chmod(0o755)
    assert "ztna/app-connector:latest is for arm64" in site.up(status=1).stderr


def test_what_is_not_ours_is_left_alone(aws: Aws, deployed: Site) -> None:
    site = deployed
    balancer = aws.one("load-balancer")
    aws.set(balancer["id"], tags={})
    for script in ("up.sh", "down.sh"):
        assert "is not ours" in site.run(script, "--yes", status=1).stderr
    assert aws.one("load-balancer")["state"] == "active"


def machine(site: Site) -> tuple[pathlib.Path, pathlib.Path, dict[str, str]]:
    """Where the user data puts files, the log of what it would do to a machine, and its environment."""
    root, log = site.folder / "root", site.folder / "log"
    for name in ("snap", "apt-get", "systemctl", "chgrp"):
        site.write(f"bin/{name}", f"#!/bin/sh\necho {name} \"$@\" >>{log}\n").chmod(0o755)
    site.write("bin/curl", f"#!/bin/sh\necho curl \"$@\" >>{log}\n"
               "while [ $# -gt 1 ]; do [ \"$1\" = --output ] && echo package >\"$2\"; shift; done\n").chmod(0o755)
    return root, log, {**site.environment(), "DESTDIR": str(root), "TMPDIR": str(site.folder)}


def test_the_machine_makes_itself_an_intermediate(aws: Aws, deployed: Site) -> None:
    """Runs the user data, with stand-ins for what would change this machine."""
    site = deployed
    user_data = site.write("user-data", aws.one("instance")["user_data"])
    root, log, environment = machine(site)
    subprocess.run(["bash", user_data], env=environment, check=True, capture_output=True, timeout=60)

    certs = root / "opt/ztna/certs"
    for file in FILES:
        assert (certs / file).read_text() == (site.folder / "relay" / file).read_text()
        assert (certs / file).stat().st_mode & 0o777 == 0o640
    assert (certs / "policy.toml").read_text() == (site.folder / "policy.toml").read_text()
    assert (root / "etc/ztna/intermediate.env").read_text().splitlines() == [
        "ZTNA_LISTEN=[::]:14433", "ZTNA_ALT_LISTEN=[::]:14435", "ZTNA_HEALTH=0.0.0.0:19090",
        "CERT_DIR=/opt/ztna/certs", "ZTNA_POLICY=/opt/ztna/certs/policy.toml"]
    calls = log.read_text()
    assert "snap install aws-cli --classic" in calls
    assert "ztna-intermediate_0.1.0_amd64.deb" in calls and "/ztna_0.1.0_amd64.deb" in calls
    assert calls.splitlines()[-1] == "systemctl restart ztna-intermediate.service"
    # The units that they want are those of this machine's systemd.
    shutil.copytree("/usr/lib/systemd/system", root / "usr/lib/systemd/system", symlinks=True)
    for unit in ("service", "timer"):
        verified = subprocess.run(["systemd-analyze", "verify", "--man=no", f"--root={root}",
                                   f"ztna-fetch-secrets.{unit}"], capture_output=True, text=True, timeout=60)
        complaints = [line for line in verified.stderr.splitlines() if "ztna-fetch-secrets" in line]
        assert complaints == []

    # A renewed certificate: fetched, and the daemon reloaded; without one, nothing.
    fetch = root / "usr/local/sbin/ztna-fetch-secrets"
    log.write_text("")
    before = (certs / "key.pem").read_text()
    site.issue("relay", 1)
    site.up()
    key = aws.one("parameter", name="/ztna/intermediate/key.pem")
    for stored, says in ((before, "the key is not the certificate's"), (None, "there is no parameter")):
        aws.set(key["id"], **({"value": stored} if stored else {"kind": "gone"}))
        done = subprocess.run([fetch], env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 1 and says in done.stderr and log.read_text().count("systemctl") == 0
        assert (certs / "key.pem").read_text() == before
        aws.set(key["id"], value=key["value"], kind="parameter")

    # The daemon is told of it, also when a run is cut off just before.
    site.write("bin/systemctl", "#!/bin/sh\nexit 1\n")
    assert subprocess.run([fetch], env=environment, timeout=60).returncode != 0
    for file in FILES:
        assert (certs / file).read_text() == (site.folder / "relay" / file).read_text()
    site.write("bin/systemctl", f"#!/bin/sh\necho systemctl \"$@\" >>{log}\n")
    subprocess.run([fetch], env=environment, check=True, timeout=60)
    assert "systemctl try-reload-or-restart ztna-intermediate.service" in log.read_text()
    log.write_text("")
    subprocess.run([fetch], env=environment, check=True, timeout=60)
    assert "systemctl" not in log.read_text()


def test_what_is_no_certificate_is_not_installed(aws: Aws, deployed: Site) -> None:
    """Two that cannot be read are no pair, although what can be read of both is the same: nothing."""
    root, log, environment = machine(deployed)
    user_data = deployed.write("user-data", aws.one("instance")["user_data"])
    subprocess.run(["bash", user_data], env=environment, check=True, capture_output=True, timeout=60)
    before = {path.name: path.read_text() for path in (root / "opt/ztna/certs").iterdir()}
    log.write_text("")
    for files in (("cert.pem", "key.pem"), ("ca-cert.pem",)):
        for file in files:
            aws.set(f"parameter/ztna/intermediate/{file}", value="no certificate\n")
        done = subprocess.run([root / "usr/local/sbin/ztna-fetch-secrets"], env=environment, capture_output=True,
                              text=True, timeout=60)
        assert done.returncode == 1, files
        assert {path.name: path.read_text() for path in (root / "opt/ztna/certs").iterdir()} == before
        assert "systemctl" not in log.read_text()
        for file in files:
            aws.set(f"parameter/ztna/intermediate/{file}", value=(deployed.folder / "relay" / file).read_text())


@pytest.mark.parametrize("wrong", [None, 0, 1, "one too few"])
def test_a_package_that_is_another_is_not_installed(aws: Aws, deployed: Site, wrong: int | str | None) -> None:
    _, log, environment = machine(deployed)
    sums = [hashlib.sha256(package).hexdigest() for package in (S3.CONTENT, b"package\n")]  # as s3 and curl give them
    if isinstance(wrong, int):
        sums[wrong] = "0" * 64
    elif wrong:
        sums.pop()
    text = aws.one("instance")["user_data"]
    assert "package_sums=''" in text
    text = text.replace("package_sums=''", f"package_sums='{' '.join(sums)}'")
    done = subprocess.run(["bash", deployed.write("user-data", text)], capture_output=True, text=True, timeout=60,
                          env=environment)
    assert (done.returncode == 0) == (wrong is None) == ("apt-get install" in log.read_text()), done.stderr
    assert done.stdout.count("FAILED") == isinstance(wrong, int)
    assert ("2 packages and 1 sums" in done.stderr) == isinstance(wrong, str)


@pytest.mark.parametrize("changed, message", [
    ({"ZTNA_AWS_PACKAGES": "<urls>"}, "ZTNA_AWS_PACKAGES is not set"),
    ({"ZTNA_AWS_PACKAGES": "http://example.org/x.deb"}, "is neither https://"),
    ({"ZTNA_AWS_NAME": "Ztna"}, "ZTNA_AWS_NAME"),
    ({"ZTNA_AWS_POLICY": "/nonexistent"}, "/nonexistent cannot be read"),
    ({"INTERMEDIATE_HEALTH": "off"}, "want a port"),
    ({"P2P_PORT": "0"}, "P2P_PORT"),
    ({"ZTNA_AWS_LAYOUT": "tcp"}, "expected udp or quic"),
    ({"P2P_PORT": "14433"}, "P2P_PORT and INTERMEDIATE_PORT are both 14433"),
    ({"ZTNA_AWS_PACKAGES_SHA256": "0" * 64}, "has 1 sums, and ZTNA_AWS_PACKAGES has 2 packages"),
    ({"ZTNA_AWS_PACKAGES_SHA256": f"{'0' * 64},SHA256"}, "\"SHA256\" is not what sha256sum prints"),
])
def test_wrong_settings_are_named_before_the_first_call(aws: Aws, site: Site, changed: dict[str, str],
                                                        message: str) -> None:
    site.settings.update(changed)
    assert message in site.up(status=2).stderr
    assert aws.control("calls") == []


@pytest.mark.parametrize("role, file, text, message", [
    ("home", "cert.pem", "text", "home/cert.pem is no certificate"),
    ("relay", "key.pem", "text", "relay/key.pem is no key"),
    ("relay", "key.pem", None, "relay/key.pem is not the key of"),  # that of the Connector
])
def test_a_key_of_another_certificate_is_named_before_the_first_call(aws: Aws, site: Site, role: str, file: str,
                                                                     text: str | None, message: str) -> None:
    site.write(f"{role}/{file}", text or (site.folder / "home" / file).read_text())
    for done in (site.up(status=2), site.run("parameters.sh", status=2)):
        assert message in done.stderr
    assert aws.control("calls") == []


@pytest.mark.parametrize("script", ["up.sh", "down.sh", "status.sh"])
def test_usage(site: Site, script: str) -> None:
    assert site.run(script, "--help").stdout.startswith(f"usage: deploy/aws/{script}")
    assert "unknown option" in site.run(script, "--frobnicate", status=2).stderr
    os.symlink("/nonexistent", site.folder / "nothing")
    done = subprocess.run([SCRIPTS / script, "--env", site.folder / "nothing"], env=site.environment(),
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "cannot be read" in done.stderr
