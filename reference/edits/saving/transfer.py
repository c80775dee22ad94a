"""Measures what saving did to the whole picture: a slight tone, and slight softening or sharpening."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import cv2
import numpy as np
import numpy.typing as npt

from correspondence import Bool, Float, Image

BANDS_PX = (0.6, 1.2, 2.4)  # standard deviations of the low-passes that separate bands of detail, pixels
SAMPLES = 25_000  # number of pixels used by the fit
CORRECTED = 100_000  # number of pixels by which a fit is corrected
FEWEST = 500  # least number of samples of a fit
ROUNDS = 12  # largest number of rounds of the robust fit
SLIGHT = 8.0  # a larger tone is an edit, levels
TILES = 4  # tiles along each side of the picture; a global change is visible in most of them
AGREEING = 0.7  # share of the tiles in which the fit must reduce the difference
EDITED = 3.0  # a tile whose residual is this many times what the fit changes is mostly edited: it has no vote
VOTING = 0.3  # least share of the tiles that must have a vote, and of the samples that may be unedited
TELLING = 0.5  # mean change by the fit below which a tile has no vote, levels, luma and chroma together
BETTER = 0.93  # the fit must reduce the difference to at most this share
REACH = 16.0  # changes that differ by more from the most frequent one are edits, levels
APART = 4.0  # a median further from the most frequent change is that of an edit, levels
INLIERS = 3.0  # samples within so many times the typical rest of the affine map judge the simpler one
SIMPLER, ROUNDED = 1.1, 0.3  # it may leave so much more, and so many levels
CURVED, SEEN = 0.6, 0.3  # a curve must leave at most this share of a line's rest by shades, if that is more
SHADE_LEVELS = 16  # width of a shade, levels
TUKEY = 4.685  # constant of Tukey's biweight
CUT_OFF = 0.5  # a tone differs from its colour's by so much where black or white cut it off, levels
UNTONED = 2  # steps to the picture before a tone
FORETOLD = (
    2.0  # a colour that the reference has nowhere may be changed by so much more than all it has, levels
)
SHARPENED_LEVELS = 3.0  # slight sharpening changes luma by no more than this, levels
FORETOLD_LUMA, FORETOLD_SHARE = (
    0.7,
    0.003,
)  # it changes this share of the pixels by so many levels or more ...
AS_FORETOLD = 0.8  # ... and this share of them is changed the way that is foretold
_TO_YCC = np.array([[0.299, 0.587, 0.114], [-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]], np.float32)
_SHADES = np.vander(np.linspace(-1, 1, 17, dtype=np.float32), 4, increasing=True)
_TO_RGB = np.linalg.inv(_TO_YCC).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Transfer:
    """What saving changed at each pixel of a reference, apart from noise and from the edit.

    Attributes:
        tone: change of colour, levels, float32 (H, W, 3).
        detail: change of detail, levels, float32 (H, W, 3).
        colours: the same tone by colour, levels, float32 (6, 3): what is added to each channel for 1, for
            red, green and blue, and for the square and the cube of the channel itself. Colours count as
            (level - 128) / 128.
    """

    tone: Float
    detail: Float
    colours: Float = field(default_factory=lambda: np.zeros((6, 3), np.float32))

    @classmethod
    def nothing(cls, shape: tuple[int, ...]) -> Transfer:
        """The transfer of a picture of `shape` (H, W, 3) that saving left unchanged."""
        return cls(np.zeros(shape, np.float32), np.zeros(shape, np.float32))

    def untoned(self, seen: Image, edited: Image) -> Float:
        """A saved picture without its tone, levels, float32 (H, W, 3).

        Paint of a colour that the reference has nowhere has the tone of its own colour. It is foretold from
        the saved picture, which is close to the one before. Where black or white cut the tone off, the tone
        of the reference says more.

        Args:
            seen: the reference, RGB uint8 (H, W, 3).
            edited: the saved picture, RGB uint8 (H, W, 3).
        """
        saved = edited.astype(np.float32)
        if not self.tone.any():
            return saved
        before = saved
        least, most = self.tone.min(axis=(0, 1)) - FORETOLD, self.tone.max(axis=(0, 1)) + FORETOLD
        for _ in range(UNTONED):
            before = saved - np.clip(_toned(before, self.colours), least, most)
        plain = saved - self.tone
        cut = np.abs(_toned(seen.astype(np.float32), self.colours) - self.tone) > CUT_OFF
        return np.where(cut & (np.abs(plain - seen) < REACH), plain, before)

    def corrected(self, seen: Image, rest: Float, where: Bool) -> Transfer:
        """The same with what it leaves: a lift and a gain of each channel, and detail if it has any.

        Args:
            seen: the picture that it changes, RGB uint8 (H, W, 3).
            rest: what is left of the difference, levels, float32 (H, W, 3).
            where: the pixels that count, bool (H, W), some of them.
        """
        before = seen.astype(np.float32)
        colours = np.zeros((6, 3), np.float32)
        picked = _picked(np.flatnonzero(where), CORRECTED)
        some, left = before.reshape(-1, 3)[picked], rest.reshape(-1, 3)[picked]
        for channel in range(3):
            own = (some[:, channel] - 128) / np.float32(128)
            fit = np.linalg.lstsq(np.column_stack([np.ones_like(own), own]), left[:, channel])[0]
            colours[0, channel], colours[1 + channel, channel] = fit
        tone = _toned(before, colours)
        detail = self.detail
        if detail.any():
            bands = _bands(before @ _TO_YCC[0])
            luma = (left - tone.reshape(-1, 3)[picked]) @ _TO_YCC[0]
            shares = np.linalg.lstsq(np.column_stack([band.ravel()[picked] for band in bands]), luma)[0]
            bent = sum(np.float32(k) * band for k, band in zip(shares, bands, strict=True))
            detail = detail + np.asarray(bent, np.float32)[..., None]
        return Transfer(self.tone + tone, detail, self.colours + colours)

    @property
    def slight(self) -> bool:
        """Whether the tone may be a side effect of saving."""
        return self.tone_levels <= SLIGHT and float(np.abs(self.tone).max()) <= 3 * SLIGHT

    @property
    def tone_levels(self) -> float:
        """Size of the tone: median over the pixels of the largest absolute change of a channel, levels."""
        return float(np.median(np.abs(self.tone).max(axis=2)))


def fit_transfer(seen: Float | Image, edited: Image, valid: Bool | None = None) -> Transfer | None:
    """Fits what an editor and a file format did to the whole picture.

    It uses robust least squares with Tukey's weights, so that the edited area counts as outlier. Detail is
    fitted by a weight for each of three bands, colour by an affine map, or by a gain and a lift of each
    channel if these explain it as well: colours that only the edited area has are then foretold better. A
    curve of each channel, as another gamma makes it, is taken if it explains much more than the affine map.

    Args:
        seen: the reference in the edited picture's grid, RGB (H, W, 3), levels.
        edited: RGB uint8 (H, W, 3).
        valid: where the two can be compared, bool (H, W); everywhere when None.

    Returns:
        The fit; None if there are too few pixels, if the tone is too large for a side effect of saving, or if
        the fit does not reduce the difference.
    """
    before = np.asarray(seen, np.float32)
    residual: Float = np.asarray((edited.astype(np.float32) - before) @ _TO_YCC.T, np.float32)
    ycc = before @ _TO_YCC.T
    bands = _bands(ycc)
    where = np.ones(before.shape[:2], np.bool_) if valid is None else valid
    open_ended = (np.maximum(before, edited).max(axis=2) < 250) & (np.minimum(before, edited).min(axis=2) > 5)
    at = np.flatnonzero(where & open_ended)
    if at.size < FEWEST:
        return None
    picked = _picked(at, SAMPLES)
    colour = np.column_stack([np.ones(picked.size), (before.reshape(-1, 3)[picked] - 128) / 128])
    detail = np.empty_like(before)
    by_colour = np.zeros((6, 3), np.float32)
    agreeing = np.ones(picked.size, np.bool_)  # an edit is one in all channels, luma tells it best
    for channel in range(3):
        columns = np.column_stack([colour, *(b[..., channel].ravel()[picked] for b in bands)])
        values = residual[..., channel].ravel()[picked]
        used = agreeing if agreeing.mean() > VOTING else np.ones_like(agreeing)
        weights = _robust_fit(columns[used], values[used])
        rest = np.abs(values - columns @ weights)
        agreeing &= rest <= TUKEY * _scale(rest[used])
        by_colour[:4, channel] = weights[:4]
        detail[..., channel] = sum(
            np.float32(k) * band[..., channel] for k, band in zip(weights[4:], bands, strict=True)
        )
    by_colour = by_colour @ _TO_RGB.T
    detail, tone = detail @ _TO_RGB.T, _toned(before, by_colour)
    sharp = np.clip(before + detail, 0, 255)
    fitted = Transfer(np.clip(sharp + tone, 0, 255) - sharp, sharp - before, by_colour)
    simpler = _by_channel(*(part.reshape(-1, 3)[picked] for part in (before, edited - sharp, tone)))
    foretold = fitted
    if simpler is not None:
        by_colour = np.zeros((6, 3), np.float32)
        by_colour[0], by_colour[[1, 2, 3], [0, 1, 2]] = simpler[0], simpler[1]
        by_colour[4 : 2 + len(simpler)] = simpler[2:]
        told = _toned(before, by_colour)
        foretold = replace(fitted, tone=np.clip(sharp + told, 0, 255) - sharp, colours=by_colour)
    judged = fitted
    if not fitted.slight:  # beside a new backdrop a map of all three may run away: gains alone are tried
        foretold = judged = replace(foretold, detail=np.zeros_like(detail))
    if not judged.slight:
        return None
    left = np.asarray(residual - (judged.tone + judged.detail) @ _TO_YCC.T, np.float32)
    return foretold if _explains((residual, left), where) else None


def slightly_filtered(seen: Image, edited: Image, valid: Bool | None = None) -> bool:
    """Whether all of a picture was sharpened or softened so slightly that most of its pixels are unchanged.

    Args:
        seen, edited: RGB uint8 (H, W, 3), the reference in the edited picture's grid and the edited picture.
        valid: where the two can be compared, bool (H, W); everywhere when None.
    """
    before = seen @ _TO_YCC[0]
    change = (edited @ _TO_YCC[0] - before).ravel()
    slight = np.abs(change) <= SHARPENED_LEVELS
    at = _picked(np.flatnonzero(slight if valid is None else slight & valid.ravel()), CORRECTED)
    if at.size < FEWEST:
        return False
    bands = np.column_stack([band.ravel()[at] for band in _bands(before)])
    foretold = bands @ np.linalg.lstsq(bands, change[at])[0]
    told = np.abs(foretold) >= FORETOLD_LUMA
    right = (np.sign(foretold) == np.sign(change[at])) & (np.abs(change[at]) >= 0.5)
    return bool(told.mean() >= FORETOLD_SHARE and right[told].mean() >= AS_FORETOLD)


def _toned(colours: Float, weights: Float) -> Float:
    """What a tone adds to colours, both levels, float32 (..., 3). The weights are `Transfer.colours`."""
    flat = (colours - 128) / np.float32(128)
    tone: Float = np.asarray(cv2.transform(flat, weights[1:4].T) + weights[0], np.float32)
    if weights[4:].any():
        square = flat * flat
        tone += square * weights[4] + square * flat * weights[5]
    return tone


def _picked(at: npt.NDArray[np.intp], most: int) -> npt.NDArray[np.intp]:
    """At most so many of the indices, (N,), at random but the same in each run."""
    return at[np.random.default_rng(0).permutation(at.size)[:most]]


def _bands(ycc: Float) -> list[Float]:
    bands, last = [], ycc
    for sigma in BANDS_PX:
        softer = cv2.GaussianBlur(ycc, (0, 0), sigma)
        bands.append(last - softer)
        last = softer
    return bands


def _by_channel(before: Float, change: Float, affine: Float) -> Float | None:
    """Fits a lift and a gain of each channel, or a curve of third order, to samples of a slight tone.

    Args:
        before: colours, levels, float32 (N, 3).
        change: their change, levels, float32 (N, 3).
        affine: what the affine map says of it, levels, float32 (N, 3).

    Returns:
        Weights of the powers 0 and 1, or 0 to 3, of (colour - 128) / 128, levels, float32 (2 or 4, 3). None
        if the affine map is better.
    """
    rest = np.abs(change - affine).max(axis=1)
    near = rest[rest <= REACH]
    if near.size < FEWEST:
        return None
    inliers = rest <= max(ROUNDED, INLIERS * float(np.percentile(near, 40)))
    whole = float(np.abs(change - affine)[inliers].mean(axis=0).sum())
    line, curve = (_powers(before[inliers], change[inliers], order) for order in (1, 3))
    off = [_by_shade(before[inliers], rest) for rest in (line[1], (change - affine)[inliers], curve[1])]
    steady = np.abs(_SHADES @ curve[0]).max() <= 3 * SLIGHT
    if steady and min(off[:2]) > SEEN and off[2] <= CURVED * min(off[:2]):
        return curve[0]
    left = float(np.abs(line[1]).mean(axis=0).sum())
    return line[0] if left <= SIMPLER * whole + ROUNDED else None


def _powers(before: Float, change: Float, order: int) -> tuple[Float, Float]:
    """Fits powers of each channel up to `order`. Returns their weights and what is left, levels, (N, 3)."""
    weights, rest = np.zeros((order + 1, 3), np.float32), np.zeros_like(change)
    for channel in range(3):
        columns = np.vander((before[:, channel] - 128) / 128, order + 1, increasing=True).astype(np.float32)
        weights[:, channel] = _robust_fit(columns, change[:, channel])
        rest[:, channel] = change[:, channel] - columns @ weights[:, channel]
    return weights, rest


def _by_shade(before: Float, rest: Float) -> float:
    """Size of the mean rest of each shade, averaged over the samples, levels; noise hardly counts."""
    off = 0.0
    for channel in range(3):
        shade = np.clip(before[:, channel] / SHADE_LEVELS, 0, 255 // SHADE_LEVELS).astype(int)
        off += float(np.abs(np.bincount(shade, weights=rest[:, channel])).sum())
    return off / len(before)


def _mode(values: Float) -> float:
    """The most frequent value within the reach of a slight tone, levels."""
    counts, edges = np.histogram(values, np.arange(-REACH, REACH + 0.25, 0.5))
    smooth = np.convolve(counts, (1, 2, 3, 2, 1), "same")
    return float(edges[int(smooth.argmax())] + 0.25)


def _robust_fit(columns: Float, values: Float) -> Float:
    """Least squares with Tukey's biweight. The scale is estimated from the smaller residuals.

    If the median is far from the most frequent value, most samples are edited. Then only those near that
    value are used.
    """
    weights = np.zeros(columns.shape[1])
    centre, mode = float(np.median(values)), _mode(values)
    near = np.abs(values - mode) <= REACH
    if abs(centre - mode) > APART and near.mean() > VOTING:
        columns, values, centre = columns[near], values[near], mode
    rest = values - centre
    for _ in range(ROUNDS):
        scale = _scale(np.abs(rest))
        trust = np.clip(1 - (rest / (TUKEY * scale)) ** 2, 0, None) ** 2
        weighed = columns * trust[:, None]
        gram = weighed.T @ columns + 1e-3 * len(values) / 1000 * np.eye(columns.shape[1])
        new = np.linalg.solve(gram, weighed.T @ values)
        rest = values - columns @ new
        if np.abs(new - weights).max() < 1e-3:
            break
        weights = new
    return new


def _scale(sizes: Float) -> float:
    """Standard deviation of residuals by the smaller of their sizes, at least 0.3 levels."""
    return max(0.3, float(np.percentile(sizes, 45)) / 0.598)


def _explains(pair: tuple[Float, Float], where: Bool) -> bool:
    """Whether the residual is smaller with the fit than without it in most tiles that the fit changes.

    `pair` holds the difference without the fit, and the residual with it.
    """
    h, w = where.shape
    votes, tiles = [], 0
    for rows in np.array_split(np.arange(h), TILES):
        for cols in np.array_split(np.arange(w), TILES):
            tile = np.ix_(rows, cols)
            inside = where[tile]
            if inside.mean() < 0.2:
                continue
            tiles += 1
            change = float(np.abs(pair[0][tile] - pair[1][tile]).sum(axis=2)[inside].mean())
            if change < TELLING:
                continue
            without, rest = (float(np.abs(r[tile]).sum(axis=2)[inside].mean()) for r in pair)
            medians = [float(np.median(np.abs(r[tile]).sum(axis=2)[inside])) for r in pair]
            if min(rest, medians[1]) > EDITED * change:
                continue
            votes.append(medians[1] <= BETTER * medians[0] or rest <= BETTER * without)
    return len(votes) > VOTING * tiles and float(np.mean(votes)) >= AGREEING
