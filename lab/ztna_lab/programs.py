"""Where the programs under test are."""

from __future__ import annotations

import os
import pathlib

from .namespaces import LabError


def folder() -> pathlib.Path:
    """`ztna lab` says where its own folder is; tests set the same variable."""
    named = os.environ.get("ZTNA_BIN_DIR")
    if not named:
        raise LabError("ZTNA_BIN_DIR must name the folder of ztna; `ztna lab` sets it")
    return pathlib.Path(named).resolve()


def program(name: str) -> str:
    path = folder() / name
    if not os.access(path, os.X_OK):
        raise LabError(f"{name} is missing in {folder()}; build everything, or set ZTNA_BIN_DIR")
    return str(path)
