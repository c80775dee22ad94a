"""A short run of every fuzz target; `python -m tests.fuzz.run --cases N` is the long one."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from stream.rtc import aiortc_patch
from tests.fuzz.targets import TARGETS

CASES = int(os.environ.get("LIVERY_FUZZ_CASES", "150"))


@pytest.fixture(autouse=True)
def patched() -> Iterator[None]:
    before = aiortc_patch.installed()
    aiortc_patch.install()
    yield
    aiortc_patch.uninstall()
    aiortc_patch.install(before)


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_breaks_it(name: str) -> None:
    target = TARGETS[name]

    @seed(len(name))
    @settings(
        max_examples=CASES,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.randoms(use_true_random=False))
    def attempt(random: Random) -> None:
        target.run(cases(random))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's about bad EXIF data, and of cases that were broken off
        cases = target.cases()
        try:
            attempt()
        finally:
            target.close()
