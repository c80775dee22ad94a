"""Which aiortc a test runs with: as it comes, or patched."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stream.rtc import aiortc_patch


@pytest.fixture
def patched() -> Iterator[None]:
    before = aiortc_patch.installed()
    aiortc_patch.install()
    yield
    aiortc_patch.uninstall()
    aiortc_patch.install(before)


@pytest.fixture
def stock() -> Iterator[None]:
    before = aiortc_patch.installed()
    aiortc_patch.uninstall()
    yield
    aiortc_patch.install(before)
