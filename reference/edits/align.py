"""Brings an edited picture that was resized, cropped or moved back onto its reference."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from correspondence import Image, check_image
from reference.edits.mask import smoothstep
from reference.errors import EditError

SIMILARITY_NEEDED = 0.3  # share of textured blocks that must correlate; unrelated pictures stay below 0.1
INLIERS_NEEDED = 12
BLOCK = 16
SEARCH_SIDE = 900  # features are sought in pictures no longer than this
KEPT = 12  # largest difference of a pixel that was not edited
LIES_STILL = 0.5  # share of detail that is kept, above which a picture of equal size has not moved
MOVED = (0.6, 2.0)  # likeness where it was found that proves a move: at least, and times that without a move
MOVED_PX = 0.75  # smaller moves are measuring noise
ALIKE = 0.1  # similarity below which a picture of equal size is remarked on
DETAIL = 60.0  # gradient of luma (Sobel) that counts as detail

Transform = npt.NDArray[np.float64]  # (2, 3), places of the reference -> places of the edited picture


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where an edited picture lies on its reference.

    Attributes:
        x, y: its top left corner on the reference, pixels.
        scale_x, scale_y: its pixels for one pixel of the reference.
        turn_deg: how far it is turned, degrees, clockwise as seen.
    """

    x: float = 0.0
    y: float = 0.0
    scale_x: float = 1.0
    scale_y: float = 1.0
    turn_deg: float = 0.0

    @classmethod
    def of(cls, transform: Transform) -> Placement:
        """Of a transform, float64 (2, 3), from places of the reference to places of the edited picture."""
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

    def __str__(self) -> str:
        turned = f", turned by {self.turn_deg:.1f} degrees" if abs(self.turn_deg) > 0.05 else ""
        return f"x {self.x:.1f}, y {self.y:.1f}, scale {self.scale_x:.3f} x {self.scale_y:.3f}{turned}"


@dataclass(frozen=True, slots=True, eq=False)
class Alignment:
    """An edited picture on its reference.

    Attributes:
        image: RGB uint8 (H, W, 3), the reference's size.
        note: what was done, one sentence for the user; None where nothing was needed.
        placement: where the edited picture lies on the reference.
    """

    image: Image
    note: str | None
    placement: Placement = Placement()


def flatten(rgba: npt.NDArray[np.uint8], reference: Image) -> Image:
    """A picture with transparency laid over the reference.

    Args:
        rgba: uint8 (H, W, 4), straight alpha.
        reference: RGB uint8; only used where the sizes are equal.

    Returns:
        RGB uint8 (H, W, 3) of the size of `rgba`.

    Raises:
        EditError: transparent parts in a picture of another size than the reference: what shows through
            is not known.
    """
    if rgba.dtype != np.uint8 or rgba.ndim != 3 or rgba.shape[2] != 4:
        raise EditError(f"rgba must be uint8 (H, W, 4), got {rgba.dtype} {rgba.shape}")
    alpha = rgba[..., 3:].astype(np.float32) / np.float32(255)
    if rgba.shape[:2] != reference.shape[:2]:
        if (rgba[..., 3] == 255).all():
            return np.ascontiguousarray(rgba[..., :3])
        raise EditError(
            f"edited is {_size(rgba)} with transparent parts but its reference is {_size(reference)}; "
            "save it at the reference's size, or without transparency"
        )
    mixed = rgba[..., :3] * alpha + reference * (1 - alpha)
    return np.rint(mixed).astype(np.uint8)


def align_edited(reference: Image, edited: Image) -> Alignment:
    """The edited picture in the reference's place and size.

    Equal sizes are taken as they are, whatever the style, unless the whole picture was clearly moved; one
    that resembles nothing is taken too, and remarked on. A picture of the same proportions is taken as
    resized where it resembles the reference; else, as for any other size, shift, scale and turn are sought
    by matching features. Only the change is carried over: resampling does not count as one.

    Args:
        reference, edited: RGB uint8 (H, W, 3).

    Raises:
        EditError: no RGB pictures, or the edited one cannot be found on the reference.
    """
    try:
        h, w = check_image(reference, "reference")
        eh, ew = check_image(edited, "edited")
    except ValueError as error:
        raise EditError(str(error)) from error
    if (h, w) == (eh, ew):
        return _of_equal_size(reference, edited)
    likeness = 0.0
    if abs(ew * h - eh * w) <= 0.01 * eh * w + max(h, w):
        scale = np.array([[ew / w, 0, (ew / w - 1) / 2], [0, eh / h, (eh / h - 1) / 2]], np.float64)
        likeness = similarity(_shrunk(reference, edited, scale), edited)
        if likeness >= SIMILARITY_NEEDED:
            note = f"The edited picture was {_size(edited)}; it was resized to {_size(reference)}."
            return Alignment(_carry(reference, edited, scale), note, Placement.of(scale))
    found = _find(reference, edited)
    if found is not None:
        found = _snapped(reference, edited, found)
        inside = cv2.warpAffine(np.ones((h, w), np.uint8), found, (ew, eh))
        likeness = max(likeness, similarity(_shrunk(reference, edited, found), edited, inside > 0))
        if likeness >= SIMILARITY_NEEDED:
            return _placed(reference, edited, found)
    raise EditError(
        f"edited is {_size(edited)}, its reference {_size(reference)}, and it was not found on it "
        f"(similarity {likeness:.2f}, {SIMILARITY_NEEDED} needed): edit the downloaded reference without "
        f"cropping it, or save the result at {_size(reference)}, which is taken as it is"
    )


def _of_equal_size(reference: Image, edited: Image) -> Alignment:
    """The edited picture as it is, or moved back; real edits and restyled pictures stay bit for bit."""
    still = _kept(reference, edited)
    if still >= LIES_STILL:
        return Alignment(edited, None)
    found = _find(reference, edited)
    if found is not None:
        found = _snapped(reference, edited, found)
        if _reach(found, edited) > MOVED_PX:
            seen = _shrunk(reference, edited, found)
            inside = cv2.warpAffine(np.ones(reference.shape[:2], np.uint8), found, edited.shape[1::-1]) > 0
            kept = (_kept(seen, edited, inside), still)
            fine = (
                similarity(seen, edited, inside, SEARCH_SIDE),
                similarity(reference, edited, None, SEARCH_SIDE),
            )
            if any(there >= max(MOVED[0], MOVED[1] * here) for there, here in (kept, fine)):
                return _placed(reference, edited, found)
    same = float((cv2.absdiff(reference, edited).max(axis=2) <= KEPT).mean())
    if same >= LIES_STILL or similarity(reference, edited) >= ALIKE:
        return Alignment(edited, None)
    return Alignment(
        edited,
        "The edited picture hardly resembles its reference: was it turned, mirrored, or made from another "
        "picture? It was taken as it is.",
    )


def _kept(seen: Image, edited: Image, valid: npt.NDArray[np.bool_] | None = None) -> float:
    """Share of the reference's detail that the edited picture shows unchanged; 1 where there is no detail."""
    grey = cv2.GaussianBlur(cv2.cvtColor(seen, cv2.COLOR_RGB2GRAY), (0, 0), 1.0)
    detail = np.hypot(*(cv2.Sobel(grey, cv2.CV_32F, *axis) for axis in ((1, 0), (0, 1)))) > DETAIL
    if valid is not None:
        detail &= valid
    if detail.mean() < 0.005:
        return 1.0
    return float((cv2.absdiff(seen, edited).max(axis=2) <= KEPT)[detail].mean())


def _reach(transform: Transform, image: Image) -> float:
    """How far a transform moves the corner that it moves furthest, pixels."""
    h, w = image.shape[:2]
    corners = np.array([[0, 0, 1], [w - 1, 0, 1], [0, h - 1, 1], [w - 1, h - 1, 1]], np.float64).T
    return float(np.abs(transform @ corners - corners[:2]).max())


def similarity(a: Image, b: Image, valid: npt.NDArray[np.bool_] | None = None, side: int = 256) -> float:
    """Share of textured blocks whose luma correlates above 0.6, [0, 1]; high where only parts were edited.

    Args:
        a, b: RGB uint8 (H, W, 3), equal sizes.
        valid: (H, W), True where the two can be compared; everywhere when None.
        side: they are compared with their shorter side at most this long, pixels.
    """
    shrink = max(1.0, min(a.shape[:2]) / side)
    size = (max(BLOCK, round(a.shape[1] / shrink)), max(BLOCK, round(a.shape[0] / shrink)))
    grey = [
        cv2.resize(cv2.cvtColor(x, cv2.COLOR_RGB2GRAY), size, interpolation=cv2.INTER_AREA).astype(np.float32)
        for x in (a, b)
    ]
    mean_a, mean_b = (cv2.blur(x, (BLOCK, BLOCK)) for x in grey)
    var_a, var_b = (
        cv2.blur(x * x, (BLOCK, BLOCK)) - m * m for x, m in zip(grey, (mean_a, mean_b), strict=True)
    )
    covariance = cv2.blur(grey[0] * grey[1], (BLOCK, BLOCK)) - mean_a * mean_b
    correlation = covariance / np.sqrt(np.maximum(var_a, 1e-3) * np.maximum(var_b, 1e-3))
    textured = np.maximum(var_a, var_b) > 36.0
    if valid is not None:
        textured &= cv2.resize(valid.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    blocks = textured[BLOCK // 2 :: BLOCK // 2, BLOCK // 2 :: BLOCK // 2]
    good = (correlation > 0.6)[BLOCK // 2 :: BLOCK // 2, BLOCK // 2 :: BLOCK // 2] & blocks
    return float(good.sum() / blocks.sum()) if blocks.any() else 0.0


def _find(reference: Image, edited: Image) -> Transform | None:
    """Similarity transform by SIFT features and RANSAC, None where too few agree or it is implausible."""
    points, descriptors = [], []
    for image in (reference, edited):
        shrink = min(1.0, SEARCH_SIDE / max(image.shape[:2]))
        size = (max(1, round(image.shape[1] * shrink)), max(1, round(image.shape[0] * shrink)))
        grey = cv2.cvtColor(cv2.resize(image, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
        found, described = cv2.SIFT.create(nfeatures=2500).detectAndCompute(grey, None)
        if described is None or len(found) < INLIERS_NEEDED:
            return None
        ratio = np.array([image.shape[1] / size[0], image.shape[0] / size[1]])
        points.append((np.array([p.pt for p in found]) + 0.5) * ratio - 0.5)
        descriptors.append(described)
    pairs = cv2.BFMatcher(cv2.NORM_L2).knnMatch(descriptors[0], descriptors[1], k=2)
    kept = [p[0] for p in pairs if len(p) == 2 and p[0].distance < 0.75 * p[1].distance]
    if len(kept) < INLIERS_NEEDED:
        return None
    source = points[0][[m.queryIdx for m in kept]]
    target = points[1][[m.trainIdx for m in kept]]
    cv2.setRNGSeed(1)
    tolerance = max(1.5, max(edited.shape[:2]) / 512)
    transform, inliers = cv2.estimateAffinePartial2D(
        source, target, ransacReprojThreshold=tolerance, maxIters=3000, confidence=0.999
    )
    if transform is None or int(inliers.sum()) < INLIERS_NEEDED:
        return None
    scale, turn = _scale_and_turn(transform)
    plausible = 0.1 < scale < 10 and abs(turn) < 50
    return np.asarray(transform, np.float64) if plausible else None


def _snapped(reference: Image, edited: Image, transform: Transform) -> Transform:
    """A transform that is a shift by whole pixels but for measuring noise, made exactly that."""
    scale, turn = _scale_and_turn(transform)
    if abs(scale - 1) > 0.004 or abs(turn) > 0.2:
        return transform
    h, w = edited.shape[:2]
    best, least = transform, np.inf
    middle = np.array([(w - 1) / 2, (h - 1) / 2])
    linear, offset = transform[:, :2], transform[:, 2]
    shift = np.rint(middle - np.linalg.inv(linear) @ (middle - offset))
    for dx in (-1, 0, 1):
        for dy in (-1, 0, 1):
            moved = np.array([[1, 0, shift[0] + dx], [0, 1, shift[1] + dy]], np.float64)
            seen = cv2.warpAffine(reference, moved, (w, h), flags=cv2.INTER_NEAREST)
            inside = cv2.warpAffine(
                np.ones(reference.shape[:2], np.uint8), moved, (w, h), flags=cv2.INTER_NEAREST
            )
            if not inside.any():
                continue
            error = float(np.median(cv2.absdiff(seen, edited).max(axis=2)[inside > 0]))
            if error < least:
                best, least = moved, error
    return best if least <= 6 else transform


def _shrunk(reference: Image, edited: Image, transform: Transform, extra: float = 0.0) -> Image:
    """The reference as seen in the edited picture's grid, low-passed for its scale."""
    scale, _ = _scale_and_turn(transform)
    sigma = 0.45 * np.sqrt(max(0.0, 1 / scale**2 - 1)) + extra
    source = cv2.GaussianBlur(reference, (0, 0), sigma) if sigma > 0.2 else reference
    seen: Image = cv2.warpAffine(
        source,
        transform,
        (edited.shape[1], edited.shape[0]),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return seen


def _carry(reference: Image, edited: Image, transform: Transform) -> Image:
    """The reference plus the change the edited picture shows, less what resampling alone would change."""
    h, w = reference.shape[:2]
    exact = np.allclose(transform[:, :2], np.eye(2)) and np.allclose(
        transform[:, 2], np.rint(transform[:, 2])
    )
    seen = _shrunk(reference, edited, transform)
    change = edited.astype(np.float32) - seen
    inside = np.ones(edited.shape[:2], np.float32)
    if not exact:
        softer = _shrunk(reference, edited, transform, extra=0.6)
        harder = cv2.addWeighted(seen, 2.0, softer, -1.0, 0)  # what a sharper kernel would have left
        doubt = np.maximum(cv2.absdiff(seen, softer), cv2.absdiff(seen, harder)).max(axis=2)
        floor = cv2.dilate(doubt.astype(np.float32), np.ones((3, 3), np.uint8))
        size = np.abs(change).max(axis=2)
        base = min(6.0, float(np.median(size)))  # recompression adds to resampling
        change *= smoothstep(size, 2 + base + 1.5 * floor, 6 + 1.5 * base + 2.2 * floor)[..., None]
        inside = cv2.erode(inside, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0)
    covered = cv2.warpAffine(np.ones((h, w), np.float32), transform, (edited.shape[1], edited.shape[0]))
    change *= (covered * inside)[..., None]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    scale, _ = _scale_and_turn(transform)
    if scale > 1.2:  # the edited picture is finer: low-pass before it is read coarsely
        change = cv2.GaussianBlur(change, (0, 0), 0.45 * float(np.sqrt(scale**2 - 1)))
    back = cv2.warpAffine(change, transform, (w, h), flags=flags)
    return np.clip(np.rint(reference + back), 0, 255).astype(np.uint8)


def _scale_and_turn(transform: Transform) -> tuple[float, float]:
    """Scale, and rotation in degrees."""
    scale = float(np.hypot(transform[0, 0], transform[1, 0]))
    return scale, float(np.degrees(np.arctan2(transform[1, 0], transform[0, 0])))


def _placed(reference: Image, edited: Image, transform: Transform) -> Alignment:
    note = _placed_note(reference, edited, transform)
    return Alignment(_carry(reference, edited, transform), note, Placement.of(transform))


def _placed_note(reference: Image, edited: Image, transform: Transform) -> str:
    scale, turn = _scale_and_turn(transform)
    corner = cv2.invertAffineTransform(transform) @ np.array([0.0, 0.0, 1.0])
    turned = f", turned by {turn:.1f} degrees" if abs(turn) > 0.5 else ""
    return (
        f"The edited picture was {_size(edited)}; it was found on the reference ({_size(reference)}) at "
        f"x {corner[0]:.0f}, y {corner[1]:.0f}, scale {scale:.2f}{turned}. What lies outside it is unedited."
    )


def _size(image: npt.NDArray[np.uint8]) -> str:
    return f"{image.shape[1]}x{image.shape[0]}"
