"""The demo source: repeatable, alive, cheap, and true to the motion it declares."""

from __future__ import annotations

import time

import cv2
import numpy as np
import pytest

from correspondence import Float, Image
from correspondence.face.mediapipe_graphs import FaceMesh
from stream.media.demo import DemoSource


def follow(image: Image, field: Float) -> Image:
    h, w = field.shape[:2]
    x, y = np.meshgrid(np.arange(w, dtype=np.float32), np.arange(h, dtype=np.float32))
    followed: Image = cv2.remap(image, x + field[..., 0], y + field[..., 1], cv2.INTER_LINEAR)
    return followed


@pytest.mark.parametrize("size", [(480, 640), (720, 1280), (97, 131)])
def test_frames_have_the_size_asked_for(size: tuple[int, int]) -> None:
    frame = DemoSource(size).frame(7)
    assert frame.shape == (*size, 3)
    assert frame.dtype == np.uint8


def test_a_frame_depends_on_seed_and_index_alone() -> None:
    one, two = DemoSource((480, 640), seed=4), DemoSource((480, 640), seed=4)
    two.frame(90)
    assert np.array_equal(one.frame(31), two.frame(31))
    assert not np.array_equal(one.frame(31), one.frame(32))
    assert not np.array_equal(one.frame(31), DemoSource((480, 640), seed=5).frame(31))


def test_the_rate_only_resamples_the_same_motion() -> None:
    assert np.array_equal(DemoSource((480, 640), fps=60).frame(50), DemoSource((480, 640), fps=30).frame(25))


@pytest.mark.parametrize(("index", "reference_index"), [(0, 40), (10, 90), (70, 15)])
def test_the_true_field_carries_one_frame_onto_another(index: int, reference_index: int) -> None:
    source = DemoSource((480, 640))
    frame, reference = source.frame(index).astype(np.float32), source.frame(reference_index)
    field = source.field_truth(index, reference_index)
    light = source.pose(index).gain / source.pose(reference_index).gain
    error = np.abs(follow(reference, field) * light - frame)[40:-40, 40:-40]
    still = np.abs(reference * light - frame)[40:-40, 40:-40]
    assert np.abs(field).max() > 5
    assert error.mean() < 1.5  # grey levels: what sampling twice costs
    assert error.mean() < still.mean() / 8


def test_the_true_field_of_a_frame_to_itself_is_zero() -> None:
    assert np.abs(DemoSource((480, 640)).field_truth(12, 12)).max() < 1e-2


def test_there_is_one_face_and_it_turns() -> None:
    source = DemoSource((480, 640))
    offsets = []
    mesh = FaceMesh(static=True, faces=2)
    for index in range(0, 160, 20):
        faces = mesh(source.frame(index))
        assert len(faces) == 1
        points = faces[0][:, 0]
        width = points[454] - points[234]  # from ear to ear
        offsets.append((points[1] - points[[234, 454]].mean()) / width)  # the nose between the ears
    mesh.close()
    assert np.ptp(offsets) > 0.05


def test_a_frame_is_cheap() -> None:
    source = DemoSource((720, 1280))
    spent = []
    for index in range(20):
        start = time.process_time()
        source.frame(index)
        spent.append(time.process_time() - start)
    assert min(spent) < 0.05  # about 0.005 on the machine this was written on


@pytest.mark.parametrize(("size", "fps"), [((63, 640), 30.0), ((480, 640), 0.0)])
def test_what_it_cannot_show_is_refused(size: tuple[int, int], fps: float) -> None:
    with pytest.raises(ValueError, match="must be"):
        DemoSource(size, fps)
