"""A CloudFormation template with its functions resolved, as far as ours uses them."""

from __future__ import annotations

import pathlib
import re
from typing import Any

import yaml

NOTHING = object()  # AWS::NoValue
NAMED_BY = {  # whose Ref is its name
    "AWS::Logs::LogGroup": "LogGroupName", "AWS::IAM::Role": "RoleName", "AWS::ECS::Cluster": "ClusterName",
    "AWS::IAM::InstanceProfile": "InstanceProfileName"}


class Loader(yaml.SafeLoader):
    """Knows the short forms: !Ref is {"Ref": …}, !Sub is {"Fn::Sub": …}."""


def short_form(loader: Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt":
        value = value.split(".", 1)
    return {suffix if suffix == "Ref" else f"Fn::{suffix}": value}


Loader.add_multi_constructor("!", short_form)


class Template:
    """`parameters` as the command line has them; `attributes` are what only AWS can tell: (resource, attribute)."""

    def __init__(self, path: pathlib.Path, parameters: dict[str, str], attributes: dict[tuple[str, str], str]):
        document = yaml.load(path.read_text(), Loader)
        self.declared = document["Parameters"]
        self.conditions = document["Conditions"]
        self.raw = document["Resources"]
        self.attributes = attributes
        self.values: dict[str, Any] = {}
        for name, parameter in self.declared.items():
            value = parameters[name] if name in parameters else parameter["Default"]
            pattern = parameter.get("AllowedPattern")
            assert pattern is None or re.fullmatch(pattern, str(value)), name
            self.values[name] = {"Number": int, "CommaDelimitedList": lambda text: text.split(",")}.get(
                parameter["Type"], str)(value)
        self.resources = {name: self.resolve(resource.get("Properties", {})) for name, resource in self.raw.items()}

    def of(self, kind: str) -> dict[str, dict[str, Any]]:
        """The properties of all resources of a kind."""
        return {name: self.resources[name] for name, raw in self.raw.items() if raw["Type"] == kind}

    def resolve(self, value: Any) -> Any:
        if isinstance(value, list):
            return [each for each in map(self.resolve, value) if each is not NOTHING]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            (function, argument), = value.items()
            if function == "Ref" or function.startswith("Fn::"):
                return getattr(self, function.removeprefix("Fn::").lower())(argument)
        resolved = {key: self.resolve(each) for key, each in value.items()}
        return {key: each for key, each in resolved.items() if each is not NOTHING}

    def ref(self, name: str) -> Any:
        pseudo = {"AWS::Region": "us-east-2", "AWS::AccountId": "123456789012", "AWS::NoValue": NOTHING}
        if name in pseudo:
            return pseudo[name]
        if name in self.values:
            return self.values[name]
        named_by = NAMED_BY.get(self.raw[name]["Type"])
        return self.resolve(self.raw[name]["Properties"][named_by]) if named_by else f"<{name}>"

    def getatt(self, path: list[str]) -> str:
        name, attribute = path
        assert name in self.raw
        return self.attributes.get((name, attribute), f"<{name}.{attribute}>")

    def sub(self, argument: Any) -> str:
        text, given = argument if isinstance(argument, list) else (argument, {})

        def replaced(match: re.Match[str]) -> str:
            word = match[1]
            if word in given:
                return str(self.resolve(given[word]))
            return str(self.getatt(word.split(".", 1)) if "." in word else self.ref(word))
        return re.sub(r"\$\{([\w:.]+)\}", replaced, text)

    def join(self, argument: list[Any]) -> str:
        separator, parts = argument
        return separator.join(self.resolve(parts))

    def equals(self, argument: list[Any]) -> bool:
        one, other = map(self.resolve, argument)
        return one == other

    def not_(self, argument: list[Any]) -> bool:
        return not self.resolve(argument[0])

    def if_(self, argument: list[Any]) -> Any:
        condition, then, otherwise = argument
        return self.resolve(then if self.resolve(self.conditions[condition]) else otherwise)


# Functions that are words of Python, too.
setattr(Template, "not", Template.not_)
setattr(Template, "if", Template.if_)
