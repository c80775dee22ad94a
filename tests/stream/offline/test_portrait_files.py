"""File mode on real clips."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from correspondence import Image, Landmarks, Matcher, detect_landmarks
from reference import Edit, Propagator, PropagatorConfig, presets
from reference.face.parts import face_size
from stream.media.pictures import encode_png
from stream.media.probe import probe
from stream.media.video import VideoReader
from stream.offline.config import FileConfig
from stream.offline.editing import edit_frames
from stream.offline.files import REFERENCES, edit_file, save_reference
from tests.stream.clips import (
    NEAR,
    TICK,
    Clip,
    Mask,
    check_same_timing,
    grown,
    make_clip,
    paint,
)

NAMES = (
    "dfl_yc0", "lp_d13", "faceblit_target2", "hyperreenact_1", "latentsync_demo3", "liax_7", "lp_d20",
    "lp_d6", "sadtalker_wda_em", "smirk_s",
)  # fmt: skip
CHECKED = 7  # every so many frames are compared with their own landmarks
QUICK_FRAMES = 36  # of the clips that are not slow, compared
# Two detections of one face lie a pixel or two apart, as does a pixel from where its nearest landmark takes
# it. Where paint was carried over by way of a second reference its rim moves twice.
DOUBT = 4 / 512  # nothing changes this much farther away, share of the shorter side ...
RIM = 64 / 512**2  # ... and no more than this share of the picture's square up to there


def clips(quick: str) -> pytest.MarkDecorator:
    """All clips, all but one of them marked slow."""
    marked = [
        pytest.param(name, QUICK_FRAMES)
        if name == quick
        else pytest.param(name, None, marks=pytest.mark.slow)
        for name in NAMES
    ]
    return pytest.mark.parametrize(("name", "compared"), marked)


def carried(mask: Mask, there: Landmarks, here: Landmarks) -> Mask:
    """A mask of one picture moved into another, each pixel with its nearest landmark."""
    rows, columns = np.nonzero(mask)
    pixels = np.stack([columns, rows], axis=1).astype(np.float32)
    nearest = np.linalg.norm(pixels[:, None] - there.points[None, :468, :2], axis=2).argmin(axis=1)
    offset = (pixels - there.points[nearest, :2]) * scale(there, here)
    places = np.rint(here.points[nearest, :2] + offset).astype(int)
    height, width = here.image_size
    places = places[(places >= 0).all(axis=1) & (places < (width, height)).all(axis=1)]
    out = np.zeros(here.image_size, np.uint8)
    out[places[:, 1], places[:, 0]] = 1
    return out


def scale(there: Landmarks, here: Landmarks) -> float:
    """How much larger the face is here."""
    return face_size(here) / face_size(there)


def make_up(image: Image) -> Image:
    """Lipstick, and a patch of paint on a cheek."""
    return presets.apply("lipstick", paint(image), detect_landmarks(image), colour="#c0183a")


def check_untouched_pixels(source: Path, edit: Edit, frames: int | None) -> None:
    """Frames before encoding equal the decoded input outside the paint grown by 12 pixels at 512.

    The grown paint moves with the face by landmarks found in each frame alone, without tracking: neither
    the propagator's landmarks nor its match decide where paint may be. See DOUBT and RIM for the limits.

    Args:
        frames: how many of the clip are edited; None for all.
    """
    own = detect_landmarks(edit.reference)
    assert own is not None
    touched = (edit.edited != edit.reference).any(axis=2).astype(np.uint8)
    checked = 0
    propagator = Propagator(edit, Matcher.load("classical"), config=PropagatorConfig(references=REFERENCES))
    with VideoReader(probe(source)) as reader:
        for frame, result in edit_frames(islice(reader.frames(), frames), propagator):
            found = detect_landmarks(frame.image) if frame.index % CHECKED == 0 else None
            if found is None:
                continue
            checked += 1
            different = (result.image != frame.image).any(axis=2)
            assert different.any(), f"frame {frame.index}"
            moved, size = carried(touched, own, found), max(1.0, scale(own, found))
            rim = int((different & (grown(moved, NEAR * size) == 0)).sum())
            far = np.argwhere(different & (grown(moved, (NEAR + DOUBT) * size) == 0))
            assert not len(far), f"frame {frame.index}: {len(far)} pixels, at {far[:3].tolist()}"
            assert rim <= RIM * min(moved.shape) ** 2, f"frame {frame.index}: {rim} pixels"
    propagator.close()
    assert checked > 2


@pytest.mark.portraits
@clips(quick="dfl_yc0")
def test_a_whole_clip_with_paint(portraits: Path, tmp_path: Path, name: str, compared: int | None) -> None:
    source = portraits / "val" / f"{name}.mp4"
    picked = save_reference(source, tmp_path / "ref.png")
    changed = make_up(picked.image)
    (tmp_path / "edited.png").write_bytes(encode_png(changed))
    report = edit_file(source, tmp_path / "edited.png", tmp_path / "out.mp4", FileConfig(matcher="classical"))
    before, _ = check_same_timing(source, tmp_path / "out.mp4")
    assert report.reference == picked.index
    assert report.edited == report.frames == len(before.times)
    check_untouched_pixels(source, Edit(picked.image, changed), compared)


@pytest.mark.portraits
@clips(quick="lp_d13")
def test_a_turned_clip_with_sound_full_range_and_uneven_times(
    portraits: Path, tmp_path: Path, name: str, compared: int | None
) -> None:
    with VideoReader(probe(portraits / "val" / f"{name}.mp4")) as reader:
        images = [np.ascontiguousarray(np.rot90(f.image, -1)) for f in islice(reader.frames(), 36)]
    height, width = images[0].shape[:2]
    clip = Clip(
        frames=len(images),
        size=(height, width),
        images=tuple(images),
        pts=tuple(int(512 * k + 150 * np.sin(k)) + (6000 if k > 20 else 0) for k in range(len(images))),
        rotation=(90, False),
        colour=(1, 2),
        audio="aac",
    )
    source = make_clip(tmp_path / "in.mp4", clip)
    picked = save_reference(source, tmp_path / "ref.png")
    changed = make_up(picked.image)
    (tmp_path / "edited.png").write_bytes(encode_png(changed))
    report = edit_file(source, tmp_path / "edited.png", tmp_path / "out.mp4", FileConfig(matcher="classical"))
    before, after = check_same_timing(source, tmp_path / "out.mp4")
    assert after.times == [p * TICK for p in clip.pts]
    assert after.sound == before.sound
    assert after.rotation == 90
    assert after.colour == before.colour
    assert report.edited == len(images)
    check_untouched_pixels(source, Edit(picked.image, changed), compared)
