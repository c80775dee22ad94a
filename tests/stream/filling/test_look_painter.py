"""`edit --fill` learns a look of the whole picture and paints with it what no reference shows."""

from __future__ import annotations

import importlib.util
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest

from correspondence import Image
from inpaint.looks import training
from reference import Edit
from reference.edits.colour_model import ColourModel
from stream.filling.look_painter import WITHOUT_TORCH, LookPainter
from stream.media.demo import DemoSource
from stream.media.pictures import encode_png
from stream.offline.config import FileConfig
from stream.offline.files import edit_file
from tests.stream.clips import Clip, make_clip, read_back

SIDE = 96
SIZE = (SIDE, SIDE)
LEARNED = "painted by a network that learned it"


def drawn(image: Image) -> Image:
    """A look: warm paper with dark lines."""
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    lines = np.clip((cv2.GaussianBlur(gray, (0, 0), 3) - gray) / 10, 0, 1)[..., None]
    paper = (160 + 0.3 * gray)[..., None] * np.array([1.0, 0.9, 0.7], np.float32)
    return np.clip(paper * (1 - 0.8 * lines), 0, 255).astype(np.uint8)


def picture(seed: int) -> Image:
    noise = np.random.default_rng(seed).normal(0, 1, (SIDE, SIDE, 3)).astype(np.float32)
    return np.clip(128 + 300 * cv2.GaussianBlur(noise, (0, 0), 3), 0, 255).astype(np.uint8)


def edit() -> tuple[Edit, ColourModel]:
    found = Edit(picture(1), drawn(picture(1)))
    assert found.stand_in is not None
    return found, found.stand_in


def error(made: Image, truth: Image) -> float:
    return float(((made.astype(np.float32) - truth) ** 2).mean())


@pytest.fixture
def by_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps instead of a time, so that a busy machine changes nothing."""
    monkeypatch.setattr(training, "learn_look", partial(training.learn_look, steps=30))


@pytest.mark.usefixtures("by_steps")
def test_it_learns_at_the_first_need_and_paints_only_there() -> None:
    own, colours = edit()
    said: list[str] = []
    painter = LookPainter([own], colours, 60.0, say=said.append)
    live = picture(5)
    plain = colours.apply(live)
    np.testing.assert_array_equal(painter(live, plain, np.zeros((12, 12), np.float32), SIZE), plain)
    assert not said, "nothing was learned in vain"
    right = np.zeros((12, 12), np.float32)
    right[:, 6:] = 1
    made = painter(live, plain, right, SIZE)
    assert LEARNED in said[0]
    np.testing.assert_array_equal(made[:, : SIDE // 2 - SIDE // 12], plain[:, : SIDE // 2 - SIDE // 12])
    half = np.s_[:, SIDE // 2 :]
    assert error(made[half], drawn(live)[half]) < 0.8 * error(plain[half], drawn(live)[half])
    painter(live, plain, right, SIZE)
    assert len(said) == 1, "it is learned once"


def test_without_torch_or_when_stopped_the_colours_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    own, colours = edit()
    live, everywhere = picture(5), np.ones((12, 12), np.float32)
    said: list[str] = []
    stopped = LookPainter([own], colours, 60.0, stop=lambda: True, say=said.append)
    plain = colours.apply(live)
    assert stopped(live, plain, everywhere, SIZE) is plain
    assert not said
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    without = LookPainter([own], colours, 60.0, say=said.append)
    assert without(live, plain, everywhere, SIZE) is plain
    assert said == [WITHOUT_TORCH]


@pytest.mark.usefixtures("by_steps")
def test_a_clip_whose_camera_moves_is_painted_beyond_the_reference(tmp_path: Path) -> None:
    source = DemoSource((160, 240), fps=25).frame(0)
    images = tuple(np.ascontiguousarray(source[:, 12 * n : 12 * n + 160]) for n in range(6))
    clip = make_clip(tmp_path / "in.mp4", Clip(frames=6, images=images, size=(160, 160)))
    edited = tmp_path / "edited.png"
    edited.write_bytes(encode_png(drawn(read_back(clip).images[0])))
    reports, held = {}, {}
    for name, fill in (("plain", False), ("filled", True)):
        config = FileConfig(reference=0, matcher="classical", fill=fill)
        reports[name] = edit_file(clip, edited, tmp_path / f"{name}.mp4", config)
        held[name] = read_back(tmp_path / f"{name}.mp4").images
    assert any(LEARNED in note for note in reports["filled"].notes)
    assert not any("look" in note for note in reports["plain"].notes)
    truth = drawn(images[5])
    beyond = np.s_[:, 160 - 50 :]  # what the first frame does not show
    assert error(held["filled"][5][beyond], truth[beyond]) < error(held["plain"][5][beyond], truth[beyond])


def test_a_time_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="learn_s must be above 0"):
        FileConfig(learn_s=0)
