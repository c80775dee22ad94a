"""The classical matcher: landmark, flow and still candidates, chosen per cell by residual and cycle.

It needs no weights. The landmark field brings the reference roughly onto the frame; OpenCV's DIS flow
(Kroeger et al. 2016) between the frame and that picture, in both directions, corrects it and tells by
its cycle where it may be believed.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from correspondence import topology as topo
from correspondence.grid import Float, compose, pixel_grid
from correspondence.landmarks import detect_landmarks
from correspondence.mesh import FaceReference, LandmarkField, face_reference, landmark_field
from correspondence.region import Region, choose_region, crop, ideal_region, whole
from correspondence.types import (
    DETECT,
    Detect,
    Image,
    Landmarks,
    Match,
    MaybeLandmarks,
    Patch,
    check_image,
)
from correspondence.uncertainty import scale_of

Gray = npt.NDArray[np.uint8]

COARSE = 96  # cells on a side of the coarse grid around the whole frame
FEATHER = 0.06  # rim of the region that fades into the coarse field, in region sides
_local = threading.local()  # DIS objects keep buffers: one set a thread
_pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="dis")


def dis_flow(source: Gray, target: Gray, fine: bool = True) -> Float:
    """DIS optical flow: source(x) is seen at target(x + flow(x)).

    Args:
        source: uint8 (H, W), both sides at least 16.
        target: uint8 (H, W).
        fine: FAST instead of ULTRAFAST settings.

    Returns:
        float32 (H, W, 2), pixels.
    """
    kinds: dict[bool, Any] = getattr(_local, "kinds", None) or {}
    if fine not in kinds:
        preset = cv2.DISOPTICAL_FLOW_PRESET_FAST if fine else cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST
        kinds[fine] = cv2.DISOpticalFlow.create(preset)
        _local.kinds = kinds
    return np.asarray(kinds[fine].calc(source, target, None), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class ClassicalReference:
    """A reference made ready for the classical matcher.

    Attributes:
        image: uint8 (H, W, 3).
        landmarks: None where no face was found.
        region: the square around head and shoulders.
        gray: uint8 (GRID, GRID), that region.
        coarse: uint8 (COARSE, COARSE), the whole picture's square.
        face: the mesh's side of the landmark field, None without a face.
    """

    image: Image
    landmarks: Landmarks | None
    region: Region
    gray: Gray
    coarse: Gray
    face: FaceReference | None

    @property
    def nbytes(self) -> int:
        """Memory it holds, bytes."""
        points = self.landmarks.points.nbytes if self.landmarks else 0
        return self.image.nbytes + self.gray.nbytes + self.coarse.nbytes + points


def resolve(image: Image, landmarks: MaybeLandmarks) -> Landmarks | None:
    """The landmarks given, or detected where `DETECT` was."""
    return detect_landmarks(image) if isinstance(landmarks, Detect) else landmarks


def gray_of(image: Image) -> Gray:
    """Luma, uint8 (H, W)."""
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)


def prepare(image: Image, landmarks: MaybeLandmarks = DETECT) -> ClassicalReference:
    """Make a reference ready; see `ClassicalReference`."""
    check_image(image, "reference")
    image = np.array(image)  # a copy: the reference never changes after this
    image.setflags(write=False)
    found = resolve(image, landmarks)
    region = ideal_region(found, image.shape[:2])
    gray = gray_of(crop(image, region))
    coarse = gray_of(crop(image, whole(image.shape[:2]), COARSE))
    face = face_reference(found, region) if found is not None else None
    return ClassicalReference(image, found, region, gray, coarse, face)


class ClassicalMatcher:
    """Matches by landmarks and DIS flow; holds no session state, safe to share between threads."""

    kind = "classical"

    def prepare(self, image: Image, landmarks: MaybeLandmarks = DETECT) -> ClassicalReference:
        """Make a reference ready: landmarks, region and its gray picture.

        Args:
            image: RGB uint8 (H, W, 3).
            landmarks: of its face; None for no face; DETECT to look for one.
        """
        return prepare(image, landmarks)

    def match(
        self,
        frame: Image,
        prepared: ClassicalReference,
        previous: Match | None = None,
        landmarks: MaybeLandmarks = DETECT,
    ) -> Match:
        """Where each pixel of `frame` lies in the reference.

        Args:
            frame: RGB uint8 (H, W, 3), of any size.
            prepared: from `prepare`.
            previous: the match of the last frame; steadies the region.
            landmarks: of the frame's face; None for no face; DETECT to look for one.
        """
        size = check_image(frame, "frame")
        found = resolve(frame, landmarks)
        region = choose_region(found if prepared.face else None, size, _region_of(previous))
        outer = _pool.submit(coarse_patch, frame, prepared)
        values = fine_values(gray_of(crop(frame, region)), region, found, prepared)
        return assemble(values, region, outer.result(), prepared, found, size)


def _region_of(match: Match | None) -> Region | None:
    if match is None or len(match.patches) < 2:
        return None
    x0, y0, x1, _ = match.patches[-1].box
    return Region(x0, y0, x1 - x0)


def still_field(
    region: Region, prepared: ClassicalReference, frame_size: tuple[int, int], size: int
) -> Float:
    """The field of a camera that did not move, on the frame region's grid; float32 (size, size, 2), cells.

    Pictures of different sizes show the same scene at another scale.
    """
    at = pixel_grid(size, size)
    ratio = np.array(
        [prepared.image.shape[1] / frame_size[1], prepared.image.shape[0] / frame_size[0]], np.float32
    )
    pixels = (region.to_pixels(at, size) + 0.5) * ratio - 0.5
    return np.asarray(prepared.region.to_grid(pixels.astype(np.float32), size) - at, np.float32)


def _residual(a: Gray, b: Gray) -> Float:
    """Local mean absolute difference of two pictures once their local means are equal; float32, gray levels."""
    difference = a.astype(np.float32) - b
    difference -= cv2.blur(difference, (15, 15))
    return np.asarray(cv2.blur(np.abs(difference), (5, 5)), np.float32)


def _sample(image: Gray, field: Float) -> Gray:
    at = pixel_grid(*field.shape[:2]) + field
    return np.asarray(cv2.remap(image, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def fine_values(
    gray: Gray, region: Region, landmarks: Landmarks | None, prepared: ClassicalReference
) -> Float:
    """Field and log_b in cells on the region's grid: float32 (GRID, GRID, 3)."""
    size = gray.shape[0]
    still = still_field(
        region, prepared, landmarks.image_size if landmarks else prepared.image.shape[:2], size
    )
    face: LandmarkField | None = None
    if landmarks is not None and prepared.face is not None:
        face = landmark_field(landmarks, prepared.face, region)
    base = face.field if face is not None else still
    near = _sample(prepared.gray, base)
    backward = _pool.submit(dis_flow, near, gray)
    forward = dis_flow(gray, near)
    back = backward.result()
    flow = compose(forward, base)
    loop = compose(forward, back)
    cycle = np.sqrt(loop[..., 0] ** 2 + loop[..., 1] ** 2)
    cost_flow = _residual(gray, _sample(prepared.gray, flow)) + 4 * np.minimum(cycle, 5)
    cost_still = _residual(gray, _sample(prepared.gray, still)) + 6
    candidates = [flow, still]
    costs = [cost_flow, cost_still]
    if face is not None and landmarks is not None:
        costs[1] = costs[1] + 40 * face.inside
        candidates.append(face.field)
        costs.append(_residual(gray, near) + 4 - 30 * _parts(landmarks, region, size))
    field, cost = _blend(candidates, costs)
    validity = face.validity if face is not None else np.full(gray.shape, 0.3, np.float32)
    return np.dstack([field, scale_of(cycle, cost, validity)]).astype(np.float32)


def _blend(candidates: list[Float], costs: list[Float]) -> tuple[Float, Float]:
    """Soft, smooth choice of the cheapest candidate: the field and the cost it was chosen at."""
    smooth = [cv2.blur(np.asarray(cost, np.float32), (9, 9)) for cost in costs]
    low = np.minimum.reduce(smooth)
    weights = [cv2.GaussianBlur(np.exp((low - cost) / 2), (0, 0), 2) for cost in smooth]
    total = np.add.reduce(weights)
    field = np.zeros_like(candidates[0])
    for candidate, weight in zip(candidates, weights, strict=True):
        field += candidate * (weight / total)[..., None]
    return field, np.asarray(low, np.float32)


def _parts(landmarks: Landmarks, region: Region, size: int) -> Float:
    """Where the landmarks know better than the flow: lips, eyes, brows; float32 (size, size), [0, 1]."""
    points = region.to_grid(landmarks.points[:, :2], size)
    x0, y0, x1, y1 = landmarks.box
    face = max(x1 - x0, y1 - y0) * size / region.side
    drawn = np.zeros((size, size), np.uint8)
    for ring in (topo.LIPS, topo.EYE_A, topo.EYE_B, topo.BROW_A, topo.BROW_B):
        corners = np.rint(points[list(ring)] * 16).astype(np.int32)
        cv2.fillPoly(drawn, [corners], 255, 8, 4)
    reach = max(3, int(face * 0.05)) | 1
    drawn = cv2.dilate(drawn, np.ones((reach, reach), np.uint8))
    return np.asarray(cv2.blur(drawn, (reach, reach)).astype(np.float32) / 255, np.float32)


def coarse_patch(frame: Image, prepared: ClassicalReference) -> Patch:
    """The whole frame's field on a coarse grid, flow or standing still: for what lies outside the region."""
    height, width = frame.shape[:2]
    square = whole((height, width))
    reference = whole(prepared.image.shape[:2])
    gray = gray_of(crop(frame, square, COARSE))
    flow = dis_flow(gray, prepared.coarse, fine=False)
    still = np.zeros_like(flow)
    costs = [_residual(gray, _sample(prepared.coarse, flow)) + 2, _residual(gray, prepared.coarse)]
    field, cost = _blend([flow, still], costs)
    log_b = scale_of(np.full_like(cost, 1.0), cost, np.full_like(cost, 0.3))
    return grid_patch(np.dstack([field, log_b]).astype(np.float32), square, reference, feather=0)


def grid_patch(values: Float, region: Region, reference: Region, feather: float) -> Patch:
    """A patch from (dx, dy, log_b) in cells: the field between two regions' grids becomes one in pixels.

    Args:
        values: float32 (N, N, 3).
        region: the frame's.
        reference: the reference's; its cells are what `values` counts in.
        feather: width of the fading rim, pixels.
    """
    size = values.shape[0]
    at = pixel_grid(size, size)
    out = np.empty_like(values)
    out[..., :2] = reference.to_pixels(at + values[..., :2], size) - region.to_pixels(at, size)
    out[..., 2] = values[..., 2] + np.float32(np.log(reference.side / size))
    return Patch(out, region.box, feather)


def assemble(
    values: Float,
    region: Region,
    outer: Patch,
    prepared: ClassicalReference,
    landmarks: Landmarks | None,
    frame_size: tuple[int, int],
) -> Match:
    """A match from the fine grid's (dx, dy, log_b) in cells and the coarse patch below it."""
    inner = grid_patch(values, region, prepared.region, FEATHER * region.side)
    size = (prepared.image.shape[0], prepared.image.shape[1])
    return Match((outer, inner), landmarks, frame_size, size)
