"""The classical matcher: landmark, flow and still candidates, chosen per cell by residual and cycle.

It needs no weights. Candidates on the frame region's grid: the landmark field; DIS flow started from it;
the flow of the whole frame; the field of a camera that stands still. How well each explains the frame
decides, with the landmarks preferred on skin, and more so on lips, eyes and brows; one flow back from the
reference to the frame checks the result.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np

from correspondence.certainty.uncertainty import Evidence, shipped_judge
from correspondence.cover.crop import face_crop
from correspondence.face.landmarks import detect_landmarks
from correspondence.face.mesh import FaceReference, LandmarkField, face_reference, landmark_field
from correspondence.geometry.flow import Gray, appearance, dis_flow, rough_inverse
from correspondence.geometry.grid import Float
from correspondence.geometry.region import GRID, Region, choose_region, crop, ideal_region, shrink
from correspondence.matchers.choice import (
    CHOICE,
    PRICE,
    Candidate,
    apart,
    choose,
    gather,
    loop,
    parts_of,
    weigh,
)
from correspondence.matchers.coarse import Begun, CoarseField, CoarseReference, coarse_reference, grid_patch
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

SMOOTH = 2  # iterations of variational refinement of the flow that the landmarks guide
FEATHER = 0.06  # rim of the region that fades into the coarse field, in region sides
_pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="match")


@dataclass(frozen=True, slots=True, eq=False)
class ClassicalReference:
    """A reference made ready for the classical matcher.

    Attributes:
        image: uint8 (H, W, 3).
        landmarks: None where no face was found.
        region: the square around head and shoulders.
        gray: uint8 (GRID, GRID), that region.
        look: uint8 (GRID / CHOICE, GRID / CHOICE, 4), its `flow.appearance`.
        coarse: the whole picture, for the coarse field.
        face: the mesh's side of the landmark field, None without a face.
        face_crop: the face upright, uint8 (128, 128, 3), see `cover`; None without a face.
    """

    image: Image
    landmarks: Landmarks | None
    region: Region
    gray: Gray
    look: Image
    coarse: CoarseReference
    face: FaceReference | None
    face_crop: Image | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the picture."""
        return self.image.shape[0], self.image.shape[1]

    @property
    def nbytes(self) -> int:
        """Memory it holds, bytes."""
        points = self.landmarks.points.nbytes if self.landmarks else 0
        return self.image.nbytes + self.gray.nbytes + self.look.nbytes + self.coarse.nbytes + points


def resolve(image: Image, landmarks: MaybeLandmarks) -> Landmarks | None:
    """The landmarks given, or detected where `DETECT` was."""
    return detect_landmarks(image) if isinstance(landmarks, Detect) else landmarks


def gray_of(image: Image) -> Gray:
    """Luma, uint8 (H, W)."""
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)


def prepare(image: Image, landmarks: MaybeLandmarks = DETECT) -> ClassicalReference:
    """Make a reference ready; see `ClassicalReference`."""
    size = check_image(image, "reference")
    image = np.array(image)  # a copy: the reference never changes after this
    image.setflags(write=False)
    found = resolve(image, landmarks)
    region = ideal_region(found, size)
    inner = crop(image, region)
    look = appearance(shrink(inner, GRID // CHOICE, GRID // CHOICE))
    face = face_reference(found, region) if found is not None else None
    coarse, upright = coarse_reference(image), face_crop(image, found)
    return ClassicalReference(image, found, region, gray_of(inner), look, coarse, face, upright)


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

    def begin(self, frame: Image, prepared: ClassicalReference) -> Begun:
        """Start on the whole frame's field, which needs no landmarks, on another thread."""
        check_image(frame, "frame")
        return Begun(frame, prepared.coarse, _pool)

    def match(
        self,
        frame: Image,
        prepared: ClassicalReference,
        previous: Match | None = None,
        landmarks: MaybeLandmarks = DETECT,
        begun: Begun | None = None,
    ) -> Match:
        """Where each pixel of `frame` lies in the reference.

        Args:
            frame: RGB uint8 (H, W, 3), of any size.
            prepared: from `prepare`.
            previous: the match of the last frame; steadies the region.
            landmarks: of the frame's face; None for no face; DETECT to look for one.
            begun: from `begin`, with this very frame and keyframe.
        """
        size = check_image(frame, "frame")
        begun = begun or self.begin(frame, prepared)
        begun.check(frame, prepared.coarse)
        found = resolve(frame, landmarks)
        both = found if prepared.face is not None else None
        region = choose_region(both, size, region_of(previous))
        inner = crop(frame, region)
        field, evidence = fine_field(inner, region, both, prepared, size, begun.field)
        return assemble(fine_values(field, evidence), region, begun.field().patch, prepared, found, size)


def region_of(match: Match | None) -> Region | None:
    """The region a match was made on, None where it has none."""
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
    height, width = prepared.size
    at = np.arange(size, dtype=np.float32)
    line = np.column_stack([at, at])
    ratio = np.array([width / frame_size[1], height / frame_size[0]], np.float32)
    pixels = (region.to_pixels(line, size) + np.float32(0.5)) * ratio - np.float32(0.5)
    step = prepared.region.to_grid(pixels, size) - line
    out = np.empty((size, size, 2), np.float32)
    out[..., 0], out[..., 1] = step[:, 0], step[:, 1, None]
    return out


def fine_field(
    inner: Image,
    region: Region,
    landmarks: Landmarks | None,
    prepared: ClassicalReference,
    frame_size: tuple[int, int],
    outer: Callable[[], CoarseField],
) -> tuple[Float, Evidence]:
    """The field on the region's grid, float32 (N, N, 2) in cells, and its evidence on a coarser one.

    Candidates are the flow that starts from the landmark field, the coarse field of the whole frame, standing
    still and the landmark field. What does not depend on one another runs on threads of its own (OpenCV
    releases the interpreter's lock).

    Args:
        inner: uint8 (N, N, 3), the frame's region.
        region: which it is.
        landmarks: of the frame; None for no face.
        prepared: the reference.
        frame_size: (H, W) of the frame.
        outer: gives the coarse field, asked on another thread.
    """
    size = inner.shape[0]
    gray = gray_of(inner)
    n = size // CHOICE
    look = appearance(shrink(inner, n, n))
    still = still_field(region, prepared, frame_size, size)

    def weighed(field: Float, price: float) -> Candidate:
        return weigh(field, price, look, prepared.look)

    def scene() -> list[Candidate]:
        moved = outer().on(region, prepared.region, size)
        return [weighed(moved, PRICE[1]), weighed(still, PRICE[2])]

    face: LandmarkField | None = None
    if landmarks is not None and prepared.face is not None:
        face = landmark_field(landmarks, prepared.face, region)
    base = still if face is None else face.field
    back = _pool.submit(_flow_back, prepared.gray, gray, base)
    of_scene = _pool.submit(scene)
    guided = weighed(dis_flow(gray, prepared.gray, base, smooth=SMOOTH), PRICE[0])
    candidates, parts = [guided], np.zeros((n, n), np.float32)
    candidates += of_scene.result()
    if face is not None and landmarks is not None:
        candidates.append(weighed(face.field, PRICE[3]))
        parts = parts_of(landmarks, region, n)
    field, spread = choose(candidates, face, parts)
    here = cv2.resize(field, (n, n), interpolation=cv2.INTER_AREA)
    evidence = gather(
        field,
        look,
        prepared.look,
        face,
        cycle=loop(here, back.result()),
        mixed=spread,
        parts=parts,
        off_scene=apart(here, candidates[1].small),
        off_guided=apart(here, candidates[0].small),
    )
    return field, evidence


def fine_values(field: Float, evidence: Evidence) -> Float:
    """(dx, dy, log_b) in cells on the field's grid: float32 (N, N, 3)."""
    size = field.shape[0]
    log_b = shipped_judge("fine")(evidence.features())
    log_b = cv2.resize(log_b, (size, size), interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.merge([*cv2.split(field), log_b]), np.float32)


def _flow_back(reference: Gray, frame: Gray, field: Float) -> Float:
    return dis_flow(reference, frame, rough_inverse(field))


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
    return Match((outer, inner), landmarks, frame_size, prepared.size)
