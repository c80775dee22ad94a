"""The classical matcher. It chooses between landmark, flow and still candidates and needs no weights.

The candidates on the grid of the frame's region are the landmark field, DIS flow started from it, the flow
of the whole frame, and the field of a camera that stands still. At each cell the candidate that explains the
frame best is taken. Landmarks are preferred on skin, and more so on lips, eyes and brows. A flow back from
the reference to the frame checks the result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np

from correspondence.certainty.uncertainty import Evidence, shipped_judge
from correspondence.cover.crop import face_crop
from correspondence.face.landmarks import detect_landmarks
from correspondence.face.mesh import FaceReference, LandmarkField, face_reference, landmark_field
from correspondence.face_crop import FaceCrop
from correspondence.geometry.flow import SMOOTH, Gray, appearance, dis_flow, rough_inverse
from correspondence.geometry.grid import Float
from correspondence.geometry.region import (
    GRID,
    Part,
    Region,
    choose_region,
    crop,
    ideal_region,
    shrink,
)
from correspondence.matchers.bias import Seen, added, correction
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
from correspondence.matchers.reuse import WHOLE, Beside, FlowMatch, taken_over
from correspondence.matchers.windows import WindowMatch
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

FEATHER = 0.06  # width of the region's rim that fades into the coarse field, in region sides
_pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="match")


@dataclass(frozen=True, slots=True, eq=False)
class ClassicalReference:
    """A reference prepared for the classical matcher.

    Attributes:
        image: the picture, uint8 (H, W, 3).
        landmarks: its landmarks; None if no face was found.
        region: the square around head and shoulders.
        gray: luma of the region, uint8 (GRID, GRID).
        look: `flow.appearance` of the region, uint8 (GRID / CHOICE, GRID / CHOICE, 4).
        coarse: the whole picture, prepared for the coarse field.
        face: the face, prepared for the landmark field; None without a face.
        face_crop: upright crop of the face, see `cover.crop`; None without a face.
    """

    image: Image
    landmarks: Landmarks | None
    region: Region
    gray: Gray
    look: Image
    coarse: CoarseReference
    face: FaceReference | None
    face_crop: FaceCrop | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the picture."""
        return self.image.shape[0], self.image.shape[1]

    @property
    def nbytes(self) -> int:
        """Memory that this object holds, bytes."""
        points = self.landmarks.points.nbytes if self.landmarks else 0
        return self.image.nbytes + self.gray.nbytes + self.look.nbytes + self.coarse.nbytes + points


def resolve(image: Image, landmarks: MaybeLandmarks) -> Landmarks | None:
    """Return the given landmarks, or detect them if `DETECT` was given."""
    return detect_landmarks(image) if isinstance(landmarks, Detect) else landmarks


def gray_of(image: Image) -> Gray:
    """Convert RGB to luma, uint8 (H, W)."""
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)


def prepare(image: Image, landmarks: MaybeLandmarks = DETECT) -> ClassicalReference:
    """Prepare a reference for the classical matcher; see `Matcher.prepare` for the arguments."""
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
    """Matches by landmarks and DIS flow. It holds no session state and is safe to share between threads."""

    kind = "classical"

    def prepare(self, image: Image, landmarks: MaybeLandmarks = DETECT) -> ClassicalReference:
        """Prepare a reference: find its landmarks, its region and the pictures of the region.

        Args:
            image: the reference, RGB uint8 (H, W, 3).
            landmarks: landmarks of its face; None if it shows no face; DETECT to detect them.
        """
        return prepare(image, landmarks)

    def begin(self, frame: Image, prepared: ClassicalReference) -> Begun:
        """Start the coarse field of the whole frame on another thread. It needs no landmarks."""
        check_image(frame, "frame")
        return Begun(frame, prepared.coarse, _pool)

    def match(
        self,
        frame: Image,
        prepared: ClassicalReference,
        previous: Match | None = None,
        landmarks: MaybeLandmarks = DETECT,
        begun: Begun | None = None,
        thin: int = 0,
    ) -> Match:
        """Find the place of each pixel of `frame` in the reference.

        Args:
            frame: the frame, RGB uint8 (H, W, 3), of any size.
            prepared: a reference from `prepare`.
            previous: the match of the last frame. It keeps the region steady.
            landmarks: landmarks of the face in `frame`; None if it shows no face; DETECT to detect them.
            begun: the result of `begin` for the same frame and reference.
            thin: how far the match gives way, see `reuse`.
        """
        size = check_image(frame, "frame")
        found = resolve(frame, landmarks)
        again = taken_over(previous, prepared, size, thin)
        if again is not None and found is not None:
            return _with_flow_of(again, prepared, found)
        begun = begun or self.begin(frame, prepared)
        begun.check(frame, prepared.coarse)
        both = found if prepared.face is not None else None
        region = choose_region(both, size, region_of(previous))
        inner = crop(frame, region)
        field, evidence, face = fine_field(inner, region, both, prepared, size, begun.field)
        values = fine_values(field, evidence)
        match = assemble(values, region, begun.field().patch, prepared, found, size)
        if found is None or face is None:
            return match
        beside = Beside(values, face.field, region, WHOLE, found)
        return FlowMatch(match.patches, found, size, prepared.size, prepared=prepared, beside=beside)


def _with_flow_of(previous: FlowMatch, prepared: ClassicalReference, landmarks: Landmarks) -> FlowMatch:
    """Match the frame after `previous` by its landmarks and the flow of `previous`."""
    assert prepared.face is not None
    size, beside = previous.frame_size, previous.beside
    region = choose_region(landmarks, size, region_of(previous))
    face = landmark_field(landmarks, prepared.face, region)
    values = beside.on(region, WHOLE, landmarks, face.field)
    match = assemble(values, region, previous.patches[0], prepared, landmarks, size)
    return FlowMatch(
        match.patches, landmarks, size, prepared.size, prepared=prepared, beside=beside, shared=True
    )


def region_of(match: Match | None) -> Region | None:
    """Return the region that a match was made on; None if it has none."""
    if isinstance(match, WindowMatch):
        return match.region
    if match is None or len(match.patches) < 2:
        return None
    x0, y0, x1, _ = match.patches[-1].box
    return Region(x0, y0, x1 - x0)


def still_field(
    region: Region,
    prepared: ClassicalReference,
    frame_size: tuple[int, int],
    size: int,
    part: Part | None = None,
) -> Float:
    """Compute the field of a camera that did not move, float32 (rows, columns, 2), cells of a region's grid.

    If frame and reference differ in size, they are taken to show the same scene at different scales. `part`
    are the cells of the grid of size x size to compute; all when None.
    """
    part = part or Part(0, 0, size, size)
    height, width = prepared.size
    at = np.arange(size, dtype=np.float32)
    line = np.column_stack([at, at])
    ratio = np.array([width / frame_size[1], height / frame_size[0]], np.float32)
    pixels = (region.to_pixels(line, size) + np.float32(0.5)) * ratio - np.float32(0.5)
    step = prepared.region.to_grid(pixels, size) - line
    rows, columns = part.cells
    out = np.empty((*part.shape, 2), np.float32)
    out[..., 0], out[..., 1] = step[columns, 0], step[rows, 1, None]
    return out


def fine_field(
    inner: Image,
    region: Region,
    landmarks: Landmarks | None,
    prepared: ClassicalReference,
    frame_size: tuple[int, int],
    outer: Callable[[], CoarseField],
) -> tuple[Float, Evidence, LandmarkField | None]:
    """Compute the field on the region's grid, and its evidence on a coarser grid.

    The candidates are the flow that starts from the landmark field, the coarse field of the whole frame,
    standing still, and the landmark field. Independent steps run on separate threads, since OpenCV releases
    the interpreter's lock.

    Args:
        inner: the frame's region, uint8 (N, N, 3).
        region: place of the region in the frame.
        landmarks: landmarks of the frame; None for no face.
        prepared: the prepared reference.
        frame_size: (H, W) of the frame.
        outer: returns the coarse field. It is called on another thread.

    Returns:
        The field, float32 (N, N, 2), cells, its evidence, and the landmark field; None without a face.
    """
    size = inner.shape[0]
    gray = gray_of(inner)
    n = size // CHOICE
    look = appearance(shrink(inner, n, n))
    still = still_field(region, prepared, frame_size, size)

    def weighed(fields: Sequence[Float], prices: Sequence[float]) -> list[Candidate]:
        return weigh(fields, prices, look, prepared.look)

    def scene() -> list[Candidate]:
        return weighed((outer().on(region, prepared.region, size), still), PRICE[1:3])

    face: LandmarkField | None = None
    if landmarks is not None and prepared.face is not None:
        face = landmark_field(landmarks, prepared.face, region)
    base = still if face is None else face.field
    back = _pool.submit(flow_back, prepared.gray, gray, base)
    of_scene = _pool.submit(scene)
    guided, *by_landmarks = weighed(*_of_face(dis_flow(gray, prepared.gray, base, smooth=SMOOTH), face))
    candidates, parts = [guided, *of_scene.result(), *by_landmarks], np.zeros((n, n), np.float32)
    if face is not None and landmarks is not None:
        parts = parts_of(landmarks, region, n)
    field, spread = choose(candidates, face, parts)
    if face is not None:
        seen = Seen(guided.small, face, parts, look, prepared.look)
        field = added(field, correction(field, seen))
    looks = look, prepared.look
    return field, witness(field, spread, candidates, face, parts, looks, back.result()), face


def _of_face(guided: Float, face: LandmarkField | None) -> tuple[list[Float], list[float]]:
    """The candidates that follow the landmarks, if there is a face, and their prices."""
    if face is None:
        return [guided], [PRICE[0]]
    return [guided, face.field], [PRICE[0], PRICE[3]]


def witness(
    field: Float,
    spread: Float,
    candidates: list[Candidate],
    face: LandmarkField | None,
    parts: Float,
    looks: tuple[Image, Image],
    back: Float,
) -> Evidence:
    """Gather the evidence about a field that was chosen between candidates; see `choice.gather`.

    `spread` comes from `choice.choose`, `back` is the flow from reference to frame.
    """
    here = cv2.resize(field, parts.shape[::-1], interpolation=cv2.INTER_AREA)
    return gather(
        field,
        *looks,
        face,
        cycle=loop(here, back),
        mixed=spread,
        parts=parts,
        off_scene=apart(here, candidates[1].small),
        off_guided=apart(here, candidates[0].small),
    )


def fine_values(field: Float, evidence: Evidence) -> Float:
    """Add calibrated log_b to a field: (dx, dy, log_b) in cells, float32 (H, W, 3)."""
    log_b = shipped_judge("fine")(evidence.features())
    log_b = cv2.resize(log_b, (field.shape[1], field.shape[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.merge([*cv2.split(field), log_b]), np.float32)


def flow_back(reference: Gray, frame: Gray, field: Float) -> Float:
    """Compute the flow from the reference back to the frame, float32 (H, W, 2), cells.

    It starts from the inverse of a field from the frame to the reference, float32 (H, W, 2).
    """
    return dis_flow(reference, frame, rough_inverse(field))


def assemble(
    values: Float,
    region: Region,
    outer: Patch,
    prepared: ClassicalReference,
    landmarks: Landmarks | None,
    frame_size: tuple[int, int],
) -> Match:
    """Make a match from the fine grid's (dx, dy, log_b) in cells and the coarse patch below it."""
    inner = grid_patch(values, region, prepared.region, FEATHER * region.side)
    return Match((outer, inner), landmarks, frame_size, prepared.size)
