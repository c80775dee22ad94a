"""Fixtures every test may use: the portrait clips, the demo's face, seeded randomness."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from correspondence import Image, Landmarks, detect_landmarks

os.environ["LIVERY_SIDE_PRIORITY"] = "ordinary"  # at the lowest, a busy machine never gets to side processes
ROOT = Path(__file__).resolve().parent.parent
ENTRY = [sys.executable, "-c", "import sys; from server import main; sys.exit(main())"]  # run in ROOT


def portraits_dir() -> Path:
    """Where the portrait clips are looked for: $LIVERY_PORTRAITS, else ../shared/portraits."""
    named = os.environ.get("LIVERY_PORTRAITS")
    return Path(named) if named else ROOT.parent / "shared" / "portraits"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip `portraits` tests where the clips are missing; in CI (CI=true) let them fail instead."""
    if (portraits_dir() / "val").is_dir() or os.environ.get("CI", "").lower() == "true":
        return
    skip = pytest.mark.skip(reason=f"needs portrait clips in {portraits_dir()} (set LIVERY_PORTRAITS)")
    for item in items:
        if "portraits" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(scope="module", autouse=True)
def _memory_is_given_back() -> Iterator[None]:
    """After each file, hand the memory that glibc keeps back to the system: some GB in a whole run."""
    yield
    gc.collect()
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)


@pytest.fixture
def portraits() -> Path:
    """The folder of portrait clips; fails where it is missing (see the `portraits` marker)."""
    folder = portraits_dir()
    assert (folder / "val").is_dir(), f"no portrait clips in {folder}: set LIVERY_PORTRAITS"
    return folder


@pytest.fixture(scope="session")
def astronaut() -> Image:
    """The demo's face, 512 x 512."""
    from skimage import data

    return np.ascontiguousarray(data.astronaut())


@pytest.fixture(scope="session")
def face(astronaut: Image) -> Landmarks:
    """Landmarks of the demo's face."""
    landmarks = detect_landmarks(astronaut)
    assert landmarks is not None
    return landmarks


@pytest.fixture
def rng() -> np.random.Generator:
    """A seeded generator."""
    return np.random.default_rng(20240607)
