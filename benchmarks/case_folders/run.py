"""Runs every folder of cases and gives a verdict on each.

A case is a folder with inputs. Its expectations stand in its own `expected.json`, or in `known.json` here
under its name. They are a list of tries, each with a command line and what is right:

    [{"run": "edit clip.mp4 --edited edited.png -o {out}/o.mp4", "frames": [30, 30], "mask": [0.002, 0.03]}]

`{out}` is an empty folder. The commands run in the case's folder, which is only read. `checks.CHECKS` lists
what can be expected.
"""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.case_folders.checks import Outcome, faults
from benchmarks.common import ROOT

KNOWN = Path(__file__).with_name("known.json")
OWN = "expected.json"
PORT = 8471  # of the server, which the publishing script of a case names too
START_S, PUBLISH_S = 60.0, 60.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of one try of a case.

    Attributes:
        case: name of the case's folder.
        command: what was run.
        faults: what is wrong, in words. Empty if all is right.
        said: what the command printed.
        seconds: duration.
    """

    case: str
    command: str
    faults: list[str]
    said: str
    seconds: float


def expectations(folder: Path) -> list[dict[str, Any]] | None:
    """The tries of a case. None if nothing is known of it.

    Raises:
        ValueError: its `expected.json` is no list of tries.
    """
    own = folder / OWN
    if own.is_file():
        tries = json.loads(own.read_text(encoding="utf-8"))
        if not isinstance(tries, list) or not all("run" in one or "publish" in one for one in tries):
            raise ValueError(f'{own}: must be a list of tries, each with "run", a command line')
        return tries
    known: dict[str, list[dict[str, Any]]] = json.loads(KNOWN.read_text(encoding="utf-8"))
    return known.get(folder.name)


def run_cases(folder: Path, names: Sequence[str] = ()) -> Iterator[Verdict]:
    """Run the cases of a folder and yield a verdict on each try.

    Args:
        folder: it holds one folder a case.
        names: the cases to run. All if empty.

    Raises:
        ValueError: the folder holds no cases, or none of a given name.
    """
    cases = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    if not cases:
        raise ValueError(f"{folder}: holds no folder of a case")
    unknown = set(names) - {case.name for case in cases}
    if unknown:
        raise ValueError(f"{folder}: has no case {', '.join(sorted(unknown))}")
    for case in cases:
        if names and case.name not in names:
            continue
        tries = expectations(case)
        if tries is None:
            yield Verdict(case.name, "", [f"nothing is expected of it: add {OWN}"], "", 0.0)
        for expected in tries or ():
            yield run_try(case, expected)


def run_try(case: Path, expected: Mapping[str, Any]) -> Verdict:
    """Run one try and compare what came out with what is right."""
    begun = time.perf_counter()
    command = str(expected.get("run") or expected["publish"])
    with tempfile.TemporaryDirectory() as temporary:
        out = Path(temporary)
        run = _published if "publish" in expected else _commanded
        outcome = run(case, command, out)
        wrong = faults(outcome, expected)
    said = outcome.said.replace(str(out), "OUT")
    return Verdict(case.name, command, wrong, said, round(time.perf_counter() - begun, 2))


def _commanded(case: Path, command: str, out: Path) -> Outcome:
    """Run the command line in this process."""
    from stream.cli.main import main

    arguments = [word.replace("{out}", str(out)) for word in command.split(" ")]
    report = out / "report.json"
    if arguments[0] == "edit":
        arguments += ["--report", str(report)]
    printed = io.StringIO()
    with _within(case), redirect_stdout(printed), redirect_stderr(printed):
        try:
            code = main(arguments)
        except SystemExit as stopped:  # argparse refuses the arguments
            code = stopped.code if isinstance(stopped.code, int) else 2
    written = [path for path in sorted(out.iterdir()) if path != report]
    told = json.loads(report.read_text(encoding="utf-8")) if report.is_file() else {}
    return Outcome(case, code, printed.getvalue(), told, written[0] if written else None)


@contextmanager
def _within(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _published(case: Path, command: str, out: Path) -> Outcome:
    """Start a server, open a session and run the case's publishing script against it."""
    script, *arguments = command.split(" ")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    serve = [sys.executable, "-m", "server", "--port", str(PORT), "--no-store"]
    log = out / "log"
    with log.open("w") as sink:
        server = subprocess.Popen(serve, cwd=out, env=environment, stdout=sink, stderr=sink)
    try:
        session = _session(server)
        (out / "sess.json").write_bytes(session)
        done = subprocess.run(
            [sys.executable, str(case.absolute() / script), *arguments],
            cwd=out,
            env=environment,
            capture_output=True,
            text=True,
            timeout=PUBLISH_S,
            check=False,
        )
    finally:
        server.terminate()
        server.wait(20)
    said = re.sub(r"\s+", " ", done.stdout + done.stderr)
    return Outcome(case, done.returncode, said, {}, None)


def _session(server: subprocess.Popen[bytes]) -> bytes:
    """Open a session as soon as the server answers.

    Raises:
        RuntimeError: it does not answer in time.
    """
    asked = urllib.request.Request(f"http://127.0.0.1:{PORT}/api/sessions", method="POST")
    until = time.monotonic() + START_S
    while time.monotonic() < until and server.poll() is None:
        try:
            with urllib.request.urlopen(asked, timeout=5) as answer:
                body: bytes = answer.read()
                return body
        except OSError:
            time.sleep(0.25)
    raise RuntimeError(f"the server did not answer on port {PORT} within {START_S:g} s")
