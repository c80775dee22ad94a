"""Which Livery this is."""

from __future__ import annotations

import tomllib
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path

PROJECT = Path(__file__).parents[1] / "pyproject.toml"


def version() -> str:
    """The version of the installed package, or of the source tree that is run without being installed."""
    if PROJECT.is_file():
        with PROJECT.open("rb") as file:
            return str(tomllib.load(file)["project"]["version"])
    try:
        return installed("livery")
    except PackageNotFoundError:
        return "unknown"
