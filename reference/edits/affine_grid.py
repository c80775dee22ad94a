"""An edit's colours as a bilateral grid of local affine maps. A live pixel needs no exact place in it.

The grid follows bilateral guided upsampling (Chen et al. 2016) and HDRnet (Gharbi et al. 2017). Its cells
divide place and luma. Each cell holds an affine map from the picture's colour to the edited colour. The maps
are fitted once by least squares and read trilinearly. The residual of the fit is structure, which no colour
map can make.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from correspondence import Box, Float, Image, check_image
from reference.edits.mask import smoothstep

DEPTH = 8  # cells along the luma
CELLS = 20  # cells along the longer side of the box
FIT_SIDE = 160  # longer side to which the box is shrunk for the fit, pixels
SPREAD = 0.7  # sigma over which neighbouring cells share their pixels, cells
FIRM = 2.0  # weight of the whole edit's map in each cell, pixels
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class AffineGrid:
    """Affine colour maps over a box of a reference.

    Attributes:
        maps: float32 (DEPTH, rows, columns, 12), each a 4 x 3 map from (r, g, b, 1) to (r, g, b) in [0, 1].
        box: (x0, y0, x1, y1) of the reference that the cells cover evenly, pixels.
    """

    maps: Float
    box: Box

    def apply(self, colours: npt.NDArray[np.uint8], places: Float) -> npt.NDArray[np.uint8]:
        """Maps the colours of live pixels to their edited colours.

        Args:
            colours: colours of the live pixels, uint8 (N, 3).
            places: approximate place of each pixel in the reference, float32 (N, 2), pixels; border cells
                serve beyond the box.

        Returns:
            uint8 (N, 3).
        """
        unit = colours.astype(np.float32) / 255
        depth, rows, columns = self.maps.shape[:3]
        x0, y0, x1, y1 = self.box
        at = np.stack(
            [
                unit @ _LUMA * (depth - 1),
                (places[:, 1] + 0.5 - y0) * (rows / (y1 - y0)) - 0.5,
                (places[:, 0] + 0.5 - x0) * (columns / (x1 - x0)) - 0.5,
            ]
        )
        at = np.clip(at, 0, np.array([[depth - 1], [rows - 1], [columns - 1]]))
        low = np.minimum(at.astype(np.int64), np.array([[depth - 2], [rows - 2], [columns - 2]]).clip(0))
        part = (at - low).astype(np.float32)
        maps = np.zeros((len(colours), 12), np.float32)
        flat = self.maps.reshape(-1, 12)
        for corner in np.ndindex(2, 2, 2):
            z, y, x = (np.minimum(low[i] + corner[i], n - 1) for i, n in enumerate((depth, rows, columns)))
            weight = np.prod([part[i] if corner[i] else 1 - part[i] for i in range(3)], axis=0)
            maps += weight[:, None] * flat[(z * rows + y) * columns + x]
        homogeneous = np.concatenate([unit, np.ones((len(unit), 1), np.float32)], axis=1)
        mapped = np.einsum("ni,nij->nj", homogeneous, maps.reshape(-1, 4, 3))
        return np.clip(np.rint(mapped * 255), 0, 255).astype(np.uint8)


def fit_affine_grid(image: Image, edited: Image, mask: Float) -> AffineGrid | None:
    """Fits the affine maps that best turn `image` into `edited` inside `mask`.

    Args:
        image, edited: RGB uint8 (H, W, 3), equal sizes.
        mask: float32 (H, W) in [0, 1], weight of each pixel.

    Returns:
        The grid over the mask's box; None if the mask is empty.

    Raises:
        ValueError: sizes that differ.
    """
    size = check_image(image)
    if check_image(edited, "edited") != size or mask.shape != size:
        raise ValueError(f"image {size}, edited {edited.shape[:2]} and mask {mask.shape} must agree")
    x, y, w, h = cv2.boundingRect((mask > 0).astype(np.uint8))
    if w == 0:
        return None
    box = (x, y, x + w, y + h)
    cut = np.s_[y : y + h, x : x + w]
    shrink = min(1.0, FIT_SIDE / max(w, h))
    small = (max(1, round(w * shrink)), max(1, round(h * shrink)))
    before, after, weight = (
        cv2.resize(np.ascontiguousarray(a[cut]), small, interpolation=cv2.INTER_AREA)
        for a in (image, edited, mask)
    )
    rows, columns = (max(2, round(CELLS * side / max(w, h))) for side in (h, w))
    inputs = np.concatenate(
        [before.reshape(-1, 3) / 255.0, np.ones((before.shape[0] * before.shape[1], 1))], 1
    )
    targets = after.reshape(-1, 3) / 255.0
    z = np.rint(inputs[:, :3] @ _LUMA * (DEPTH - 1)).astype(np.int64)
    v, u = np.divmod(np.arange(len(inputs)), small[0])
    cell = (z * rows + v * rows // small[1]) * columns + u * columns // small[0]
    products, answers = _normal_sums(inputs, targets, weight.ravel().astype(np.float64), cell, rows, columns)
    maps = _solve(products, answers)
    return AffineGrid(maps.reshape(DEPTH, rows, columns, 12).astype(np.float32), box)


def _normal_sums(
    inputs: _Doubles,
    targets: _Doubles,
    weight: _Doubles,
    cell: npt.NDArray[np.int64],
    rows: int,
    columns: int,
) -> tuple[_Doubles, _Doubles]:
    """Weighted sums of A'A (cells, 4, 4) and A'B (cells, 4, 3) per cell, shared among neighbouring cells."""
    pairs = np.concatenate(
        [
            (inputs[:, :, None] * inputs[:, None, :]).reshape(-1, 16),
            (inputs[:, :, None] * targets[:, None, :]).reshape(-1, 12),
        ],
        axis=1,
    )
    count = DEPTH * rows * columns
    sums = np.stack([np.bincount(cell, weight * pair, count) for pair in pairs.T], axis=-1)
    planes = sums.reshape(DEPTH, rows, columns * 28)
    shared = np.stack(
        [
            cv2.GaussianBlur(p.reshape(rows, columns, 28), (0, 0), SPREAD, borderType=cv2.BORDER_CONSTANT)
            for p in planes
        ]
    )
    along = cv2.GaussianBlur(
        shared.reshape(DEPTH, -1), (1, 5), sigmaX=1, sigmaY=SPREAD, borderType=cv2.BORDER_CONSTANT
    )
    flat = along.reshape(count, 28)
    return flat[:, :16].reshape(-1, 4, 4), flat[:, 16:].reshape(-1, 4, 3)


def _solve(products: _Doubles, answers: _Doubles) -> _Doubles:
    """Solves each cell by ridge regression, (cells, 4, 3).

    Cells are drawn towards the map of the whole edit, and that map towards no change.
    """
    eye = np.eye(4)
    identity = np.eye(4, 3)
    firm = 1e-3 * max(float(np.trace(products.sum(axis=0))), 1e-6)
    whole = np.linalg.solve(products.sum(axis=0) + firm * eye, answers.sum(axis=0) + firm * identity)
    # Firmness in units of the weight that one pixel adds after the sums were spread.
    unit = FIRM / (2 * np.pi * SPREAD**2) ** 1.5
    return np.linalg.solve(products + unit * 0.25 * eye, answers + unit * 0.25 * whole)


def structure(image: Image, edited: Image, mask: Float, grid: AffineGrid) -> tuple[Float, float]:
    """Measures how far an edit is more than a change of colour, at each place and as a whole.

    Args:
        image, edited: RGB uint8 (H, W, 3).
        mask: mask of the edit, float32 (H, W).
        grid: the grid fitted to the three.

    Returns:
        For each place, the share of the change in a small neighbourhood that the grid's colour maps do not
        explain, eased to float32 (H, W) in [0, 1], 0 outside the mask. For the whole edit, the share of the
        change's energy that they do not explain.
    """
    x0, y0, x1, y1 = grid.box
    y, x = np.mgrid[y0:y1, x0:x1].astype(np.float32)
    cut = np.s_[y0:y1, x0:x1]
    before, after = (np.ascontiguousarray(a[cut]) for a in (image, edited))
    places = np.stack([x.ravel(), y.ravel()], axis=1)
    made = grid.apply(before.reshape(-1, 3), places).reshape(before.shape)
    inside = mask[cut] > 0
    left, change = (cv2.absdiff(a, after).astype(np.float32).max(axis=2) * inside for a in (made, before))
    side = 2 * max(1, round(min(mask.shape) / 128)) + 1
    share = cv2.blur(left, (side, side)) / (cv2.blur(change, (side, side)) + 4)
    out = np.zeros(mask.shape, np.float32)
    out[cut] = smoothstep(share, 0.3, 0.6) * inside
    return out, float((left**2).sum() / max(float((change**2).sum()), 1.0))
