"""Training pairs of the cover network: a partly covered frame, its reference, and the truth."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from correspondence.cover.aligned import aligned
from correspondence.cover.crop import PER_FACE, SIDE, Matrix, carried, face_area
from correspondence.face_crop import FaceCrop
from correspondence.training.cover import placing, worn
from correspondence.training.cover.data import Faces
from correspondence.training.cover.drawn import drawn_cover
from correspondence.training.cover.occluders import POOL_PER_FACE, POOL_SIDE, Cover, Covered
from correspondence.types import Float, Image

Rng = np.random.Generator
Indices = npt.NDArray[np.intp]
APART_OF = 6  # so many crops of a clip are compared
BESIDE = 0.15  # weight of pixels outside the face
OFTEN = {
    "hand": 6.0,
    "object": 2.0,
    "mask": 0.7,
    "glasses": 0.7,
}  # relative frequencies


@dataclass(frozen=True, slots=True, kw_only=True)
class CoverPairConfig:
    """Frequencies of what happens to a pair; shares are in [0, 1]."""

    uncovered: float = 0.25  # share of pairs with an uncovered frame
    second: float = 0.25  # share of covered pairs with a second cover
    drawn: float = 0.45  # share of drawn covers; the rest are cut-outs
    real: float = 0.24  # share of pairs from real covered pictures
    real_alone: float = 0.2  # share of those that are given no reference
    alone: float = 0.15  # share of pairs without a reference
    behind: float = 0.1  # share of pairs whose reference is covered too
    own_colour: float = 0.5  # share of hands in the face's colour
    make_up: float = 0.35
    glasses: float = 0.2  # share of pairs with glasses in both pictures
    glare: float = 0.3  # share of pictures with drawn glasses whose lenses mirror a light
    put_on: float = 0.12  # share with glasses in the frame only, where they count as cover
    apart: float = 0.25  # share of pairs whose reference shows the head turned another way
    side_light: float = 0.25
    tongue: float = 0.04
    motion: float = 0.25  # share of covers with motion blur
    shadow: float = 0.6  # share of covers with a shadow on the face
    peeking: float = 0.25  # share of covers that only just reach over the face's outline


@dataclass(frozen=True, slots=True, eq=False)
class CoverPair:
    """One pair.

    Attributes:
        frame, reference: float32 (SIDE, SIDE, 3), RGB [0, 255]. The reference is bent onto the frame by the
            landmarks. Without a reference all its values are `NONE`.
        hidden: how much of the frame's face is hidden, float32 (SIDE, SIDE), [0, 1].
        face: 1 inside the face's outline in the frame, 0 outside, 2 where the truth is unknown, float32.
        kind: kind of the last cover, or "none".
    """

    frame: Float
    reference: Float
    hidden: Float
    face: Float
    kind: str


NONE = 127.5  # becomes 0 in the network's input


class CoverPairs:
    """Makes pairs. Number and seed determine a pair.

    Args:
        faces: uncovered crops.
        covers: cut-outs to lay over them.
        pictures: real covered crops.
        config: frequencies.
        seed: seed of all randomness.
    """

    def __init__(
        self,
        faces: Faces,
        covers: list[Cover],
        pictures: list[Covered],
        config: CoverPairConfig | None = None,
        seed: int = 0,
    ) -> None:
        self.faces, self.pictures = faces, pictures
        self.config = config or CoverPairConfig()
        self.seed = seed
        kinds = sorted({c.kind for c in covers})
        self._covers = {k: [c for c in covers if c.kind == k] for k in kinds}
        self._of_clip = {int(c): np.flatnonzero(faces.clip == c) for c in np.unique(faces.clip)}
        self._clips = list(self._of_clip)
        self._bare: dict[str, list[Covered]] = {}  # uncovered frames of clips of people signing, by clip
        for p in pictures:
            if p.unsure is not None and not p.mask.any() and not p.unsure.any():
                self._bare.setdefault(p.name.rpartition("-")[0], []).append(p)

    def pair(self, number: int, kind: str | None = None, index: int | None = None) -> CoverPair:
        """Make a pair.

        Args:
            number: number of the pair. With the seed it determines the pair.
            kind: kind of the cut-out to lay over the face. "none": no cover. None: any or none.
            index: number of the crop that serves as frame. None: any.
        """
        rng = np.random.default_rng((self.seed, number))
        config = self.config
        if self.pictures and kind is None and rng.random() < config.real:
            return self.real(rng, self.pictures[int(rng.integers(len(self.pictures)))])
        if index is None:
            mine = self._of_clip[self._clips[int(rng.integers(len(self._clips)))]]
            index = int(rng.choice(mine))
        mine = self._of_clip[int(self.faces.clip[index])]
        frame, points = self._crop(rng, index, 1.0)
        other, own = self._crop(rng, self._reference(rng, index, mine), 0.5)
        self._wear(rng, frame, points, other, own)
        hidden = np.zeros((SIDE, SIDE), np.float32)
        laid = "none"
        if kind != "none" and (kind is not None or rng.random() >= config.uncovered):
            for _ in range(1 + int(kind is None and rng.random() < config.second)):
                laid = self._cover(rng, frame, points, hidden, kind)
        if kind is None and rng.random() < config.put_on:
            motion = rng if rng.random() < config.motion else None
            hidden = np.maximum(hidden, worn.glasses(frame, points, int(rng.integers(1 << 31)), motion))
        if rng.random() < config.behind and kind is None:
            self._cover(rng, other, own, np.zeros((SIDE, SIDE), np.float32), None)
        seen = _drifted(rng, points, laid != "none")
        return self._finish(rng, frame, points, other, (own, seen), hidden, laid, alone=kind is None)

    def real(self, rng: Rng, picture: Covered) -> CoverPair:
        """Make a pair of a real covered picture.

        If it is from a clip, another frame of it is the reference.
        """
        matrix = _jitter(rng, 0.6)
        frame, points = _turned(picture.image, picture.points, matrix)
        hidden, _ = _turned(picture.mask, picture.points, matrix)
        other, own = np.full_like(frame, NONE), points
        clip = self._bare.get(picture.name.rpartition("-")[0], [])
        if clip and rng.random() >= self.config.real_alone:
            bare = clip[int(rng.integers(len(clip)))]
            other, own = _turned(bare.image, bare.points, _jitter(rng, 0.5))
        both = (own, points)
        pair = self._finish(rng, frame, points, other, both, hidden, "real", alone=True, mirrored=False)
        if picture.unsure is not None:
            unsure, _ = _turned(picture.unsure, picture.points, matrix)
            pair.face[unsure > 0] = 2
        return pair

    def _finish(
        self,
        rng: Rng,
        frame: Float,
        points: Float,
        other: Float,
        both: tuple[Float, Float],
        hidden: Float,
        kind: str,
        alone: bool,
        mirrored: bool = True,
    ) -> CoverPair:
        """Light and film both crops, and bend the reference by `both` landmarks, its own and the frame's."""
        config = self.config
        spread = rng.uniform(0.02, 0.4)  # both pictures share one light
        room = int(rng.integers(1 << 31))
        frame = worn.exposed(frame, np.random.default_rng(room), spread)
        if rng.random() < config.side_light:
            frame = worn.side_light(frame, points, rng)
        frame = worn.as_filmed(worn.exposed(frame, rng, 0.12), rng)
        if (other == NONE).all() or (alone and rng.random() < config.alone):
            other = np.full_like(other, NONE)
        else:
            other = worn.exposed(other, np.random.default_rng(room), spread)
            other = worn.as_filmed(worn.exposed(other, rng, 0.12), rng)
            other = aligned(FaceCrop(np.clip(other, 0, 255).astype(np.uint8), both[0]), both[1]).astype(
                np.float32
            )
        face = face_area(points)
        if mirrored and rng.random() < 0.5:
            frame, other, hidden, face = (
                np.ascontiguousarray(a[:, ::-1]) for a in (frame, other, hidden, face)
            )
        return CoverPair(frame, other, hidden, face, kind)

    def _crop(self, rng: Rng, index: int, amount: float) -> tuple[Float, Float]:
        return _turned(self.faces.images[index], self.faces.points[index], _jitter(rng, amount))

    def _reference(self, rng: Rng, index: int, mine: Indices) -> int:
        """Choose a reference among the crops of a clip: any, or of a few the one turned furthest."""
        if not self.config.apart or rng.random() >= self.config.apart:
            return int(rng.choice(mine))
        few = rng.choice(mine, APART_OF)
        apart = np.abs(self.faces.points[few] - self.faces.points[index]).mean(axis=(1, 2))
        return int(few[int(np.argmax(apart))])

    def _wear(self, rng: Rng, frame: Float, points: Float, other: Float, own: Float) -> None:
        config = self.config
        if rng.random() < config.make_up:
            for _ in range(int(rng.integers(1, 4))):
                seed = int(rng.integers(1 << 31))
                worn.make_up(frame, points, seed)
                worn.make_up(other, own, seed)
        if rng.random() < config.tongue:
            worn.tongue(frame, points, rng)
        if rng.random() < config.glasses:
            seed = int(rng.integers(1 << 31))
            worn.glasses(frame, points, seed)
            worn.glasses(other, _drifted(rng, own, False), seed)  # they slip, and stand before the face
            for picture, at in ((frame, points), (other, own)):
                if rng.random() < config.glare:
                    worn.glare(picture, at, rng)

    def _cover(self, rng: Rng, frame: Float, points: Float, hidden: Float, kind: str | None) -> str:
        """Lay one cover over the frame, in place, and add it to what is hidden. Returns its kind."""
        config = self.config
        skin = _skin(frame, points)
        drawn = kind is None and (not self._covers or rng.random() < config.drawn)
        if kind == "drawn" or drawn:
            texture = self.faces.images[int(rng.integers(len(self.faces.images)))]
            picture, name = drawn_cover(rng, texture, skin)
            size = rng.uniform(0.5, 1.5) * (0.6 if name == "phone" else 1)
        else:
            name = kind or str(rng.choice(list(self._covers), p=_shares(list(self._covers))))
            cover = self._covers[name][int(rng.integers(len(self._covers[name])))]
            picture = cover.picture.astype(np.float32)
            picture[..., 3] *= np.float32(1 / 255)
            size = rng.uniform(0.45, 1.2)
        if name == "hand" and rng.random() < config.own_colour:
            picture = _recoloured(rng, picture, skin)
        elif rng.random() < 0.7:
            picture = _lit(rng, picture, float(skin.mean()))
        if name in ("mask", "glasses"):
            laid = placing.placed_on_face(rng, picture, points, name)
        else:
            laid = placing.placed(rng, picture, points, size, rng.random() < config.peeking)
        soft = rng.uniform(0.2, 1.2)
        laid = cv2.GaussianBlur(laid, (0, 0), soft)
        if rng.random() < config.motion:
            laid = placing.moved(rng, laid)
        alpha = np.clip(laid[..., 3:], 0, 1)
        if rng.random() < config.shadow:
            shift = np.array([[1, 0, rng.normal(0, 4)], [0, 1, rng.normal(3, 4)]])
            shade = cv2.warpAffine(cv2.GaussianBlur(alpha, (0, 0), rng.uniform(1, 6)), shift, (SIDE, SIDE))
            frame *= 1 - np.float32(rng.uniform(0.1, 0.6)) * shade[..., None]
        frame *= 1 - alpha
        frame += laid[..., :3]
        np.maximum(hidden, alpha[..., 0], out=hidden)
        return name


def _shares(kinds: list[str]) -> list[float]:
    """Return how often each kind of cut-out is used."""
    total = sum(OFTEN[kind] for kind in kinds)
    return [OFTEN[kind] / total for kind in kinds]


def _jitter(rng: Rng, amount: float) -> Matrix:
    """Draw the map from a stored crop to the network's. Landmarks drift, further if the face is covered."""
    far = amount * (3 if rng.random() < 0.2 else 1)
    scale = SIDE * POOL_PER_FACE / (POOL_SIDE * PER_FACE) * float(np.exp(rng.normal(0, 0.045 * far)))
    turn = np.radians(rng.normal(0, 3 * far))
    cos, sin = scale * np.cos(turn), scale * np.sin(turn)
    linear = np.array([[cos, -sin], [sin, cos]])
    middle = np.full(2, (POOL_SIDE - 1) / 2)
    shift = np.full(2, (SIDE - 1) / 2) - linear @ middle + rng.normal(0, 2.5 * far, 2)
    return np.concatenate([linear, shift[:, None]], axis=1)


def _turned(image: Image | Float, points: Float, matrix: Matrix) -> tuple[Float, Float]:
    out = cv2.warpAffine(image, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return out.astype(np.float32), carried(points, matrix)


def _drifted(rng: Rng, points: Float, covered: bool) -> Float:
    """Move landmarks as a tracker does: a little on a bare face, further on a covered one."""
    far = 3.0 if covered and rng.random() < 0.3 else 1.0
    middle = points.mean(axis=0)
    stretch = np.exp(rng.normal(0, 0.012 * far, 2))
    turn = rng.normal(0, 0.02 * far)
    linear = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) * stretch
    wave = rng.normal(0, 0.5 * far, 2) * np.sin(points[:, ::-1] / rng.uniform(8, 20) + rng.uniform(0, 6.3, 2))
    moved = (points - middle) @ linear.T + middle + rng.normal(0, 0.6 * far, 2) + wave
    return moved.astype(np.float32)


def _skin(frame: Float, points: Float) -> Float:
    """Return the face's colour: the median around cheeks, forehead and nose, float32 (3,)."""
    at = np.clip(np.rint(points[[50, 280, 9, 205, 425, 4]]), 0, SIDE - 1).astype(int)
    return np.asarray(np.median(frame[at[:, 1], at[:, 0]], axis=0), np.float32)


def _mean(picture: Float) -> Float:
    share = picture[..., 3:]
    return np.asarray((picture[..., :3] * share).sum(axis=(0, 1)) / max(float(share.sum()), 1e-3), np.float32)


def _recoloured(rng: Rng, picture: Float, skin: Float) -> Float:
    """Give a hand the colour of the face before it, or of another face."""
    share = np.float32(rng.uniform(0.6, 1.0))
    aim = skin * np.exp(rng.normal(0, 0.12)) * np.exp(rng.normal(0, 0.04, 3))
    if rng.random() < 0.25:
        aim = np.array([60, 38, 28]) + rng.beta(0.8, 1.4) * np.array([185, 172, 162])
    gain = (aim / np.maximum(_mean(picture), 8)) ** share
    out = picture.copy()
    out[..., :3] = np.minimum(out[..., :3] * gain.astype(np.float32), 255)
    return out


def _lit(rng: Rng, picture: Float, level: float) -> Float:
    """Light a cover like the face: its brightness moves towards the face's."""
    own = max(float(_mean(picture).mean()), 8.0)
    gain = (max(level, 8.0) / own) ** rng.uniform(0, 0.6) * np.exp(rng.normal(0, 0.2))
    out = picture.copy()
    out[..., :3] = np.minimum(out[..., :3] * (gain * np.exp(rng.normal(0, 0.05, 3))).astype(np.float32), 255)
    return out
