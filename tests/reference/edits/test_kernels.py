"""A picture that an editor cropped and resized is resized again as it was."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image as Pillow

from correspondence import Image
from reference import Edit, align_edited
from reference.edits.kernels import as_resized
from reference.edits.placing import Transform, seen_at
from tests.strangers.saved import overlap, stored, with_lips

BOX = (30, 12, 466, 420)


def resized(image: Image, size: tuple[int, int], kernel: Pillow.Resampling) -> Image:
    return np.asarray(Pillow.fromarray(image).resize(size, kernel, box=BOX), np.uint8)


def place(size: tuple[int, int]) -> Transform:
    """Where the crop `BOX` lies when it is resized to `size` (width, height)."""
    x0, y0, x1, y1 = BOX
    sx, sy = size[0] / (x1 - x0), size[1] / (y1 - y0)
    return np.array([[sx, 0, (sx - 1) / 2 - sx * x0], [0, sy, (sy - 1) / 2 - sy * y0]])


@pytest.mark.parametrize("size", [(430, 404), (300, 320), (700, 512)])
@pytest.mark.parametrize(
    "kernel", [Pillow.Resampling.BOX, Pillow.Resampling.BILINEAR, Pillow.Resampling.LANCZOS]
)
def test_the_kernel_and_the_crop_are_found(
    astronaut: Image, kernel: Pillow.Resampling, size: tuple[int, int]
) -> None:
    edited = resized(astronaut, size, kernel)
    nearly = place(size) + np.array([[1e-5, 0, 0.04], [0, -1e-5, 0.03]])
    seen, inside = seen_at(astronaut, edited.shape[:2], nearly)
    found = as_resized(astronaut, edited, nearly, seen, inside)
    assert found is not None
    assert np.array_equal(found.image, edited)


def test_a_turned_picture_was_not_only_resized(astronaut: Image) -> None:
    turned = np.array([[0.9, 0.02, 3.0], [-0.02, 0.9, 4.0]])
    seen, inside = seen_at(astronaut, (400, 400), turned)
    assert as_resized(astronaut, seen, turned, seen, inside) is None


def test_a_resized_picture_without_loss_shows_the_edit_alone(astronaut: Image) -> None:
    edited = resized(with_lips(astronaut), (700, 656), Pillow.Resampling.BICUBIC)
    aligned = align_edited(astronaut, edited).image
    assert (aligned != astronaut).any(axis=2).mean() < 0.005
    assert (
        overlap(Edit(astronaut, with_lips(astronaut)).mask > 0.5, Edit(astronaut, aligned).mask > 0.5) >= 0.95
    )


def test_the_edge_of_an_enlarged_crop_is_no_edit(astronaut: Image) -> None:
    """An editor that cuts first knows nothing beyond the crop, so that its edge is off by a level or two."""
    crop = np.ascontiguousarray(with_lips(astronaut)[30:400, 100:480])
    large = np.asarray(Pillow.fromarray(crop).resize((700, 650), Pillow.Resampling.LANCZOS), np.uint8)
    found = Edit(astronaut, align_edited(astronaut, large).image).mask > 0.5
    assert overlap(Edit(astronaut, with_lips(astronaut)).mask > 0.5, found) >= 0.95


@pytest.mark.parametrize("kernel", [Pillow.Resampling.BOX, Pillow.Resampling.LANCZOS])
def test_a_sharp_kernel_at_nearly_the_same_size_makes_no_edit(
    astronaut: Image, kernel: Pillow.Resampling
) -> None:
    """The phase of a sharp kernel changes over the picture, so that edges move by up to half a pixel."""
    toned = np.clip(np.rint(with_lips(astronaut) * 0.99 - 2.5), 0, 255).astype(np.uint8)
    small = resized(toned, (433, 405), kernel)
    found = (
        Edit(astronaut, align_edited(astronaut, stored(small, "JPEG", 77, subsampling=2)).image).mask > 0.5
    )
    assert overlap(Edit(astronaut, with_lips(astronaut)).mask > 0.5, found) >= 0.95
