from __future__ import annotations

import time

import cv2
import numpy as np
import pytest

from benchmarks.matching.fixed_edits import clarity, tone
from correspondence import Image, Landmarks
from reference import CompositeConfig, Compositor, Edit, Mode, presets
from reference.compose.whole.lines import in_look
from reference.face.parts import INNER_LIPS, RIGHT_EYE, RIGHT_UPPER_LID, take
from tests.reference import props
from tests.reference.helpers import moved, paint_square, scaled_face, shift_match, translated

MODES: tuple[Mode, ...] = ("delta", "replace", "auto")


@pytest.mark.parametrize("mode", MODES)
def test_the_reference_itself_becomes_the_edited_picture(astronaut: Image, mode: Mode) -> None:
    edited = paint_square(astronaut, (300, 300, 360, 340), (10, 200, 30))
    compositor = Compositor(Edit(astronaut, edited, mode=mode), None)
    out = compositor.compose(astronaut, shift_match((512, 512), (0, 0))).image
    assert np.abs(out.astype(int) - edited).max() <= 1


def test_a_shift_carries_each_pixel(rng: np.random.Generator) -> None:
    reference = rng.integers(60, 180, (40, 60, 3), np.uint8)
    edited = reference.copy()
    edited[10:20, 30:40] += 50
    frame = np.full((40, 60, 3), 100, np.uint8)
    compositor = Compositor(Edit(reference, edited, mode="delta"), None, CompositeConfig(follow_light=False))
    out = compositor.compose(frame, shift_match((40, 60), (4, -3))).image
    expected = frame.copy()
    expected[13:23, 26:36] = 150  # frame (26, 13) is reference (30, 10)
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["lipstick", "tiger", "freckles"])
def test_unedited_pixels_are_bit_equal_on_a_moving_face(
    astronaut: Image, face: Landmarks, mode: Mode, name: str, rng: np.random.Generator
) -> None:
    edit = Edit(astronaut, presets.apply(name, astronaut, face), mode=mode)
    compositor = Compositor(edit, face)
    dx, dy = 17, -9
    noise = rng.integers(-9, 10, astronaut.shape)
    frame = np.clip(translated(astronaut, dx, dy) + noise, 0, 255).astype(np.uint8)
    before = frame.copy()
    result = compositor.compose(frame, shift_match((512, 512), (-dx, -dy), moved(face, dx, dy)))
    reach = cv2.dilate((edit.mask > 0).astype(np.uint8), np.ones((3, 3), np.uint8))
    outside = translated(np.dstack([reach] * 3), dx, dy)[..., 0] == 0
    assert outside.mean() > 0.7
    np.testing.assert_array_equal(result.image[outside], frame[outside])
    np.testing.assert_array_equal(frame, before)
    assert (result.image != frame).any()


def test_nothing_lands_where_the_match_is_unsure(astronaut: Image) -> None:
    edited = paint_square(astronaut, (300, 300, 360, 340), (10, 200, 30))
    compositor = Compositor(Edit(astronaut, edited), None)
    result = compositor.compose(astronaut, shift_match((512, 512), (0, 0), log_b=6.0))
    np.testing.assert_array_equal(result.image, astronaut)
    assert result.coverage == 0
    sure = compositor.compose(astronaut, shift_match((512, 512), (0, 0)))
    assert sure.coverage == pytest.approx(1.0)


@pytest.mark.parametrize("mode", MODES)
def test_the_change_follows_the_light(astronaut: Image, mode: Mode) -> None:
    edited = paint_square(astronaut, (300, 300, 360, 340), (120, 200, 130))
    dark = (astronaut * 0.6).astype(np.uint8)
    wanted = (edited * 0.6).astype(int)[302:338, 302:358]
    errors = {}
    for follow in (True, False):
        compositor = Compositor(
            Edit(astronaut, edited, mode=mode), None, CompositeConfig(follow_light=follow, light_reach=0.5)
        )
        out = compositor.compose(dark, shift_match((512, 512), (0, 0))).image[302:338, 302:358]
        errors[follow] = np.abs(out.astype(int) - wanted).mean()
    assert errors[True] < 6
    assert errors[False] > 3 * errors[True]


def test_the_gain_is_limited(astronaut: Image) -> None:
    edited = paint_square(astronaut, (300, 300, 360, 340), (255, 255, 255))
    compositor = Compositor(Edit(astronaut, edited, mode="delta"), None)
    black = np.zeros_like(astronaut)
    out = compositor.compose(black, shift_match((512, 512), (0, 0))).image
    change = edited[320, 330].astype(int) - astronaut[320, 330]
    np.testing.assert_allclose(out[320, 330], change / 2, atol=2)


def opened(face: Landmarks, pixels: float) -> Landmarks:
    """The face with its lower lip dropped, lips apart."""
    points = face.points.copy()
    centre = take(face, INNER_LIPS)[:, 1].mean()
    lower = [i for i in INNER_LIPS if face.points[i, 1] > centre]
    points[lower, 1] += pixels
    return Landmarks(points, face.image_size)


@pytest.mark.parametrize("mode", MODES)
def test_the_mouth_stays_live_when_it_opens(astronaut: Image, face: Landmarks, mode: Mode) -> None:
    x0, y0, x1, y1 = face.box
    area = (int(x0), int((y0 + y1) / 2), int(x1), int(y1))
    painted = paint_square(astronaut, area, (30, 120, 220))  # covers the whole mouth
    compositor = Compositor(Edit(astronaut, painted, mode=mode), face)
    live = opened(face, 14)
    out = compositor.compose(astronaut, shift_match((512, 512), (0, 0), live)).image
    middle = take(live, INNER_LIPS).mean(axis=0).round().astype(int)
    inside = (slice(middle[1] - 1, middle[1] + 2), slice(middle[0] - 4, middle[0] + 5))
    np.testing.assert_array_equal(out[inside], astronaut[inside])
    same = compositor.compose(astronaut, shift_match((512, 512), (0, 0), face)).image
    assert np.abs(same[inside].astype(int) - painted[inside]).max() <= 2  # same opening: the edit is meant


def test_an_eyeball_stays_live_under_a_lid_edit(astronaut: Image, face: Landmarks) -> None:
    outline = take(face, RIGHT_EYE)
    lid = take(face, RIGHT_UPPER_LID)
    edited = astronaut.copy()
    cv2.polylines(edited, [np.rint(lid - (0, 2)).astype(np.int32)], False, (90, 20, 160), 2)
    compositor = Compositor(Edit(astronaut, edited), face)
    out = compositor.compose(astronaut, shift_match((512, 512), (0, -4), face)).image  # errs by 4 px
    x, y = outline.mean(axis=0).round().astype(int)
    np.testing.assert_array_equal(out[y, x - 2 : x + 3], astronaut[y, x - 2 : x + 3])


def test_an_edit_of_the_whole_picture_reaches_unknown_places_by_its_colour_table(astronaut: Image) -> None:
    table = np.clip(np.arange(256) * 0.7 + 40, 0, 255).astype(np.uint8)
    edited = paint_square(np.asarray(cv2.LUT(astronaut, table), np.uint8), (10, 10, 20, 20), (255, 0, 0))
    edit = Edit(astronaut, edited)
    assert not edit.is_tone
    compositor = Compositor(edit, None)
    other = np.ascontiguousarray(astronaut[:, ::-1])
    out = compositor.compose(other, shift_match((512, 512), (0, 0), log_b=6.0)).image
    assert np.abs(out.astype(int) - cv2.LUT(other, table)).mean() < 1.5


def duotone(image: Image) -> Image:
    """A look that needs all three channels at once: dark blue to warm white by luma."""
    luma = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None].astype(np.float32) / 255
    dark, bright = np.array([20, 10, 90], np.float32), np.array([255, 230, 120], np.float32)
    return np.rint(dark + luma * (bright - dark)).astype(np.uint8)


def drawn(picture: Image) -> Image:
    """Dark lines along edges on light paper, a little tinted by the picture's blue."""
    gray = cv2.GaussianBlur(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), (0, 0), 2).astype(np.float32)
    lines = np.clip(np.abs(cv2.Laplacian(gray, cv2.CV_32F)) * 15 - 8, 0, 200)
    paper = np.clip(235 - lines, 0, 255)[..., None] * np.array([1, 1, 0.95])
    return np.clip(paper + 0.05 * picture[..., 2:], 0, 255).astype(np.uint8)


def test_a_look_keeps_its_colours_where_the_match_is_wrong(astronaut: Image) -> None:
    """The match is sure and wrong by 40 px: lines may lie wrongly, but paper stays paper."""
    edit = Edit(astronaut, drawn(astronaut))
    out = Compositor(edit, None).compose(astronaut, shift_match((512, 512), (40, 25))).image
    known = np.s_[40:440, 10:440]
    apart = np.abs(cv2.blur(out, (15, 15)).astype(int) - cv2.blur(drawn(astronaut), (15, 15)))[known]
    assert np.percentile(apart, 99) < 60
    light = out[known].astype(int)
    assert np.percentile(light.max(axis=2) - light.min(axis=2), 99) < 40  # no colours that are not the look's


def test_a_look_is_whole_where_the_reference_shows_what_is_behind_a_person(astronaut: Image) -> None:
    """Half of the frame is seen on places of the reference of which this half of the edit tells nothing."""
    known = np.zeros((512, 512), np.float32)
    known[:, :256] = 1
    looks = [Edit(astronaut, drawn(astronaut), known=k) for k in (None, known)]
    match = shift_match((512, 512), (0, 0))
    whole, half = (Compositor(edit, None).compose(astronaut, match).image for edit in looks)
    np.testing.assert_array_equal(whole[:, :240], half[:, :240])
    np.testing.assert_array_equal(half[:, 272:], in_look(looks[1], astronaut, large=False)[:, 272:])


@pytest.mark.parametrize(
    ("shift", "log_b"), [((0.0, 0.0), 6.0), ((150.0, 0.0), -2.0)], ids=["nothing known", "beyond the border"]
)
def test_a_look_of_the_whole_picture_leaves_no_place_bare(
    astronaut: Image, shift: tuple[float, float], log_b: float
) -> None:
    compositor = Compositor(Edit(astronaut, duotone(astronaut)), None, CompositeConfig(follow_light=False))
    frame = translated(astronaut, -round(shift[0]), 0)
    out = compositor.compose(frame, shift_match((512, 512), shift, log_b=log_b)).image.astype(int)
    wanted = duotone(frame).astype(int)
    changes = np.abs(wanted - frame).max(axis=2) > 12
    bare = np.abs(out - frame).sum(axis=2) < np.abs(out - wanted).sum(axis=2)
    assert (bare & changes).sum() < 0.01 * changes.sum()
    assert np.abs(out - wanted).mean() < 6


@pytest.mark.parametrize("log_b", [-2.0, 6.0])
def test_a_pure_tone_is_made_on_the_live_pixel(
    astronaut: Image, rng: np.random.Generator, log_b: float
) -> None:
    table = np.clip(np.arange(256) * 0.7 + 40, 0, 255).astype(np.uint8)
    edit = Edit(astronaut, np.asarray(cv2.LUT(astronaut, table), np.uint8))
    assert edit.is_tone
    assert not edit.with_mode("replace").is_tone
    frame = rng.integers(0, 256, (512, 512, 3), np.uint8)
    match = shift_match((512, 512), (9, 9), log_b=log_b)
    np.testing.assert_allclose(
        Compositor(edit, None).compose(frame, match).image, cv2.LUT(frame, table), atol=1
    )
    half = Compositor(edit, None).compose(frame, match, weight=0.5).image
    np.testing.assert_allclose(half, (frame + cv2.LUT(frame, table).astype(float)) / 2, atol=1)


@pytest.mark.parametrize("size", [(64, 64), (35, 51), (2160, 3840)])
def test_any_frame_size(astronaut: Image, face: Landmarks, size: tuple[int, int]) -> None:
    edit = Edit(astronaut, presets.apply("warpaint", astronaut, face))
    compositor = Compositor(edit, face)
    frame = np.full((*size, 3), 128, np.uint8)
    live = scaled_face(face, min(size) / 512, size)
    match = shift_match(size, (0, 0), live)
    match = type(match)(match.patches, live, size, (512, 512))
    start = time.process_time()
    out = compositor.compose(frame, match).image
    assert time.process_time() - start < 1.0
    assert out.shape == frame.shape


def test_strength_scales_the_change(astronaut: Image) -> None:
    edited = astronaut.copy()
    edited[300:340, 300:360] = np.minimum(astronaut[300:340, 300:360], 200) + 40
    match = shift_match((512, 512), (0, 0))
    whole, half = (
        Compositor(Edit(astronaut, edited, "delta", strength), None).compose(astronaut, match).image
        for strength in (1.0, 0.5)
    )
    change = whole[305:335, 305:355].astype(int) - astronaut[305:335, 305:355]
    halved = half[305:335, 305:355].astype(int) - astronaut[305:335, 305:355]
    np.testing.assert_allclose(halved, change / 2, atol=1)
    none = Compositor(Edit(astronaut, edited), None).compose(astronaut, match, weight=0.0)
    assert none.image is astronaut
    assert none.box is None


def test_a_match_of_another_size_is_refused(astronaut: Image) -> None:
    compositor = Compositor(Edit(astronaut, astronaut.copy()), None)
    with pytest.raises(ValueError, match=r"\(100, 90\)"):
        compositor.compose(astronaut, shift_match((100, 90), (0, 0)))


def test_config_checks_its_ranges() -> None:
    with pytest.raises(ValueError, match="gain limits"):
        CompositeConfig(gain_min=2.0)
    with pytest.raises(ValueError, match="trust"):
        CompositeConfig(trust_low=0.5, trust_high=0.4)
    with pytest.raises(ValueError, match="step_px"):
        CompositeConfig(step_px=0)


def test_auto_tints_covers_or_recolours_by_what_an_edit_is(astronaut: Image, face: Landmarks) -> None:
    """On a frame whose skin has gained stripes: they show through colour, and not through what covers."""
    frame = astronaut.copy()
    frame[:, ::4] = np.maximum(frame[:, ::4], 40) - 40
    x, y = take(face, (50,))[0].round().astype(int)
    edits = {
        "local": presets.apply("blush", astronaut, face),
        "opaque": paint_square(astronaut, (x - 12, y - 12, x + 13, y + 13), (40, 60, 200)),
        "structural": props.beard(astronaut, face),
        "tone": tone(astronaut, face),
        "global": clarity(astronaut, face),
    }
    kept = {}
    for name, edited in edits.items():
        edit = Edit(astronaut, edited)
        assert edit.is_tone is (name == "tone")
        assert edit.is_global is (name in ("tone", "global"))
        out = Compositor(edit, face).compose(frame, shift_match((512, 512), (0, 0), face)).image
        u, v = take(face, (175,))[0].round().astype(int) if name == "structural" else (x, y)
        there = np.s_[v - 4 : v + 5, u - 5 : u + 6]
        assert (out[there] != frame[there]).any()
        stripes, bare = (
            np.std(a[there].mean(axis=(0, 2)) - b[there].mean(axis=(0, 2)))
            for a, b in ((out, edited), (frame, astronaut))
        )
        kept[name] = stripes / bare
    assert min(kept["local"], kept["tone"], kept["global"]) > 0.8
    assert kept["opaque"] < 0.1
    assert kept["structural"] < 0.4
