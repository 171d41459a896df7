"""Holds a value against a shape of botocore's service model, in all that the model says. botocore itself
checks types, required members and unknown ones; it does not look at enums, patterns and maxima."""

from __future__ import annotations

import functools
import re
from typing import Any, Iterator


@functools.cache
def compiled(pattern: str) -> re.Pattern[str] | None:
    try:
        return re.compile(pattern.replace(r"\p{L}", r"[^\W\d_]").replace(r"\p{Z}", r"\s")
                          .replace(r"\p{N}", r"\d").replace(r"\p{M}", ""))
    except re.error:
        return None  # a construct of Java's


def violations(shape: Any, value: Any, where: str, strict: bool) -> Iterator[str]:
    """`strict` is for answers, which botocore does not check: unknown members are violations."""
    kind = shape.type_name
    if kind == "structure":
        if not isinstance(value, dict):
            yield f"{where} is no structure: {value!r}"
            return
        for name, member in value.items():
            if name not in shape.members:
                if strict:
                    yield f"{where}.{name} is unknown"
            elif member is not None:
                yield from violations(shape.members[name], member, f"{where}.{name}", strict)
    elif kind == "list":
        if not isinstance(value, list):
            yield f"{where} is no list: {value!r}"
            return
        yield from outside(shape, len(value), f"length of {where}")
        for number, element in enumerate(value):
            yield from violations(shape.member, element, f"{where}[{number}]", strict)
    elif kind == "map":
        for key, element in value.items():
            yield from violations(shape.key, key, f"key of {where}", strict)
            yield from violations(shape.value, element, f"{where}[{key}]", strict)
    elif kind == "string":
        if not isinstance(value, str):
            yield f"{where} is no string: {value!r}"
            return
        yield from outside(shape, len(value), f"length of {where}")
        if shape.enum and value not in shape.enum:
            yield f"{where} is \"{value}\", not one of {', '.join(shape.enum)}"
        pattern = compiled(shape.metadata["pattern"]) if "pattern" in shape.metadata else None
        if pattern and not pattern.fullmatch(value):
            yield f"{where} is \"{value}\", which does not match {shape.metadata['pattern']}"
    elif kind in ("integer", "long", "float", "double"):
        yield from outside(shape, value, where)


def outside(shape: Any, value: float, where: str) -> Iterator[str]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is not None and value < low:
        yield f"{where} is {value}, less than {low}"
    if high is not None and value > high:
        yield f"{where} is {value}, more than {high}"
