"""deploy/aws/cloudformation.yaml against what up.sh makes of the same settings in the offline account: both are
brought to one form, and are equal."""

from __future__ import annotations

import base64
import gzip
from typing import Any

import pytest
import yaml

from cloudformation import Template
from offline_aws.harness import SCRIPTS, Aws, Site, aws, server, site  # noqa: F401

TEMPLATE = SCRIPTS / "cloudformation.yaml"
REGISTRY = "123456789012.dkr.ecr.us-east-2.amazonaws.com"
# The account's kinds of things; what the template has besides are connections between them. Parameters of the
# Parameter Store hold secrets, which a template cannot make.
KINDS = {
    "vpc": "AWS::EC2::VPC", "subnet": "AWS::EC2::Subnet", "internet-gateway": "AWS::EC2::InternetGateway",
    "route-table": "AWS::EC2::RouteTable", "address": "AWS::EC2::EIP", "nat-gateway": "AWS::EC2::NatGateway",
    "security-group": "AWS::EC2::SecurityGroup", "load-balancer": "AWS::ElasticLoadBalancingV2::LoadBalancer",
    "target-group": "AWS::ElasticLoadBalancingV2::TargetGroup", "listener": "AWS::ElasticLoadBalancingV2::Listener",
    "role": "AWS::IAM::Role", "instance-profile": "AWS::IAM::InstanceProfile", "instance": "AWS::EC2::Instance",
    "repository": "AWS::ECR::Repository", "log-group": "AWS::Logs::LogGroup",
    "namespace": "AWS::ServiceDiscovery::PrivateDnsNamespace", "registry": "AWS::ServiceDiscovery::Service",
    "cluster": "AWS::ECS::Cluster", "task-definition": "AWS::ECS::TaskDefinition", "service": "AWS::ECS::Service"}
CONNECTIONS = {"AWS::EC2::VPCGatewayAttachment", "AWS::EC2::Route", "AWS::EC2::SubnetRouteTableAssociation",
               "AWS::EC2::LaunchTemplate"}


@pytest.fixture
def one_admin(site: Site) -> Site:
    site.settings["ADMIN_ADDRESSES"] = "192.0.2.1"
    return site


def parameters_of(site: Site) -> dict[str, str]:
    printed = site.run("parameters.sh").stdout
    assert len(printed.split()) == len(printed.splitlines())  # so that a shell may split it
    return dict(line.split("=", 1) for line in printed.splitlines())


def read(parameters: dict[str, str], address: str = "203.0.113.1") -> Template:
    attributes = {("LoadBalancerAddress", "PublicIp"): address}
    for resource, name in (("Connector", "app-connector"), ("HttpApp", "http-app"), ("GameServer", "quakekube")):
        attributes[f"{resource}Repository", "RepositoryUri"] = f"{REGISTRY}/ztna/{name}"
        attributes[f"{resource}Repository", "Arn"] = f"arn:aws:ecr:us-east-2:123456789012:repository/ztna/{name}"
    return Template(TEMPLATE, parameters, attributes)


# --- One form for both. Things that have an id only are named by what they have of their own: subnets by their
# CIDR, groups, roles and services by their names, target groups by theirs.

def lower(value: Any) -> Any:
    """CloudFormation's keys as the API of ECS has them."""
    if isinstance(value, list):
        return [lower(each) for each in value]
    if isinstance(value, dict):
        return {key[0].lower() + key[1:]: lower(each) for key, each in value.items()}
    return value


def without_version(containers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """up.sh names an image by its digest, the template by its tag."""
    return [{**container, "image": container["image"].partition("@")[0].partition(":")[0]} for container in containers]


def made_by_up(aws: Aws) -> dict[str, Any]:
    things = {thing["id"]: thing for thing in aws.things()}

    def all_(kind: str) -> list[dict[str, Any]]:
        return [thing for thing in things.values() if thing["kind"] == kind]

    def named(id_: str) -> str:
        thing = things.get(id_, {})
        return {"subnet": thing.get("cidr"), "nat-gateway": "nat", "internet-gateway": "internet"}.get(
            thing.get("kind"), thing.get("name", id_))

    (vpc,), (nat,), (machine,), (namespace,) = map(all_, ("vpc", "nat-gateway", "instance", "namespace"))
    return {
        "vpc": (vpc["cidr"], vpc["attributes"]),
        "subnets": {(each["cidr"], each["zone"]) for each in all_("subnet")},
        "routes": {(named(subnet), destination, named(target)) for table in all_("route-table")
                   for subnet in table["associations"].values() for destination, target in table["routes"].items()},
        "nat": named(nat["subnet"]),
        "rules": {(group["name"], group["description"], protocol, port, named(source))
                  for group in all_("security-group") for protocol, port, source in group["rules"].values()},
        "balancers": {(each["name"], each["scheme"], each["address_type"], named(each["subnet"]),
                       *map(named, each["groups"])) for each in all_("load-balancer")},
        "listeners": {(named(each["balancer"]), each["protocol"], each["port"], named(each["targets"]))
                      for each in all_("listener")},
        "targets": {each["name"]: (each["protocol"], each["port"], each["type"], each["health"], {
            key: value for key, value in each["attributes"].items() if key.startswith("dereg")}, [
            target["port"] for id_, target in each["targets"].items() if id_ == machine["id"]])
            for each in all_("target-group")},
        "machine": (machine["type"], machine["profile"], machine["tokens"], machine["public"], machine["disks"],
                    named(machine["subnet"]), list(map(named, machine["groups"])), machine["user_data"]),
        "roles": {each["name"]: (each["trust"], each["policies"]) for each in all_("role")},
        "profiles": {(each["name"], each["role"]) for each in all_("instance-profile")},
        "repositories": {each["name"] for each in all_("repository")},
        "logs": {(each["name"], each["days"]) for each in all_("log-group")},
        "names": (namespace["name"], {(each["name"], *each["records"]) for each in all_("registry")}),
        "tasks": {each["family"]: (each["role"], each["runtime"], without_version(each["containers"]))
                  for each in all_("task-definition") if each["status"] == "ACTIVE"},
        "services": {each["name"]: (each["cluster"], things[each["definition"]]["family"], each["desired"],
                                    each["launch"], each["platform"], each["public"],
                                    *(list(map(named, each[key]))
                                      for key in ("subnets", "groups", "balancers", "registries")))
                     for each in all_("service")},
    }


def one_port(rule: dict[str, Any]) -> int:
    assert rule["FromPort"] == rule["ToPort"], rule
    return rule["FromPort"]


def said_by(template: Template) -> dict[str, Any]:
    def all_(kind: str) -> list[dict[str, Any]]:
        return list(template.of(KINDS.get(kind, kind)).values())

    def named(reference: str) -> str:
        """<Resource> or <Resource.Arn>, or what is no reference."""
        resource = template.resources.get(reference.strip("<>").split(".")[0])
        if resource is None:
            return reference
        kind = template.raw[reference.strip("<>").split(".")[0]]["Type"]
        key = {"AWS::EC2::Subnet": "CidrBlock", "AWS::EC2::SecurityGroup": "GroupName", "AWS::ECS::TaskDefinition":
               "Family", "AWS::IAM::Role": "RoleName"}.get(kind, "Name")
        return {"AWS::EC2::NatGateway": "nat", "AWS::EC2::InternetGateway": "internet"}.get(kind) or resource[key]

    tables = {each["RouteTableId"]: named(each["SubnetId"]) for each in all_("AWS::EC2::SubnetRouteTableAssociation")}
    (vpc,), (nat,), (launch,), (namespace,) = map(all_, ("vpc", "nat-gateway", "AWS::EC2::LaunchTemplate", "namespace"))
    machine = launch["LaunchTemplateData"]
    (interface,) = machine["NetworkInterfaces"]
    return {
        "vpc": (vpc["CidrBlock"], {name: vpc[name] for name in ("EnableDnsSupport", "EnableDnsHostnames")}),
        "subnets": {(each["CidrBlock"], each["AvailabilityZone"]) for each in all_("subnet")},
        "routes": {(tables[each["RouteTableId"]], each["DestinationCidrBlock"],
                    named(each.get("GatewayId") or each["NatGatewayId"])) for each in all_("AWS::EC2::Route")},
        "nat": named(nat["SubnetId"]),
        "rules": {(group["GroupName"], group["GroupDescription"], rule["IpProtocol"], one_port(rule),
                   named(rule.get("CidrIp") or rule["SourceSecurityGroupId"]))
                  for group in all_("security-group") for rule in group["SecurityGroupIngress"]},
        "balancers": {(each["Name"], each["Scheme"], each["IpAddressType"],
                       named(each["SubnetMappings"][0]["SubnetId"]), *map(named, each["SecurityGroups"]))
                      for each in all_("load-balancer")},
        "listeners": {(named(each["LoadBalancerArn"]), each["Protocol"], each["Port"],
                       named(each["DefaultActions"][0]["TargetGroupArn"])) for each in all_("listener")},
        "targets": {each["Name"]: (each["Protocol"], each["Port"], each["TargetType"], [
            each["HealthCheckProtocol"], str(each["HealthCheckPort"])], {
            attribute["Key"]: attribute["Value"] for attribute in each["TargetGroupAttributes"]}, [
            target["Port"] for target in each.get("Targets", []) if target["Id"] == "<Intermediate>"])
            for each in all_("target-group")},
        "machine": (machine["InstanceType"], machine["IamInstanceProfile"]["Name"],
                    machine["MetadataOptions"]["HttpTokens"], interface["AssociatePublicIpAddress"],
                    machine["BlockDeviceMappings"], named(interface["SubnetId"]), list(map(named, interface["Groups"])),
                    gzip.decompress(base64.b64decode(machine["UserData"])).decode()),
        "roles": {each["RoleName"]: (each["AssumeRolePolicyDocument"], {
            policy["PolicyName"]: policy["PolicyDocument"] for policy in each["Policies"]}) for each in all_("role")},
        "profiles": {(each["InstanceProfileName"], *each["Roles"]) for each in all_("instance-profile")},
        "repositories": {each["RepositoryName"] for each in all_("repository")},
        "logs": {(each["LogGroupName"], each["RetentionInDays"]) for each in all_("log-group")},
        "names": (namespace["Name"], {(each["Name"], *(record["Type"] for record in each["DnsConfig"]["DnsRecords"]))
                                      for each in all_("registry")}),
        "tasks": {each["Family"]: (named(each["ExecutionRoleArn"]), lower(each["RuntimePlatform"]), without_version(
            strings(lower(each["ContainerDefinitions"])))) for each in all_("task-definition")},
        "services": {each["ServiceName"]: (
            each["Cluster"], named(each["TaskDefinition"]), each["DesiredCount"], each["LaunchType"],
            each["PlatformVersion"], each["NetworkConfiguration"]["AwsvpcConfiguration"]["AssignPublicIp"],
            list(map(named, each["NetworkConfiguration"]["AwsvpcConfiguration"]["Subnets"])),
            list(map(named, each["NetworkConfiguration"]["AwsvpcConfiguration"]["SecurityGroups"])),
            [named(balancer["TargetGroupArn"]) for balancer in each.get("LoadBalancers", [])],
            [named(registry["RegistryArn"]) for registry in each.get("ServiceRegistries", [])])
            for each in all_("service")},
    }


def strings(containers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Values of the environment are strings in ECS, and CloudFormation makes them so."""
    return [{**container, "environment": [{**each, "value": str(each["value"])} for each in container["environment"]]}
            for container in containers]


def test_the_template_says_what_up_makes(aws: Aws, one_admin: Site) -> None:
    one_admin.up()
    (address,) = [each["ip"] for each in aws.things("address") if each["tags"]["Name"] == "ztna-nlb-ip"]
    template = read(parameters_of(one_admin), address)
    made, said = made_by_up(aws), said_by(template)
    for what in made:
        assert said[what] == made[what], what
    numbers = {kind: len(template.of(type_)) for kind, type_ in KINDS.items()}
    assert numbers == {kind: len(aws.things(kind)) for kind in KINDS}
    assert {raw["Type"] for raw in template.raw.values()} == set(KINDS.values()) | CONNECTIONS
    assert {thing["kind"] for thing in aws.things()} == set(KINDS) | {"parameter"}
    # So that down.sh takes nothing out of a stack, and up.sh adds nothing to it.
    assert "ztna-deployment" not in TEMPLATE.read_text()


def test_parameters_are_those_of_the_template(aws: Aws, one_admin: Site) -> None:
    site = one_admin
    parameters = parameters_of(site)
    template = read(parameters)
    assert set(parameters) == set(template.declared) - {"Tasks"}
    assert parameters["AdminCidr"] == "192.0.2.1/32"
    assert parameters["PackageArns"] == "arn:aws:s3:::packages.example.org/ztna/ztna-intermediate_0.1.0_amd64.deb"
    assert len(parameters["UserData"]) <= 4096  # CloudFormation's limit
    assert read({**parameters, "Tasks": "0"}).resources["HttpAppService"]["DesiredCount"] == 0
    named = read({**parameters, "IntermediateHost": "relay.example.org"}).resources["ConnectorTask"]
    assert {"Name": "ZTNA_INTERMEDIATE", "Value": "relay.example.org:14433"} in \
        named["ContainerDefinitions"][1]["Environment"]

    # Without a key pair nobody may log in, and without packages in S3 nothing in S3 may be read.
    site.settings.update(ZTNA_AWS_KEY_PAIR="", ADMIN_ADDRESSES="192.0.2.1,192.0.2.2",
                         ZTNA_AWS_PACKAGES="https://packages.example.org/ztna_0.1.0_amd64.deb")
    plain = read(parameters_of(site)).resources
    assert 22 not in [rule["FromPort"] for rule in plain["IntermediateGroup"]["SecurityGroupIngress"]]
    assert "KeyName" not in plain["IntermediateTemplate"]["LaunchTemplateData"]
    assert "s3:" not in str(plain["IntermediateRole"])
    assert aws.control("calls") == []  # AWS was not asked


@pytest.mark.parametrize("changed, message", [
    ({"ZTNA_AWS_LAYOUT": "quic"}, "the layout udp only"),
    ({}, "one ADMIN_ADDRESSES"),
    ({"ZTNA_AWS_PACKAGES": "<urls>"}, "ZTNA_AWS_PACKAGES is not set"),
])
def test_parameters_that_the_template_has_no_place_for(site: Site, changed: dict[str, str], message: str) -> None:
    site.settings.update(changed)
    refused = site.run("parameters.sh", status=2)
    assert message in refused.stderr and refused.stdout == ""
    assert site.run("parameters.sh", "--help").stdout.startswith("usage: deploy/aws/parameters.sh")


def test_the_template_is_yaml_as_cloudformation_reads_it() -> None:
    """It takes no aliases: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-formats.html."""
    assert not [event for event in yaml.parse(TEMPLATE.read_text()) if isinstance(event, yaml.AliasEvent)]
    assert TEMPLATE.stat().st_size <= 51200  # what can be sent without a bucket
