from __future__ import annotations

import numpy as np
import pytest

from correspondence import detect_landmarks
from correspondence.types import Image
from reference import EditError, presets
from stream.looks.choice import draw_presets, parse_preset
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
    both = draw_presets(astronaut, landmarks, [parse_preset("blush"), parse_preset("lipstick:#1828e0")])
    blush = presets.apply("blush", astronaut, landmarks)
    np.testing.assert_array_equal(both, presets.apply("lipstick", blush, landmarks, "#1828e0"))
    with pytest.raises(EditError, match="shows none"):
        draw_presets(astronaut, None, [parse_preset("lipstick")])
