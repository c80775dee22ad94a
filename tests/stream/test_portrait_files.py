"""File mode on real clips."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest

from correspondence import Matcher, detect_landmarks
from correspondence.types import Image, Landmarks
from reference import Edit, Propagator, presets
from stream.files import FileConfig, edit_file, edit_frames, save_reference
from stream.pictures import encode_png
from stream.probe import probe
from stream.video import VideoReader
from tests.stream.clips import (
    TICK,
    Clip,
    Mask,
    check_same_timing,
    follow,
    grown,
    make_clip,
    paint,
    patch,
)

NAMES = (
    "dfl_yc0", "lp_d13", "faceblit_target2", "hyperreenact_1", "latentsync_demo3", "liax_7", "lp_d20",
    "lp_d6", "sadtalker_wda_em", "smirk_s",
)  # fmt: skip
LIPS = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
CHECKED = 7  # every so many frames are compared with their own landmarks


def clips(quick: str) -> pytest.MarkDecorator:
    """All clips, all but one of them marked slow."""
    marked = [name if name == quick else pytest.param(name, marks=pytest.mark.slow) for name in NAMES]
    return pytest.mark.parametrize("name", marked)


def painted_region(landmarks: Landmarks) -> Mask:
    mask = patch(landmarks)
    cv2.fillPoly(mask, [np.rint(landmarks.points[LIPS, :2]).astype(np.int32)], 1)
    return mask


def make_up(image: Image) -> Image:
    """Lipstick, and a patch of paint on a cheek."""
    return presets.apply("lipstick", paint(image), detect_landmarks(image), colour="#c0183a")


def check_untouched_pixels(source: Path, edit: Edit) -> None:
    """Compare frames before encoding with the decoded input, outside the paint grown by 12 pixels at 512.

    Moved by the match, the paint bounds every change exactly. Placed anew by the frame's own landmarks,
    found without tracking, it bounds every change in most frames: that also counts the matcher's errors.
    """
    touched = grown((edit.edited != edit.reference).any(axis=2).astype(np.uint8))
    strays = []
    propagator = Propagator(edit, Matcher.load("classical"))
    with VideoReader(probe(source)) as reader:
        for frame, result in edit_frames(reader.frames(), propagator):
            if frame.index % CHECKED:
                continue
            assert result.match is not None
            different = (result.image != frame.image).any(axis=2)
            assert different.any()
            assert not (different & (follow(touched, result.match.field) == 0)).any(), f"frame {frame.index}"
            found = detect_landmarks(frame.image)
            if found is not None:
                strays.append(int((different & (grown(painted_region(found)) == 0)).sum()))
    propagator.close()
    assert len(strays) > 2
    assert np.median(strays) == 0, strays


@pytest.mark.portraits
@clips(quick="dfl_yc0")
def test_a_whole_clip_with_paint(portraits: Path, tmp_path: Path, name: str) -> None:
    source = portraits / "val" / f"{name}.mp4"
    picked = save_reference(source, tmp_path / "ref.png")
    changed = make_up(picked.image)
    (tmp_path / "edited.png").write_bytes(encode_png(changed))
    report = edit_file(source, tmp_path / "edited.png", tmp_path / "out.mp4", FileConfig(matcher="classical"))
    before, _ = check_same_timing(source, tmp_path / "out.mp4")
    assert report.reference == picked.index
    assert report.edited == report.frames == len(before.times)
    check_untouched_pixels(source, Edit(picked.image, changed))


@pytest.mark.portraits
@clips(quick="lp_d13")
def test_a_turned_clip_with_sound_full_range_and_uneven_times(
    portraits: Path, tmp_path: Path, name: str
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
    check_untouched_pixels(source, Edit(picked.image, changed))
