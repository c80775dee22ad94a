"""Topology and the landmark field."""

from __future__ import annotations

import time

import numpy as np
import pytest
from skimage import data

from correspondence import Float, Landmarks, detect_landmarks
from correspondence.face import topology as topo
from correspondence.face.mesh import (
    FaceReference,
    LandmarkField,
    affine,
    face_reference,
    landmark_field,
    similarity,
)
from correspondence.geometry.grid import pixel_grid
from correspondence.geometry.region import GRID, Region, ideal_region

CROWDED = 50.0  # ms: what the field may take on a machine busy with other things


@pytest.fixture(scope="module")
def face() -> Landmarks:
    found = detect_landmarks(np.ascontiguousarray(data.astronaut()))
    assert found is not None
    return found


@pytest.fixture(scope="module")
def reference(face: Landmarks) -> FaceReference:
    return face_reference(face, ideal_region(face, face.image_size))


def moved(face: Landmarks, change: Float) -> Landmarks:
    return Landmarks((face.points + change).astype(np.float32), face.image_size)


def turned(face: Landmarks, degrees: float) -> Landmarks:
    """The head turned about the vertical axis through its middle."""
    angle = np.deg2rad(degrees)
    centre = face.points[:468].mean(axis=0)
    about = np.array(
        [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]], np.float32
    )
    return Landmarks(((face.points - centre) @ about.T + centre).astype(np.float32), face.image_size)


def field_at(found: LandmarkField, cells: Float) -> Float:
    rounded = np.rint(cells).astype(int)
    return np.asarray(found.field[rounded[:, 1], rounded[:, 0]], np.float32)


def test_the_mesh_is_852_triangles_and_three_closed_holes() -> None:
    closed = topo.topology()
    assert closed.skin == 852
    assert closed.triangles.shape == (898, 3)
    edges: dict[tuple[int, int], int] = {}
    for triangle in closed.triangles.tolist():
        for tail, head in zip(triangle, triangle[1:] + triangle[:1], strict=True):
            edges[tail, head] = edges.get((tail, head), 0) + 1
    assert set(edges.values()) == {1}, "neighbours are wound alike: no directed edge twice"
    border = {tail for tail, head in edges if (head, tail) not in edges}
    assert border == set(topo.OVAL), "only the outline is open"


def test_a_frontal_face_is_wound_positively(reference: FaceReference) -> None:
    assert (reference.area > 0).mean() > 0.97


def test_the_same_landmarks_mean_standing_still(face: Landmarks, reference: FaceReference) -> None:
    found = landmark_field(face, reference, reference.region)
    assert np.abs(found.field).max() < 1e-2


def test_the_field_is_exact_at_the_landmarks(face: Landmarks, reference: FaceReference) -> None:
    """Within a cell of each visible landmark the field leads to that landmark of the reference."""
    rng = np.random.default_rng(5)
    wave = np.column_stack(
        [4 * np.sin(face.points[:, 1] / 30) + 6, 3 * np.cos(face.points[:, 0] / 25), np.zeros(478)]
    )
    frame = moved(face, (wave + rng.normal(0, 0.2, wave.shape) * (1, 1, 0)).astype(np.float32))
    region = Region(reference.region.x + 5, reference.region.y - 3, reference.region.side + 12)
    found = landmark_field(frame, reference, region)
    cells = region.to_grid(frame.points[:, :2])
    rounded = np.rint(cells)
    got = rounded + field_at(found, cells)
    error = np.linalg.norm(got - reference.points - (rounded - cells), axis=1)
    seen = found.validity[rounded[:, 1].astype(int), rounded[:, 0].astype(int)] > 0.9
    assert seen[:468].mean() > 0.7
    assert np.median(error[:468][seen[:468]]) < 0.1
    assert np.percentile(error[:468][seen[:468]], 95) < 0.5


def test_a_similarity_is_carried_beyond_the_mesh(face: Landmarks, reference: FaceReference) -> None:
    found = landmark_field(moved(face, np.array([8, -5, 0], np.float32)), reference, reference.region)
    scale = GRID / reference.region.side
    near_outline = reference.points[10] + scale * np.array([8, -9], np.float32)
    assert field_at(found, near_outline[None])[0] == pytest.approx([-8 * scale, 5 * scale], abs=0.6)
    corner = found.field[-1, 0]
    assert np.abs(corner).max() < 8 * scale, "the motion dies away with the distance"


@pytest.mark.parametrize("degrees", [-60, 60])
def test_the_side_turned_away_is_invalid(face: Landmarks, reference: FaceReference, degrees: float) -> None:
    """The reference sees both cheeks; turned by 60 degrees one of them shows hardly anything."""
    away = turned(face, degrees)
    found = landmark_field(away, reference, reference.region)
    back = face_reference(away, reference.region)
    assert found.validity[found.inside].mean() > 0.5, "the near cheek stays valid"
    hidden = back.area[: topo.topology().skin] <= 0
    assert hidden.mean() > 0.1
    assert (back.visible[: topo.topology().skin][hidden] == 0).all()
    seen_from_back = landmark_field(face, back, reference.region)
    skin = topo.topology().triangles[: topo.topology().skin][hidden]
    middle = np.rint(reference.points[skin].mean(axis=1)).astype(int)
    values = seen_from_back.validity[middle[:, 1], middle[:, 0]]
    assert (values <= 0.5).mean() > 0.9, "what the reference cannot see has no valid field"


def test_mouth_and_eyes_are_less_valid_than_skin(face: Landmarks, reference: FaceReference) -> None:
    validity = landmark_field(face, reference, reference.region).validity
    for iris in (topo.RIGHT_IRIS, topo.LEFT_IRIS):
        x, y = np.rint(reference.points[iris[0]]).astype(int)
        assert validity[y, x] <= 0.5
    x, y = np.rint(reference.points[[50, 280]].mean(axis=0)).astype(int)
    assert validity[y, x] == pytest.approx(1.0)


def test_similarity_recovers_turn_scale_and_shift() -> None:
    rng = np.random.default_rng(2)
    points = rng.normal(size=(12, 2)).astype(np.float32)
    angle = 0.3
    turn = 1.4 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    found = similarity(points, (points @ turn.T + (3, -2)).astype(np.float32))
    assert found == pytest.approx(np.column_stack([turn, (3, -2)]), abs=1e-5)


def test_the_field_costs_little(face: Landmarks, reference: FaceReference) -> None:
    """Target 2 ms on a quiet core; here against a fixed amount of the same machine's work as well."""
    frame = turned(face, 10)
    picture = np.zeros((GRID, GRID, 2), np.float32) + pixel_grid(GRID, GRID)
    field_ms, work_ms = [], []
    for _ in range(25):
        start = time.thread_time()
        landmark_field(frame, reference, reference.region)
        middle = time.thread_time()
        for _ in range(20):
            np.sin(picture)
        field_ms.append((middle - start) * 1e3)
        work_ms.append((time.thread_time() - middle) * 1e3)
    assert np.median(field_ms) < CROWDED
    assert np.median(field_ms) < 6 * np.median(work_ms)


def test_an_affine_map_is_found_through_noise_free_points_and_on_a_line() -> None:
    """x' = 2 x - y + 3, y' = 0.5 y - 1. Of points on one line only the motion along it is known."""
    points = np.array([(0, 0), (10, 0), (0, 10), (7, 3)], np.float32)
    moved_to = np.array([(3, -1), (23, -1), (-7, 4), (14, 0.5)], np.float32)
    assert affine(points, moved_to) == pytest.approx(np.array([[2, -1, 3], [0, 0.5, -1]]), abs=1e-5)
    line = affine(points[[0, 1, 1]], moved_to[[0, 1, 1]])
    assert line == pytest.approx(np.array([[2, 0, 3], [0, 0, -1]]), abs=1e-5)
