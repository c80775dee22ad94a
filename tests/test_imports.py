"""The pure packages import without the edge's libraries, and two of them without torch."""

from __future__ import annotations

import subprocess
import sys

import pytest

EDGE = ("aiortc", "av", "aiohttp")
CODE = """
import importlib, sys
for name in {banned!r}:
    sys.modules[name] = None  # importing it raises ImportError
importlib.import_module({package!r})
loaded = [name for name in {banned!r} if sys.modules.get(name) is not None]
assert not loaded, loaded
"""


@pytest.mark.parametrize(
    ("package", "banned"),
    [
        ("correspondence", (*EDGE, "torch", "onnxruntime")),
        ("correspondence.matchers.classical", (*EDGE, "torch", "onnxruntime")),
        ("correspondence.face.body", (*EDGE, "torch", "onnxruntime")),
        ("reference", (*EDGE, "torch", "onnxruntime")),
        ("inpaint", EDGE),
    ],
)
def test_packages_import_on_their_own(package: str, banned: tuple[str, ...]) -> None:
    code = CODE.format(package=package, banned=banned)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_nothing_is_loaded_on_import() -> None:
    """Models start when they are first used: importing costs no MediaPipe and starts no thread."""
    code = (
        "import sys, threading, correspondence\n"
        "assert 'mediapipe' not in sys.modules, 'mediapipe'\n"
        "assert threading.active_count() == 1, threading.enumerate()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
