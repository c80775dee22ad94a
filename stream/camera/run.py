"""Runs `livery camera`: capture, look and virtual camera together, until it is stopped."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field

from correspondence import Matcher
from correspondence.threads import one_thread_each
from correspondence.types import Image
from reference import Propagator, PropagatorConfig
from stream.camera.capture import Capture
from stream.camera.fitting import Fitting, LookConfig, parts_in_words
from stream.camera.preview import KEYS, Preview, countdown_line
from stream.camera.source import Wish, camera_wish, parse_source
from stream.config import with_cores
from stream.live.pipeline import Pipeline
from stream.live.references import live_references
from stream.live.virtual_camera import SinkConfig, VirtualCamera
from stream.metrics import Registry, SessionMetrics, Window

logger = logging.getLogger(__name__)

TURN_S = 0.1  # interval in which the main thread calls `stop`, without a window
DELAY_AFTER = 150  # frames after which the delay is printed


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraConfig:
    """Settings of `run_camera`.

    Attributes:
        source: see `stream.camera.source.parse_source`.
        look: the look to wear.
        size: (H, W) of the virtual camera, pixels. None takes the source's.
        fps: frames a second of the virtual camera. None takes the source's.
        device, backend: see `stream.live.virtual_camera.SinkConfig`.
        matcher: see `correspondence.Matcher.load`.
        processor: device of the matcher, "cpu" or "cuda".
        preview: whether to open a window.
        keyframes, follow_camera: see `stream.config.ServerConfig`.
        faces: largest number of people in the picture who wear the look, 1 to 4.
        mark: text that is written into edited pictures. None for none.
    """

    source: str
    look: LookConfig = field(default_factory=LookConfig)
    size: tuple[int, int] | None = None
    fps: float | None = None
    device: str | None = None
    backend: str | None = None
    matcher: str = "auto"
    processor: str = "cpu"
    preview: bool = False
    keyframes: bool | None = None
    follow_camera: bool | None = None
    faces: int = 1
    mark: str | None = None


class _Outlet:
    """Passes the pipeline's pictures to the virtual camera and the window, and measures their delay."""

    def __init__(self, camera: VirtualCamera, say: Callable[[str], None]) -> None:
        self.newest: Image | None = None
        self._camera = camera
        self._say = say
        self._delay = Window()
        self._count = 0

    def __call__(self, image: Image, captured_s: float) -> None:
        self.newest = image
        self._camera.put(image, captured_s)
        self._delay.add(time.monotonic() - captured_s)
        self._count += 1
        if self._count == DELAY_AFTER:
            self._say(self.delay())

    def lost(self) -> None:
        """Show that the source is lost."""
        self.newest = self._camera.blank()

    def delay(self) -> str:
        """Return the measured delay in words."""
        found = self._delay.percentiles()
        if found is None:
            return "no picture arrived"
        middle, late = (round(1000 * seconds) for seconds in found)
        return (
            f"the picture comes {middle} ms later than without Livery ({late} ms at most in 95 of 100 "
            f"frames): delay the microphone by {middle} ms, in OBS or the call's own settings"
        )


def run_camera(config: CameraConfig, stop: Callable[[], bool], say: Callable[[str], None] = print) -> None:
    """Run until `stop` returns True or the window is closed.

    Args:
        config: settings.
        stop: called several times a second.
        say: called with lines for the user, on several threads.

    Raises:
        MediaError: the source is not there, or a picture cannot be read.
        EditError: the edited picture does not fit its reference.
        VirtualCameraError: this machine has no virtual camera. The message says how to get one.
        WeightsError: the matcher's weights are missing.
    """
    told = _one_at_a_time(say)
    source = parse_source(config.source)
    wish = Wish(size=config.size, fps=config.fps)
    with ExitStack() as stack:
        pipelines: list[Pipeline] = []  # filled before the capture's thread starts
        outlets: list[_Outlet] = []
        capture = Capture(
            source, camera_wish(wish) if source.kind == "camera" else wish,
            submit=lambda frame: pipelines[0].submit(frame), lost=lambda: outlets[0].lost(), say=told,
        )  # fmt: skip
        stack.callback(capture.close)
        size, fps = config.size or capture.opened.size, config.fps or capture.opened.fps
        sink = SinkConfig(size=size, fps=fps, device=config.device, backend=config.backend)
        camera = VirtualCamera(sink, told)
        stack.callback(camera.close)
        outlets.append(_Outlet(camera, told))
        pipelines.append(_pipeline(config, outlets[0]))
        stack.callback(pipelines[0].close)
        fitting = Fitting(pipelines[0], config.look, told)
        preview = Preview() if config.preview else None
        if preview is not None:
            stack.callback(preview.close)
        pipelines[0].start()
        stack.callback(capture.close)  # called again here, so that the capture ends before the pipeline
        capture.start()
        fitting.start()
        stack.callback(fitting.close)
        told(f"Virtual camera: {camera.describe()}")
        told(_instructions(config))
        _wait(stop, fitting, preview, outlets[0], told)
        told(outlets[0].delay())


def _pipeline(config: CameraConfig, deliver: Callable[[Image, float], None]) -> Pipeline:
    one_thread_each()
    matcher = Matcher.load(config.matcher, device=config.processor)
    references = live_references(with_cores(config.keyframes))
    worn = PropagatorConfig(references=references, split=with_cores(config.follow_camera), faces=config.faces)
    propagator = Propagator(matcher=matcher, config=worn)
    return Pipeline(propagator, deliver, SessionMetrics(Registry()), mark_text=config.mark)


def _instructions(config: CameraConfig) -> str:
    parts = parts_in_words(config.look)
    if not parts:
        return "No look was named (--preset, --look, --edited): the live picture goes through."
    named = ", ".join(f"{number} {name}" for number, name in enumerate(parts, 1))
    return f"Parts of the look: {named}." + (f" Keys: {KEYS}." if config.preview else "")


def _wait(
    stop: Callable[[], bool],
    fitting: Fitting,
    preview: Preview | None,
    outlet: _Outlet,
    say: Callable[[str], None],
) -> None:
    """Wait until the end; handle the window's keys if there is a window."""
    while not stop():
        if preview is None:
            time.sleep(TURN_S)
            continue
        key = preview.show(outlet.newest, countdown_line(fitting.countdown_s))
        if key == "q":
            return
        if key == "r":
            fitting.retake()
        elif key == "0":
            say(f"showing {fitting.live()}")
        elif key is not None and key.isdigit() and (done := fitting.toggle(int(key))) is not None:
            say(done)


def _one_at_a_time(say: Callable[[str], None]) -> Callable[[str], None]:
    lock = threading.Lock()

    def told(text: str) -> None:
        with lock:
            say(text)

    return told
