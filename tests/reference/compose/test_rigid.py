"""A rigid object rides on the head, hides what is below it, and touches nothing else."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from benchmarks.moment_parts.glasses import Glasses, rim_errors
from benchmarks.moment_parts.heads import moved as carried
from benchmarks.moment_parts.heads import yaw_about_neck
from correspondence import Image, Landmarks, LandmarkTracker
from reference import CompositeConfig, Compositor, Edit
from reference.compose.rigid import RigidLayer
from reference.edits.objects import find_objects
from reference.face.parts import LEFT_EYE, RIGHT_EYE, face_size, take
from reference.face.view import view_change
from tests.reference import props
from tests.reference.helpers import moved, scaled_face, shift_match, translated

TEMPLES = [127, 356, 162, 389]


def layer(image: Image, landmarks: Landmarks) -> RigidLayer:
    edit = Edit(image, props.glasses(image, landmarks))
    rigid = find_objects(edit, landmarks).rigid
    assert rigid is not None
    return RigidLayer(edit.edited, rigid, landmarks)


@pytest.mark.parametrize("yaw_deg", [-25.0, -10.0, 0.0, 10.0, 25.0])
def test_glasses_stay_on_temples_and_bridge_as_the_head_turns(face: Landmarks, yaw_deg: float) -> None:
    """The face enlarged to half the frame's height: 1.5 px of 512."""
    large = scaled_face(face, 256 / (face.box[3] - face.box[1]), (512, 512))
    blank = np.full((512, 512, 3), 128, np.uint8)
    rims = layer(blank, large)
    turned = scaled_face(large, 1.0, (512, 512), yaw_deg)
    held = [[127], [356], [168, 6]]  # the ends of the arms, and the bridge
    own, now = (np.stack([x.points[of, :2].mean(axis=0) for of in held]) for x in (large, turned))
    assert np.linalg.norm(rims.carry(turned, own) - now, axis=1).max() < 1.5
    placed = rims.place(turned, (512, 512))
    assert placed is not None
    assert placed.share == 1.0


@pytest.mark.parametrize("own_deg", [-15.0, 0.0])
@pytest.mark.parametrize("yaw_deg", [-45.0, -20.0, 20.0, 45.0])
def test_the_rims_of_glasses_stay_in_one_plane(face: Landmarks, own_deg: float, yaw_deg: float) -> None:
    """A plane moves by a homography: the rims' distance from it, in widths of a lens."""
    own = scaled_face(
        scaled_face(face, 256 / (face.box[3] - face.box[1]), (512, 512)), 1.0, (512, 512), own_deg
    )
    blank = np.full((512, 512, 3), 128, np.uint8)
    rims = layer(blank, own)
    size = face_size(own)
    angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    round_ = np.column_stack([0.19 * size * np.cos(angle), 0.14 * size * np.sin(angle)])
    middles = [take(own, eye).mean(axis=0) + (0, 0.03 * size) for eye in (RIGHT_EYE, LEFT_EYE)]
    rim = np.concatenate([middle + round_ for middle in middles]).astype(np.float32)
    seen = rims.carry(scaled_face(own, 1.0, (512, 512), yaw_deg), rim)
    plane, _ = cv2.findHomography(rim, seen)
    error = np.sqrt(((seen - cv2.perspectiveTransform(rim[None], plane)[0]) ** 2).sum(axis=1).mean())
    assert error < 0.002 * 2 * 0.19 * size


@pytest.mark.parametrize("yaw_deg", [-45.0, -30.0, 30.0, 45.0])
def test_rims_lie_where_a_turned_head_carries_them(astronaut: Image, face: Landmarks, yaw_deg: float) -> None:
    """No rim is bent round the temple, seen twice or cut off; see `livery bench moments`."""
    glasses, size = Glasses.on(face), face_size(face)
    edit = Edit(astronaut, glasses.draw(astronaut, size))
    rigid = find_objects(edit, face).rigid
    assert rigid is not None
    pose = yaw_about_neck(glasses.points, size, yaw_deg)
    placed = (rims := RigidLayer(edit.edited, rigid, face)).place(
        carried(face, glasses.eye, pose), (512, 512)
    )
    assert placed is not None
    frame = np.full((512, 512, 3), 128, np.uint8)
    made = frame.copy()
    rims.lay(made, placed, 1.0, None)
    errors = rim_errors(made, frame, glasses, pose)
    assert not np.isnan(errors).any()
    assert np.sqrt((errors**2).mean()) < 0.02
    true = glasses.draw(frame, size, pose)
    beside = cv2.dilate(cv2.absdiff(true, frame).max(axis=2), np.ones((11, 11), np.uint8)) == 0
    arms = cv2.absdiff(made, frame).max(axis=2)[beside] > 40
    assert arms.sum() < 0.05 * (cv2.absdiff(true, frame).max(axis=2) > 40).sum()


def test_where_it_lands_and_where_it_is_carried_agree(astronaut: Image, face: Landmarks) -> None:
    rims = layer(astronaut, face)
    turned = scaled_face(face, 1.5, (720, 1280), 20.0)
    placed = rims.place(turned, (720, 1280))
    assert placed is not None
    bridge = face.points[[168, 6], :2]
    for own, seen in zip(bridge, rims.carry(turned, bridge), strict=True):
        at = (seen - placed.box[:2]).astype(np.float32).reshape(1, 1, 2)
        found = cv2.remap(placed.places, at, None, cv2.INTER_LINEAR)[0, 0]
        assert np.abs(found - own).max() < 0.5


def test_the_reference_becomes_the_edited_picture(astronaut: Image, face: Landmarks) -> None:
    edit = Edit(astronaut, props.glasses(astronaut, face))
    out = Compositor(edit, face).compose(astronaut, shift_match((512, 512), (0, 0), face)).image
    difference = np.abs(out.astype(int) - edit.edited).max(axis=2)
    assert difference.max() <= 20
    assert difference[cv2.absdiff(astronaut, edit.edited).max(axis=2) > 20].mean() < 1


def test_unedited_pixels_are_bit_equal(astronaut: Image, face: Landmarks) -> None:
    edit = Edit(astronaut, props.glasses(astronaut, face))
    frame = translated(astronaut, 17, -9)
    result = Compositor(edit, face).compose(frame, shift_match((512, 512), (-17, 9), moved(face, 17, -9)))
    reach = cv2.dilate((edit.mask > 0).astype(np.uint8), np.ones((5, 5), np.uint8))
    outside = translated(np.dstack([reach] * 3), 17, -9)[..., 0] == 0
    np.testing.assert_array_equal(result.image[outside], frame[outside])
    assert (result.image != frame).any()


def test_no_rim_is_seen_twice_where_the_match_errs(astronaut: Image, face: Landmarks) -> None:
    """The match is off by 6 px; only the landmarks place the object."""
    edit = Edit(astronaut, props.glasses(astronaut, face))
    out = Compositor(edit, face).compose(astronaut, shift_match((512, 512), (6, 6), face)).image
    dark = cv2.absdiff(astronaut, edit.edited).max(axis=2) > 60
    assert np.abs(out.astype(int) - edit.edited)[dark].mean() < 2
    beside = cv2.dilate(edit.mask, np.ones((5, 5), np.uint8)) == 0
    np.testing.assert_array_equal(out[beside], astronaut[beside])


def test_sunglasses_hide_an_eye_that_opens_wider(astronaut: Image, face: Landmarks) -> None:
    edit = Edit(astronaut, props.glasses(astronaut, face, 0.95))
    points = face.points.copy()
    points[[145, 153, 154, 144, 163, 7, 374, 380, 381, 373, 390, 249], 1] += 3
    wide = Landmarks(points, face.image_size)
    out = Compositor(edit, face).compose(astronaut, shift_match((512, 512), (0, 0), wide)).image
    x, y = take(wide, LEFT_EYE).mean(axis=0).round().astype(int)
    assert np.abs(out[y, x - 2 : x + 3].astype(int) - edit.edited[y, x - 2 : x + 3]).max() < 12


def test_light_dims_the_object_as_the_face(astronaut: Image, face: Landmarks) -> None:
    edit = Edit(astronaut, props.hat(astronaut, face))
    dark = (astronaut * 0.6).astype(np.uint8)
    match = shift_match((512, 512), (0, 0), face)
    inside = cv2.absdiff(astronaut, edit.edited).max(axis=2) > 60
    shown = Compositor(edit, face).compose(dark, match).image[inside].mean() / edit.edited[inside].mean()
    assert 0.5 < shown < 0.75
    still = Compositor(edit, face, CompositeConfig(follow_light=False)).compose(dark, match).image
    assert still[inside].mean() / edit.edited[inside].mean() > 0.95


def test_a_hand_in_front_hides_it(astronaut: Image, face: Landmarks) -> None:
    """Where the match is unsure on the face, something else is in front."""
    edit = Edit(astronaut, props.glasses(astronaut, face))
    sure, unsure = shift_match((512, 512), (0, 0), face), shift_match((512, 512), (0, 0), face, log_b=6.0)
    log_b = sure.log_b.copy()
    log_b[:, : int(face.points[6, 0])] = unsure.log_b[:, : int(face.points[6, 0])]
    match = type(sure).from_field(sure.field, log_b, face)
    out = Compositor(edit, face).compose(astronaut, match).image
    x, y = take(face, (33,))[0].round().astype(int)
    covered = np.s_[y - 10 : y + 15, x : x + 8]
    assert (edit.edited[covered] != astronaut[covered]).any()
    assert np.abs(out[covered].astype(int) - astronaut[covered]).max() < 20


def test_it_goes_as_the_head_turns_away(astronaut: Image, face: Landmarks) -> None:
    rims = layer(astronaut, face)
    shares = []
    for yaw in (40, 50, 60, 70, 80):
        placed = rims.place(scaled_face(face, 1.0, (512, 512), yaw), (512, 512))
        shares.append(0.0 if placed is None else placed.share)
    assert shares[0] == 1.0
    assert shares[-1] == 0.0
    assert shares == sorted(shares, reverse=True)
    assert rims.place(moved(face, 2000, 0), (512, 512)) is None


@pytest.mark.slow
@pytest.mark.portraits
@pytest.mark.parametrize("name", ["smirk_s", "hyperreenact_1"])
def test_glasses_stay_on_the_temples_of_a_real_clip(portraits: Path, name: str) -> None:
    drift = []
    with av.open(str(portraits / "val" / f"{name}.mp4")) as container, closing(LandmarkTracker()) as tracker:
        rims, own = None, None
        for index, frame in enumerate(container.decode(video=0)):
            image = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
            landmarks = tracker(image, index / 25)
            if landmarks is None:
                continue
            if rims is None or own is None:
                rims, own = layer(image, landmarks), landmarks
            if abs(view_change(own, landmarks).yaw_deg) <= 25:
                seen = rims.carry(landmarks, own.points[TEMPLES, :2])
                apart = np.linalg.norm(seen - landmarks.points[TEMPLES, :2], axis=1)
                drift.append(float(np.median(apart)) * 512 / min(image.shape[:2]))
    assert len(drift) > 50
    assert np.percentile(drift, 95) < 1.5
