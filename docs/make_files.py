"""Writes files.md beside it: what each file is for, and the numbers that are set at its top.

Run `python docs/make_files.py` after a file or a number was added; a test compares the page with the code.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "files.md"
PACKAGES = ("stream", "correspondence", "reference", "inpaint", "benchmarks")
HEAD = """# Every file, and the numbers set in it

Written by `docs/make_files.py` from the code; not by hand. A line names a file and what it is for. Below it
stand the numbers and lists at its top and the fields of its settings, as `NAME = value`, with their comments.
[index.md](index.md) is the shorter map: search it first.
"""
MOST = 60  # characters of a value that are shown
NAMED = re.compile(r"_?[A-Z][A-Z0-9_]+")  # a constant's name
SETTINGS = ("Config", "Settings")  # ends of the names of classes whose fields are listed


def page() -> str:
    """Returns the page's text."""
    parts = [HEAD]
    for package in PACKAGES:
        files = sorted(_files(package), key=lambda path: (path.parent, path.name))
        for folder, inside in groupby(files, key=lambda path: path.parent):
            parts.append(f"\n## {folder.relative_to(ROOT).as_posix()}/\n")
            parts += [line for path in inside for line in _entry(path)]
    return "\n".join(parts) + "\n"


def _files(package: str) -> Iterator[Path]:
    for path in (ROOT / package).rglob("*"):
        if path.suffix in (".py", ".js") and path.name != "__init__.py" and "__pycache__" not in path.parts:
            yield path


def _entry(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8")
    purpose, numbers = _python(text) if path.suffix == ".py" else _script(text)
    if any("..." in number for number in numbers):  # a comment that goes on in the next line
        return [f"- `{path.name}`: {purpose}", *(f"  - {number}" for number in numbers)]
    plain = [number for number in numbers if number.endswith("`")]
    lines = [*(number for number in numbers if number not in plain), *([", ".join(plain)] if plain else [])]
    return [f"- `{path.name}`: {purpose}", *(f"  - {line}" for line in lines)]


def _python(text: str) -> tuple[str, list[str]]:
    tree, lines = ast.parse(text), text.splitlines()
    numbers = []
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name.endswith(SETTINGS):
            numbers += [
                _line(each, lines, f"{node.name}.") for each in node.body if isinstance(each, ast.AnnAssign)
            ]
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            numbers.append(_line(node, lines))
    return _first(ast.get_docstring(tree) or ""), [each for each in numbers if each]


def _line(node: ast.Assign | ast.AnnAssign, lines: list[str], owner: str = "") -> str:
    """Returns `NAME = value`, with the comment on its line; empty if it is no constant or has no value."""
    target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
    if node.value is None or not (owner or NAMED.fullmatch(ast.unparse(target))):
        return ""
    value = ast.unparse(node.value)
    if len(value) > MOST or "TypeVar(" in value:
        value = "…"
    comments = [_comment(lines[number - 1]) for number in (node.lineno, node.end_lineno or node.lineno)]
    said = next((each for each in comments if each), "")
    return _said(owner + ast.unparse(target), value, said)


def _said(name: str, value: str, comment: str) -> str:
    if comment:
        return f"`{name} = {value}`: {comment}"
    return "" if value == "…" else f"`{name} = {value}`"


def _comment(line: str) -> str:
    found = re.search(r"\s#\s(?!noqa|type:|fmt:)(.+)$", line)
    return found[1].strip() if found else ""


def _script(text: str) -> tuple[str, list[str]]:
    found = re.match(r"\s*/\*\*?\s*(.*?)\*/", text, re.DOTALL)
    purpose = " ".join(line.strip(" *") for line in found[1].splitlines()) if found else ""
    numbers = [
        _said(name, "…" if len(value) > MOST or value[-1] in "{[(" else value, said)
        for name, value, said in re.findall(
            r"^(?:export )?const ([A-Z][A-Z0-9_]+) = (.+?);?(?:\s*// (.+))?$", text, re.MULTILINE
        )
    ]
    return _first(purpose.strip()), [each for each in numbers if each]


def _first(docstring: str) -> str:
    """Returns the first paragraph on one line."""
    return " ".join(docstring.split("\n\n")[0].split())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
