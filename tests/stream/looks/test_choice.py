from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from correspondence import detect_landmarks
from correspondence.types import Image
from reference import EditError, presets
from reference.looks.drawn import draw_layers
from reference.looks.reading import encode_png
from stream.looks.choice import layers_of, parse_preset, parse_sticker
from stream.looks.look import PresetChoice


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("lipstick", PresetChoice("lipstick")),
        ("lipstick:#b3122e", PresetChoice("lipstick", "#b3122e")),
        ("blush::0.5", PresetChoice("blush", None, 0.5)),
        ("blush:#b3122e:1", PresetChoice("blush", "#b3122e", 1.0)),
        ("warm:", PresetChoice("warm")),
    ],
)
def test_a_preset_is_read(text: str, choice: PresetChoice) -> None:
    assert parse_preset(text) == choice


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "there is no ''"),
        ("mascara", "there is no 'mascara'; there are lipstick"),
        ("lipstick:red", "colour must be like"),
        ("lipstick:#b3122e:2", "strength must lie in"),
        ("lipstick:#b3122e:nan", "strength must lie in"),
        ("lipstick:#b3122e:much", "strength must be a number"),
        ("lipstick:#b3122e:1:2", "preset must be NAME"),
    ],
)
def test_another_form_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_preset(text)


def test_presets_are_drawn_one_over_the_other(astronaut: Image) -> None:
    landmarks = detect_landmarks(astronaut)
    layers = layers_of([parse_preset("blush"), parse_preset("lipstick:#1828e0")])
    blush = presets.apply("blush", astronaut, landmarks)
    both = presets.apply("lipstick", blush, landmarks, "#1828e0")
    np.testing.assert_array_equal(draw_layers(astronaut, landmarks, layers), both)
    with pytest.raises(EditError, match="shows none"):
        draw_layers(astronaut, None, layers)


def test_a_sticker_is_read_with_its_place(tmp_path: Path) -> None:
    star = tmp_path / "a:star.png"
    star.write_bytes(encode_png(np.full((40, 20, 4), 200, np.uint8)))
    plain, sized, stuck = (parse_sticker(f"{star}:{more}") for more in ("nose", "eyes:0.7", "eyes:0.7:skin"))
    assert (plain.sticker.at, plain.sticker.size, plain.rigid) == ("nose", 0.4, False)
    assert (sized.sticker.at, sized.sticker.size, sized.rigid) == ("eyes", 0.7, True)
    assert not stuck.rigid
    assert plain.sticker.picture.shape == (40, 20, 4)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("star.png", "sticker must be FILE:PLACE"),
        ("star.png:knee", "places are forehead"),
        ("star.png:nose", "star.png: No such file"),
    ],
)
def test_a_sticker_of_another_form_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_sticker(text)


def test_a_stickers_size_is_checked(tmp_path: Path) -> None:
    star = tmp_path / "star.png"
    star.write_bytes(encode_png(np.full((40, 20, 4), 200, np.uint8)))
    for size in ("9", "0", "nan", "big"):
        with pytest.raises(ValueError, match="size must be"):
            parse_sticker(f"{star}:nose:{size}")
