"""A backend of pyvirtualcam that keeps what it is sent."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

from correspondence.types import Image

NAME = "kept"


class KeptCamera:
    """As pyvirtualcam's own backends; `cameras` holds those opened, newest last."""

    cameras: list[KeptCamera] = []  # noqa: RUF012 - emptied by each test
    missing = False  # as if no device were there

    def __init__(
        self, *, width: int, height: int, fps: float, fourcc: int, device: str | None, **more: Any
    ) -> None:
        if KeptCamera.missing:
            raise RuntimeError("no such device")
        self.size, self.fps, self.fourcc = (height, width), fps, fourcc
        self.frames: list[tuple[float, Image]] = []
        self.closed = False
        self._device = device or "kept camera"
        KeptCamera.cameras.append(self)

    def close(self) -> None:
        self.closed = True

    def send(self, frame: Any) -> None:
        if KeptCamera.missing:
            raise RuntimeError("device removed")
        picture = np.asarray(frame).reshape(*self.size, 3).copy()
        self.frames.append((time.monotonic(), picture))

    def device(self) -> str:
        return self._device

    def native_fourcc(self) -> int | None:
        return None


def register() -> type[KeptCamera]:
    """Register it, without cameras so far; skips where pyvirtualcam is not installed."""
    pytest.importorskip("pyvirtualcam", reason="needs pyvirtualcam: pip install 'livery[obs]'")
    from pyvirtualcam import register_backend

    register_backend(NAME, KeptCamera)
    KeptCamera.cameras, KeptCamera.missing = [], False
    return KeptCamera
