from __future__ import annotations

import threading

import cv2
import numpy as np
import pytest

from correspondence import Float, Image, Match
from correspondence.geometry.grid import pixel_grid
from correspondence.types import Patch
from reference import CompositeConfig, Compositor, Edit, Mode
from reference.compose import blend_weights
from reference.compose.blend import CELL, SHARED_PX, Tile, each_tile, lay_over, parts, tiles
from reference.compose.blend_weights import light_gain
from reference.compose.layers import make_layers
from reference.compose.sampling import Places
from reference.edits.mask import smoothstep


def sampled(picture: Float, at: Float) -> Float:
    """Bilinear values at places (h, w, 2), 0 outside; written out in float."""
    h, w = picture.shape[:2]
    padded = np.pad(picture, ((1, 1), (1, 1), (0, 0)))
    x, y = np.clip(at[..., 0], -1, w) + 1, np.clip(at[..., 1], -1, h) + 1
    x0, y0 = np.minimum(np.floor(x), w).astype(int), np.minimum(np.floor(y), h).astype(int)
    fx, fy = (x - x0)[..., None], (y - y0)[..., None]
    top = padded[y0, x0] * (1 - fx) + padded[y0, x0 + 1] * fx
    bottom = padded[y0 + 1, x0] * (1 - fx) + padded[y0 + 1, x0 + 1] * fx
    return np.asarray(top * (1 - fy) + bottom * fy, np.float32)


def smooth_noise(rng: np.random.Generator, size: tuple[int, int], scale: float, channels: int) -> Float:
    coarse = rng.uniform(-scale, scale, (8, 9, channels)).astype(np.float32)
    return cv2.resize(coarse, (size[1], size[0]), interpolation=cv2.INTER_CUBIC).reshape(*size, channels)


@pytest.mark.parametrize("mode", ["delta", "replace", "auto"])
@pytest.mark.parametrize("spots", [4, 40])
@pytest.mark.parametrize("size", [(300, 400), (413, 517)])  # below and above where fields are enlarged
def test_tiles_agree_with_the_formula_in_float(
    rng: np.random.Generator, mode: Mode, spots: int, size: tuple[int, int]
) -> None:
    reference = np.clip(128 + smooth_noise(rng, size, 70, 3), 0, 255).astype(np.uint8)
    edited = reference.copy()
    for _ in range(spots):
        x, y = int(rng.integers(0, size[1])), int(rng.integers(0, size[0]))
        cv2.circle(edited, (x, y), int(rng.integers(2, 30)), rng.integers(0, 256, 3).tolist(), -1)
    edit = Edit(reference, edited, mode=mode)
    frame: Image = rng.integers(0, 256, (*size, 3), np.uint8)
    field = smooth_noise(rng, size, 14, 2)
    log_b = smooth_noise(rng, size, 2, 1)[..., 0]
    config = CompositeConfig(
        follow_light=False, trust_low=0.03, trust_high=0.4
    )  # gentle: it is read coarsely
    match = Match.from_field(field, log_b)
    out = Compositor(edit, None, config).compose(frame, match).image

    layers = make_layers(edit)
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
    at = (np.rint((np.dstack([x, y]) + field) * 32) / 32).astype(
        np.float32
    )  # the places' step in fixed point
    painted = (edit.mask * edit.cover)[..., None]
    share = (edit.mask[..., None] - painted) / np.maximum(1 - painted, 1e-3)
    confidence = (1 - np.exp(-config.radius * min(size) / np.exp(log_b))) ** 2
    trust = smoothstep(confidence.astype(np.float32), config.trust_low, config.trust_high)[..., None]
    wanted = np.clip(frame + trust * sampled((edit.delta * share).astype(np.float32), at), 0, 255)
    if layers.paint is not None:
        cover = trust * sampled(painted, at)
        wanted += cover * (sampled(edited.astype(np.float32), at) - wanted)
    error = np.abs(out - wanted)
    level = 2 if size[0] * size[1] <= 200_000 else 4  # fields of large windows are read every third pixel
    assert np.quantile(error, 0.999) <= level
    assert error.mean() < 0.3
    touched = sampled((edit.mask > 0).astype(np.float32)[..., None], at)[..., 0] > 0
    outside = cv2.dilate(touched.astype(np.uint8), np.ones((3, 3), np.uint8)) == 0
    np.testing.assert_array_equal(out[outside], frame[outside])


def test_tiles_hold_each_busy_cell_once(rng: np.random.Generator) -> None:
    size = (150, 333)
    cells = (-(-size[0] // CELL), -(-size[1] // CELL))
    for density in (0.0, 0.01, 0.2, 1.0):
        busy = rng.random(cells) < density
        held = np.zeros(size, int)
        part_held = np.zeros(size, int)
        for tile in tiles(busy, size):
            held[tile] += 1
            inner = part_held[tile]
            for part in parts(busy, tile):
                inner[part] += 1
        pixels = np.kron(busy, np.ones((CELL, CELL), bool))[: size[0], : size[1]]
        assert held.max(initial=0) <= 1
        assert (held[pixels] == 1).all()
        assert (part_held[pixels] == 1).all()
        assert (part_held <= held).all()
        assert held.any() == busy.any()


@pytest.mark.parametrize("cells", [1, 4])
@pytest.mark.parametrize("box", [(3, 5, 180, 190), (2, 1, 517, 401)])  # read whole, and on a coarser grid
def test_places_are_the_match_s_own_to_a_fraction_of_a_pixel(
    rng: np.random.Generator, box: tuple[int, int, int, int], cells: int
) -> None:
    size = (413, 530)
    field = smooth_noise(rng, (size[0] // cells, size[1] // cells), 9, 2)
    values = np.dstack([field, np.zeros(field.shape[:2], np.float32)])
    match = Match((Patch(values, (0, 0, size[1], size[0])),), None, size, size)
    places = Places(match, box)
    exact = pixel_grid(*size)[box[1] : box[3], box[0] : box[2]] + match.window(box)[0]
    for tile in tiles(np.ones(places.cells.shape[:2], np.bool_), (box[3] - box[1], box[2] - box[0])):
        assert np.abs(places.on(tile) - exact[tile]).max() < 0.5
    assert np.abs(places.cells - exact[::CELL, ::CELL]).max() < CELL


def test_a_wide_blur_loses_nothing_on_a_coarser_grid(rng: np.random.Generator) -> None:
    now = np.clip(128 + smooth_noise(rng, (90, 160), 80, 3), 0, 255).astype(np.uint8)
    lit = now * np.linspace(0.6, 1.4, 160)[:, None]
    before = np.clip(lit, 0, 255).astype(np.uint8)
    sure = rng.uniform(0, 1, (90, 160)).astype(np.float32)
    fast = light_gain(now, before, sure, 9.0, 0.05)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blend_weights, "COARSE_SIGMA", 1e9)
        exact = light_gain(now, before, sure, 9.0, 0.05)
    assert np.abs(np.log(fast / exact)).max() < 0.03


def test_a_picture_is_laid_over_by_its_share_in_place() -> None:
    out = np.array([[[10, 200, 90], [10, 200, 90], [10, 200, 90]]], np.uint8)
    over = np.array([[[110, 100, 90], [110, 100, 90], [110, 100, 90]]], np.uint8)
    lay_over(out, over, np.array([[0, 51, 255]], np.uint8))
    assert out.tolist() == [[[10, 200, 90], [30, 180, 90], [110, 100, 90]]]


@pytest.mark.parametrize(("area", "threads", "shared"), [(2.0, 2, True), (2.0, 1, False), (0.5, 2, False)])
def test_another_thread_does_half_of_much_work(area: float, threads: int, shared: bool) -> None:
    side = int(np.sqrt(area * SHARED_PX)) // CELL
    todo = list(tiles(np.ones((side, side), np.bool_), (side * CELL, side * CELL)))
    done, by = np.zeros((side * CELL, side * CELL), np.uint8), set[int]()
    met = threading.Barrier(2, timeout=20)  # neither thread could come first and do all

    def work(tile: Tile) -> None:
        if shared and threading.get_ident() not in by:
            met.wait()
        by.add(threading.get_ident())
        done[tile] += 1

    each_tile(work, todo, threads)
    assert (done == 1).all()
    assert len(by) == (2 if shared else 1)


@pytest.mark.parametrize("failing", [0, -1])
def test_a_tile_that_fails_fails_the_composition(failing: int) -> None:
    todo = list(tiles(np.ones((100, 100), np.bool_), (400, 400)))

    def work(tile: Tile) -> None:
        if tile == todo[failing]:
            raise ArithmeticError("this tile")

    with pytest.raises(ArithmeticError, match="this tile"):
        each_tile(work, todo, 2)
