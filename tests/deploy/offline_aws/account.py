"""The state of one account: everything in it is a thing with an id, a kind, tags, and fields of its own."""

from __future__ import annotations

from typing import Any

NUMBER = "123456789012"
REGION = "us-east-2"


class Refusal(Exception):
    """What AWS answers instead of doing it."""

    def __init__(self, code: str, message: str):
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


def arn(service: str, rest: str, region: str = REGION) -> str:
    return f"arn:aws:{service}:{region}:{NUMBER}:{rest}"


Thing = dict[str, Any]


class Account:
    def __init__(self) -> None:
        self.things: dict[str, Thing] = {}
        self.made = 0

    def new_id(self, prefix: str) -> str:
        self.made += 1
        return f"{prefix}-{self.made:017x}"

    def add(self, kind: str, id_: str, tags: dict[str, str] | None = None, **fields: Any) -> Thing:
        thing = {"id": id_, "kind": kind, "tags": tags or {}, **fields}
        self.things[id_] = thing
        return thing

    def all(self, kind: str, **fields: Any) -> list[Thing]:
        return [thing for thing in self.things.values() if thing["kind"] == kind
                and all(thing.get(name) == value for name, value in fields.items())]

    def one(self, kind: str, id_: str | None, code: str) -> Thing:
        thing = self.things.get(id_ or "")
        if thing is None or thing["kind"] != kind:
            raise Refusal(code, f"The {kind} '{id_}' does not exist")
        return thing

    def remove(self, thing: Thing) -> None:
        del self.things[thing["id"]]


def progress(thing: Thing, steps: dict[str, str], key: str = "state") -> str:
    """The state that a question sees; states on the way last for two questions."""
    state = thing[key]
    if state in steps:
        thing["asked"] = thing.get("asked", 0) + 1
        if thing["asked"] >= 2:
            thing["asked"] = 0
            thing[key] = steps[state]
    return state


def tag_list(thing: Thing) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in thing["tags"].items()]


def lower_tag_list(thing: Thing) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in thing["tags"].items()]


def tags_of(params: dict[str, Any], key: str = "Tags", upper: bool = True) -> dict[str, str]:
    name, value = ("Key", "Value") if upper else ("key", "value")
    return {tag[name]: tag[value] for tag in params.get(key, [])}
