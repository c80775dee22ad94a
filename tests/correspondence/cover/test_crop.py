from __future__ import annotations

import cv2
import numpy as np
import pytest

from correspondence import Landmarks
from correspondence.cover.crop import SIDE, carried, crop_matrix, cut, face_area, face_crop
from correspondence.types import Image


def test_forehead_and_chin_stand_upright_in_the_middle(face: Landmarks) -> None:
    points = carried(face.points, crop_matrix(face.points))
    assert abs(float(points[10, 0] - points[152, 0])) < 0.01
    assert points[10, 1] < points[152, 1]
    area = face_area(points)
    rows, columns = np.nonzero(area)
    assert abs((columns.min() + columns.max()) / 2 - (SIDE - 1) / 2) < 1.5
    assert abs((rows.min() + rows.max()) / 2 - (SIDE - 1) / 2) < 1.5
    assert 0.55 * SIDE < np.ptp(rows) < 0.75 * SIDE


def test_an_area_reaches_beyond_the_outline(face: Landmarks) -> None:
    points = carried(face.points, crop_matrix(face.points))
    away = cv2.distanceTransform((face_area(points) == 0).astype(np.uint8), cv2.DIST_L2, 5)
    area = face_area(points, around=9) > 0
    assert area[away < 8].all()
    assert away[area].max() < 11.5


@pytest.mark.parametrize(("turn", "scale"), [(30, 1.0), (-50, 0.7), (180, 1.0), (10, 2.6)])
def test_a_turned_and_scaled_face_gives_the_same_crop(
    astronaut: Image, face: Landmarks, turn: float, scale: float
) -> None:
    middle = tuple(float(v) for v in face.points[:468, :2].mean(axis=0))
    matrix = cv2.getRotationMatrix2D(middle, turn, scale)
    turned = cv2.warpAffine(astronaut, matrix, (512, 512), flags=cv2.INTER_LINEAR)
    points = face.points.copy()
    points[:, :2] = carried(face.points, matrix)
    crop = face_crop(turned, Landmarks(points, (512, 512)))
    plain = face_crop(astronaut, face)
    assert crop is not None
    assert plain is not None
    on = face_area(carried(face.points, crop_matrix(face.points))) > 0
    assert np.abs(crop.picture.astype(float) - plain.picture)[on].mean() < 6


def test_a_fine_picture_is_averaged_not_picked(face: Landmarks) -> None:
    """A checkerboard of single pixels, in a face eight times the crop, comes out gray."""
    big = Landmarks(face.points * np.float32(6), (3072, 3072))
    board = np.indices((3072, 3072)).sum(axis=0) % 2 * 255
    crop = cut(np.dstack([board.astype(np.uint8)] * 3), crop_matrix(big.points))
    assert np.abs(crop.astype(float) - 127.5).max() < 20


def test_halving_does_not_move_the_picture(face: Landmarks) -> None:
    """x and y drawn as colours come back as the places that the matrix names."""
    big = Landmarks(face.points * np.float32(3), (1536, 1536))
    ramp = np.zeros((1536, 1536, 3), np.uint8)
    ramp[..., 0], ramp[..., 1] = np.arange(1536)[None] / 6.03, np.arange(1536)[:, None] / 6.03
    matrix = crop_matrix(big.points)
    y, x = np.mgrid[20:100, 20:100]
    there = carried(np.stack([x, y], axis=-1).astype(np.float32), cv2.invertAffineTransform(matrix))
    error = cut(ramp, matrix)[20:100, 20:100, :2] - there / 6.03
    assert np.abs(error.mean(axis=(0, 1)) + 0.5).max() < 0.3  # 0.5: uint8 cuts the ramp off


def test_no_landmarks_no_crop(astronaut: Image) -> None:
    assert face_crop(astronaut, None) is None
