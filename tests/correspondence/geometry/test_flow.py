"""DIS flow: the result of a call does not depend on the calls before it."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from correspondence.geometry import flow
from correspondence.geometry.flow import Gray, dis_flow, full_flow
from correspondence.types import Float


def texture(size: int) -> Gray:
    noise = np.random.default_rng(size).integers(0, 255, (size, size)).astype(np.uint8)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2)
    return np.asarray(cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX), np.uint8)


def coarse(source: Gray, target: Gray) -> Float:
    return dis_flow(source, target, fine=False)


def smooth(source: Gray, target: Gray) -> Float:
    return dis_flow(source, target, np.full((*source.shape, 2), 1.5, np.float32), smooth=2)


def full(source: Gray, target: Gray) -> Float:
    return full_flow(source, target, np.full((*source.shape, 2), 1.5, np.float32))


@pytest.mark.parametrize("kind", [coarse, smooth, full])
def test_pictures_of_other_sizes_leave_nothing_behind(kind: Callable[[Gray, Gray], Float]) -> None:
    picture = texture(256)
    moved = np.roll(picture, 2, axis=1)
    first = kind(picture, moved)
    for size in (64, 300, 152):
        other = texture(size)
        kind(other, np.roll(other, 3, axis=0))
        np.testing.assert_array_equal(kind(picture, moved), first)


def test_full_flow_finds_a_motion_below_a_pixel() -> None:
    picture = texture(128)
    matrix = np.array([[1, 0, 1.4], [0, 1, -0.6]], np.float32)
    moved = np.asarray(cv2.warpAffine(picture, matrix, (128, 128), borderMode=cv2.BORDER_REFLECT), np.uint8)
    found = full_flow(picture, moved, np.zeros((128, 128, 2), np.float32))[16:-16, 16:-16]
    np.testing.assert_allclose(np.median(found, axis=(0, 1)), (1.4, -0.6), atol=0.1)


def test_a_thread_keeps_few_objects() -> None:
    for size in range(40, 40 + 2 * flow.KEPT):
        dis_flow(texture(size), texture(size))
    assert len(flow._local.kinds) == flow.KEPT
