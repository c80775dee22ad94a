"""What docs/deploy names is there: files, verbs, options, variables, extras, ports."""

from __future__ import annotations

import argparse
import re
import shlex
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from stream.cli.main import RUNS
from stream.cli.options import parser
from stream.cli.settings import PREFIX, with_settings
from tests.conftest import ROOT

DEPLOY = ROOT / "docs" / "deploy"
DOCKERFILES = [DEPLOY / "Dockerfile.cpu", DEPLOY / "Dockerfile.cuda"]
SAID = {
    "LIVERY_TOKEN": "t",
    "LIVERY_TURN_SECRET": "s",
    "PUBLIC_ADDRESS": "203.0.113.7",
    "PUBLIC_URL": "https://livery.example",
}


def parsed(arguments: Sequence[str], variables: dict[str, str]) -> argparse.Namespace:
    """As the command line reads them; fails for a verb, option or value that it does not take."""
    whole, parsers = parser(RUNS)
    known = {
        f"{PREFIX}{text[2:].upper().replace('-', '_')}" for each in whole_options(parsers) for text in each
    }
    assert {name for name in variables if name.startswith(PREFIX)} <= known
    return whole.parse_args(with_settings(arguments, parsers, variables, None))


def whole_options(parsers: dict[str, argparse.ArgumentParser]) -> list[list[str]]:
    return [
        [text for text in action.option_strings if text.startswith("--")]
        for action in parsers["serve"]._actions
    ]


def steps(path: Path) -> list[tuple[str, str]]:
    """Instructions of a Dockerfile and their arguments, continued lines joined."""
    text = re.sub(r"\\\n\s*", "", path.read_text(encoding="utf-8"))
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines]


def variables(path: Path) -> dict[str, str]:
    given = " ".join(rest for name, rest in steps(path) if name == "ENV")
    return {name: value for name, _, value in (each.partition("=") for each in shlex.split(given))}


def compose() -> dict[str, Any]:
    text = (DEPLOY / "compose.yml").read_text(encoding="utf-8")
    filled = re.sub(r"\$\{(\w+):\?\}", lambda found: SAID[found[1]], text)
    assert "$" not in filled
    content: dict[str, Any] = yaml.safe_load(filled)
    return content


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.suffix)
def test_an_image_names_what_there_is(path: Path) -> None:
    taken = steps(path)
    given = variables(path)
    (command,) = [rest for name, rest in taken if name == "CMD"]
    args = parsed(yaml.safe_load(command), given)
    assert (args.host, args.port, args.data) == ("0.0.0.0", 8000, Path("/data"))
    exposed = next(rest for name, rest in taken if name == "EXPOSE").split()
    assert exposed == [str(args.port), f"{args.udp_ports[0]}-{args.udp_ports[1]}/udp"]
    assert args.device == ("cuda" if path.suffix == ".cuda" else "cpu")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    runs = " ".join(rest for name, rest in taken if name == "RUN")
    (extra,) = re.findall(r"\*\.whl\)\[(\w+)\]", runs)
    assert extra in project["optional-dependencies"]
    assert not any(gpl in runs + extra for gpl in ("obs", "test", "pyvirtualcam"))
    for name, rest in taken:
        if name == "COPY" and not rest.startswith("--from") and rest != ". .":
            assert (ROOT / rest.split()[0]).exists(), rest
    python = re.search(r"FROM python:(3\.\d+)", path.read_text(encoding="utf-8"))
    assert python is not None
    assert python[1] in ("3.11", "3.12", "3.13"), "a Python that was tested"


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.suffix)
def test_what_an_image_is_built_from_holds_all_that_the_wheel_needs(path: Path) -> None:
    lines = path.with_name(f"{path.name}.dockerignore").read_text(encoding="utf-8").split()
    kept = {line[1:] for line in lines if line.startswith("!")}
    assert lines[0] == "*"
    assert all((ROOT / name).exists() for name in kept)
    said = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project, packages = said["project"], said["tool"]["setuptools"]["packages"]["find"]["include"]
    needed = {each.rstrip("*") for each in packages} | {"pyproject.toml", "server.py", "constraints.txt"}
    needed |= {project["readme"], *(name.split("/")[0] for name in project["license-files"])}
    assert needed <= kept
    assert "tests" not in kept


def test_compose_starts_livery_and_a_turn_server_that_agree() -> None:
    services = compose()["services"]
    livery, turn = services["livery"], services["turn"]
    context = (DEPLOY / livery["build"]["context"]).resolve()
    assert context == ROOT
    image = context / livery["build"]["dockerfile"]
    assert image in DOCKERFILES
    args = parsed(livery["command"], {**variables(image), **livery["environment"]})
    assert args.token == SAID["LIVERY_TOKEN"]
    assert args.public_address == SAID["PUBLIC_ADDRESS"]
    assert f"--static-auth-secret={args.turn_secret}" in turn["command"]
    turns = dict(each.removeprefix("--").split("=") for each in turn["command"] if "=" in each)
    assert all(f":{turns['listening-port']}?" in url for url in args.ice_server)
    first, last = args.udp_ports
    assert f"{first}-{last}:{first}-{last}/udp" in livery["ports"]
    assert int(turns["max-port"]) < first, "the two share no port"
    assert {each.split(":")[0] for each in livery["volumes"]} <= set(compose()["volumes"])
    assert args.data == Path(livery["volumes"][0].split(":")[1])


def test_the_unit_starts_what_there_is() -> None:
    text = (DEPLOY / "livery.service").read_text(encoding="utf-8")
    (start,) = re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE)
    command = shlex.split(start.replace("/etc/livery/livery.toml", str(ROOT / "tests" / "livery.toml")))
    assert Path(command[0]).name in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    named = re.search(r"livery\.toml holds the options, as in: (.*)", text)
    assert named is not None
    assert set(tomllib.loads(named[1])) <= {t[2:] for each in whole_options(parser(RUNS)[1]) for t in each}
    arguments = [
        each for each in command[1:] if each not in ("--config", command[command.index("--config") + 1])
    ]
    args = parsed(arguments, dict.fromkeys(re.findall(r"(LIVERY_\w+)=…", text), "x"))
    assert args.data == Path("/var/lib") / "livery"
    assert "StateDirectory=livery\n" in text
    stop_s = re.search(r"TimeoutStopSec=(\d+)", text)
    assert stop_s is not None
    assert int(stop_s[1]) > 5, "the server ends within 5 s by itself"


def test_every_file_of_the_folder_is_explained_in_its_readme() -> None:
    said = (DEPLOY / "README.md").read_text(encoding="utf-8")
    for path in DEPLOY.iterdir():
        assert path.name in said or path.suffix in (".md", ".dockerignore"), path.name
