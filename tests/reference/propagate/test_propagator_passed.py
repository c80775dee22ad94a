"""A view that was only passed is served by its own keyframe when it comes back."""

from __future__ import annotations

import numpy as np
import pytest

from correspondence import Image, Landmarks
from reference import KeyframeMade, ReferenceSwitched, Result
from tests.reference.views import PAINT, Scene, turning

FPS = 25
THERE_AND_HALF_WAY_BACK = [0] * 10 + [20, 40, 40] + [60] * 40 + [40] * 30


@pytest.fixture
def scene(astronaut: Image, face: Landmarks) -> Scene:
    return Scene(np.ascontiguousarray(astronaut[:256, 96:352]), face)


@pytest.mark.parametrize("passed_views", [2, 0])
def test_a_view_passed_on_the_way_is_served_when_it_comes_back(scene: Scene, passed_views: int) -> None:
    propagator = turning(scene, ask_every_s=0.0, passed_views=passed_views)
    results: list[Result] = []
    for n, yaw in enumerate(THERE_AND_HALF_WAY_BACK):
        results.append(propagator.step(scene.frame(yaw), n / FPS))
    back = [event for result in results[53:] for event in result.events]
    made = [e for e in back if isinstance(e, KeyframeMade)]
    switched = [e.index for e in back if isinstance(e, ReferenceSwitched)]
    serving = next(k for k in propagator.keyframes() if k.active)
    assert scene.yaw(serving.image) == 40
    assert propagator.decision is not None
    assert propagator.decision.reason == "covered"
    if passed_views:
        assert made == []
        assert switched == [3]
    else:
        assert len(made) == 1  # it had to be made when it came back
    shown = results[-1].image
    x, y = PAINT[0] + 10, (PAINT[1] + PAINT[3]) // 2
    np.testing.assert_allclose(shown[y, x], (20, 200, 40), atol=3)
    assert not np.array_equal(shown, scene.frame(40))
