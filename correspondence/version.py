"""The version of Livery."""

from __future__ import annotations

import tomllib
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path

PROJECT = Path(__file__).parents[1] / "pyproject.toml"


def version() -> str:
    """Return the version of the installed package, or of the source tree if that is run itself."""
    if PROJECT.is_file():
        with PROJECT.open("rb") as file:
            return str(tomllib.load(file)["project"]["version"])
    try:
        return installed("livery")
    except PackageNotFoundError:
        return "unknown"
