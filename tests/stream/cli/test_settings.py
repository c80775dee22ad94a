"""Options from a TOML file and from variables, and what is said where they are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream.cli.main import RUNS, main
from stream.cli.options import parser
from stream.cli.settings import with_settings


def parsed(argv: list[str], environ: dict[str, str], default: Path | None = None) -> dict[str, object]:
    whole, parsers = parser(RUNS)
    return vars(whole.parse_args(with_settings(argv, parsers, environ, default)))


def toml(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "livery.toml"
    path.write_text(text)
    return path


FILE = """
matcher = "classical"
log_level = "debug"
[serve]
port = 9001
ice-server = ["stun:a", "stun:b"]
keyframes = true
[edit]
preset = ["lipstick", "blush:#ff8888"]
"""


def test_the_nearer_one_wins(tmp_path: Path) -> None:
    path = toml(tmp_path, FILE)
    args = parsed(["serve"], {}, path)
    assert (args["port"], args["matcher"], args["keyframes"], args["log_level"]) == (
        9001, "classical", True, "debug",
    )  # fmt: skip
    assert args["ice_server"] == ["stun:a", "stun:b"]
    variables = {"LIVERY_PORT": "9002", "LIVERY_ICE_SERVER": "stun:c stun:d", "LIVERY_KEYFRAMES": "off"}
    args = parsed(["serve"], variables, path)
    assert (args["port"], args["ice_server"], args["keyframes"]) == (9002, ["stun:c", "stun:d"], False), (
        "an option that is on by default"
    )
    for own in (["--port", "9003"], ["--port=9003"], ["--por", "9003"]):
        assert parsed(["serve", *own], variables, path)["port"] == 9003
    assert parsed(["serve", "--ice-server", "turn:x"], variables, path)["ice_server"] == ["turn:x"]


def test_each_verb_takes_what_it_knows(tmp_path: Path) -> None:
    path = toml(tmp_path, FILE)
    args = parsed(["edit", "in.mp4", "-oout.mp4"], {"LIVERY_OUTPUT": "other.mp4", "LIVERY_CRF": "21"}, path)
    assert args["preset"] == ["lipstick", "blush:#ff8888"]
    assert (args["output"], args["crf"], args["matcher"]) == (Path("out.mp4"), 21, "classical")
    assert parsed(["edit", "in.mp4"], {"LIVERY_OUTPUT": "o.mp4"})["output"] == Path("o.mp4")
    assert "port" not in args


def test_every_option_of_every_verb_has_a_variable() -> None:
    _, parsers = parser(RUNS)
    for verb, each in parsers.items():
        for action in each._actions:
            long = next((option for option in action.option_strings if option.startswith("--")), "--help")
            if long in ("--help", "--config"):
                continue
            name = f"LIVERY_{long[2:].upper().replace('-', '_')}"
            value = str(next(iter(action.choices))) if action.choices else SAMPLES.get(long, "3")
            tokens = with_settings([verb], parsers, {name: "true" if action.nargs == 0 else value}, None)
            assert tokens[1:] == [long if action.nargs == 0 else f"{long}={value}"], (verb, long)


SAMPLES = {"--udp-ports": "5-9", "--size": "640x480"}


@pytest.mark.parametrize(
    ("text", "variables", "said"),
    [
        ("prt = 1", {}, r"no option 'prt'; did you mean port\?"),
        ("[serve]\nedited = 'x'", {}, r"no option 'edited' of \[serve\]"),
        ("[serv]\nport = 1", {}, r"no verb \[serv\]"),
        ("port = ", {}, "is not TOML"),
        ("[serve]\nport = 'many'", {}, r"livery.toml: port: invalid literal"),
        ("[serve]\nkeyframes = 'perhaps'", {}, "must be true or false, got 'perhaps'"),
        ("[serve]\nport = [1, 2]", {}, "takes one value"),
        ("", {"LIVERY_PORT": "many"}, "LIVERY_PORT: invalid literal"),
        ("[serve]\nfaces = 5", {}, "must be 1 to 4 people who wear the look, got '5'"),
        ("", {"LIVERY_FACES": "0"}, "must be 1 to 4 people who wear the look, got '0'"),
        ("", {"LIVERY_MATCHER": "magic"}, "LIVERY_MATCHER: must be one of auto, classical"),
        ("", {"LIVERY_CONFIG": "/nowhere/else.toml"}, "/nowhere/else.toml: no such file"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, variables: dict[str, str], said: str
) -> None:
    with pytest.raises(SystemExit) as left:
        parsed(["serve"], variables, toml(tmp_path, text))
    assert left.value.code == 2
    shown = capsys.readouterr().err
    assert shown.startswith("usage: livery serve")
    with pytest.raises(ValueError, match=said):
        raise ValueError(shown)


def test_a_file_can_be_named_and_a_missing_default_is_no_error(tmp_path: Path) -> None:
    path = toml(tmp_path, "[serve]\nport = 7")
    for own in (["--config", str(path)], [f"--config={path}"]):
        assert parsed(["serve", *own], {})["port"] == 7
    assert parsed(["serve"], {"LIVERY_CONFIG": str(path)})["port"] == 7
    assert parsed(["serve"], {}, tmp_path / "missing.toml")["port"] == 8000


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--version"])
    assert left.value.code == 0
    assert capsys.readouterr().out == "livery 0.1.0\n"


def test_a_wrong_option_shows_the_usage_of_its_verb(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["serve", "--prot", "9"])
    assert left.value.code == 2
    shown = capsys.readouterr().err
    assert shown.startswith("usage: livery serve")
    assert "unknown: --prot 9; did you mean --port?" in shown


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion_knows_verbs_and_options(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert all(word in script for word in ("serve", "keep-days", "thorough"))


def test_options_that_do_not_go_together_show_the_usage_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["edit", "in.mp4", "-o", "out.mp4"]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("usage: livery edit")
    assert "livery: say what to wear" in shown
