"""Aligns an edited picture that was resized, cropped or moved with its reference."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import cv2
import numpy as np
import numpy.typing as npt

from correspondence import Bool, Float, Image, check_image
from reference.edits.cleaning import NOTHING, added, carried, cleaned, filled_edge, filled_rim
from reference.edits.kernels import as_resized, kernel_doubt
from reference.edits.placing import (
    Placement,
    Transform,
    is_whole,
    misfit,
    placed_note,
    reach,
    refined,
    seen_at,
    size_of,
    size_words,
)
from reference.edits.saving.codec import find_coding
from reference.edits.saving.noise import stored_exactly
from reference.edits.saving.transfer import Transfer, fit_transfer, slightly_filtered
from reference.edits.search import SEARCH_SIDE, find_place
from reference.edits.upright import turned_back
from reference.errors import EditError

SIMILARITY_NEEDED = 0.3  # share of textured blocks that must correlate; unrelated pictures stay below 0.1
SMALLEST = 16  # least side of a picture that can be placed, pixels
BLOCK = 16  # side of the blocks whose luma is correlated, pixels
KEPT = 12  # largest difference of a pixel that was not edited, levels
LIES_STILL = 0.5  # share of kept detail from which a picture of equal size has not moved far
MOVED = (0.6, 2.0)  # a move needs at least this likeness, and this many times the likeness without a move
SLIGHTLY_PX, FAR_PX = 0.15, 8.0  # range of the moves that are searched from the picture's place, pixels
SLIGHTLY = 0.93  # a slight move must reduce the misfit to less than this share; one that fits as well is none
ALIKE = 0.1  # similarity below which the user is told that a picture of equal size is unlike its reference
DETAIL = 60.0  # gradient of luma (Sobel) from which a pixel counts as detail
SCALED = 0.002  # from this change of scale on, the kernel's effect varies over the picture and is no detail
STYLE_SHARE = 0.5  # a change of no slight tone over a larger share is a style, and is taken as it is
KEPT_SHARE = 0.25  # share of a pixel of the saved picture that must be edited
TURNED_DEG = 0.05  # from this turn on an editor must fill in something along the edges, degrees
JOINT_PX = 2  # width of the joint of its halves, over which JPEG mixes colours, pixels
TWICE = 0.35  # share of an edited picture beside an unedited reference that may show it once more
IDENTITY: Transform = np.eye(2, 3)
UNMOVED = Placement()


@dataclass(frozen=True, slots=True, eq=False)
class Alignment:
    """An edited picture that was aligned with its reference.

    Attributes:
        image: RGB uint8 (H, W, 3), of the reference's size.
        note: what was done, in words for the user; None if nothing needs to be said.
        placement: where the edited picture lies on the reference.
        doubtful: whether the edited picture hardly resembles the reference and was taken as it is.
    """

    image: Image
    note: str | None
    placement: Placement = UNMOVED
    doubtful: bool = False


def flatten(rgba: npt.NDArray[np.uint8], reference: Image) -> Image:
    """Lays a picture with transparency over the reference.

    Args:
        rgba: uint8 (H, W, 4), straight alpha.
        reference: RGB uint8 (H, W, 3); only used if the sizes are equal.

    Returns:
        RGB uint8 (H, W, 3) of the size of `rgba`.

    Raises:
        EditError: another dtype or shape, or a picture with transparent parts whose size differs from the
            reference's, so that it is not known what shows through.
    """
    if rgba.dtype != np.uint8 or rgba.ndim != 3 or rgba.shape[2] != 4:
        raise EditError(f"rgba must be uint8 (H, W, 4), got {rgba.dtype} {rgba.shape}")
    alpha = rgba[..., 3:].astype(np.float32) / np.float32(255)
    if rgba.shape[:2] != reference.shape[:2]:
        if (rgba[..., 3] == 255).all():
            return np.ascontiguousarray(rgba[..., :3])
        raise EditError(
            f"the edited picture is {size_words(rgba)} with transparent parts, but its reference is "
            f"{size_words(reference)}; save it at {size_words(reference)}, or without transparency"
        )
    mixed = rgba[..., :3] * alpha + reference * (1 - alpha)
    return np.rint(mixed).astype(np.uint8)


def align_edited(reference: Image, edited: Image) -> Alignment:
    """Aligns an edited picture with its reference and removes what saving did to all of it.

    A picture of the reference's size is taken as it is, whatever its style, unless the whole picture was
    clearly moved. If it does not resemble the reference, it is still taken, with a note. For any other size
    a crop is tried, then a stretch, then matching features. A mirrored picture, or one turned by quarters, is
    turned back. Only the change is carried over. Resampling,
    slight softening or sharpening, and a slight tone beside another change do not count as changes.

    Args:
        reference, edited: RGB uint8 (H, W, 3).

    Raises:
        EditError: no RGB pictures, or the edited one cannot be found on the reference.
    """
    try:
        check_image(reference, "reference")
        check_image(edited, "edited")
    except ValueError as error:
        raise EditError(str(error)) from error
    found, likeness = _found(reference, edited)
    if found is not None and not found.doubtful:
        return _after(reference, edited, found) or found
    turned = turned_back(reference, edited)
    again = None if turned is None else _found(reference, turned.image)[0]
    if turned is not None and again is not None and not again.doubtful:
        told = f"The edited picture was {turned.words}; it was turned back."
        return replace(again, note=told if again.note is None else f"{told} {again.note}")
    if found is not None:
        return found
    raise EditError(
        f"the edited picture ({size_words(edited)}) does not match its reference ({size_words(reference)}): "
        f"their likeness is {likeness:.0%}, and {SIMILARITY_NEEDED:.0%} are needed. Edit a copy of the "
        f"reference, or save your picture at {size_words(reference)}: at that size it is used as it is"
    )


def _after(reference: Image, edited: Image, before: Alignment) -> Alignment | None:
    """Aligns the other half of a picture of before and after; None if there is none.

    Args:
        reference, edited: RGB uint8 (H, W, 3).
        before: how the edited picture was found.
    """
    if not np.array_equal(before.image, reference):
        return None
    h, w = size_of(reference)
    corners = before.placement.transform @ np.array([[-0.5, w - 0.5], [-0.5, h - 0.5], [1, 1]])
    (x0, x1), (y0, y1) = np.maximum(np.rint(corners + 0.5) + [-JOINT_PX, JOINT_PX], 0).astype(int)
    rest = max((edited[:, :x0], edited[:, x1:], edited[:y0], edited[y1:]), key=lambda part: part.size)
    if rest.size < TWICE * edited.size:
        return None
    after = _found(reference, np.ascontiguousarray(rest))[0]
    if after is None or after.doubtful or np.array_equal(after.image, reference):
        return None
    told = "The edited picture shows its reference twice, before and after. The edited half was used."
    return replace(after, note=told if after.note is None else f"{told} {after.note}")


def _found(reference: Image, edited: Image) -> tuple[Alignment | None, float]:
    """Aligns an edited picture that was neither mirrored nor turned by quarters.

    Returns:
        The alignment, None if it was not found, and its similarity to the reference, [0, 1].
    """
    if size_of(reference) == size_of(edited):
        return _of_equal_size(reference, edited), 1.0
    place = find_place(reference, edited) if min(size_of(edited)) >= SMALLEST else None
    if place is None:
        return None, 0.0
    seen, inside = seen_at(reference, size_of(edited), place.transform)
    likeness = similarity(seen, edited, inside)
    if likeness < SIMILARITY_NEEDED:
        return None, likeness
    return _placed(reference, edited, place.transform), likeness


def _of_equal_size(reference: Image, edited: Image) -> Alignment:
    """Aligns an edited picture of the reference's size: it is moved back if it was clearly moved."""
    if _exact(reference, edited):
        return Alignment(edited, None)
    near = refined(reference, edited, IDENTITY)
    if SLIGHTLY_PX < reach(near.transform, edited) < FAR_PX and near.misfit < SLIGHTLY * misfit(
        reference, edited, IDENTITY
    ):
        return _placed(reference, edited, near.transform)
    still = _kept(reference, edited)
    if still >= LIES_STILL:
        return _unsaved(reference, edited)
    found = find_place(reference, edited)
    if found is not None and reach(found.transform, edited) > SLIGHTLY_PX:
        seen, inside = seen_at(reference, size_of(edited), found.transform)
        kept = (_kept(seen, edited, inside), still)
        fine = (
            similarity(seen, edited, inside, SEARCH_SIDE),
            similarity(reference, edited, None, SEARCH_SIDE),
        )
        if any(there >= max(MOVED[0], MOVED[1] * here) for there, here in (kept, fine)):
            return _placed(reference, edited, found.transform)
    same = float((cv2.absdiff(reference, edited).max(axis=2) <= KEPT).mean())
    if same >= LIES_STILL or similarity(reference, edited) >= ALIKE:
        return _unsaved(reference, edited)
    return Alignment(
        edited,
        "The edited picture hardly resembles its reference. It was used as it is, and most of it may count "
        "as edited. If it was made from another picture, edit a copy of the reference.", doubtful=True,
    )  # fmt: skip


def _exact(seen: Image, edited: Image, inside: Bool | None = None) -> bool:
    """Whether an edited picture has exactly the levels of its reference, except where it was edited."""
    difference = cv2.absdiff(seen, edited).max(axis=2)
    if inside is not None:
        difference = np.where(inside, difference, np.uint8(0))
    return stored_exactly(seen, difference) and not slightly_filtered(seen, edited, inside)


def _kept(seen: Image, edited: Image, valid: npt.NDArray[np.bool_] | None = None) -> float:
    """Share of the reference's detail that the edited picture shows unchanged; 1 if there is no detail."""
    grey = cv2.GaussianBlur(cv2.cvtColor(seen, cv2.COLOR_RGB2GRAY), (0, 0), 1.0)
    detail = np.hypot(*(cv2.Sobel(grey, cv2.CV_32F, *axis) for axis in ((1, 0), (0, 1)))) > DETAIL
    if valid is not None:
        detail &= valid
    if detail.mean() < 0.005:
        return 1.0
    return float((cv2.absdiff(seen, edited).max(axis=2) <= KEPT)[detail].mean())


def similarity(a: Image, b: Image, valid: npt.NDArray[np.bool_] | None = None, side: int = 256) -> float:
    """Computes the share of textured blocks whose luma correlates above 0.6, [0, 1].

    It is high if only parts of the picture were edited.

    Args:
        a, b: RGB uint8 (H, W, 3), equal sizes.
        valid: bool (H, W), True where the two can be compared; everywhere when None.
        side: the pictures are shrunk to a shorter side of at most this length, pixels.
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


def _unsaved(reference: Image, edited: Image) -> Alignment:
    """Removes what saving did to all of a picture that lies in its reference's place."""
    fitted, coding = find_coding(reference, edited, fit_transfer(reference, edited))
    change = edited.astype(np.float32) - reference
    transfer = fitted or Transfer.nothing(change.shape)
    everywhere = np.ones(reference.shape[:2], np.bool_)
    coding = coding.beside(transfer.detail)
    rung = partial(coding.without_ringing, edited=edited)
    meant = transfer.untoned(reference, edited) - transfer.detail - reference
    image, note = cleaned(reference, change - transfer.detail, meant, transfer.tone, everywhere, coding, rung)
    if fitted is None and note != NOTHING:
        changed = cv2.absdiff(reference, image).max(axis=2) > 0
        if changed.mean() > STYLE_SHARE:
            return Alignment(edited, None)
    return Alignment(image, note)


def _placed(reference: Image, edited: Image, transform: Transform) -> Alignment:
    """Adds the change that the edited picture shows at its place to the reference."""
    size = size_of(reference)
    seen, inside = seen_at(reference, size_of(edited), transform)
    resized = as_resized(reference, edited, transform, seen, inside)
    if resized is not None:
        seen = resized.image
    known_well = resized is not None or is_whole(transform)
    change = edited.astype(np.float32) - seen
    placement = Placement.of(transform)
    if abs(placement.turn_deg) > TURNED_DEG:
        inside &= ~filled_rim(change, inside)
    note = placed_note(reference, edited, placement)
    x, y, w, h = cv2.boundingRect(inside.astype(np.uint8))  # beyond it all would count as unchanged
    shown = np.s_[y : y + h, x : x + w]
    if is_whole(transform) and _exact(seen[shown], edited[shown], inside[shown]):
        inside &= ~filled_edge(change, edited, shown)
        back = carried(change * inside[..., None], transform, size)
        return Alignment(added(reference, back), note, placement)
    transfer, coding = find_coding(seen, edited, fit_transfer(seen, edited, inside), inside)
    transfer = transfer or Transfer.nothing(change.shape)
    rim = cv2.erode(inside.astype(np.uint8), np.ones((5, 5), np.uint8), borderValue=0)
    back = carried((change - transfer.detail) * inside[..., None], transform, size)
    meant = carried(
        (transfer.untoned(seen, edited) - transfer.detail - seen) * inside[..., None], transform, size
    )
    tone = carried(transfer.tone * inside[..., None], transform, size)
    coding = coding.beside(transfer.detail).mapped(
        lambda part: carried(part * inside[..., None], transform, size)
    )
    known = carried(rim.astype(np.float32), transform, size) > 0.99
    scaled = max(abs(placement.scale_x - 1), abs(placement.scale_y - 1)) > SCALED
    doubted = kernel_doubt(reference, edited, transform) if resized is None else resized.doubt
    doubt = carried(doubted, transform, size) if scaled else None

    def rung(found: Bool) -> tuple[Bool, Float]:
        warped = cv2.warpAffine(found.astype(np.float32), transform, size_of(edited)[::-1])
        there = np.asarray(warped > 0, np.bool_)
        kept, correction = coding.without_ringing(there, edited, moved=not known_well)
        still = found & (carried(kept.astype(np.float32), transform, size) > KEPT_SHARE)
        return still, carried(correction, transform, size)

    pixel = 1 / float(np.sqrt(placement.scale_x * placement.scale_y))
    image, told = cleaned(reference, back, meant, tone, known, coding, rung, doubt, pixel)
    return Alignment(image, note if told is None else f"{note} {told}", placement)
