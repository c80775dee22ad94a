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

from correspondence import Matcher, detect_landmarks
from correspondence.types import Image
from reference import Look, Propagator, look_file
from stream.camera.fitting import Fitting, LookConfig
from stream.camera.run import CameraConfig, run_camera
from stream.cli.main import main
from stream.live.pipeline import LiveFrame, Pipeline
from stream.looks.choice import layers_of, parse_preset
from stream.media.demo import DemoSource
from stream.media.pictures import encode_png
from stream.metrics import Registry, SessionMetrics
from stream.offline.look_clip import read_look
from tests.stream.clips import RATE, Clip, make_clip
from tests.stream.kept_camera import NAME, KeptCamera
from tests.stream.rig import BLUE, is_blue

SIZE = (240, 320)
LIMIT_S = 60.0


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
    with running(config(clip, drawn=layers_of([parse_preset(f"lipstick:{BLUE}:1")]))) as run:
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
    with running(config(clip, drawn=layers_of([parse_preset("lipstick")]))) as run:
        run.wait(lambda: run.said("reference taken"), "a reference")
        assert measured_rate(run, camera(kept), 150) == pytest.approx(RATE, rel=0.1)
        assert run.said("delay the microphone by")


def test_pictures_come_in_rgb_order_and_pass_unedited_without_a_face(
    kept: type[KeptCamera], tmp_path: Path
) -> None:
    red = np.full((*SIZE, 3), (200, 40, 20), np.uint8)
    clip = make_clip(tmp_path / "red.mkv", Clip(frames=5, size=SIZE, codec="ffv1", images=(red,) * 5))
    with running(config(clip, drawn=layers_of([parse_preset("lipstick")]))) as run:
        run.wait(shows(kept, lambda image: bool(np.abs(image.astype(int) - red).max() < 8)), "red pictures")
        assert not run.said("reference taken")


def test_it_waits_for_an_unplugged_source_and_takes_another_size(
    kept: type[KeptCamera], tmp_path: Path
) -> None:
    clip = make_clip(tmp_path / "face.mp4", Clip(frames=10, size=SIZE))
    wide = make_clip(tmp_path / "wide.mp4", Clip(frames=10, size=(240, 480)))
    with running(config(clip, drawn=layers_of([parse_preset(f"lipstick:{BLUE}:1")]))) as run:
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


def test_a_look_file_is_carried_to_the_face_before_the_camera(
    kept: type[KeptCamera], astronaut: Image, tmp_path: Path
) -> None:
    clip = make_clip(tmp_path / "face.mp4", Clip(frames=30, size=SIZE))
    shirt = astronaut.copy()
    shirt[440:, 150:350] = (200, 0, 0)
    path = tmp_path / "evening.livery"
    made = Look(astronaut, name="evening").picture(shirt).preset("lipstick", BLUE, 1.0)
    path.write_bytes(look_file([made]))
    with running(config(clip, worn=read_look(path), drawn=layers_of([parse_preset("blush")]))) as run:
        run.wait(shows(kept, is_blue), "the look")
        assert run.said("Picture was left out: it lies on hair, clothes or backdrop")
        assert run.said("Parts of the look: 1 the look “evening”, 2 blush.")


def test_a_look_of_ones_own_brings_its_still_and_its_backdrop() -> None:
    source, lines = DemoSource(SIZE), list[str]()
    still = source.frame(0)
    wall = still.copy()
    wall[:40, :60] = (20, 230, 20)
    with wearing(LookConfig(worn=Look(still).picture(wall), own=True), lines) as (fitting, shown):
        shown(source.frame(3), lambda image: bool((image[15:25, 20:40, 1] > 200).all()))
        assert fitting.countdown_s is None
        fitting.retake()
        assert fitting.countdown_s is None
        assert "the look brings its own still" in lines[-1]
        assert fitting.toggle(1) == "the look “Look” off"
        shown(source.frame(3), lambda image: bool(np.abs(image.astype(int) - source.frame(3)).max() == 0))


@pytest.mark.parametrize(
    ("look", "words"),
    [
        ({"own": True}, "--own-look goes with --look, which is missing"),
        ({"worn": True, "edited": Path("x.png")}, "--look cannot go with --edited"),
        ({"worn": True, "own": True, "reference": Path("x.png")}, "leave out --reference and --still"),
        ({"worn": True, "own": True, "still": Path("x.png")}, "leave out --reference and --still"),
    ],
)
def test_looks_that_contradict_themselves_are_refused(
    look: dict[str, object], words: str, astronaut: Image
) -> None:
    given = {**look, **({"worn": Look(astronaut, None)} if "worn" in look else {})}
    with pytest.raises(ValueError, match=words):
        LookConfig(**given)  # type: ignore[arg-type]


def test_a_look_files_options_are_read_and_refused_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.livery").write_bytes(b"PK nothing")
    for more, words in (
        (["--look", str(tmp_path / "broken.livery")], "broken.livery"),
        (["--look", str(tmp_path / "none.livery")], "none.livery: no such file"),
        (["--own-look"], "--own-look goes with --look, which is missing"),
    ):
        assert main(["camera", "0", *more]) == 2
        assert words in capsys.readouterr().err


@contextlib.contextmanager
def wearing(
    look: LookConfig, lines: list[str]
) -> Iterator[tuple[Fitting, Callable[[Image, Callable[[Image], bool]], None]]]:
    """A look on a pipeline. Gives it, and what waits until a frame comes out as it should."""
    delivered: list[Image] = []
    pipeline = Pipeline(
        Propagator(matcher=Matcher.load("classical")),
        lambda image, at_s: delivered.append(image),
        SessionMetrics(Registry()),
    )
    fitting = Fitting(pipeline, look, lines.append)
    pipeline.start()
    fitting.start()

    def shown(frame: Image, wanted: Callable[[Image], bool]) -> None:
        end_s = time.monotonic() + LIMIT_S
        while not (delivered and wanted(delivered[-1])):
            assert time.monotonic() < end_s
            pipeline.submit(LiveFrame(frame, time.monotonic()))
            time.sleep(0.1)

    try:
        yield fitting, shown
    finally:
        fitting.close()
        pipeline.close()


def test_a_reference_from_a_file_is_worn_at_once_and_parts_go_by_number(tmp_path: Path) -> None:
    source = DemoSource(SIZE)
    frame = source.frame(3)
    still = tmp_path / "still.png"
    still.write_bytes(encode_png(source.frame(0)))
    look = LookConfig(drawn=layers_of([parse_preset(f"lipstick:{BLUE}:1")]), reference=still)
    with wearing(look, []) as (fitting, shown):
        shown(frame, is_blue)
        assert fitting.toggle(1) == "lipstick off"
        shown(frame, lambda image: not is_blue(image))
        assert fitting.toggle(1) == "lipstick on"
        shown(frame, is_blue)
        assert fitting.live() == "the live picture"
        shown(frame, lambda image: not is_blue(image))
        assert fitting.toggle(2) is None
