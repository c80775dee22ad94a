"""The place of an edited picture on its reference: refined on unchanged pixels, in numbers and in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple, dataclass
from itertools import product

import cv2
import numpy as np
import numpy.typing as npt

from correspondence import Bool, Float, Image

Transform = npt.NDArray[np.float64]  # (2, 3), places of the reference -> places of the edited picture

LOCAL_PX = 7.0  # standard deviation of the average that is subtracted before luma is compared, pixels
CLEAR = 24.0  # luma difference from which a pixel disagrees fully, levels
SAMPLES = 40_000  # number of pixels on which a misfit is measured
DETAIL = 4.0  # luma detail from which a pixel is compared, levels
KEPT = 0.6  # share of the detail that an edit is expected to leave unchanged
EXACT = 0.01  # misfit below which a place is not refined
HOPELESS = 0.4  # misfit after the coarsest step above which refinement stops
TURNED = 0.9  # a turn must reduce the misfit to less than this share
REFINE_SIDE = 512  # larger pictures are shrunk to this shorter side to be refined, pixels
TURN_PX = 2.0  # rise of the upper edge below which a place may not be turned at all, pixels
HALFWAY = 0.3  # distance from a whole pixel from which an edge is tried on both its neighbours, pixels
SHIFTED = (1.02, 0.002)  # factor and amount by which a shift by whole pixels may fit worse
RESIZED = (1.15, 0.003)  # the same for a resized crop on whole pixels, whose kernel is not known
DESCENTS, AFAR_PX = 3, 2.0  # a place that moved by so many pixels is refined anew, up to so many times
STEPS = 8  # largest number of steps of the refinement at each size


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """A place of the edited picture on its reference, and how badly it fits there.

    Attributes:
        transform: from places of the reference to places of the edited picture, float64 (2, 3).
        misfit: capped difference of luma detail, weighted by detail, over the best-fitting `KEPT` share of
            the detail, [0, 1]; 0 for equal pictures.
    """

    transform: Transform
    misfit: float


def size_of(image: Image) -> tuple[int, int]:
    """Size (H, W) of a picture."""
    return image.shape[0], image.shape[1]


def stretch(size: tuple[int, int], to: tuple[int, int]) -> Transform:
    """The transform that resizes a whole picture of `size` (H, W) to size `to`."""
    sx, sy = to[1] / size[1], to[0] / size[0]
    return np.array([[sx, 0, (sx - 1) / 2], [0, sy, (sy - 1) / 2]], np.float64)


def resized_by(image: Image, scale: float) -> Image:
    """Shrinks a picture by a scale below 1. A larger scale returns it as it is."""
    if scale >= 1:
        return image
    size = (max(8, round(image.shape[1] * scale)), max(8, round(image.shape[0] * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def local_luma(image: Image) -> Float:
    """Luma minus its local average, float32 (H, W), so that tone does not count."""
    luma = luma_of(image).astype(np.float32)
    local: Float = luma - cv2.GaussianBlur(luma, (0, 0), LOCAL_PX)
    return local


def luma_of(image: Image) -> Image:
    """Luma of an RGB picture, uint8 (H, W). A picture that is luma already is returned as it is."""
    if image.ndim == 2:
        return image
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY), np.uint8)


def refined(reference: Image, edited: Image, transform: Transform) -> Place:
    """Refines a place to some hundredths of a pixel, and moves it to whole pixels if that fits as well.

    Args:
        reference, edited: RGB uint8 (H, W, 3), or luma (H, W).
        transform: the place to start from, a few pixels off at most.
    """
    luma = luma_of(reference), luma_of(edited)
    best = Place(transform, misfit(*luma, transform))
    for _ in range(DESCENTS):
        if best.misfit < EXACT:
            break
        before, best = best, _descended(luma, best)
        if _apart(before.transform, best.transform, edited) < AFAR_PX:
            break
    tried = [Place(t, misfit(*luma, t)) for t in _simpler(size_of(edited), best.transform)]
    for place in sorted(tried, key=lambda place: place.misfit):
        factor, amount = SHIFTED if is_whole(place.transform) else RESIZED
        if place.misfit <= factor * best.misfit + amount:
            return place
    return best


def _descended(luma: tuple[Image, Image], start: Place) -> Place:
    """Refines a place at growing sizes. Returns `start` if the smallest size fits too badly."""
    coarse = 4 * max(1.0, min(luma[1].shape[:2]) / REFINE_SIDE)
    best = start
    chosen = False
    for turns in (False, True):
        moved = _refine(*luma, start.transform, coarse, turns=turns)
        place = Place(moved, misfit(*luma, moved))
        if place.misfit < (TURNED if turns else 1.0) * best.misfit:
            best, chosen = place, turns
    if best.misfit > HOPELESS:
        return start
    for shrink, turns in ((coarse / 2, chosen), (coarse / 4, chosen), (coarse / 4, True)):
        moved = _refine(*luma, best.transform, shrink, turns=turns)
        place = Place(moved, misfit(*luma, moved))
        if place.misfit < (TURNED if turns != chosen else 1.0) * best.misfit:
            best = place
    return best


def _simpler(to: tuple[int, int], transform: Transform) -> Iterator[Transform]:
    """Yields nearby places that tools make: a crop on whole pixels, and a resized crop on whole pixels.

    An edge that lies between two pixels is tried on both.
    """
    h, w = to
    if abs(transform[1, 0]) * w > TURN_PX:
        return
    back = cv2.invertAffineTransform(transform)
    middles = np.array([[-0.5, h / 2, 1], [w - 0.5, h / 2, 1], [w / 2, -0.5, 1], [w / 2, h - 0.5, 1]]).T
    ends = (back @ middles) + 0.5
    x0, x1, y0, y1 = ends[0, 0], ends[0, 1], ends[1, 2], ends[1, 3]
    if abs(x1 - x0 - w) < 1 and abs(y1 - y0 - h) < 1:
        middle = ((x0 + x1 - w) / 2, (y0 + y1 - h) / 2)
        yield np.array([[1, 0, -round(middle[0])], [0, 1, -round(middle[1])]], np.float64)
        return
    for a0, a1, b0, b1 in product(*(_whole(edge) for edge in (x0, x1, y0, y1))):
        if a1 > a0 and b1 > b0:
            sx, sy = w / (a1 - a0), h / (b1 - b0)
            ox, oy = -a0 * sx + (sx - 1) / 2, -b0 * sy + (sy - 1) / 2
            yield np.array([[sx, 0, ox], [0, sy, oy]], np.float64)


def _whole(edge: float) -> list[int]:
    """The whole pixels next to an edge: one, or two if it lies about halfway between them."""
    near = round(edge)
    other = near + (1 if edge > near else -1)
    return [near, other] if abs(edge - near) > HALFWAY else [near]


def misfit(reference: Image, edited: Image, transform: Transform) -> float:
    """Measures the misfit of the edited picture at a place, [0, 1], see `Place`; 1 for hardly any overlap."""
    seen, inside = seen_at(reference, size_of(edited), transform)
    if inside.mean() < 0.05:
        return 1.0
    before, after = local_luma(seen), local_luma(edited)
    weight = np.maximum(np.abs(before), np.abs(after)) * inside
    weight[weight < DETAIL] = 0
    total = float(weight.sum())
    if total < DETAIL * 50:
        return 1.0
    asked = np.flatnonzero(weight)
    asked = asked[:: max(1, asked.size // SAMPLES)]
    difference, weights = np.minimum(np.abs(before - after).ravel()[asked] / CLEAR, 1), weight.ravel()[asked]
    order = np.argsort(difference)
    sums = np.cumsum(weights[order])
    counted = sums <= KEPT * sums[-1]
    return float((difference[order] * weights[order])[counted].sum() / (KEPT * sums[-1]))


def is_whole(transform: Transform) -> bool:
    """Whether a transform shifts by whole pixels only, so that nothing is resampled."""
    return np.array_equal(transform[:, :2], np.eye(2)) and np.array_equal(
        transform[:, 2], np.rint(transform[:, 2])
    )


def seen_at(
    reference: Image, size: tuple[int, int], transform: Transform, how: int = cv2.INTER_CUBIC
) -> tuple[Image, Bool]:
    """Resamples the reference to the edited picture's grid, with a low-pass that fits the scale.

    Args:
        reference: uint8 (H, W, 3), or luma alone (H, W).
        size: (H, W) of the edited picture.
        transform: from places of the reference to places of the edited picture, float64 (2, 3).
        how: OpenCV's kernel. Shifts by whole pixels need none.

    Returns:
        The resampled reference, uint8 of `size` with as many channels, and where it is known, bool of `size`.
    """
    to = (size[1], size[0])
    scales = np.hypot(transform[0, :2], transform[1, :2])
    sigma = [0.45 * float(np.sqrt(max(0.0, 1 / s**2 - 1))) for s in scales]
    source = reference
    if max(sigma) > 0.2:
        source = cv2.GaussianBlur(reference, (0, 0), max(sigma[0], 0.05), sigmaY=max(sigma[1], 0.05))
    flags = cv2.INTER_NEAREST if is_whole(transform) else how
    seen = cv2.warpAffine(source, transform, to, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    known = cv2.warpAffine(np.ones(reference.shape[:2], np.float32), transform, to)
    return np.asarray(seen, np.uint8), np.asarray(known > 0.999, np.bool_)


def _refine(
    reference: Image, edited: Image, transform: Transform, shrink: float, *, turns: bool
) -> Transform:
    """Refines a transform by Gauss-Newton on luma detail with Tukey's weights, at 1 / `shrink` of the size.

    With `turns` False, only shift and scale are refined.
    """
    small_edited = resized_by(edited, 1 / shrink) if shrink > 1 else edited
    ratio = np.array([small_edited.shape[1] / edited.shape[1], small_edited.shape[0] / edited.shape[0]])
    to_small = np.array([[ratio[0], 0, (ratio[0] - 1) / 2], [0, ratio[1], (ratio[1] - 1) / 2], [0, 0, 1]])
    now = to_small @ np.vstack([transform, [0, 0, 1]])
    after = local_luma(small_edited)
    h, w = after.shape
    x, y = np.meshgrid((np.arange(w) - w / 2) / w, (np.arange(h) - h / 2) / h)
    for _ in range(STEPS):
        seen, inside = seen_at(reference, (h, w), now[:2])
        before = local_luma(seen)
        gx, gy = (cv2.Sobel((before + after) / 2, cv2.CV_32F, *a, ksize=3) / 8 for a in ((1, 0), (0, 1)))
        use = inside & (np.hypot(gx, gy) > 1.0)
        use[:2], use[-2:], use[:, :2], use[:, -2:] = False, False, False, False
        if use.sum() < 200:
            return transform
        rest = (after - before)[use]
        scale = max(1.0, float(np.percentile(np.abs(rest), 50)) / 0.6745)
        trust = np.clip(1 - (rest / (4.685 * scale)) ** 2, 0, None) ** 2
        zeros = np.zeros(rest.size)
        px, py, dx, dy = x[use], y[use], gx[use], gy[use]
        columns = (
            [dx, dx * px, dx * py, dy, dy * px, dy * py]
            if turns
            else [dx, dx * px, zeros, dy, zeros, dy * py]
        )
        jacobian = -np.column_stack(columns)
        weighed = jacobian * trust[:, None]
        gram = weighed.T @ jacobian
        gram += 1e-4 * np.trace(gram) / 6 * np.eye(6)
        step = np.linalg.solve(gram, weighed.T @ rest)
        step = np.clip(step, -4, 4)
        now = _move(step, (h, w)) @ now
        if np.abs(step).max() < 0.005:
            break
    return np.asarray((np.linalg.inv(to_small) @ now)[:2], np.float64)


def _move(step: npt.NDArray[np.float64], size: tuple[int, int]) -> npt.NDArray[np.float64]:
    """The transform of a refinement step, float64 (3, 3); the step is relative to the picture's middle."""
    h, w = size
    return np.array(
        [
            [1 + step[1] / w, step[2] / h, step[0] - step[1] / 2 - step[2] / 2],
            [step[4] / w, 1 + step[5] / h, step[3] - step[4] / 2 - step[5] / 2],
            [0, 0, 1],
        ]
    )


def reach(transform: Transform, image: Image) -> float:
    """The largest shift of a corner of the picture along x or y by a transform, pixels."""
    return _apart(transform, np.eye(2, 3), image)


def _apart(a: Transform, b: Transform, image: Image) -> float:
    """The largest distance along x or y at which two transforms put a corner of a picture, pixels."""
    h, w = image.shape[:2]
    corners = np.array([[0, 0, 1], [w - 1, 0, 1], [0, h - 1, 1], [w - 1, h - 1, 1]], np.float64).T
    return float(np.abs((a - b) @ corners).max())


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """The place of an edited picture on its reference.

    Attributes:
        x, y: top left corner on the reference, pixels.
        scale_x, scale_y: pixels of the edited picture per pixel of the reference.
        turn_deg: rotation, degrees, clockwise as seen.
    """

    x: float = 0.0
    y: float = 0.0
    scale_x: float = 1.0
    scale_y: float = 1.0
    turn_deg: float = 0.0

    @classmethod
    def of(cls, transform: Transform) -> Placement:
        """Makes it from a transform, float64 (2, 3), of the reference's places to the edited picture's."""
        linear = transform[:, :2]
        corner = np.linalg.solve(linear, -0.5 - transform[:, 2]) + 0.5  # pixel centres lie on integers
        turn = np.degrees(np.arctan2(linear[1, 0], linear[0, 0]))
        return cls(
            x=float(corner[0]),
            y=float(corner[1]),
            scale_x=float(np.hypot(*linear[:, 0])),
            scale_y=float(np.hypot(*linear[:, 1])),
            turn_deg=float(turn),
        )

    @property
    def transform(self) -> Transform:
        """The transform from places of the reference to places of the edited picture, float64 (2, 3)."""
        c, s = np.cos(np.radians(self.turn_deg)), np.sin(np.radians(self.turn_deg))
        linear = np.array([[c, -s], [s, c]]) @ np.diag([self.scale_x, self.scale_y])
        offset = -0.5 - linear @ np.array([self.x - 0.5, self.y - 0.5])
        return np.column_stack([linear, offset])

    def __str__(self) -> str:
        turned = f", turned by {self.turn_deg:.1f} degrees" if abs(self.turn_deg) > 0.05 else ""
        return f"x {self.x:.1f}, y {self.y:.1f}, scale {self.scale_x:.3f} x {self.scale_y:.3f}{turned}"


def placed_note(reference: Image, edited: Image, at: Placement) -> str:
    """Says where an edited picture was found."""
    whole = Placement(
        scale_x=edited.shape[1] / reference.shape[1], scale_y=edited.shape[0] / reference.shape[0]
    )
    if all(abs(a - b) < 1e-6 for a, b in zip(astuple(at), astuple(whole), strict=True)):
        return f"The edited picture was {size_words(edited)}; it was resized to {size_words(reference)}."
    turned = f", turned by {at.turn_deg:.1f} degrees" if abs(at.turn_deg) > 0.5 else ""
    scale = f"{at.scale_x:.2f}"
    if abs(at.scale_x - at.scale_y) > 0.005:
        scale += f" by {at.scale_y:.2f}"
    return (
        f"The edited picture was {size_words(edited)}; it was found on the reference "
        f"({size_words(reference)}) at x {_short(at.x)}, y {_short(at.y)}, scale {scale}{turned}. "
        "What lies outside it is unedited."
    )


def _short(pixels: float) -> str:
    """Formats a length to a tenth of a pixel, without a decimal point if it is whole."""
    return f"{round(pixels, 1) + 0.0:g}"


def size_words(image: npt.NDArray[np.uint8]) -> str:
    """Width and height of a picture, as in 640x480."""
    return f"{image.shape[1]}x{image.shape[0]}"
