"""A hole that is filled later: the stream goes on, shows it when it comes, and forgets what is gone."""

from __future__ import annotations

import numpy as np
import pytest

from correspondence import Image, Landmarks
from reference import ReferenceSwitched
from tests.reference.views import Scene, SlowFill, remove, turning

FPS = 25


@pytest.fixture
def scene(astronaut: Image, face: Landmarks) -> Scene:
    return Scene(np.ascontiguousarray(astronaut[:256, 96:352]), face)


def test_the_stream_shows_the_fill_when_it_comes(scene: Scene) -> None:
    fill = SlowFill()
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
    fill = SlowFill()
    propagator = turning(scene, fill=fill)
    for step, yaw in enumerate([0] * 10 + [25] * 40):
        propagator.step(scene.frame(yaw), step / FPS)
    assert fill.asked[0][3]()
    remove(propagator, 1)
    assert not fill.asked[0][3]()
