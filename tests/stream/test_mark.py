"""The visible word in edited pictures: where it is, where it is not, and what it may be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from correspondence import Image
from reference import Event, Outfit, Result, Workshop
from stream.config import ServerConfig
from stream.live.pipeline import LiveFrame, Pipeline
from stream.mark import mark
from stream.media.probe import MediaError
from stream.metrics import Registry, SessionMetrics
from stream.offline.config import FileConfig
from stream.offline.files import edit_file
from stream.recording.render import RenderJob
from tests.stream.clips import CLASSICAL, Clip, make_clip, painted_frame, read_back

PLAIN = np.full((360, 640, 3), 120, np.uint8)


def changed(image: Image, before: Image = PLAIN) -> tuple[slice, slice]:
    """The rows and columns in which a picture differs."""
    rows, columns = np.nonzero((image != before).any(axis=2))
    return slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)


def test_a_word_stands_in_the_lower_left_corner_and_can_be_read() -> None:
    marked = mark(PLAIN, "edited")
    rows, columns = changed(marked)
    assert marked is not PLAIN
    assert (PLAIN == 120).all(), "the picture stays as it is"
    assert rows.start > 320
    assert rows.stop <= 360
    assert columns.start < 20
    assert columns.stop < 120
    assert marked[rows, columns].max() > 240, "light letters"
    assert np.median(marked[rows, columns]) < 80, "on a dark box"


@pytest.mark.parametrize("size", [(16, 16), (40, 30), (720, 1280), (2160, 3840), (17, 401)])
@pytest.mark.parametrize("text", ["e", "edited live by somebody's very own hands"])
def test_it_fits_pictures_of_any_size(size: tuple[int, int], text: str) -> None:
    plain = np.full((*size, 3), 120, np.uint8)
    rows, columns = changed(mark(plain, text), plain)
    assert columns.stop <= size[1]
    assert rows.stop <= size[0]
    assert rows.stop - rows.start <= max(16, 0.12 * min(size))


@pytest.mark.parametrize("text", ["", "  ", "a\nb", "x" * 41, "\x00"])
@pytest.mark.parametrize("config", [lambda text: ServerConfig(mark=text), lambda text: FileConfig(mark=text)])
def test_what_cannot_be_printed_is_refused(text: str, config: Callable[[str], object]) -> None:
    with pytest.raises(ValueError, match="a mark must have 1 to 40 characters that can be printed, got"):
        config(text)


class Darkens:
    """A propagator that darkens every second frame and passes the others."""

    def __init__(self) -> None:
        self.count = 0

    def step(self, frame: Image, now_s: float) -> Result:
        self.count += 1
        if self.count % 2:
            return Result(frame, None, None, None, 0.0, "no face found", list[Event](), {})
        return Result(frame // 2, None, None, None, 1.0, None, list[Event](), {})

    @property
    def decision(self) -> None:
        return None

    @property
    def workshop(self) -> Workshop:
        raise NotImplementedError

    def put_on(self, outfit: Outfit | None, *, enabled: bool = True, strength: float = 1.0) -> None: ...

    def limit_faces(self, faces: int) -> None: ...

    def give_way(self, thin: int) -> None: ...

    def close(self) -> None: ...


def test_live_pictures_are_marked_while_they_are_edited() -> None:
    sent: list[Image] = []
    pipeline = Pipeline(
        Darkens(), lambda image, _: sent.append(image), SessionMetrics(Registry()), mark_text="edited"
    )
    for _ in range(4):
        image, edited = pipeline._edited(LiveFrame(PLAIN, 0.0))
        sent.append(image)
        assert edited == bool(len(sent) % 2 == 0)
    np.testing.assert_array_equal(sent[0], PLAIN)
    np.testing.assert_array_equal(sent[1], mark(PLAIN // 2, "edited"))
    np.testing.assert_array_equal(sent[2], PLAIN)


def test_edited_frames_of_a_clip_are_marked_and_others_are_not(tmp_path: Path) -> None:
    face = make_clip(tmp_path / "face.mp4", Clip(frames=4))
    picture = painted_frame(face, 0, tmp_path / "edited.png")
    edit_file(face, picture, tmp_path / "plain.mp4", CLASSICAL)
    edit_file(face, picture, tmp_path / "marked.mp4", replace(CLASSICAL, mark="made up"))
    plain, marked = (read_back(tmp_path / f"{name}.mp4").images for name in ("plain", "marked"))
    for before, after in zip(plain, marked, strict=True):
        difference = np.abs(before.astype(int) - after).max(axis=2)
        assert difference[215:, :70].max() > 90
        assert difference[:200].mean() < 2
    wall = make_clip(tmp_path / "wall.mp4", Clip(frames=3, blank=True))
    config = replace(CLASSICAL, reference=face_of(face, tmp_path), mark="x")
    report = edit_file(wall, picture, tmp_path / "wall-out.mp4", config)
    assert report.edited == 0
    assert max(np.ptp(image) for image in read_back(tmp_path / "wall-out.mp4").images) < 8


def face_of(clip: Path, folder: Path) -> Path:
    from stream.offline.files import save_reference

    save_reference(clip, folder / "still.png", at=0)
    return folder / "still.png"


def test_a_recorded_piece_keeps_its_mark_and_takes_no_wrong_one(tmp_path: Path) -> None:
    job = RenderJob(
        folder=str(tmp_path), source="piece-00000.source.ts", output="piece-00000.ts", keyframes=(),
        mode="auto", strength=1.0, matcher="classical", fps=25.0, mark="edited",
    )  # fmt: skip
    job.write(tmp_path / "piece-00000.json")
    assert RenderJob.read(tmp_path / "piece-00000.json").mark == "edited"
    replace(job, mark="x" * 99).write(tmp_path / "piece-00000.json")
    with pytest.raises(MediaError, match="a mark must have"):
        RenderJob.read(tmp_path / "piece-00000.json")
