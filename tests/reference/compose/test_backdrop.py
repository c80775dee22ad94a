"""What was changed behind the person follows the camera and stays behind the person."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from correspondence import Bool, Box, Float, Image, Landmarks, Match, Matcher
from correspondence.face.body import Body
from reference import (
    CameraFound,
    CameraLost,
    Composition,
    Compositor,
    Edit,
    KeeperConfig,
    Propagator,
    PropagatorConfig,
)
from reference.compose import composite
from reference.compose.backdrop import Backdrop
from reference.compose.blend import Tile, tiles
from reference.compose.person import Split, split_edit
from reference.edits.colour_model import ColourModel
from stream.media.probe import probe
from stream.media.video import VideoReader
from tests.reference.helpers import FakeMatcher, FakeTracker, moved

SIZE = (270, 480)


class Scene:
    """A person before a wall; the camera pans by `pan` pixels, the person moves by `step`."""

    def __init__(self, photo: Image) -> None:
        rng = np.random.default_rng(2)
        coarse = cv2.resize(
            rng.integers(0, 256, (30, 60, 3), np.uint8), (900, 450), interpolation=cv2.INTER_CUBIC
        )
        self.wall = np.asarray(cv2.GaussianBlur(coarse, (0, 0), 1.5), np.uint8)
        self.poster = self.wall.copy()
        self.poster[150:290, 250:340] = (230, 40, 200)
        self.poster[120:300, 500:540] = (20, 240, 60)
        self._photo = photo[40:300, 140:330]

    def frame(self, pan: int = 0, step: int = 0, poster: bool = False) -> tuple[Image, Float]:
        wall = self.poster if poster else self.wall
        out = wall[90 : 90 + SIZE[0], 200 + pan : 200 + pan + SIZE[1]].copy()
        person = np.zeros(SIZE, np.float32)
        cv2.ellipse(person, (240 + step, 190), (80, 150), 0, 0, 360, 1.0, -1)
        x = 240 + step - 95
        cut = person[10:270, x : x + 190, None]
        part = out[10:270, x : x + 190]
        out[10:270, x : x + 190] = np.rint(part * (1 - cut) + self._photo * cut).astype(np.uint8)
        return out, person

    def split(self) -> Split:
        reference, person = self.frame()
        split = split_edit(Edit(reference, self.frame(poster=True)[0]), person)
        assert split is not None
        return split


class Known:
    """A finder that knows where the person is."""

    def __init__(self, masks: dict[float, Float]) -> None:
        self.masks, self.closed = masks, False

    def __call__(self, image: Image, now_s: float) -> Body:
        return Body(None, self.masks[now_s], SIZE, now_s)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def scene(astronaut: Image) -> Scene:
    return Scene(astronaut)


def blended(
    backdrop: Backdrop, frame: Image, now_s: float, landmarks: Landmarks | None, front: Composition
) -> Composition:
    return backdrop.blend(frame, backdrop.begin(frame, now_s, landmarks, 1.0).result(), front, 1.0)


def test_a_poster_stays_on_the_wall_behind_a_moving_person(scene: Scene) -> None:
    moves = [(4 * k, -3 * k) for k in range(12)]
    masks = {float(k): scene.frame(*move)[1] for k, move in enumerate(moves)}
    backdrop = Backdrop(scene.split(), beside=False, finder=Known(masks))
    for k, (pan, step) in enumerate(moves):
        frame, person = scene.frame(pan, step)
        truth = scene.frame(pan, step, poster=True)[0]
        before = frame.copy()
        out = blended(backdrop, frame, float(k), None, Composition(frame, None, 0.0)).image
        np.testing.assert_array_equal(frame, before)
        inside = cv2.erode(person, np.ones((9, 9), np.uint8)) > 0.99
        outside = cv2.dilate(person, np.ones((9, 9), np.uint8)) < 0.01
        np.testing.assert_array_equal(out[inside], frame[inside])
        changed = (cv2.absdiff(truth, frame).max(axis=2) > 40) & outside
        error = np.abs(out.astype(int) - truth)[changed].mean()
        assert error < 12, (k, error)
        away = cv2.dilate((truth != frame).any(axis=2).astype(np.uint8), np.ones((25, 25), np.uint8)) == 0
        wall = away & (cv2.dilate(person, np.ones((61, 61), np.uint8)) < 0.01)
        np.testing.assert_array_equal(out[wall], frame[wall])
    backdrop.close()


def test_person_and_background_are_each_composed_where_they_show(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both cover the picture, but no pixel far from the outline is composed twice."""
    composed = np.zeros(SIZE, np.uint8)

    def counted(box: Box, busy: Bool, size: tuple[int, int]) -> Iterator[Tile]:
        for tile in tiles(busy, size):
            composed[box[1] : box[3], box[0] : box[2]][tile] += 1
            yield tile

    fill = Compositor._fill

    def filled(self: Compositor, *given: Any) -> None:
        monkeypatch.setattr(composite, "tiles", partial(counted, given[3].box))
        fill(self, *given)

    monkeypatch.setattr(Compositor, "_fill", filled)
    reference, person = scene.frame()
    split = split_edit(Edit(reference, 255 - reference, "replace"), person)
    assert split is not None
    backdrop = Backdrop(split, beside=False, finder=Known({0.0: person}))
    front = Compositor(split.front, None)
    behind = backdrop.begin(reference, 0.0, None, 1.0).result()
    match = Match.from_field(np.zeros((*SIZE, 2), np.float32), np.full(SIZE, -2, np.float32))
    part = front.compose(reference, match, only=behind.outlined.person)
    out = backdrop.blend(reference, behind, part, 1.0).image
    assert np.abs(out.astype(int) - (255 - reference)).mean() < 2
    assert (composed > 0).all()
    rim = cv2.dilate(person, np.ones((3, 3))) - cv2.erode(person, np.ones((3, 3)))
    far = cv2.dilate(rim, np.ones((97, 97), np.uint8)) == 0  # further than the gaps that a tile may hold
    assert far.mean() > 0.2
    assert composed[far].max() == 1


def test_with_cells_that_are_needed_the_rest_is_the_frame(scene: Scene) -> None:
    reference, _ = scene.frame()
    match = Match.from_field(np.zeros((*SIZE, 2), np.float32), np.full(SIZE, -2, np.float32))
    cells = np.zeros((68, 120), np.bool_)
    cells[20:30, 40:70] = True
    compositor = Compositor(Edit(reference, 255 - reference, "replace"), None)
    out = compositor.compose(reference, match, only=cells)
    assert out.box == (160, 80, 280, 120)
    outside = np.ones(SIZE, np.bool_)
    outside[80:120, 160:280] = False
    np.testing.assert_array_equal(out.image[outside], reference[outside])
    assert np.abs(out.image[~outside].astype(int) - (255 - reference[~outside])).mean() < 2
    assert compositor.compose(reference, match, only=~cells & cells).box is None


def test_the_edit_goes_where_the_camera_is_lost_and_comes_back(scene: Scene) -> None:
    frame, person = scene.frame()
    truth = scene.frame(poster=True)[0]
    changed = (cv2.absdiff(truth, frame).max(axis=2) > 40) & (person == 0)
    masks = {float(k): person for k in range(20)}
    backdrop = Backdrop(scene.split(), beside=False, finder=Known(masks))
    other = np.random.default_rng(9).integers(0, 256, frame.shape, np.uint8)
    shown = []
    for k in range(20):
        now = frame if k < 4 or k >= 11 else other
        out = blended(backdrop, now, float(k), None, Composition(now, None, 0.0)).image
        shown.append(float(np.abs(out.astype(int) - now)[changed].mean()))
    assert shown[10] == 0
    assert shown[3] > 40
    assert shown[19] == pytest.approx(shown[3], rel=0.1)
    assert max(np.abs(np.diff(shown))) < 0.35 * shown[3]


def negative(image: Image) -> Image:
    return np.asarray(cv2.bitwise_not(image), np.uint8)


def test_a_look_of_the_whole_picture_stays_where_the_camera_is_lost(scene: Scene) -> None:
    frame, person = scene.frame()
    split = split_edit(Edit(frame, negative(frame)), person)
    assert split is not None
    backdrop = Backdrop(split, beside=False, finder=Known({float(k): person for k in range(14)}))
    other = cv2.GaussianBlur(scene.frame(40)[0][:, ::-1], (0, 0), 9)
    for k in range(14):
        now = frame if k < 2 else np.ascontiguousarray(other)
        out = blended(backdrop, now, float(k), None, Composition(negative(now), None, 1.0)).image
        away = np.abs(out.astype(int) - (255 - now)).max(axis=2)
        nearer = np.abs(out.astype(int) - now).max(axis=2) < away
        assert nearer[np.abs(now.astype(int) - 127).max(axis=2) > 20].mean() < 0.02, k
    backdrop.close()


def test_a_frame_gets_the_colours_of_a_look_once(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    frame, person = scene.frame()
    sepia = frame @ np.array([[0.5, 0.4, 0.2], [0.4, 0.4, 0.3], [0.1, 0.1, 0.2]])  # no tone of each channel
    split = split_edit(Edit(frame, np.clip(sepia, 0, 255).astype(np.uint8)), person)
    assert split is not None
    sizes: list[tuple[int, ...]] = []
    apply = ColourModel.apply

    def counted(self: ColourModel, image: Image, *, large: bool = False) -> Image:
        sizes.append(image.shape)
        return apply(self, image, large=large)

    front, backdrop = (
        Compositor(split.front, None),
        Backdrop(split, beside=False, finder=Known({0.0: person})),
    )
    monkeypatch.setattr(ColourModel, "apply", counted)
    behind = backdrop.begin(frame, 0.0, None, 1.0).result()
    match = Match.from_field(np.zeros((*SIZE, 2), np.float32), np.full(SIZE, -2, np.float32))
    shared = front.compose(frame, match, only=behind.outlined.person, coloured=behind.coloured)
    assert sizes == [frame.shape]
    alone = front.compose(frame, match, only=behind.outlined.person)
    assert cv2.absdiff(shared.image, alone.image).max() <= 1


def test_beside_the_path_the_frame_never_waits(scene: Scene, face: Landmarks) -> None:
    frame, person = scene.frame()
    let = threading.Event()

    class Held(Known):
        def __call__(self, image: Image, now_s: float) -> Body:
            assert let.wait(60)
            return super().__call__(image, now_s)

    backdrop = Backdrop(scene.split(), finder=Held({0.0: person}))
    front = Composition(frame, None, 0.0)
    first = blended(backdrop, frame, 0.0, face, front)  # by the reference's outline
    assert first.box is not None
    let.set()
    watcher = backdrop._watcher
    assert watcher is not None
    deadline = time.monotonic() + 30
    while watcher.latest is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    second = blended(backdrop, frame, 0.04, moved(face, 1, 0), front)
    inside = cv2.erode(person, np.ones((9, 9), np.uint8)) > 0.99
    np.testing.assert_array_equal(second.image[inside], frame[inside])
    backdrop.close()


def test_only_edits_of_the_background_are_split(astronaut: Image, face: Landmarks, scene: Scene) -> None:
    matcher = FakeMatcher(face)
    config = PropagatorConfig(references=None)
    for edited, split in ((None, False), (scene.poster, True)):
        picture = astronaut if edited is None else scene.frame()[0]
        after = astronaut.copy() if edited is None else scene.frame(poster=True)[0]
        after[0, 0] ^= 1
        landmarks = face if edited is None else None
        tracker = FakeTracker(landmarks)
        matcher.landmarks = landmarks
        propagator = Propagator(Edit(picture, after), matcher, tracker, config)  # type: ignore[arg-type]
        ready = propagator.worn
        assert ready is not None
        assert (ready.backdrop is not None) == split
        propagator.close()


@pytest.mark.parametrize("clip", ["liax_7", "sadtalker_wda_em", "hyperreenact_1", "lp_d6"])
@pytest.mark.portraits
def test_edits_in_the_corners_show_on_every_clip(portraits: Path, clip: str) -> None:
    """Backgrounds on which the camera could once not be followed, one of them nearly plain."""
    with VideoReader(probe(portraits / "val" / f"{clip}.mp4")) as reader:
        frames = [f.image for f in islice(reader.frames(), 6)]
    height, width = frames[0].shape[:2]
    edited = frames[0].copy()
    edited[: height // 4, : width // 5] = edited[: height // 4, -width // 5 :] = (30, 160, 60)
    asked = np.abs(edited.astype(int) - frames[0]).max(axis=2) > 20
    config = PropagatorConfig(references=KeeperConfig(background=False))
    propagator = Propagator(Edit(frames[0], edited), Matcher.load("classical"), config=config)
    for k, frame in enumerate(frames):
        result = propagator.step(frame, k / 25)
        changed = np.abs(result.image.astype(int) - frame).max(axis=2) > 20
        assert changed.sum() == pytest.approx(asked.sum(), rel=0.1)
    propagator.close()


def test_a_plain_wall_is_taken_for_that_of_a_camera_on_a_stand(scene: Scene) -> None:
    scene.wall[:] = 140
    scene.poster[:] = 140
    scene.poster[150:290, 250:340] = (230, 40, 200)
    frame, person = scene.frame()
    backdrop = Backdrop(scene.split(), beside=False, finder=Known({0.0: person}))
    out = blended(backdrop, frame, 0.0, None, Composition(frame, None, 0.0)).image
    asked = (scene.frame(poster=True)[0] != frame).any(axis=2) & (person == 0)
    assert np.abs(out[asked].astype(int) - (230, 40, 200)).max() <= 2
    assert not backdrop.lost


def test_a_lost_camera_is_told_and_named(scene: Scene) -> None:
    frame, _ = scene.frame()
    edit = Edit(frame, scene.frame(poster=True)[0])
    other = np.random.default_rng(9).integers(0, 256, frame.shape, np.uint8)
    matcher = FakeMatcher(None)
    config = PropagatorConfig(references=KeeperConfig(background=False))
    propagator = Propagator(edit, matcher, FakeTracker(None), config)  # type: ignore[arg-type]
    ready = propagator.worn
    assert ready is not None
    ready = replace(
        ready,
        backdrop=Backdrop(
            scene.split(), beside=False, finder=Known({k / 25: scene.frame()[1] for k in range(12)})
        ),
    )
    propagator.put_on(ready)
    results = [propagator.step(other if 2 <= k < 9 else frame, k / 25) for k in range(12)]
    told = [type(e) for r in results for e in r.events if isinstance(e, (CameraFound, CameraLost))]
    assert told == [CameraLost, CameraFound]
    assert [e.now_s for e in results[2].events if isinstance(e, CameraLost)] == [2 / 25]
    propagator.close()


@pytest.mark.slow
@pytest.mark.portraits
def test_a_poster_behind_a_real_head(portraits: Path) -> None:
    """A real clip with a still camera, panned by hand: the poster stays within 2 px of the wall."""
    import av

    with av.open(str(portraits / "val" / "smirk_s.mp4")) as container:
        frames = [np.asarray(f.to_ndarray(format="rgb24"), np.uint8) for f in container.decode(video=0)][:24]
    reference = frames[0]
    edited = reference.copy()
    edited[60:120, 20:80] = (240, 230, 30)
    config = PropagatorConfig(references=KeeperConfig(background=False))
    propagator = Propagator(Edit(reference, edited), Matcher.load("classical"), config=config)
    for k, image in enumerate(frames):
        motion = np.array([[1, 0, 2 * k], [0, 1, 0]], np.float32)
        frame = np.asarray(cv2.warpAffine(image, motion, (512, 512), borderMode=cv2.BORDER_REFLECT), np.uint8)
        out = propagator.step(frame, k / 25).image
        yellow = (np.abs(out.astype(int) - (240, 230, 30)).max(axis=2) < 60).nonzero()
        assert abs(yellow[1].mean() - (49.5 + 2 * k)) < 2
        assert abs(yellow[0].mean() - 89.5) < 2
    propagator.close()
