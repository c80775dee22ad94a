"""A virtual camera that other programs can read. It turns pictures of any size into a steady stream.

It uses pyvirtualcam, which is licensed under the GPL. pyvirtualcam is therefore an extra of its own and is
imported only when it is used.
"""

from __future__ import annotations

import logging
import math
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from correspondence.types import Image
from stream.live.slot import LatestSlot, SlotClosed

logger = logging.getLogger(__name__)

INSTALL = "python -m pip install 'livery[obs]'"
PATIENCE = 2.0  # the last picture is sent again after this many frame times without a new one
REOPEN_S = 2.0
JOIN_S = 5.0
MEND = {
    "linux": (
        "load the v4l2loopback module: sudo apt install v4l2loopback-dkms, then sudo modprobe v4l2loopback "
        'devices=1 exclusive_caps=1 card_label="Livery"; without it use the page and OBS'
    ),
    "darwin": (
        "install OBS (https://obsproject.com), press its Start Virtual Camera once, allow the extension in "
        "System Settings, General, Login Items & Extensions, Camera Extensions, and quit OBS again"
    ),
    "win32": (
        "install OBS (https://obsproject.com), which brings its virtual camera, and see that no other "
        "program feeds it"
    ),
}


class VirtualCameraError(ValueError):
    """No virtual camera can be opened here.

    Args:
        text: what is missing.
        mend: the commands that solve it.
    """

    def __init__(self, text: str, mend: str) -> None:
        super().__init__(f"{text}; {mend}")
        self.parts = (text, mend)


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkConfig:
    """Which virtual camera to feed, and with what size and rate.

    Attributes:
        size: (H, W) of the camera's pictures in pixels, at least 16 each. Odd sides lose their last line.
        fps: frames per second, in (0, 240].
        device: name of the camera ("/dev/video10", "OBS Virtual Camera"). None takes the first free one.
        backend: pyvirtualcam's name of the backend ("v4l2loopback", "obs", "unitycapture"). None tries all.
    """

    size: tuple[int, int]
    fps: float = 30.0
    device: str | None = None
    backend: str | None = None

    def __post_init__(self) -> None:
        if min(self.size) < 16:
            raise ValueError(f"a virtual camera's sides must have at least 16 pixels, got {self.size}")
        if not 0 < self.fps <= 240:
            raise ValueError(f"a virtual camera's fps must lie in (0, 240], got {self.fps:g}")


class VirtualCamera:
    """Feeds one virtual camera from a thread of its own.

    Each picture is sent when it arrives. If none arrives for `PATIENCE` frame times, the last picture is sent
    again, so that programs that read the camera always receive frames. The camera keeps its size. A picture
    of another size is scaled to fit and padded with black.

    Args:
        config: which camera to feed.
        say: called on the camera's thread with messages for people.

    Raises:
        VirtualCameraError: this machine has no virtual camera.
    """

    def __init__(self, config: SinkConfig, say: Callable[[str], None] = logger.warning) -> None:
        self._config = config
        self._say = say
        self._size = (config.size[0] & ~1, config.size[1] & ~1)
        self._camera = open_camera(config, self._size)
        self._slot: LatestSlot[Image] = LatestSlot()
        self._stop = threading.Event()
        self._failing = False
        self._stale_s = -math.inf  # pictures captured up to this time belong to a source that has ended
        self.device: str = self._camera.device
        self.backend: str = self._camera.backend
        self.sent = 0  # frames sent
        self.repeated = 0  # how many of them repeated the last picture
        self._thread = threading.Thread(target=self._run, name="virtual-camera", daemon=True)
        self._thread.start()

    def put(self, image: Image, captured_s: float = math.inf) -> None:
        """Offer the next picture, from any thread. It replaces a picture that was not sent yet.

        Args:
            image: RGB uint8 (H, W, 3).
            captured_s: when it was captured, `time.monotonic()`. A picture from before `blank` is not shown.
        """
        if captured_s > self._stale_s:
            self._slot.put_threadsafe(image)

    def blank(self, text: str = "No camera picture") -> Image:
        """Show a dark card until a picture arrives that was captured after this call. Returns the card."""
        self._stale_s = time.monotonic()
        picture = card(text, self._size)
        self._slot.put_threadsafe(picture)
        return picture

    def describe(self) -> str:
        """The camera in words: device, backend, size and rate."""
        height, width = self._size
        return f"{self.device} ({self.backend}), {width}x{height} at {self._config.fps:g} frames a second"

    def close(self) -> None:
        """End the thread and free the camera."""
        self._stop.set()
        self._slot.close()
        self._thread.join(JOIN_S)

    def _run(self) -> None:
        picture = np.zeros((*self._size, 3), np.uint8)
        while True:
            try:
                picture, again = fit(self._slot.take(PATIENCE / self._config.fps), self._size), 0
            except TimeoutError:
                again = 1
            except SlotClosed:
                break
            if self._send(picture):
                self.sent += 1
                self.repeated += again
        if self._camera is not None:
            self._camera.close()

    def _send(self, picture: Image) -> bool:
        """Send a picture. A camera that disappeared is opened again when it is back."""
        try:
            if self._camera is None:
                self._camera = open_camera(self._config, self._size)
            self._camera.send(picture)
        except Exception as exc:  # drivers raise errors of unknown types
            if not self._failing:
                self._failing = True
                self._say(f"the virtual camera {self.device} has gone ({exc}); waiting for it")
            self._drop()
            self._stop.wait(REOPEN_S)
            return False
        if self._failing:
            self._failing = False
            self._say(f"the virtual camera {self.device} is back")
        return True

    def _drop(self) -> None:
        camera, self._camera = self._camera, None
        if camera is not None:
            try:
                camera.close()
            except Exception as exc:  # of unknown types here too
                logger.debug("the virtual camera did not close in order: %s", exc)


def open_camera(config: SinkConfig, size: tuple[int, int]) -> Any:
    """Open a `pyvirtualcam.Camera` that takes RGB pictures of `size`, (H, W).

    Raises:
        VirtualCameraError: pyvirtualcam or a camera is missing. The message says how to get it.
    """
    try:
        import pyvirtualcam
        from pyvirtualcam.camera import BACKENDS
    except ImportError as exc:
        raise VirtualCameraError(f"the virtual camera needs pyvirtualcam ({exc})", INSTALL) from exc
    if config.backend is not None and config.backend not in BACKENDS:
        raise VirtualCameraError(
            f"there is no virtual camera of kind {config.backend!r} here", f"there are {', '.join(BACKENDS)}"
        )
    try:
        return pyvirtualcam.Camera(
            width=size[1], height=size[0], fps=config.fps, fmt=pyvirtualcam.PixelFormat.RGB,
            device=config.device, backend=config.backend,
        )  # fmt: skip
    except Exception as exc:  # each system's driver has errors of its own
        wanted = f"the virtual camera {config.device}" if config.device else "a virtual camera"
        said = " ".join(str(exc).split())
        mend = MEND.get(sys.platform, MEND["linux"])
        raise VirtualCameraError(f"{wanted} could not be opened ({said})", mend) from exc


def fit(image: Image, size: tuple[int, int]) -> Image:
    """Fit a picture, uint8 (H, W, 3), into `size` (H, W): scaled, centred and padded with black."""
    height, width = image.shape[:2]
    if (height, width) == size:
        return np.ascontiguousarray(image)
    scale = min(size[0] / height, size[1] / width)
    inner = (min(size[0], round(height * scale)), min(size[1], round(width * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = cv2.resize(image, (max(1, inner[1]), max(1, inner[0])), interpolation=method)
    top, left = (size[0] - small.shape[0]) // 2, (size[1] - small.shape[1]) // 2
    framed: Image = np.zeros((*size, 3), np.uint8)
    framed[top : top + small.shape[0], left : left + small.shape[1]] = small
    return framed


def card(text: str, size: tuple[int, int]) -> Image:
    """Draw a dark picture, uint8 (H, W, 3), with a line of text. It is shown when there is no picture."""
    picture: Image = np.full((*size, 3), 32, np.uint8)
    scale, font = size[1] / 640, cv2.FONT_HERSHEY_SIMPLEX
    thick = max(1, round(2 * scale))
    (width, height), _ = cv2.getTextSize(text, font, scale, thick)
    at = (max(0, (size[1] - width) // 2), (size[0] + height) // 2)
    cv2.putText(picture, text, at, font, scale, (200, 200, 200), thick, cv2.LINE_AA)
    return picture
