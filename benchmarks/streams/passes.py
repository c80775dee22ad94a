"""An endless stream from one clip, played forward and backward. Each pass has its own seeded camera."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from benchmarks.common import read_clip
from benchmarks.matching.measures import withheld_points
from benchmarks.matching.metrics import FloatAny, withhold
from correspondence import Float, Image, Landmarks, detect_landmarks

CLIP_FPS = 25
EASE_S = 1.0  # time in which one pass's camera changes to the next one's
NOISES = 6  # noise fields, one of which each frame uses


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraRanges:
    """Ranges from which the camera of a pass is drawn. Lengths are shares of the frame's side."""

    zoom: tuple[float, float] = (0.85, 1.15)
    pan: float = 0.05
    gain: float = 0.2  # exposure 1 - gain ... 1 + gain
    tint: float = 0.03  # further exposure of each channel, 1 - tint ... 1 + tint
    slope: float = 0.2  # light across the frame, from its middle to its border
    noise: tuple[float, float] = (0.5, 3.5)  # standard deviation, grey levels
    jpeg: tuple[int, int] = (70, 95)


@dataclass(frozen=True, slots=True, eq=False)
class Camera:
    """The transformation of a clip's frame to a frame of the stream.

    Attributes:
        zoom, pan: about the frame's middle; pan is float64 (2,), pixels.
        gain: exposure of each channel, float64 (3,).
        slope: change of light from the middle to the border, float64 (2,).
        noise: standard deviation, grey levels.
        jpeg: quality of the encoding.
    """

    zoom: float
    pan: FloatAny
    gain: FloatAny
    slope: FloatAny
    noise: float
    jpeg: float

    def between(self, other: Camera, share: float) -> Camera:
        """Interpolate between this camera (share 0) and another (share 1)."""
        names = self.__slots__
        return Camera(**{n: (1 - share) * getattr(self, n) + share * getattr(other, n) for n in names})

    def matrix(self, size: tuple[int, int]) -> FloatAny:
        """Map from clip to stream, float64 (2, 3), pixels."""
        middle = np.array([size[1] - 1, size[0] - 1]) / 2
        shift = middle + self.pan - self.zoom * middle
        return np.array([[self.zoom, 0, shift[0]], [0, self.zoom, shift[1]]])

    def light(self, size: tuple[int, int]) -> Float:
        """Factor of each pixel, float32 (H, W, 3)."""
        y, x = np.linspace(-1, 1, size[0])[:, None], np.linspace(-1, 1, size[1])[None]
        across = 1 + self.slope[0] * x + self.slope[1] * y
        return (across[..., None] * self.gain).astype(np.float32)


def draw_camera(rng: np.random.Generator, side: int, ranges: CameraRanges) -> Camera:
    """Draw a camera for frames of `side` x `side` pixels."""
    return Camera(
        zoom=float(rng.uniform(*ranges.zoom)),
        pan=rng.uniform(-ranges.pan, ranges.pan, 2) * side,
        gain=rng.uniform(1 - ranges.gain, 1 + ranges.gain) * rng.uniform(1 - ranges.tint, 1 + ranges.tint, 3),
        slope=rng.uniform(-ranges.slope, ranges.slope, 2),
        noise=float(rng.uniform(*ranges.noise)),
        jpeg=float(rng.integers(ranges.jpeg[0], ranges.jpeg[1] + 1)),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """A frame of the stream with its truth.

    Attributes:
        frame: uint8 (H, W, 3), as a matcher sees it.
        before_noise: float32 (H, W, 3), the same before noise and encoding.
        light: float32 (H, W, 3), what the clean picture was multiplied by.
        noise: float32 (H, W, 3), what was added.
        truth: all landmarks, detected on the clean frame and carried by the camera.
        given: the same with half of the points withheld.
        now_s: time of the frame, seconds.
        source: number of the clip's frame.
    """

    frame: Image
    before_noise: Float
    light: Float
    noise: Float
    truth: Landmarks
    given: Landmarks
    now_s: float
    source: int


class Passes:
    """The stream. Frames may be read at any time and in any order.

    Args:
        path: a clip. Frames without a face are left out.
        seed: seed of the cameras.
        side: side of the frames, pixels.
        frames: most frames of the clip.
    """

    def __init__(
        self,
        path: Path,
        seed: int,
        side: int = 512,
        frames: int | None = None,
        ranges: CameraRanges | None = None,
    ) -> None:
        read = [(f, detect_landmarks(f)) for f in read_clip(path, frames, side)]
        self.clean = [f for f, lm in read if lm is not None]
        self.landmarks = [lm for _, lm in read if lm is not None]
        if len(self.clean) < 2:
            raise ValueError(f"{path}: a face in two frames is needed, got {len(self.clean)}")
        held = withheld_points()
        self._given = [withhold(lm, self.landmarks[0], held) for lm in self.landmarks]
        self._seed, self._side, self._ranges = seed, side, ranges or CameraRanges()
        rng = np.random.default_rng([seed, 0])
        self._noises = [rng.standard_normal((side, side, 3), np.float32) for _ in range(NOISES)]
        self._cameras: dict[int, Camera] = {}

    @property
    def pass_s(self) -> float:
        """Duration of one pass, forward or backward, seconds."""
        return (len(self.clean) - 1) / CLIP_FPS

    def camera(self, number: int) -> Camera:
        """Return the camera of a pass."""
        if number not in self._cameras:
            rng = np.random.default_rng([self._seed, 1 + number])
            self._cameras[number] = draw_camera(rng, self._side, self._ranges)
        return self._cameras[number]

    def at(self, now_s: float) -> Shown:
        """Return the stream's frame at a time."""
        number, into = divmod(round(now_s * CLIP_FPS), len(self.clean) - 1)
        source = into if number % 2 == 0 else len(self.clean) - 1 - into
        camera = self.camera(number)
        share = into / (EASE_S * CLIP_FPS)
        if number > 0 and share < 1:
            camera = self.camera(number - 1).between(camera, share)
        return self._shoot(source, camera, now_s)

    def _shoot(self, source: int, camera: Camera, now_s: float) -> Shown:
        size = (self._side, self._side)
        matrix = camera.matrix(size)
        moved = cv2.warpAffine(
            self.clean[source], matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
        )
        light = camera.light(size)
        lit = moved * light
        rng = np.random.default_rng([self._seed, 2, round(now_s * CLIP_FPS)])
        noise = np.roll(self._noises[int(rng.integers(NOISES))], int(rng.integers(self._side)), axis=0)
        noise = noise * np.float32(camera.noise)
        raw = np.clip(np.rint(lit + noise), 0, 255).astype(np.uint8)
        _, packed = cv2.imencode(".jpg", raw[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, round(camera.jpeg)])
        frame = cv2.cvtColor(cv2.imdecode(packed, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        truth, given = (carry(lm[source], matrix) for lm in (self.landmarks, self._given))
        return Shown(frame, lit, light, noise, truth, given, now_s, source)


def carry(landmarks: Landmarks, matrix: FloatAny) -> Landmarks:
    """Move landmarks by a similarity, float (2, 3). Depth is scaled with it."""
    points = landmarks.points.astype(np.float64)
    moved = points[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    depth = points[:, 2:] * np.sqrt(abs(np.linalg.det(matrix[:, :2])))
    return Landmarks(np.concatenate([moved, depth], axis=1).astype(np.float32), landmarks.image_size)
