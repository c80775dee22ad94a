"""A hole that is filled later: the stream goes on, shows it when it comes, and forgets what is gone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from correspondence import Float, Image, Landmarks
from reference import FillHint, ReferenceSwitched
from tests.reference.views import Scene, remove, turning

FPS = 25


class Slow:
    """Keeps what it is asked for until told to answer."""

    def __init__(self) -> None:
        self.asked: list[tuple[Image, Float, Callable[[Image], None], Callable[[], bool]]] = []

    def __call__(self, image: Image, mask: Float, hint: FillHint) -> Image:
        raise AssertionError("a fill that can answer later must not be waited for")

    def later(
        self,
        image: Image,
        mask: Float,
        hint: FillHint,
        then: Callable[[Image], None],
        wanted: Callable[[], bool],
    ) -> None:
        self.asked.append((image, mask, then, wanted))

    def answer(self) -> None:
        image, mask, then, _ = self.asked.pop()
        out = image.copy()
        out[mask > 0] = (20, 200, 40)
        then(out)


@pytest.fixture
def scene(astronaut: Image, face: Landmarks) -> Scene:
    return Scene(np.ascontiguousarray(astronaut[:256, 96:352]), face)


def test_the_stream_shows_the_fill_when_it_comes(scene: Scene) -> None:
    fill = Slow()
    propagator = turning(scene, fill=fill, fade_frames=2)
    steps = iter(range(1000))

    def play(yaws: list[int]) -> list[ReferenceSwitched]:
        results = [propagator.step(scene.frame(yaw), next(steps) / FPS) for yaw in yaws]
        return [e for r in results for e in r.events if isinstance(e, ReferenceSwitched)]

    assert len(play([0] * 10 + [25] * 40)) == 1  # unfilled
    assert len(fill.asked) == 1
    assert fill.asked[0][3]()
    fill.answer()
    switched = play([25] * 10)
    assert [e.reason for e in switched] == ["its hole was filled"]


def test_a_keyframe_that_is_gone_is_not_wanted(scene: Scene) -> None:
    fill = Slow()
    propagator = turning(scene, fill=fill)
    for step, yaw in enumerate([0] * 10 + [25] * 40):
        propagator.step(scene.frame(yaw), step / FPS)
    assert fill.asked[0][3]()
    remove(propagator, 1)
    assert not fill.asked[0][3]()
