"""Elastic Load Balancing v2, as far as Network Load Balancers go."""

from __future__ import annotations

import re

from .account import Account, Refusal, Thing, arn, progress, tag_list, tags_of
from .ec2 import Ec2

UDP = ("UDP", "TCP_UDP")
QUIC = ("QUIC", "TCP_QUIC")
SERVER_ID = re.compile(r"0x[0-9a-f]{16}")


class ElasticLoadBalancing:
    def __init__(self, account: Account, ec2: Ec2):
        self.account = account
        self.ec2 = ec2
        self.new: set[tuple[str, str]] = set()  # targets that nobody has asked about yet

    def balancer(self, id_: str) -> Thing:
        return self.account.one("load-balancer", id_, "LoadBalancerNotFound")

    def targets(self, id_: str) -> Thing:
        return self.account.one("target-group", id_, "TargetGroupNotFound")

    def create_load_balancer(self, params):
        if self.account.all("load-balancer", name=params["Name"]):
            raise Refusal("DuplicateLoadBalancerName", f"A load balancer with the name '{params['Name']}' exists")
        if params["Type"] != "network":
            raise Refusal("InvalidConfigurationRequest", "only network load balancers are known here")
        (mapping,) = params["SubnetMappings"]
        subnet = self.ec2.subnet(mapping["SubnetId"])
        if params["Scheme"] == "internet-facing" and not self.account.all("internet-gateway", vpc=subnet["vpc"]):
            raise Refusal("InvalidSubnet", f"VPC {subnet['vpc']} has no internet gateway")
        groups = [self.ec2.group(id_)["id"] for id_ in params.get("SecurityGroups", [])]
        id_ = arn("elasticloadbalancing", f"loadbalancer/net/{params['Name']}/{self.account.made:016x}")
        address = self.ec2.use_address(mapping["AllocationId"], id_)
        balancer = self.account.add("load-balancer", id_, tags_of(params), name=params["Name"], subnet=subnet["id"],
                                    vpc=subnet["vpc"], groups=groups, state="provisioning", leaving=False,
                                    scheme=params["Scheme"], address=address["id"],
                                    address_type=params.get("IpAddressType", "ipv4"))
        return {"LoadBalancers": [self.show(balancer)]}

    def show(self, balancer):
        return {"LoadBalancerArn": balancer["id"], "LoadBalancerName": balancer["name"], "Type": "network",
                "Scheme": balancer["scheme"], "VpcId": balancer["vpc"], "State": {"Code": balancer["state"]},
                "DNSName": f"{balancer['name']}.elb.us-east-2.amazonaws.com"}

    def describe_load_balancers(self, params):
        ids = params.get("LoadBalancerArns")
        found = [self.balancer(id_) for id_ in ids] if ids else self.account.all("load-balancer")
        answer = [self.show(balancer) for balancer in found]
        for balancer in found:
            progress(balancer, {"provisioning": "active"})
            if balancer["leaving"]:
                self.account.things[balancer["address"]]["user"] = None
                self.account.remove(balancer)
        return {"LoadBalancers": answer}

    def delete_load_balancer(self, params):
        balancer = self.balancer(params["LoadBalancerArn"])
        balancer["leaving"] = True  # and is seen once more
        for listener in self.account.all("listener", balancer=balancer["id"]):
            self.account.remove(listener)
        return {}

    def describe_tags(self, params):
        descriptions = []
        for id_ in params["ResourceArns"]:
            thing = self.account.things.get(id_)
            if thing is None:
                raise Refusal("LoadBalancerNotFound", id_)
            descriptions.append({"ResourceArn": id_, "Tags": tag_list(thing)})
        return {"TagDescriptions": descriptions}

    def create_target_group(self, params):
        if self.account.all("target-group", name=params["Name"]):
            raise Refusal("DuplicateTargetGroupName", f"A target group with the name '{params['Name']}' exists")
        vpc = self.ec2.vpc(params["VpcId"])
        if params.get("HealthCheckProtocol", "TCP") not in ("TCP", "HTTP", "HTTPS"):
            raise Refusal("InvalidConfigurationRequest", f"{params['HealthCheckProtocol']} cannot check health")
        id_ = arn("elasticloadbalancing", f"targetgroup/{params['Name']}/{self.account.made:016x}")
        self.account.made += 1
        group = self.account.add(
            "target-group", id_, tags_of(params), name=params["Name"], protocol=params["Protocol"],
            port=params["Port"], type=params["TargetType"], vpc=vpc["id"], targets={},
            health=[params["HealthCheckProtocol"], params["HealthCheckPort"]],
            attributes={"deregistration_delay.timeout_seconds": "300", "preserve_client_ip.enabled": "true",
                        "deregistration_delay.connection_termination.enabled": "false"})
        return {"TargetGroups": [self.show_targets(group)]}

    def show_targets(self, group):
        return {"TargetGroupArn": group["id"], "TargetGroupName": group["name"], "Protocol": group["protocol"],
                "Port": group["port"], "VpcId": group["vpc"], "TargetType": group["type"],
                "HealthCheckProtocol": group["health"][0], "HealthCheckPort": group["health"][1]}

    def describe_target_groups(self, params):
        wanted = params.get("TargetGroupArns")
        return {"TargetGroups": [self.show_targets(group) for group in self.account.all("target-group")
                                 if wanted is None or group["id"] in wanted]}

    def describe_target_group_attributes(self, params):
        group = self.targets(params["TargetGroupArn"])
        return {"Attributes": [{"Key": key, "Value": value} for key, value in group["attributes"].items()]}

    def modify_target_group_attributes(self, params):
        group = self.targets(params["TargetGroupArn"])
        for each in params["Attributes"]:
            if each["Key"] not in group["attributes"]:
                raise Refusal("InvalidConfigurationRequest", f"unknown attribute {each['Key']}")
            group["attributes"][each["Key"]] = each["Value"]
        return self.describe_target_group_attributes(params)

    def delete_target_group(self, params):
        group = self.targets(params["TargetGroupArn"])
        if self.account.all("listener", targets=group["id"]):
            raise Refusal("ResourceInUse", f"Target group '{group['id']}' is currently in use by a listener")
        self.account.remove(group)
        return {}

    def create_listener(self, params):
        balancer = self.balancer(params["LoadBalancerArn"])
        (action,) = params["DefaultActions"]
        group = self.targets(action["TargetGroupArn"])
        others = self.account.all("listener", balancer=balancer["id"])
        if any(other["port"] == params["Port"] for other in others):
            raise Refusal("DuplicateListener", f"A listener already exists on port {params['Port']}")
        if group["protocol"] != params["Protocol"]:
            raise Refusal("InvalidConfigurationRequest",
                          f"protocol {group['protocol']} of the target group, {params['Protocol']} of the listener")
        if params["Protocol"] in UDP + QUIC:
            self.fits(params["Protocol"], balancer, [other["protocol"] for other in others])
        id_ = balancer["id"].replace("loadbalancer/net", "listener/net") + f"/{self.account.made:016x}"
        self.account.made += 1
        listener = self.account.add("listener", id_, tags_of(params), balancer=balancer["id"],
                                    protocol=params["Protocol"], port=params["Port"], targets=group["id"])
        return {"Listeners": [self.show_listener(listener)]}

    def fits(self, protocol: str, balancer: Thing, others: list[str]) -> None:
        """What https://docs.aws.amazon.com/elasticloadbalancing/latest/network/create-listener.html demands of
        a load balancer."""
        if balancer["address_type"] != "ipv4":
            raise Refusal("InvalidConfigurationRequest", f"{protocol} listeners are not allowed with dual stack")
        if protocol in QUIC and balancer["groups"]:
            raise Refusal("InvalidConfigurationRequest", f"{protocol} listeners are not allowed with security groups")
        wrong = UDP + QUIC if protocol in QUIC else QUIC
        if any(other in wrong for other in others):
            raise Refusal("InvalidConfigurationRequest", f"{protocol} listeners are not allowed beside {others}")

    def show_listener(self, listener):
        return {"ListenerArn": listener["id"], "LoadBalancerArn": listener["balancer"], "Port": listener["port"],
                "Protocol": listener["protocol"],
                "DefaultActions": [{"Type": "forward", "TargetGroupArn": listener["targets"]}]}

    def describe_listeners(self, params):
        balancer = self.balancer(params["LoadBalancerArn"])
        return {"Listeners": [self.show_listener(listener)
                              for listener in self.account.all("listener", balancer=balancer["id"])]}

    def delete_listener(self, params):
        self.account.remove(self.account.one("listener", params["ListenerArn"], "ListenerNotFound"))
        return {}

    def register_targets(self, params):
        group = self.targets(params["TargetGroupArn"])
        for target in params["Targets"]:
            if group["type"] == "instance":
                instance = self.account.one("instance", target["Id"], "InvalidTarget")
                if instance["state"] != "running":
                    raise Refusal("InvalidTarget", f"The following targets are not in a running state: {target['Id']}")
            server_id = target.get("QuicServerId")
            self.check_server_id(group, target["Id"], server_id)
            group["targets"][target["Id"]] = {"port": target.get("Port", group["port"]), "server_id": server_id}
            self.new.add((group["id"], target["Id"]))
        return {}

    def check_server_id(self, group: Thing, target: str, server_id: str | None) -> None:
        if (group["protocol"] in QUIC) != (server_id is not None):
            raise Refusal("InvalidTarget", f"protocol {group['protocol']}, QuicServerId {server_id}")
        if server_id is None:
            return
        if not SERVER_ID.fullmatch(server_id):
            raise Refusal("InvalidTarget", f"QuicServerId {server_id} is not 0x and 16 lower-case hexadecimal digits")
        for other, registered in group["targets"].items():
            if (other == target) != (registered["server_id"] == server_id):
                raise Refusal("InvalidTarget", f"{other} is registered with {registered['server_id']}")

    def health_of(self, group: Thing, target: str) -> str:
        """Who asks for the first time is told that nobody knows yet."""
        if (group["id"], target) in self.new:
            self.new.remove((group["id"], target))
            return "initial"
        if self.account.things.get(target, {}).get("ill"):
            return "unhealthy"
        return "healthy"

    def describe_target_health(self, params):
        group = self.targets(params["TargetGroupArn"])
        wanted = [target["Id"] for target in params.get("Targets", [])] or list(group["targets"])
        for id_ in list(group["targets"]):
            if id_.startswith("i-") and self.account.things[id_]["state"] == "terminated":
                del group["targets"][id_]
        return {"TargetHealthDescriptions": [
            {"Target": {"Id": id_, "Port": target["port"],
                        **({"QuicServerId": target["server_id"]} if target["server_id"] else {})},
             "TargetHealth": {"State": self.health_of(group, id_)}}
            for id_, target in group["targets"].items() if id_ in wanted]}
