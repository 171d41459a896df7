"""ECR, ECS on Fargate, CloudWatch Logs, and Cloud Map, which names the tasks."""

from __future__ import annotations

import base64
import hashlib

from .account import NUMBER, REGION, Account, Refusal, Thing, arn, lower_tag_list, progress, tag_list, tags_of
from .ec2 import Ec2

REGISTRY = f"{NUMBER}.dkr.ecr.{REGION}.amazonaws.com"


class Ecr:
    def __init__(self, account: Account):
        self.account = account

    def repository(self, name: str) -> Thing:
        return self.account.one("repository", f"repository/{name}", "RepositoryNotFoundException")

    def create_repository(self, params):
        name = params["repositoryName"]
        if f"repository/{name}" in self.account.things:
            raise Refusal("RepositoryAlreadyExistsException", f"The repository '{name}' already exists")
        repository = self.account.add("repository", f"repository/{name}", tags_of(params, "tags"), name=name, images={})
        return {"repository": self.show(repository)}

    def show(self, repository):
        return {"repositoryName": repository["name"], "registryId": NUMBER,
                "repositoryArn": arn("ecr", repository["id"]), "repositoryUri": f"{REGISTRY}/{repository['name']}"}

    def describe_repositories(self, params):
        return {"repositories": [self.show(repository) for repository in self.account.all("repository")]}

    def list_tags_for_resource(self, params):
        return {"tags": tag_list(self.repository(params["resourceArn"].split(":repository/")[1]))}

    def list_images(self, params):
        repository = self.repository(params["repositoryName"])
        return {"imageIds": [{"imageTag": tag, "imageDigest": digest}
                             for tag, digest in repository["images"].items()]}

    def get_authorization_token(self, params):
        return {"authorizationData": [{"authorizationToken": base64.b64encode(b"AWS:word").decode(),
                                       "proxyEndpoint": f"https://{REGISTRY}"}]}

    def push(self, reference: str) -> None:
        """What `podman push` does."""
        registry, _, rest = reference.partition("/")
        name, _, tag = rest.partition(":")
        if registry != REGISTRY:
            raise Refusal("RepositoryNotFoundException", f"no registry {registry}")
        self.repository(name)["images"][tag] = "sha256:" + hashlib.sha256(reference.encode()).hexdigest()

    def image(self, reference: str) -> None:
        """A task's image must be there."""
        name, _, digest = reference.removeprefix(REGISTRY + "/").partition("@")
        if digest not in self.repository(name)["images"].values():
            raise Refusal("CannotPullContainerError", f"pull image manifest has been retried: {reference}: not found")

    def delete_repository(self, params):
        repository = self.repository(params["repositoryName"])
        if repository["images"] and not params.get("force"):
            raise Refusal("RepositoryNotEmptyException", repository["name"])
        self.account.remove(repository)
        return {"repository": self.show(repository)}


class Logs:
    def __init__(self, account: Account):
        self.account = account

    def group(self, name: str) -> Thing:
        return self.account.one("log-group", f"log-group:{name}", "ResourceNotFoundException")

    def create_log_group(self, params):
        name = params["logGroupName"]
        if f"log-group:{name}" in self.account.things:
            raise Refusal("ResourceAlreadyExistsException", "The specified log group already exists")
        self.account.add("log-group", f"log-group:{name}", dict(params.get("tags", {})), name=name, days=None)
        return {}

    def describe_log_groups(self, params):
        groups = []
        for group in self.account.all("log-group"):
            if group["name"].startswith(params["logGroupNamePrefix"]):
                groups.append({"logGroupName": group["name"], "arn": arn("logs", group["id"] + ":*"),
                               **({"retentionInDays": group["days"]} if group["days"] else {})})
        return {"logGroups": groups}

    def list_tags_log_group(self, params):
        return {"tags": self.group(params["logGroupName"])["tags"]}

    def put_retention_policy(self, params):
        if params["retentionInDays"] not in (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731):
            raise Refusal("InvalidParameterException", "retentionInDays")
        self.group(params["logGroupName"])["days"] = params["retentionInDays"]
        return {}

    def delete_log_group(self, params):
        self.account.remove(self.group(params["logGroupName"]))
        return {}


class ServiceDiscovery:
    def __init__(self, account: Account, ec2: Ec2):
        self.account = account
        self.ec2 = ec2
        self.operations: dict[str, Thing] = {}

    def start(self, effect) -> dict[str, str]:
        id_ = self.account.new_id("operation")
        self.operations[id_] = {"state": "PENDING", "effect": effect}
        return {"OperationId": id_}

    def get_operation(self, params):
        operation = self.operations[params["OperationId"]]
        if progress(operation, {"PENDING": "SUCCESS"}) == "PENDING" and operation["state"] == "SUCCESS":
            operation["effect"]()
        return {"Operation": {"Id": params["OperationId"], "Status": operation["state"]}}

    def create_private_dns_namespace(self, params):
        vpc = self.ec2.vpc(params["Vpc"])
        if not all(vpc["attributes"].values()):
            raise Refusal("InvalidInput", "the VPC needs DNS support and DNS host names")
        if self.account.all("namespace", name=params["Name"]):
            raise Refusal("NamespaceAlreadyExists", params["Name"])
        namespace = self.account.add("namespace", self.account.new_id("ns"), tags_of(params), name=params["Name"],
                                     vpc=vpc["id"])
        return self.start(lambda: None if namespace else None)

    def namespace(self, id_):
        return self.account.one("namespace", id_, "NamespaceNotFound")

    def list_namespaces(self, params):
        return {"Namespaces": [{"Id": each["id"], "Name": each["name"], "Type": "DNS_PRIVATE",
                                "Arn": arn("servicediscovery", f"namespace/{each['id']}")}
                               for each in self.account.all("namespace")]}

    def list_tags_for_resource(self, params):
        return {"Tags": tag_list(self.namespace(params["ResourceARN"].rpartition("/")[2]))}

    def create_service(self, params):
        namespace = self.namespace(params["NamespaceId"])
        if self.account.all("registry", namespace=namespace["id"], name=params["Name"]):
            raise Refusal("ServiceAlreadyExists", params["Name"])
        registry = self.account.add("registry", self.account.new_id("srv"), tags_of(params), name=params["Name"],
                                    namespace=namespace["id"],
                                    records=[record["Type"] for record in params["DnsConfig"]["DnsRecords"]])
        return {"Service": self.show(registry)}

    def show(self, registry):
        return {"Id": registry["id"], "Name": registry["name"],
                "Arn": arn("servicediscovery", f"service/{registry['id']}")}

    def list_services(self, params):
        wanted = [value for each in params["Filters"] for value in each["Values"]]
        return {"Services": [self.show(registry) for registry in self.account.all("registry")
                             if registry["namespace"] in wanted]}

    def delete_service(self, params):
        registry = self.account.one("registry", params["Id"], "ServiceNotFound")
        if any(registry["id"] in service["registries"] for service in self.account.all("service")
               if service["state"] != "INACTIVE"):
            raise Refusal("ResourceInUse", "Service contains registered instances")
        self.account.remove(registry)
        return {}

    def delete_namespace(self, params):
        namespace = self.namespace(params["Id"])
        if self.account.all("registry", namespace=namespace["id"]):
            raise Refusal("ResourceInUse", "Namespace contains services")
        return self.start(lambda: self.account.remove(namespace))


class Ecs:
    def __init__(self, account: Account, ec2: Ec2, ecr: Ecr, logs: Logs):
        self.account = account
        self.ec2, self.ecr, self.logs = ec2, ecr, logs
        self.revisions: dict[str, int] = {}

    def cluster(self, name: str) -> Thing:
        return self.account.one("cluster", f"cluster/{name}", "ClusterNotFoundException")

    def create_cluster(self, params):
        name = params["clusterName"]
        cluster = self.account.things.get(f"cluster/{name}") or self.account.add(
            "cluster", f"cluster/{name}", tags_of(params, "tags", upper=False), name=name)
        return {"cluster": self.show_cluster(cluster)}

    def show_cluster(self, cluster):
        return {"clusterName": cluster["name"], "clusterArn": arn("ecs", cluster["id"]), "status": "ACTIVE",
                "tags": lower_tag_list(cluster)}

    def describe_clusters(self, params):
        found = [self.account.things.get(f"cluster/{name}") for name in params["clusters"]]
        return {"clusters": [self.show_cluster(cluster) for cluster in found if cluster], "failures": []}

    def delete_cluster(self, params):
        cluster = self.cluster(params["cluster"])
        if any(service["state"] != "INACTIVE" for service in self.account.all("service", cluster=cluster["name"])):
            raise Refusal("ClusterContainsServicesException", "The Cluster cannot be deleted while Services are active.")
        for service in self.account.all("service", cluster=cluster["name"]):
            self.account.remove(service)
        self.account.remove(cluster)
        return {"cluster": self.show_cluster(cluster)}

    def register_task_definition(self, params):
        family = params["family"]
        if (params["cpu"], params["memory"]) not in (("256", "512"), ("256", "1024"), ("512", "1024")):
            raise Refusal("ClientException", "No Fargate configuration exists for given values.")
        if params["networkMode"] != "awsvpc" or params["requiresCompatibilities"] != ["FARGATE"]:
            raise Refusal("ClientException", "Fargate only supports network mode ‘awsvpc’.")
        role = params["executionRoleArn"].rpartition(":role/")[2]
        self.account.one("role", f"role/{role}", "ClientException")
        names = {container["name"] for container in params["containerDefinitions"]}
        volumes = {volume["name"] for volume in params.get("volumes", [])}
        for container in params["containerDefinitions"]:
            for need in container.get("dependsOn", []):
                if need["containerName"] not in names:
                    raise Refusal("ClientException", f"no container {need['containerName']}")
            for mount in container.get("mountPoints", []):
                if mount["sourceVolume"] not in volumes:
                    raise Refusal("ClientException", f"Unknown volume '{mount['sourceVolume']}'")
            for mapping in container.get("portMappings", []):
                if mapping.get("hostPort", mapping["containerPort"]) != mapping["containerPort"]:
                    raise Refusal("ClientException", "host and container ports must match for network mode 'awsvpc'")
        self.revisions[family] = self.revisions.get(family, 0) + 1
        id_ = arn("ecs", f"task-definition/{family}:{self.revisions[family]}")
        definition = self.account.add("task-definition", id_, tags_of(params, "tags", upper=False), family=family,
                                      revision=self.revisions[family], status="ACTIVE", role=role,
                                      containers=params["containerDefinitions"],
                                      runtime=params.get("runtimePlatform"))
        return {"taskDefinition": self.show_definition(definition)}

    def show_definition(self, definition):
        return {"taskDefinitionArn": definition["id"], "family": definition["family"],
                "revision": definition["revision"], "status": definition["status"]}

    def definition(self, id_: str) -> Thing:
        return self.account.one("task-definition", id_, "ClientException")

    def list_task_definitions(self, params):
        found = [each for each in self.account.all("task-definition", family=params["familyPrefix"],
                                                   status=params.get("status", "ACTIVE"))]
        found.sort(key=lambda each: each["revision"], reverse=params.get("sort") == "DESC")
        return {"taskDefinitionArns": [each["id"] for each in found]}

    def describe_task_definition(self, params):
        definition = self.definition(params["taskDefinition"])
        return {"taskDefinition": self.show_definition(definition),
                "tags": lower_tag_list(definition) if "TAGS" in params.get("include", []) else []}

    def deregister_task_definition(self, params):
        definition = self.definition(params["taskDefinition"])
        definition["status"] = "INACTIVE"
        return {"taskDefinition": self.show_definition(definition)}

    def runnable(self, definition: Thing) -> None:
        """What else would only show when the task starts."""
        for container in definition["containers"]:
            self.ecr.image(container["image"])
            self.logs.group(container["logConfiguration"]["options"]["awslogs-group"])
            for secret in container.get("secrets", []):
                name = secret["valueFrom"].partition(":parameter")[2]
                self.account.one("parameter", f"parameter{name}", "ResourceInitializationError")
                allowed = [resource for policy in self.account.things[f"role/{definition['role']}"]["policies"].values()
                           for statement in policy["Statement"] if "ssm:GetParameters" in statement["Action"]
                           for resource in statement["Resource"]]
                if secret["valueFrom"] not in allowed:
                    raise Refusal("ResourceInitializationError", f"AccessDeniedException: {secret['valueFrom']}")

    def create_service(self, params):
        cluster = self.cluster(params["cluster"])
        id_ = f"service/{cluster['name']}/{params['serviceName']}"
        if id_ in self.account.things and self.account.things[id_]["state"] != "INACTIVE":
            raise Refusal("InvalidParameterException", "Creation of service was not idempotent.")
        if params["platformVersion"] not in ("1.4.0", "LATEST"):
            raise Refusal("PlatformUnknownException", params["platformVersion"])
        network = params["networkConfiguration"]["awsvpcConfiguration"]
        subnets = [self.ec2.subnet(each) for each in network["subnets"]]
        groups = [self.ec2.group(each)["id"] for each in network["securityGroups"]]
        definition = self.definition(params["taskDefinition"])
        self.runnable(definition)
        service = self.account.add(
            "service", id_, tags_of(params, "tags", upper=False), name=params["serviceName"],
            cluster=cluster["name"], definition=definition["id"], desired=params["desiredCount"], state="ACTIVE",
            subnets=[subnet["id"] for subnet in subnets], groups=groups, public=network["assignPublicIp"],
            launch=params["launchType"], platform=params["platformVersion"], balancers=[], registries=[])
        try:
            self.connect(service, definition, params)
        except Refusal:
            self.account.remove(service)
            raise
        return {"service": self.show_service(service)}

    def connect(self, service: Thing, definition: Thing, params) -> None:
        """To load balancers and to names."""
        for each in params.get("serviceRegistries", []):
            registry = each["registryArn"].rpartition("/")[2]
            service["registries"].append(self.account.one("registry", registry, "InvalidParameterException")["id"])
        for each in params.get("loadBalancers", []):
            targets = self.account.one("target-group", each["targetGroupArn"], "InvalidParameterException")
            if not self.account.all("listener", targets=targets["id"]):
                raise Refusal("InvalidParameterException", f"The target group with targetGroupArn {targets['id']} does "
                              "not have an associated load balancer.")
            mappings = [mapping for container in definition["containers"] if container["name"] == each["containerName"]
                        for mapping in container.get("portMappings", [])
                        if mapping["containerPort"] == each["containerPort"]]
            if [mapping["protocol"].upper() for mapping in mappings] != [targets["protocol"]]:
                raise Refusal("InvalidParameterException", f"The container {each['containerName']} does not expose "
                              f"{targets['protocol']} {each['containerPort']}")
            if targets["type"] != "ip":
                raise Refusal("InvalidParameterException", "awsvpc needs target type ip")
            service["balancers"].append(targets["id"])
            targets["targets"]["10.0.2.99"] = {"port": each["containerPort"], "server_id": None}

    def show_service(self, service):
        running = service["desired"] if service["state"] == "ACTIVE" else 0
        return {"serviceName": service["name"], "serviceArn": arn("ecs", service["id"]), "status": service["state"],
                "taskDefinition": service["definition"], "desiredCount": service["desired"],
                "runningCount": running, "deployments": [{"id": "ecs-svc/1"}]}

    def describe_services(self, params):
        cluster = self.cluster(params["cluster"])
        found = [self.account.things.get(f"service/{cluster['name']}/{name}") for name in params["services"]]
        answer = [self.show_service(service) for service in found if service]
        for service in filter(None, found):
            progress(service, {"DRAINING": "INACTIVE"})
        return {"services": answer, "failures": []}

    def service(self, params) -> Thing:
        id_ = f"service/{self.cluster(params['cluster'])['name']}/{params['service']}"
        return self.account.one("service", id_, "ServiceNotFoundException")

    def update_service(self, params):
        service = self.service(params)
        if service["state"] != "ACTIVE":
            raise Refusal("ServiceNotActiveException", service["name"])
        definition = self.definition(params["taskDefinition"])
        self.runnable(definition)
        service["definition"] = definition["id"]
        service["desired"] = params["desiredCount"]
        return {"service": self.show_service(service)}

    def delete_service(self, params):
        service = self.service(params)
        if service["desired"] and not params.get("force"):
            raise Refusal("InvalidParameterException", "The service cannot be stopped while it is scaled above 0.")
        service["state"] = "DRAINING"
        for targets in service["balancers"]:
            self.account.things[targets]["targets"].clear()
        return {"service": self.show_service(service)}
