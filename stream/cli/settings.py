"""Options from a TOML file and from `LIVERY_*` environment variables.

An argument wins over a variable, a variable over the file, and the file over the default. Values of file and
variables are turned into arguments and put before the user's own, so that one parser checks all of them.
"""

from __future__ import annotations

import argparse
import difflib
import shlex
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

PREFIX = "LIVERY_"
NOT_SET = {"help", "config"}  # options that a file may not set
TRUE, FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off", "")
Parsers = Mapping[str, argparse.ArgumentParser]


def with_settings(
    argv: Sequence[str], parsers: Parsers, environ: Mapping[str, str], default: Path | None
) -> list[str]:
    """Return the arguments with those of the file and the variables before them.

    Args:
        argv: the user's arguments, the verb first. Without a verb they are returned unchanged.
        parsers: parser of each verb.
        environ: the environment variables.
        default: the file that is read if neither `--config` nor `LIVERY_CONFIG` names one. It may be missing.

    Raises:
        SystemExit: with exit code 2 and the verb's usage, if the file or a variable cannot be used.
    """
    if not argv or argv[0] not in parsers:
        return list(argv)
    verb, own = argv[0], list(argv[1:])
    parser = parsers[verb]
    options = _options(parser)
    given = {name for name, action in options.items() if _is_given(action, own)}
    named = _config_of(own) or environ.get(f"{PREFIX}CONFIG")
    path = Path(named) if named else default
    read = _file_settings(path, bool(named), verb, parsers) if path is not None else {}
    tokens: list[str] = []
    for name, action in options.items():
        variable = PREFIX + name.upper().replace("-", "_")
        if name in given:
            continue
        if variable in environ:
            tokens += _tokens(parser, name, action, environ[variable], variable)
        elif name in read:
            tokens += _tokens(parser, name, action, read[name], f"{path}: {name}")
    return [verb, *tokens, *own]


def _options(parser: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    """Return a verb's options by their long names without dashes."""
    named = {}
    for action in parser._actions:
        long = next((text for text in action.option_strings if text.startswith("--")), None)
        if long is not None and long[2:] not in NOT_SET:
            named[long[2:]] = action
    return named


def _is_given(action: argparse.Action, own: Sequence[str]) -> bool:
    """Whether the user gave an option, perhaps shortened as argparse allows."""
    for token in own:
        word = token.partition("=")[0]
        for text in action.option_strings:
            short = not text.startswith("--") and token.startswith(text) and not token.startswith("--")
            if word == text or short or (word.startswith("--") and len(word) > 3 and text.startswith(word)):
                return True
    return False


def _config_of(own: Sequence[str]) -> str | None:
    for place, token in enumerate(own):
        if token == "--config" and place + 1 < len(own):
            return own[place + 1]
        if token.startswith("--config="):
            return token.partition("=")[2]
    return None


def _file_settings(path: Path, required: bool, verb: str, parsers: Parsers) -> dict[str, object]:
    """Return the file's settings of a verb. Those in the verb's table win over those at the top."""
    parser = parsers[verb]
    try:
        with path.open("rb") as file:
            content = tomllib.load(file)
    except FileNotFoundError:
        if required:
            parser.error(f"--config: {path}: no such file")
        return {}
    except OSError as exc:
        parser.error(f"--config: {path}: cannot be read ({exc.strerror})")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        parser.error(f"--config: {path}: is not TOML ({exc})")
    everywhere = {name for each in parsers.values() for name in _options(each)}
    top = {_key(k): v for k, v in content.items() if not isinstance(v, dict)}
    _check_names(parser, path, "", top, everywhere)
    for name, table in content.items():
        if isinstance(table, dict):
            if name not in parsers:
                parser.error(f"{path}: there is no verb [{name}]; there are {', '.join(parsers)}")
            _check_names(parser, path, f" of [{name}]", map(_key, table), _options(parsers[name]))
    mine = content.get(verb, {})
    return {k: v for k, v in top.items() if k in _options(parser)} | {_key(k): v for k, v in mine.items()}


def _key(name: str) -> str:
    return name.replace("_", "-")


def _check_names(
    parser: argparse.ArgumentParser, path: Path, where: str, names: object, known: object
) -> None:
    """Refuse names of unknown options, and suggest the nearest known one."""
    options = sorted(known)  # type: ignore[call-overload]
    for name in names:  # type: ignore[attr-defined]
        if name not in options:
            near = difflib.get_close_matches(name, options, 1)
            meant = f"; did you mean {near[0]}?" if near else ""
            parser.error(f"{path}: there is no option {name!r}{where}{meant}")


def _tokens(
    parser: argparse.ArgumentParser, name: str, action: argparse.Action, value: object, source: str
) -> list[str]:
    """Turn a value of the file or a variable into the arguments of an option."""
    if action.nargs == 0:
        text = str(value).strip().lower()
        if text not in (*TRUE, *FALSE):
            parser.error(f"{source}: must be true or false, got {value!r}")
        off = [f"--no-{name}"] if isinstance(action, argparse.BooleanOptionalAction) else []
        return [f"--{name}"] if text in TRUE else off
    several = isinstance(action, argparse._AppendAction)
    if several and isinstance(value, str):
        values: list[object] = list(shlex.split(value))
    else:
        values = value if isinstance(value, list) else [value]
    if len(values) != 1 and not several:
        parser.error(f"{source}: takes one value, got {value!r}")
    for each in values:
        if isinstance(each, (bool, dict, list)):
            parser.error(f"{source}: must be text or a number, got {each!r}")
        _check_value(parser, action, str(each), source)
    return [f"--{name}={each}" for each in values]


def _check_value(parser: argparse.ArgumentParser, action: argparse.Action, text: str, source: str) -> None:
    """Refuse a value that the option does not accept, and name where the value comes from."""
    kind = action.type
    try:
        made = kind(text) if callable(kind) else text
    except (argparse.ArgumentTypeError, TypeError, ValueError) as exc:
        parser.error(f"{source}: {exc}")
    if action.choices is not None and made not in action.choices:
        parser.error(f"{source}: must be one of {', '.join(map(str, action.choices))}, got {text!r}")
