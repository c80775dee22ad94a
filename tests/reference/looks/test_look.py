"""Looks of layers: each adds to what is below, and can be hidden, moved, changed and removed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from correspondence import Image, Landmarks
from reference import EditError, Look, Propagator, presets
from reference.looks.layers import MOST_LAYERS, PictureLayer

STAR = (slice(60, 90), slice(200, 240))
GREEN = (10, 200, 40)


def star(still: Image, alpha: int = 255) -> np.ndarray:
    rgba = np.zeros((*still.shape[:2], 4), np.uint8)
    rgba[STAR] = (*GREEN, alpha)
    return rgba


@pytest.fixture
def look(astronaut: Image, face: Landmarks) -> Look:
    return Look(astronaut, face)


def test_a_preset_adds_to_the_painting_below_it(look: Look) -> None:
    painted = look.paint(star(look.still))
    both = painted.preset("lipstick", "#c0183a", 0.8)
    assert (both.image[STAR] == GREEN).all(), "the painting stays"
    lips = presets.apply("lipstick", look.still, look.landmarks, "#c0183a", 0.8)  # type: ignore[arg-type]
    changed = (lips != look.still).any(axis=2)
    assert np.array_equal(both.image[changed], lips[changed])
    assert np.array_equal(painted.image[changed], look.still[changed]), "the earlier look is as it was"


def test_layers_are_hidden_moved_changed_and_removed(look: Look) -> None:
    built = look.preset("tiger").paint(star(look.still))
    assert (built.image[STAR] == GREEN).all()
    assert np.array_equal(built.changed(1, shown=False).image, look.preset("tiger").image)
    assert np.array_equal(built.changed(-1, strength=0.0).image, look.preset("tiger").image)
    assert np.array_equal(built.removed(0).image, look.paint(star(look.still)).image)
    lower = built.moved(1, 0)
    assert [layer.kind for layer in lower.layers] == ["paint", "preset"]
    assert [layer.id for layer in lower.layers] == [layer.id for layer in reversed(built.layers)]
    assert lower.image is not built.image
    blue = built.changed(0, colour="#2030d0")
    assert np.array_equal(blue.removed(1).image, look.preset("tiger", "#2030d0").image)
    assert built.removed(0).removed(0).image is look.still
    with pytest.raises(EditError, match="kind paint has no colour"):
        built.changed(1, colour="#2030d0")


def test_half_a_layer_is_half_way(look: Look) -> None:
    whole = look.paint(star(look.still)).image[STAR].astype(int)
    half = look.paint(star(look.still), 0.5).image[STAR].astype(int)
    assert np.abs(2 * half - whole - look.still[STAR]).max() <= 1
    thin = look.paint(star(look.still, 128)).image[STAR].astype(int)
    assert np.abs(thin - half).max() <= 1


def test_a_picture_alone_is_itself_and_lets_through_what_it_does_not_change(look: Look) -> None:
    edited = look.still.copy()
    edited[STAR] = GREEN
    assert np.array_equal(look.picture(edited).image, edited)
    lips = look.preset("lipstick")
    both = lips.picture(edited).image
    assert (both[STAR] == GREEN).all()
    mouth = (lips.image != look.still).any(axis=2)
    assert np.array_equal(both[mouth], lips.image[mouth]), "the lipstick below stays"
    hidden = look.preset("warm").picture(edited).image
    assert (hidden[STAR] == GREEN).all(), "what the picture changed hides what is below"


def test_a_picture_comes_from_a_file_upright_and_with_alpha(look: Look, tmp_path: Path) -> None:
    path = tmp_path / "edited.png"
    Pillow.fromarray(star(look.still)).save(path)
    assert np.array_equal(look.picture(path).image, look.paint(star(look.still)).image)
    turned = tmp_path / "turned.jpg"
    exif = Pillow.Exif()
    exif[0x0112] = 6  # turned by a quarter
    edited = look.paint(star(look.still)).image
    Pillow.fromarray(np.ascontiguousarray(np.rot90(edited))).save(turned, exif=exif, quality=98)
    made = look.picture(str(turned))
    assert np.abs(made.image[STAR].astype(int) - GREEN).mean() < 12
    broken = tmp_path / "broken.png"
    broken.write_bytes(path.read_bytes()[:200])
    with pytest.raises(EditError, match=r"broken\.png is damaged, or no PNG.*save it again"):
        look.picture(broken)


def test_the_whole_has_a_strength_and_is_worn(astronaut: Image, face: Landmarks) -> None:
    look = Look(astronaut, face, strength=0.5).preset("tiger")
    edit = look.edit()
    assert (edit.strength, edit.mode) == (0.5, "auto")
    propagator = Propagator(edit)
    shown = propagator.step(astronaut, now_s=0.0).image.astype(int)
    propagator.close()
    changed = (look.image != astronaut).any(axis=2)
    middle = (astronaut.astype(int) + look.image)[changed] / 2
    whole = np.abs(look.image[changed].astype(int) - astronaut[changed]).mean()
    assert np.abs(shown[changed] - middle).mean() < 0.25 * whole


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda look: look.preset("lipgloss2"), "preset must be one of"),
        (lambda look: look.preset("lipstick", "red"), "colour must be like"),
        (lambda look: look.preset("lipstick", strength=1.5), "strength must be in"),
        (lambda look: look.paint(look.still), r"paint must be uint8 \(H, W, 4\)"),
        (lambda look: look.paint(star(look.still)[:50]), "bring it to that size"),
        (lambda look: Look(look.still, None).preset("lipstick").image, "shows none"),
        (lambda look: Look(look.still, None, mode="paint"), "mode must be one of"),  # type: ignore[arg-type]
        (lambda look: Look(look.still, None, strength=2), "strength must be in"),
        (
            lambda look: Look(
                look.still, None, tuple(PictureLayer(image=look.still) for _ in range(MOST_LAYERS + 1))
            ),
            "at most 24 layers, got 25",
        ),
        (lambda look: PictureLayer(image=look.still, words="x" * 301), "at most 300 characters"),
    ],
)
def test_what_is_not_allowed_is_refused_in_words(look: Look, build: object, words: str) -> None:
    with pytest.raises(EditError, match=words):
        build(look)  # type: ignore[operator]
