"""A head whose depths FaceMesh guesses wrongly is found from the frames in which it turns."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.moment_parts.bundle import SOLVED, bundled
from benchmarks.moment_parts.glasses import Glasses, Reshaped, apart
from benchmarks.moment_parts.heads import Eye, moved, yaw_about_neck
from correspondence import Landmarks
from reference.face.parts import face_size

YAWS = (-40.0, -30.0, -20.0, -10.0, 10.0, 20.0, 30.0, 40.0)


def leaning(face: Landmarks, share: float) -> Landmarks:
    """The same picture of a head that leans: the lower a landmark, the nearer it is."""
    points = face.points.copy()
    points[:, 2] -= share * (points[:, 1] - points[168, 1])
    return Landmarks(points, face.image_size)


def guessed(true: Landmarks, other: Landmarks) -> Landmarks:
    """Landmarks that are seen where they are, with another's depths."""
    points = true.points.copy()
    points[:, 2] = other.points[:, 2]
    return Landmarks(points, true.image_size)


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_shape_and_motion_are_found(face: Landmarks, share: float) -> None:
    head = leaning(face, share)
    eye, size = Eye.of(face), face_size(face)
    turns = [yaw_about_neck(eye.lifted(head), size, yaw) for yaw in YAWS]
    frames = [guessed(moved(head, eye, turn), moved(face, eye, turn)) for turn in turns]
    points, found = bundled(face, eye, [*frames, None])
    assert found[-1] is None
    drawn, true = Glasses.on(face), eye.lifted(head)
    there = Reshaped.of(drawn, true)
    for yaw, turn, motion in zip(YAWS, turns, found, strict=False):
        assert motion is not None
        assert motion.yaw_deg == pytest.approx(yaw, abs=1.5)
        error = np.sqrt((apart(there, turn, Reshaped.of(drawn, points), motion) ** 2).mean())
        guess = np.sqrt((apart(there, turn, drawn, turn) ** 2).mean())
        assert error < 0.015
        assert share == 0 or error < 0.5 * guess
    off = points - eye.lifted(face)
    assert (np.abs(np.delete(off, SOLVED, axis=0)) == 0).all()


def test_rims_stay_where_they_were_drawn(face: Landmarks) -> None:
    drawn = Glasses.on(face)
    other = Reshaped.of(drawn, drawn.eye.lifted(leaning(face, 0.3)))
    angles = np.linspace(0, 6, 20)
    for lens in (0, 1):
        shown = drawn.eye.seen(other.rim(lens, angles))
        np.testing.assert_allclose(shown, drawn.eye.seen(drawn.rim(lens, angles)), atol=1e-6)
        assert np.abs(other.rim(lens, angles)[:, 2] - drawn.rim(lens, angles)[:, 2]).max() > 3
