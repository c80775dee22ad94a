"""The coarse field: motions of the whole scene, flat cells, wide and tall pictures."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from correspondence import Image
from correspondence.geometry import flow
from correspondence.geometry.grid import pixel_grid
from correspondence.geometry.region import Region, content, whole
from correspondence.matchers.coarse import CELLS, coarse_field, coarse_reference
from tests.correspondence.material import checker


@pytest.mark.parametrize("size", [(256, 256), (180, 320), (320, 180)])
def test_a_shift_of_the_scene_is_found(size: tuple[int, int]) -> None:
    image = checker(360)
    reference = np.ascontiguousarray(image[: size[0], : size[1]])
    frame = np.ascontiguousarray(image[6 : size[0] + 6, 9 : size[1] + 9])
    found = coarse_field(frame, coarse_reference(reference)).patch
    values = found.sample((0, 0, size[1], size[0]))
    inner = values[20:-20, 20:-20]
    assert np.median(np.abs(inner[..., 0] - 9)) < 0.6
    assert np.median(np.abs(inner[..., 1] - 6)) < 0.6


def test_flat_cells_go_with_the_scene_around_them() -> None:
    """A flat square in a moving scene: nothing in it tells flow from standing still."""
    image = checker(320)
    cv2.rectangle(image, (110, 110), (190, 190), (128, 128, 128), -1)
    reference = np.ascontiguousarray(image[:256, :256])
    frame = np.ascontiguousarray(image[:256, 12:268])
    values = coarse_field(frame, coarse_reference(reference)).patch.sample((0, 0, 256, 256))
    assert abs(float(values[150, 138, 0]) - 12) < 3


def test_a_flat_picture_stands_still() -> None:
    flat = np.full((256, 256, 3), 90, np.uint8)
    noise = np.random.default_rng(1).integers(-2, 3, flat.shape)
    frame = (flat + noise).astype(np.uint8)
    field = coarse_field(frame, coarse_reference(flat)).patch.values
    assert np.abs(field[..., :2]).mean() < 1.5


def test_the_flow_reads_alike_on_a_regions_grid() -> None:
    """On a region's grid the flow is the same field as in pixels, whatever the two pictures' sizes."""
    image = checker(256)
    frame = cv2.resize(image, (384, 384), interpolation=cv2.INTER_LINEAR)
    found = coarse_field(frame, coarse_reference(image))
    here, there, size = Region(60, 90, 240), Region(30, 50, 170), 64
    at = pixel_grid(size, size)
    pixels = here.to_pixels(at, size)
    sent = there.to_pixels(at + found.on(here, there, size), size)
    expected = (pixels + 0.5) * (256 / 384) - 0.5
    assert np.abs(sent - expected).mean() < 0.5


def test_only_the_rows_of_a_wide_picture_are_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = []

    def spy(source: Image, target: Image, **options: int) -> np.ndarray:
        shapes.append(source.shape)
        return flow.dis_flow(source, target, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("correspondence.matchers.coarse.dis_flow", spy)
    wide = np.ascontiguousarray(checker(320)[:180])
    field = coarse_field(wide, coarse_reference(wide))
    assert shapes == [(144, 256)]
    assert field.flow.shape == (CELLS, CELLS, 2)
    assert field.frame == whole((180, 320))


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((180, 320), ((56, 200), (0, 256))),
        ((320, 180), ((0, 256), (56, 200))),
        ((1, 9), ((114, 142), (0, 256))),
    ],
)
def test_the_content_of_a_square(
    size: tuple[int, int], expected: tuple[tuple[int, int], tuple[int, int]]
) -> None:
    assert content(size, 256) == expected
