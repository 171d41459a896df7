"""IAM, STS, the Parameter Store, and an S3 that holds one object."""

from __future__ import annotations

import io
import json

from .account import NUMBER, Account, Refusal, arn, tag_list, tags_of
from .ec2 import AMI

AMI_PARAMETER = "/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id"


class Sts:
    def __init__(self, account: Account):
        self.signed_in = True

    def get_caller_identity(self, params):
        if not self.signed_in:
            raise Refusal("InvalidClientTokenId", "The security token included in the request is invalid.")
        return {"Account": NUMBER, "UserId": "AIDAEXAMPLE", "Arn": f"arn:aws:iam::{NUMBER}:user/admin"}


class Iam:
    """Global: arns have no region."""

    def __init__(self, account: Account):
        self.account = account

    def role(self, name):
        return self.account.one("role", f"role/{name}", "NoSuchEntity")

    def profile(self, name):
        return self.account.one("instance-profile", f"profile/{name}", "NoSuchEntity")

    def create_role(self, params):
        name = params["RoleName"]
        if f"role/{name}" in self.account.things:
            raise Refusal("EntityAlreadyExists", f"Role with name {name} already exists.")
        role = self.account.add("role", f"role/{name}", tags_of(params), name=name, policies={},
                                trust=document(params["AssumeRolePolicyDocument"]))
        return {"Role": self.show_role(role)}

    def show_role(self, role):
        return {"RoleName": role["name"], "Path": "/", "RoleId": "AROAEXAMPLE000000000",
                "Arn": f"arn:aws:iam::{NUMBER}:role/{role['name']}", "CreateDate": "2026-01-01T00:00:00Z"}

    def list_roles(self, params):
        return {"Roles": [self.show_role(role) for role in self.account.all("role")], "IsTruncated": False}

    def list_role_tags(self, params):
        return {"Tags": tag_list(self.role(params["RoleName"])), "IsTruncated": False}

    def put_role_policy(self, params):
        self.role(params["RoleName"])["policies"][params["PolicyName"]] = document(params["PolicyDocument"])
        return {}

    def list_role_policies(self, params):
        return {"PolicyNames": list(self.role(params["RoleName"])["policies"]), "IsTruncated": False}

    def get_role_policy(self, params):
        policy = self.role(params["RoleName"])["policies"].get(params["PolicyName"])
        if policy is None:
            raise Refusal("NoSuchEntity", f"The role policy with name {params['PolicyName']} cannot be found.")
        return {"RoleName": params["RoleName"], "PolicyName": params["PolicyName"], "PolicyDocument": json.dumps(policy)}

    def delete_role_policy(self, params):
        if not self.role(params["RoleName"])["policies"].pop(params["PolicyName"], None):
            raise Refusal("NoSuchEntity", params["PolicyName"])
        return {}

    def delete_role(self, params):
        role = self.role(params["RoleName"])
        if role["policies"] or self.account.all("instance-profile", role=role["name"]):
            raise Refusal("DeleteConflict", "Cannot delete entity, must delete policies and profiles first.")
        self.account.remove(role)
        return {}

    def create_instance_profile(self, params):
        name = params["InstanceProfileName"]
        if f"profile/{name}" in self.account.things:
            raise Refusal("EntityAlreadyExists", f"Instance Profile {name} already exists.")
        profile = self.account.add("instance-profile", f"profile/{name}", tags_of(params), name=name, role=None)
        return {"InstanceProfile": self.show_profile(profile)}

    def show_profile(self, profile):
        roles = [self.show_role(self.role(profile["role"]))] if profile["role"] else []
        return {"InstanceProfileName": profile["name"], "Path": "/", "InstanceProfileId": "AIPAEXAMPLE000000000",
                "Arn": f"arn:aws:iam::{NUMBER}:instance-profile/{profile['name']}",
                "CreateDate": "2026-01-01T00:00:00Z", "Roles": roles}

    def list_instance_profiles(self, params):
        return {"InstanceProfiles": [self.show_profile(each) for each in self.account.all("instance-profile")],
                "IsTruncated": False}

    def list_instance_profile_tags(self, params):
        return {"Tags": tag_list(self.profile(params["InstanceProfileName"])), "IsTruncated": False}

    def add_role_to_instance_profile(self, params):
        profile = self.profile(params["InstanceProfileName"])
        if profile["role"]:
            raise Refusal("LimitExceeded", "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1")
        profile["role"] = self.role(params["RoleName"])["name"]
        return {}

    def remove_role_from_instance_profile(self, params):
        profile = self.profile(params["InstanceProfileName"])
        if profile["role"] != params["RoleName"]:
            raise Refusal("NoSuchEntity", params["RoleName"])
        profile["role"] = None
        return {}

    def delete_instance_profile(self, params):
        profile = self.profile(params["InstanceProfileName"])
        if profile["role"]:
            raise Refusal("DeleteConflict", "Cannot delete entity, must remove roles from instance profile first.")
        self.account.remove(profile)
        return {}


def document(text: str):
    """A policy document, held against the grammar as far as we use it."""
    try:
        policy = json.loads(text)
    except ValueError:
        raise Refusal("MalformedPolicyDocument", "This policy contains invalid Json") from None
    if policy.get("Version") != "2012-10-17" or set(policy) - {"Version", "Statement"}:
        raise Refusal("MalformedPolicyDocument", f"Syntax errors in policy: {sorted(policy)}")
    for statement in policy["Statement"]:
        known = {"Effect", "Action", "Resource", "Principal", "Condition"}
        if set(statement) - known or statement.get("Effect") != "Allow" or not statement.get("Action"):
            raise Refusal("MalformedPolicyDocument", f"Syntax errors in policy: {statement}")
        if ("Resource" in statement) == ("Principal" in statement):
            raise Refusal("MalformedPolicyDocument", "a Resource or a Principal")
        for resource in statement.get("Resource", []):
            if resource != "*" and (not resource.startswith("arn:aws:") or resource.count(":") < 5):
                raise Refusal("MalformedPolicyDocument", f"Resource {resource} must be in ARN format or \"*\".")
    return policy


class Ssm:
    def __init__(self, account: Account):
        self.account = account

    def put_parameter(self, params):
        name = params["Name"]
        id_ = f"parameter{name}"
        if id_ in self.account.things:
            if not params.get("Overwrite"):
                raise Refusal("ParameterAlreadyExists", "The parameter already exists.")
            if "Tags" in params:
                raise Refusal("ValidationException", "Invalid request: tags and overwrite can't be used together.")
            thing = self.account.things[id_]
            thing["value"] = params["Value"]
            thing["version"] += 1
        else:
            thing = self.account.add("parameter", id_, tags_of(params), name=name, value=params["Value"],
                                     type=params["Type"], version=1)
        if len(params["Value"].encode()) > 4096:
            raise Refusal("ValidationException", "Standard tier parameters support a maximum of 4096 characters.")
        return {"Version": thing["version"], "Tier": "Standard"}

    def show(self, name, decrypted):
        if name == AMI_PARAMETER:
            return {"Name": name, "Type": "String", "Value": AMI, "Version": 1}
        thing = self.account.one("parameter", f"parameter{name}", "ParameterNotFound")
        return {"Name": name, "Type": thing["type"], "Version": thing["version"],
                "ARN": arn("ssm", f"parameter{name}"), "Value": thing["value"] if decrypted else "AQICAHiddenHidden"}

    def get_parameter(self, params):
        return {"Parameter": self.show(params["Name"], params.get("WithDecryption", False))}

    def get_parameters(self, params):
        """Of what is not there it only says so."""
        there = {thing["name"] for thing in self.account.all("parameter")}
        missing = [name for name in params["Names"] if name not in there]
        return {"Parameters": [self.show(name, params.get("WithDecryption", False))
                               for name in params["Names"] if name in there],
                **({"InvalidParameters": missing} if missing else {})}

    def describe_parameters(self, params):
        (wanted,) = params["ParameterFilters"]
        if not wanted["Key"].startswith("tag:"):
            raise Refusal("InvalidFilterKey", wanted["Key"])
        return {"Parameters": [{"Name": thing["name"], "Type": thing["type"]}
                               for thing in self.account.all("parameter")
                               if thing["tags"].get(wanted["Key"][4:]) in wanted["Values"]]}

    def delete_parameter(self, params):
        self.account.remove(self.account.one("parameter", f"parameter{params['Name']}", "ParameterNotFound"))
        return {}


class S3:
    CONTENT = b"not really a package\n"

    def __init__(self, account: Account):
        pass

    def get_object(self, params):
        if params["Bucket"] != "packages.example.org":
            raise Refusal("NoSuchBucket", "The specified bucket does not exist")
        return {"ContentLength": len(self.CONTENT), "Body": io.BytesIO(self.CONTENT)}
