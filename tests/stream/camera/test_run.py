"""`livery camera` from a file as device into a backend of pyvirtualcam that keeps what it is sent."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from correspondence import detect_landmarks
from correspondence.types import Image
from stream.camera.fitting import LookConfig
from stream.camera.run import CameraConfig, run_camera
from stream.looks.choice import parse_preset
from stream.media.demo import DemoSource
from stream.media.pictures import encode_png
from tests.stream.clips import RATE, Clip, make_clip
from tests.stream.kept_camera import NAME, KeptCamera, register
from tests.stream.rig import BLUE, is_blue

SIZE = (240, 320)
LIMIT_S = 60.0


@pytest.fixture
def kept() -> type[KeptCamera]:
    return register()


class Running:
    """What a run has said so far, and how it ended."""

    def __init__(self, config: CameraConfig) -> None:
        self.lines: list[str] = []
        self.error: BaseException | None = None
        self.stop = threading.Event()
        self._config = config
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            run_camera(self._config, self.stop.is_set, self.lines.append)
        except BaseException as exc:  # told to the test, which runs in another thread
            self.error = exc

    def said(self, words: str) -> bool:
        return any(words in line for line in self.lines)

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        end_s = time.monotonic() + LIMIT_S
        while not condition():
            assert self.error is None, self.error
            assert time.monotonic() < end_s, f"not within {LIMIT_S:g} s: {what}; it said {self.lines}"
            time.sleep(0.05)


@contextlib.contextmanager
def running(config: CameraConfig) -> Iterator[Running]:
    run = Running(config)
    try:
        yield run
    finally:
        run.stop.set()
        run.thread.join(20)
        assert not run.thread.is_alive(), "it did not stop"


def camera(kept: type[KeptCamera]) -> KeptCamera:
    return kept.cameras[-1]


def newest(kept: type[KeptCamera]) -> Image | None:
    frames = kept.cameras[-1].frames if kept.cameras else []
    return frames[-1][1] if frames else None


def shows(kept: type[KeptCamera], wanted: Callable[[Image], bool]) -> Callable[[], bool]:
    def check() -> bool:
        image = newest(kept)
        return image is not None and wanted(image)

    return check


def config(source: Path, **look: object) -> CameraConfig:
    return CameraConfig(source=str(source), look=LookConfig(**look), backend=NAME, matcher="classical")  # type: ignore[arg-type]


def test_a_files_frames_arrive_at_its_rate_edited(kept: type[KeptCamera], tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "face.mp4", Clip(frames=30, size=SIZE))
    with running(config(clip, presets=(parse_preset(f"lipstick:{BLUE}:1"),))) as run:
        run.wait(lambda: run.said("reference taken"), "a reference")
        run.wait(shows(kept, is_blue), "the edit")
        seen = camera(kept)
        assert (seen.size, seen.fps) == (SIZE, RATE)
        assert measured_rate(run, seen, 75) <= 1.2 * RATE  # a busy machine sends fewer, none sends more
    assert seen.closed
    assert run.error is None
    assert "delay the microphone by" in run.lines[-1]


def measured_rate(run: Running, seen: KeptCamera, frames: int) -> float:
    """Frames a second over the next `frames`."""
    before = len(seen.frames)
    run.wait(lambda: len(seen.frames) >= before + frames, "the next frames")
    return (frames - 1) / (seen.frames[before + frames - 1][0] - seen.frames[before][0])


@pytest.mark.slow
def test_the_rate_of_the_file_is_kept(kept: type[KeptCamera], tmp_path: Path) -> None:
    if os.getloadavg()[0] > (os.cpu_count() or 1):
        pytest.skip("it measures a rate, and this machine is busy")
    clip = make_clip(tmp_path / "face.mp4", Clip(frames=100, size=SIZE))
    with running(config(clip, presets=(parse_preset("lipstick"),))) as run:
        run.wait(lambda: run.said("reference taken"), "a reference")
        assert measured_rate(run, camera(kept), 150) == pytest.approx(RATE, rel=0.1)
        assert run.said("delay the microphone by")


def test_pictures_come_in_rgb_order_and_pass_unedited_without_a_face(
    kept: type[KeptCamera], tmp_path: Path
) -> None:
    red = np.full((*SIZE, 3), (200, 40, 20), np.uint8)
    clip = make_clip(tmp_path / "red.mkv", Clip(frames=5, size=SIZE, codec="ffv1", images=(red,) * 5))
    with running(config(clip, presets=(parse_preset("lipstick"),))) as run:
        run.wait(shows(kept, lambda image: bool(np.abs(image.astype(int) - red).max() < 8)), "red pictures")
        assert not run.said("reference taken")


def test_it_waits_for_an_unplugged_source_and_takes_another_size(
    kept: type[KeptCamera], tmp_path: Path
) -> None:
    clip = make_clip(tmp_path / "face.mp4", Clip(frames=10, size=SIZE))
    wide = make_clip(tmp_path / "wide.mp4", Clip(frames=10, size=(240, 480)))
    with running(config(clip, presets=(parse_preset(f"lipstick:{BLUE}:1"),))) as run:
        run.wait(shows(kept, is_blue), "the edit")
        clip.rename(tmp_path / "unplugged.mp4")
        run.wait(lambda: run.said("has gone"), "that it has gone")
        run.wait(shows(kept, lambda image: image.mean() < 60), "a card that says so")
        count = len(camera(kept).frames)
        run.wait(lambda: len(camera(kept).frames) > count + 5, "the card, sent again and again")
        wide.rename(clip)
        run.wait(lambda: run.said("is back, 480x240"), "that it is back")
        run.wait(shows(kept, is_blue), "the edit on pictures of another size")
        image = newest(kept)
        assert image is not None
        assert image.shape == (*SIZE, 3)
        assert image[:30].max() == 0, "black above a picture that is wider than the camera"
    assert sum("has gone" in line for line in run.lines) == 1
    assert len(kept.cameras) == 1, "the programs that read the camera keep it"


def test_an_edited_still_is_worn_when_it_is_saved(kept: type[KeptCamera], tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "face.mp4", Clip(frames=30, size=SIZE))
    still, edited = tmp_path / "still.png", tmp_path / "edited.png"
    with running(config(clip, still=still, edited=edited)) as run:
        run.wait(lambda: run.said("saved as"), "the still")
        image = newest(kept)
        assert image is not None
        assert not is_blue(image)
        import cv2

        from reference import presets

        taken = cv2.cvtColor(cv2.imread(str(still)), cv2.COLOR_BGR2RGB)
        painted = presets.apply("lipstick", taken, detect_landmarks(taken), BLUE, 1.0)
        part = tmp_path / "part"
        part.write_bytes(encode_png(painted))
        part.rename(edited)
        run.wait(shows(kept, is_blue), "the edit")


def test_a_reference_from_a_file_is_worn_at_once_and_parts_go_by_number(tmp_path: Path) -> None:
    from correspondence import Matcher
    from reference import Propagator
    from stream.camera.fitting import Fitting
    from stream.live.pipeline import LiveFrame, Pipeline
    from stream.metrics import Registry, SessionMetrics

    source = DemoSource(SIZE)
    still = tmp_path / "still.png"
    still.write_bytes(encode_png(source.frame(0)))
    delivered: list[Image] = []
    pipeline = Pipeline(
        Propagator(matcher=Matcher.load("classical")),
        lambda image, at_s: delivered.append(image),
        SessionMetrics(Registry()),
    )
    look = LookConfig(presets=(parse_preset(f"lipstick:{BLUE}:1"),), reference=still)
    fitting = Fitting(pipeline, look, lambda text: None)
    pipeline.start()
    fitting.start()

    def step(wanted: bool) -> None:
        end_s = time.monotonic() + LIMIT_S
        while not (delivered and is_blue(delivered[-1]) is wanted):
            assert time.monotonic() < end_s
            pipeline.submit(LiveFrame(source.frame(3), time.monotonic()))
            time.sleep(0.1)

    try:
        step(True)
        assert fitting.toggle(1) == "lipstick off"
        step(False)
        assert fitting.toggle(1) == "lipstick on"
        step(True)
        assert fitting.live() == "the live picture"
        step(False)
        assert fitting.toggle(2) is None
    finally:
        fitting.close()
        pipeline.close()
