"""EC2: the network, addresses, security groups and machines."""

from __future__ import annotations

import base64
import ipaddress
from typing import Any

from .account import Account, Refusal, Thing, progress, tag_list

# kind of thing -> its name in TagSpecifications
TAGGED_AS = {"vpc": "vpc", "subnet": "subnet", "internet-gateway": "internet-gateway", "address": "elastic-ip",
             "nat-gateway": "natgateway", "route-table": "route-table", "security-group": "security-group",
             "instance": "instance"}
AMI = "ami-0123456789abcdef0"
ZONES = ("us-east-2a", "us-east-2b", "us-east-2c")


class Ec2:
    def __init__(self, account: Account):
        self.account = account
        self.profile_refusals = 1  # a new instance profile is not known at once
        self.table_refusals = 1    # nor is a new route table

    # --- what all of them need

    def create(self, kind: str, prefix: str, params: dict[str, Any], **fields: Any) -> Thing:
        tags: dict[str, str] = {}
        for specification in params.get("TagSpecifications", []):
            if specification["ResourceType"] not in (TAGGED_AS[kind], "volume"):
                raise Refusal("InvalidParameterValue", f"'{specification['ResourceType']}' is not a valid taggable "
                              f"resource type for this operation")
            if specification["ResourceType"] == TAGGED_AS[kind]:
                tags = {tag["Key"]: tag["Value"] for tag in specification["Tags"]}
        return self.account.add(kind, self.account.new_id(prefix), tags, **fields)

    def select(self, kind: str, params: dict[str, Any], ids: str, code: str,
               filters: str = "Filters") -> list[Thing]:
        wanted = params.get(ids)
        found = [self.account.one(kind, id_, code) for id_ in wanted] if wanted else self.account.all(kind)
        for each in params.get(filters, []):
            found = [thing for thing in found if matches(thing, each["Name"], each["Values"])]
        return found

    def vpc(self, id_: str) -> Thing:
        return self.account.one("vpc", id_, "InvalidVpcID.NotFound")

    def subnet(self, id_: str) -> Thing:
        return self.account.one("subnet", id_, "InvalidSubnetID.NotFound")

    def group(self, id_: str) -> Thing:
        return self.account.one("security-group", id_, "InvalidGroup.NotFound")

    # --- VPC and subnets

    def create_vpc(self, params):
        network = cidr(params["CidrBlock"])
        if not 16 <= network.prefixlen <= 28:
            raise Refusal("InvalidVpc.Range", f"The CIDR '{network}' is invalid.")
        vpc = self.create("vpc", "vpc", params, cidr=str(network), state="pending",
                          attributes={"EnableDnsSupport": True, "EnableDnsHostnames": False})
        return {"Vpc": self.show_vpc(vpc)}

    def show_vpc(self, vpc):
        return {"VpcId": vpc["id"], "CidrBlock": vpc["cidr"], "State": vpc["state"], "Tags": tag_list(vpc)}

    def describe_vpcs(self, params):
        found = self.select("vpc", params, "VpcIds", "InvalidVpcID.NotFound")
        for vpc in found:
            progress(vpc, {"pending": "available"})
        return {"Vpcs": [self.show_vpc(vpc) for vpc in found]}

    def describe_vpc_attribute(self, params):
        attribute = params["Attribute"][0].upper() + params["Attribute"][1:]
        vpc = self.vpc(params["VpcId"])
        return {"VpcId": vpc["id"], attribute: {"Value": vpc["attributes"][attribute]}}

    def modify_vpc_attribute(self, params):
        vpc = self.vpc(params.pop("VpcId"))
        if len(params) != 1:
            raise Refusal("InvalidParameterCombination", "one attribute at a time")
        for attribute, value in params.items():
            vpc["attributes"][attribute] = value["Value"]
        return {}

    def delete_vpc(self, params):
        vpc = self.vpc(params["VpcId"])
        for kind in ("subnet", "internet-gateway", "route-table", "security-group", "namespace"):
            self.unused(vpc, self.account.all(kind, vpc=vpc["id"]))
        self.account.remove(vpc)
        return {}

    def unused(self, thing: Thing, users: list[Thing]) -> None:
        if users:
            raise Refusal("DependencyViolation", f"{thing['id']} has dependencies and cannot be deleted: "
                          + ", ".join(user["id"] for user in users))

    def create_subnet(self, params):
        vpc = self.vpc(params["VpcId"])
        network = cidr(params["CidrBlock"])
        if not network.subnet_of(cidr(vpc["cidr"])):
            raise Refusal("InvalidSubnet.Range", f"The CIDR '{network}' is invalid.")
        for other in self.account.all("subnet", vpc=vpc["id"]):
            if network.overlaps(cidr(other["cidr"])):
                raise Refusal("InvalidSubnet.Conflict", f"{network} conflicts with another subnet")
        if params.get("AvailabilityZone") not in ZONES:
            raise Refusal("InvalidParameterValue", f"no zone {params.get('AvailabilityZone')}")
        subnet = self.create("subnet", "subnet", params, vpc=vpc["id"], cidr=str(network),
                             zone=params["AvailabilityZone"], state="pending")
        return {"Subnet": self.show_subnet(subnet)}

    def show_subnet(self, subnet):
        return {"SubnetId": subnet["id"], "VpcId": subnet["vpc"], "CidrBlock": subnet["cidr"],
                "AvailabilityZone": subnet["zone"], "State": subnet["state"], "Tags": tag_list(subnet)}

    def describe_subnets(self, params):
        found = self.select("subnet", params, "SubnetIds", "InvalidSubnetID.NotFound")
        for subnet in found:
            progress(subnet, {"pending": "available"})
        return {"Subnets": [self.show_subnet(subnet) for subnet in found]}

    def delete_subnet(self, params):
        subnet = self.subnet(params["SubnetId"])
        users = [thing for kind in ("instance", "nat-gateway", "load-balancer", "service")
                 for thing in self.account.all(kind)
                 if subnet["id"] in (thing.get("subnet"), *thing.get("subnets", []))
                 and thing.get("state") not in ("deleted", "terminated", "INACTIVE")]
        self.unused(subnet, users)
        for table in self.account.all("route-table"):
            table["associations"] = {key: value for key, value in table["associations"].items()
                                     if value != subnet["id"]}
        self.account.remove(subnet)
        return {}

    # --- gateways and routes

    def create_internet_gateway(self, params):
        gateway = self.create("internet-gateway", "igw", params, vpc=None)
        return {"InternetGateway": self.show_gateway(gateway)}

    def show_gateway(self, gateway):
        attachments = [{"VpcId": gateway["vpc"], "State": "attached"}] if gateway["vpc"] else []
        return {"InternetGatewayId": gateway["id"], "Attachments": attachments, "Tags": tag_list(gateway)}

    def describe_internet_gateways(self, params):
        found = self.select("internet-gateway", params, "InternetGatewayIds", "InvalidInternetGatewayID.NotFound")
        return {"InternetGateways": [self.show_gateway(gateway) for gateway in found]}

    def gateway(self, id_):
        return self.account.one("internet-gateway", id_, "InvalidInternetGatewayID.NotFound")

    def attach_internet_gateway(self, params):
        gateway, vpc = self.gateway(params["InternetGatewayId"]), self.vpc(params["VpcId"])
        if gateway["vpc"] or self.account.all("internet-gateway", vpc=vpc["id"]):
            raise Refusal("Resource.AlreadyAssociated", f"{gateway['id']} or {vpc['id']} is attached")
        gateway["vpc"] = vpc["id"]
        return {}

    def detach_internet_gateway(self, params):
        gateway = self.gateway(params["InternetGatewayId"])
        if gateway["vpc"] != params["VpcId"]:
            raise Refusal("Gateway.NotAttached", f"{gateway['id']} is not attached to {params['VpcId']}")
        mapped = [thing for kind in ("instance", "nat-gateway", "load-balancer") for thing in self.account.all(kind)
                  if thing.get("state") not in ("deleted", "terminated")]
        if mapped:
            raise Refusal("DependencyViolation", f"Network {gateway['vpc']} has some mapped public address(es).")
        gateway["vpc"] = None
        return {}

    def delete_internet_gateway(self, params):
        gateway = self.gateway(params["InternetGatewayId"])
        if gateway["vpc"]:
            raise Refusal("DependencyViolation", f"{gateway['id']} is attached")
        self.account.remove(gateway)
        return {}

    def allocate_address(self, params):
        address = self.create("address", "eipalloc", params, user=None)
        address["ip"] = f"203.0.113.{len(self.account.all('address')) + self.account.made % 50}"
        return {"AllocationId": address["id"], "PublicIp": address["ip"], "Domain": "vpc"}

    def describe_addresses(self, params):
        found = self.select("address", params, "AllocationIds", "InvalidAllocationID.NotFound")
        return {"Addresses": [{"AllocationId": address["id"], "PublicIp": address["ip"], "Domain": "vpc",
                               "Tags": tag_list(address)} for address in found]}

    def use_address(self, id_: str, user: str) -> Thing:
        address = self.account.one("address", id_, "InvalidAllocationID.NotFound")
        if address["user"]:
            raise Refusal("Resource.AlreadyAssociated", f"{id_} is in use by {address['user']}")
        address["user"] = user
        return address

    def release_address(self, params):
        address = self.account.one("address", params["AllocationId"], "InvalidAllocationID.NotFound")
        if address["user"]:
            raise Refusal("InvalidIPAddress.InUse", f"Address {address['ip']} is in use.")
        self.account.remove(address)
        return {}

    def create_nat_gateway(self, params):
        subnet = self.subnet(params["SubnetId"])
        if not self.account.all("internet-gateway", vpc=subnet["vpc"]):
            raise Refusal("Gateway.NotAttached", f"Network {subnet['vpc']} has no Internet gateway attached")
        nat = self.create("nat-gateway", "nat", params, subnet=subnet["id"], vpc=subnet["vpc"], state="pending")
        try:
            nat["address"] = self.use_address(params["AllocationId"], nat["id"])["id"]
        except Refusal:
            self.account.remove(nat)
            raise
        return {"NatGateway": self.show_nat(nat)}

    def show_nat(self, nat):
        return {"NatGatewayId": nat["id"], "SubnetId": nat["subnet"], "VpcId": nat["vpc"], "State": nat["state"],
                "Tags": tag_list(nat)}

    def describe_nat_gateways(self, params):
        found = self.select("nat-gateway", params, "NatGatewayIds", "NatGatewayNotFound", filters="Filter")
        answer = [self.show_nat(nat) for nat in found]
        for nat in found:
            progress(nat, {"pending": "available", "deleting": "deleted"})
            if nat["state"] == "deleted" and nat["address"]:
                self.account.things[nat["address"]]["user"] = nat["address"] = None
        return {"NatGateways": answer}

    def delete_nat_gateway(self, params):
        nat = self.account.one("nat-gateway", params["NatGatewayId"], "NatGatewayNotFound")
        nat["state"] = "deleting"
        return {"NatGatewayId": nat["id"]}

    def create_route_table(self, params):
        table = self.create("route-table", "rtb", params, vpc=self.vpc(params["VpcId"])["id"], routes={},
                            associations={})
        return {"RouteTable": self.show_table(table)}

    def show_table(self, table):
        routes = [{"DestinationCidrBlock": self.vpc(table["vpc"])["cidr"], "GatewayId": "local", "State": "active"}]
        for destination, target in table["routes"].items():
            key = "GatewayId" if target.startswith("igw-") else "NatGatewayId"
            gone = self.account.things[target].get("state") == "deleted" if target in self.account.things else True
            routes.append({"DestinationCidrBlock": destination, key: target,
                           "State": "blackhole" if gone else "active"})
        associations = [{"RouteTableAssociationId": key, "RouteTableId": table["id"], "SubnetId": subnet,
                         "Main": False} for key, subnet in table["associations"].items()]
        return {"RouteTableId": table["id"], "VpcId": table["vpc"], "Routes": routes,
                "Associations": associations, "Tags": tag_list(table)}

    def describe_route_tables(self, params):
        if params.get("RouteTableIds") and self.table_refusals:
            self.table_refusals -= 1
            raise Refusal("InvalidRouteTableID.NotFound", f"The routeTable ID '{params['RouteTableIds'][0]}' does not exist")
        found = self.select("route-table", params, "RouteTableIds", "InvalidRouteTableID.NotFound")
        return {"RouteTables": [self.show_table(table) for table in found]}

    def table(self, id_):
        return self.account.one("route-table", id_, "InvalidRouteTableID.NotFound")

    def set_route(self, params, replace: bool):
        table = self.table(params["RouteTableId"])
        destination = str(cidr(params["DestinationCidrBlock"]))
        if (destination in table["routes"]) != replace:
            raise Refusal("RouteAlreadyExists" if not replace else "InvalidRoute.NotFound", destination)
        if "GatewayId" in params:
            target = self.gateway(params["GatewayId"])
        else:
            target = self.account.one("nat-gateway", params.get("NatGatewayId"), "InvalidNatGatewayID.NotFound")
            if target["state"] != "available":
                raise Refusal("InvalidNatGatewayID.NotFound", f"{target['id']} is {target['state']}")
        if target["vpc"] != table["vpc"]:
            raise Refusal("InvalidParameterValue", f"{target['id']} belongs to another network")
        table["routes"][destination] = target["id"]
        return {} if replace else {"Return": True}

    def create_route(self, params):
        return self.set_route(params, replace=False)

    def replace_route(self, params):
        return self.set_route(params, replace=True)

    def associate_route_table(self, params):
        table, subnet = self.table(params["RouteTableId"]), self.subnet(params["SubnetId"])
        if any(subnet["id"] in other["associations"].values() for other in self.account.all("route-table")):
            raise Refusal("Resource.AlreadyAssociated", f"{subnet['id']} has a route table")
        key = self.account.new_id("rtbassoc")
        table["associations"][key] = subnet["id"]
        return {"AssociationId": key}

    def disassociate_route_table(self, params):
        for table in self.account.all("route-table"):
            if table["associations"].pop(params["AssociationId"], None):
                return {}
        raise Refusal("InvalidAssociationID.NotFound", params["AssociationId"])

    def delete_route_table(self, params):
        table = self.table(params["RouteTableId"])
        if table["associations"]:
            raise Refusal("DependencyViolation", f"{table['id']} has dependencies and cannot be deleted.")
        self.account.remove(table)
        return {}

    # --- security groups

    def create_security_group(self, params):
        vpc = self.vpc(params["VpcId"])
        if self.account.all("security-group", vpc=vpc["id"], name=params["GroupName"]):
            raise Refusal("InvalidGroup.Duplicate", f"The security group '{params['GroupName']}' already exists")
        allowed = set(" ._-:/()#,@[]+=&;{}!$*")
        if not all(letter.isascii() and letter.isalnum() or letter in allowed for letter in params["Description"]):
            raise Refusal("InvalidParameterValue", f"Value ({params['Description']}) for parameter GroupDescription "
                          "is invalid. Character sets beyond ASCII are not supported.")
        group = self.create("security-group", "sg", params, vpc=vpc["id"], name=params["GroupName"],
                            description=params["Description"], rules={})
        return {"GroupId": group["id"], "Tags": tag_list(group)}

    def describe_security_groups(self, params):
        found = self.select("security-group", params, "GroupIds", "InvalidGroup.NotFound")
        return {"SecurityGroups": [{"GroupId": group["id"], "GroupName": group["name"], "VpcId": group["vpc"],
                                    "Description": group["description"], "Tags": tag_list(group)}
                                   for group in found]}

    def describe_security_group_rules(self, params):
        rules = []
        for each in params["Filters"]:
            if each["Name"] != "group-id":
                raise Refusal("InvalidParameterValue", f"The filter '{each['Name']}' is invalid")
            for id_ in each["Values"]:
                group = self.group(id_)
                rules.append({"SecurityGroupRuleId": "sgr-" + group["id"][3:], "GroupId": group["id"],
                              "IsEgress": True, "IpProtocol": "-1", "FromPort": -1, "ToPort": -1,
                              "CidrIpv4": "0.0.0.0/0"})
                for key, (protocol, port, source, *to) in group["rules"].items():  # a range: somebody else's
                    rules.append({"SecurityGroupRuleId": key, "GroupId": group["id"], "IsEgress": False,
                                  "IpProtocol": protocol, "FromPort": port, "ToPort": to[0] if to else port,
                                  **({"CidrIpv4": source} if "/" in source
                                     else {"ReferencedGroupInfo": {"GroupId": source}})})
        return {"SecurityGroupRules": rules}

    def rules_of(self, params) -> list[tuple[str, int, str]]:
        rules = []
        for permission in params["IpPermissions"]:
            protocol = permission["IpProtocol"]
            if protocol not in ("tcp", "udp"):
                raise Refusal("InvalidParameterValue", f"Invalid value '{protocol}' for IP protocol")
            if permission["FromPort"] != permission["ToPort"] or not 0 < permission["FromPort"] < 65536:
                raise Refusal("InvalidParameterValue", "ports")
            for each in permission.get("IpRanges", []):
                rules.append((protocol, permission["FromPort"], str(cidr(each["CidrIp"]))))
            for each in permission.get("UserIdGroupPairs", []):
                rules.append((protocol, permission["FromPort"], self.group(each["GroupId"])["id"]))
        return rules

    def authorize_security_group_ingress(self, params):
        group = self.group(params["GroupId"])
        for rule in self.rules_of(params):
            if rule in group["rules"].values():
                raise Refusal("InvalidPermission.Duplicate", f"the specified rule \"{rule}\" already exists")
            group["rules"][self.account.new_id("sgr")] = rule
        return {"Return": True}

    def revoke_security_group_ingress(self, params):
        group = self.group(params["GroupId"])
        doomed = params.get("SecurityGroupRuleIds", [])
        for rule in self.rules_of(params) if "IpPermissions" in params else []:
            doomed += [key for key, value in group["rules"].items() if value == rule] or [f"no {rule}"]
        for key in doomed:
            if key not in group["rules"]:
                raise Refusal("InvalidPermission.NotFound", key)
            del group["rules"][key]
        return {"Return": True}

    def delete_security_group(self, params):
        group = self.group(params["GroupId"])
        users = [other for other in self.account.all("security-group") if other is not group
                 and any(source == group["id"] for _, _, source in other["rules"].values())]
        users += [thing for kind in ("instance", "load-balancer", "service") for thing in self.account.all(kind)
                  if group["id"] in thing["groups"] and thing["state"] not in ("terminated", "INACTIVE")]
        self.unused(group, users)
        self.account.remove(group)
        return {}

    # --- machines

    def run_instances(self, params):
        subnet_params = params
        if "NetworkInterfaces" in params:
            (subnet_params,) = params["NetworkInterfaces"]
        subnet = self.subnet(subnet_params["SubnetId"])
        groups = [self.group(id_) for id_ in params.get("SecurityGroupIds", subnet_params.get("Groups", []))]
        if any(group["vpc"] != subnet["vpc"] for group in groups):
            raise Refusal("InvalidParameter", "Security group and subnet belong to different networks.")
        if params["ImageId"] != AMI:
            raise Refusal("InvalidAMIID.NotFound", f"The image id '{params['ImageId']}' does not exist")
        profile = self.account.one("instance-profile", f"profile/{params['IamInstanceProfile']['Name']}",
                                   "InvalidParameterValue")
        if self.profile_refusals:
            self.profile_refusals -= 1
            raise Refusal("InvalidParameterValue", f"Value ({profile['name']}) for parameter iamInstanceProfile.name "
                          "is invalid. Invalid IAM Instance Profile name")
        user_data = base64.b64decode(params["UserData"])
        if len(user_data) > 16384:
            raise Refusal("InvalidParameterValue", "User data is limited to 16384 bytes")
        instance = self.create("instance", "i", params, subnet=subnet["id"], vpc=subnet["vpc"],
                               groups=[group["id"] for group in groups], state="pending", type=params["InstanceType"],
                               profile=profile["name"], user_data=user_data.decode(),
                               public=subnet_params.get("AssociatePublicIpAddress", False),
                               tokens=params["MetadataOptions"]["HttpTokens"],
                               disks=params["BlockDeviceMappings"])
        return {"Instances": [self.show_instance(instance)]}

    def show_instance(self, instance):
        shown = {"InstanceId": instance["id"], "InstanceType": instance["type"], "SubnetId": instance["subnet"],
                 "State": {"Name": instance["state"]}, "Tags": tag_list(instance)}
        if instance["public"] and instance["state"] == "running":
            shown["PublicIpAddress"] = "198.51.100.7"
        return shown

    def describe_instances(self, params):
        found = self.select("instance", params, "InstanceIds", "InvalidInstanceID.NotFound")
        answer = [self.show_instance(instance) for instance in found]
        for instance in found:
            progress(instance, {"pending": "running", "shutting-down": "terminated", "stopping": "stopped"})
        return {"Reservations": [{"Instances": [shown]} for shown in answer]}

    def instances(self, params):
        return [self.account.one("instance", id_, "InvalidInstanceID.NotFound") for id_ in params["InstanceIds"]]

    def start_instances(self, params):
        for instance in self.instances(params):
            if instance["state"] != "stopped":
                raise Refusal("IncorrectInstanceState", f"{instance['id']} is {instance['state']}")
            instance["state"] = "pending"
        return {"StartingInstances": []}

    def terminate_instances(self, params):
        for instance in self.instances(params):
            instance["state"] = "shutting-down"
        return {"TerminatingInstances": []}


def cidr(text: str) -> ipaddress.IPv4Network:
    try:
        return ipaddress.IPv4Network(text)
    except ValueError as error:
        raise Refusal("InvalidParameterValue", f"Value ({text}) for parameter cidrBlock is invalid: {error}") from None


def matches(thing: Thing, name: str, values: list[str]) -> bool:
    if name.startswith("tag:"):
        return thing["tags"].get(name[4:]) in values
    if name in ("state", "instance-state-name"):
        return thing["state"] in values
    if name == "vpc-id":
        return thing["vpc"] in values
    raise Refusal("InvalidParameterValue", f"The filter '{name}' is invalid")
