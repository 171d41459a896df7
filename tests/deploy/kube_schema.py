"""Kubernetes objects against the API's own schema, as strict as an API server with
`fieldValidation=Strict`: no unknown field, no wrong type, nothing required left out.

The schema is in Debian's python3-kubernetes, whose classes are generated from the OpenAPI document of
Kubernetes.
"""

from __future__ import annotations

import re

from kubernetes import client

CONFIGURATION = client.Configuration()
CONFIGURATION.client_side_validation = True

# What the generated classes leave open: IntOrString is "object" there, a Quantity a string.
QUANTITY = re.compile(r"^\d+(\.\d+)?(m|k|Ki|M|Mi|G|Gi)?$")
DNS_LABEL = re.compile(r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")
PLAIN = {"str": str, "int": int, "bool": bool, "float": (int, float)}


class Invalid(ValueError):
    """Says where, and what was expected."""


def model_of(item: dict) -> type:
    kind, version = item.get("kind"), item.get("apiVersion")
    if version not in ("v1", "apps/v1", "networking.k8s.io/v1"):
        raise Invalid(f"{kind}: apiVersion {version!r} is none that is used here")
    model = getattr(client, f"V1{kind}", None)
    if model is None:
        raise Invalid(f"no kind {kind!r}")
    return model


def check(item: dict):
    """Raises Invalid unless the API would take the object."""
    if not isinstance(item, dict):
        raise Invalid("is no object")
    where = f"{item.get('kind')}/{item.get('metadata', {}).get('name')}"
    check_model(item, model_of(item), where)
    if not DNS_LABEL.match(item["metadata"]["name"]):
        raise Invalid(f"{where}: no DNS label")


def check_model(value, model: type, where: str):
    if not isinstance(value, dict):
        raise Invalid(f"{where}: expected an object, found {value!r}")
    names = {json_name: name for name, json_name in model.attribute_map.items()}
    unknown = sorted(set(value) - set(names))
    if unknown:
        raise Invalid(f"{where}: unknown field {unknown[0]!r}")
    for json_name, inner in value.items():
        check_type(inner, model.openapi_types[names[json_name]], f"{where}.{json_name}")
    try:  # the constructor knows what is required
        model(**{names[key]: inner for key, inner in value.items()},
              local_vars_configuration=CONFIGURATION)
    except ValueError as error:
        raise Invalid(f"{where}: {error}") from None


def check_type(value, kind: str, where: str):
    if value is None:
        raise Invalid(f"{where}: is empty")
    if listed := re.fullmatch(r"list\[(.+)\]", kind):
        if not isinstance(value, list):
            raise Invalid(f"{where}: expected a list, found {value!r}")
        for index, inner in enumerate(value):
            check_type(inner, listed[1], f"{where}[{index}]")
    elif mapped := re.fullmatch(r"dict\(str, (.+)\)", kind):
        if not isinstance(value, dict):
            raise Invalid(f"{where}: expected a map, found {value!r}")
        for key, inner in value.items():
            check_type(inner, mapped[1], f"{where}[{key}]")
            if where.endswith((".requests", ".limits")) and not QUANTITY.match(inner):
                raise Invalid(f"{where}[{key}]: {inner!r} is no quantity")
    elif kind == "object":
        if isinstance(value, (dict, list)):
            raise Invalid(f"{where}: expected a number or a string, found {value!r}")
    elif kind in PLAIN:
        if not isinstance(value, PLAIN[kind]) or (kind == "int" and isinstance(value, bool)):
            raise Invalid(f"{where}: expected {kind}, found {value!r}")
    elif kind == "datetime":
        raise Invalid(f"{where}: is for the API server to set")
    else:
        check_model(value, getattr(client, kind), where)
