"""Four views tiled 2 x 2 and denoised as one picture (Qffusion section 4.2), and cut apart again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

Arrangement = Literal["two_references", "one_reference", "side_by_side"]
LAYOUTS: dict[str, tuple[int, int]] = {  # rows, columns: Table 3 of the paper (c), (b), (a)
    "two_references": (2, 2),
    "one_reference": (2, 2),
    "side_by_side": (1, 2),
}


def assemble(views: Sequence[Tensor], layout: tuple[int, int] = (2, 2)) -> Tensor:
    """Tile views row by row.

    Args:
        views: rows x columns tensors (B, C, h, w) of one shape.
        layout: (rows, columns).

    Returns:
        (B, C, rows * h, columns * w).

    Raises:
        ValueError: a wrong number of views, or shapes that differ.
    """
    rows, columns = layout
    if len(views) != rows * columns or len({v.shape for v in views}) != 1:
        raise ValueError(f"need {rows * columns} views of one shape, got {[tuple(v.shape) for v in views]}")
    lines = [torch.cat(list(views[r * columns : (r + 1) * columns]), dim=-1) for r in range(rows)]
    return torch.cat(lines, dim=-2)


def cut(grid: Tensor, layout: tuple[int, int] = (2, 2)) -> list[Tensor]:
    """The reverse of `assemble`: views row by row.

    Raises:
        ValueError: a grid whose sides the layout does not divide.
    """
    rows, columns = layout
    h, w = grid.shape[-2:]
    if h % rows or w % columns:
        raise ValueError(f"a grid of {h} x {w} has no {rows} x {columns} equal views")
    return [view for line in grid.chunk(rows, dim=-2) for view in line.chunk(columns, dim=-1)]


def reference_grid(first: Tensor, last: Tensor, arrangement: Arrangement = "two_references") -> Tensor:
    """R of Eq. 5, {r_a, 0; 0, r_d}, or its ablations {r_a, 0; 0, 0} and {r_a, 0}.

    Args:
        first: r_a, (B, C, h, w).
        last: r_d, same shape; ignored by the ablations.
        arrangement: one of `LAYOUTS`.
    """
    zero = torch.zeros_like(first)
    if arrangement == "side_by_side":
        return assemble([first, zero], LAYOUTS[arrangement])
    return assemble([first, zero, zero, last if arrangement == "two_references" else zero])


def stack_inputs(
    references: Tensor, conditions: Tensor, noisy: Tensor, prior: Tensor | None = None
) -> Tensor:
    """Q_t of Eq. 5: references, conditions and noise stacked on channels; in warp mode the prior too.

    Args:
        references: R, (B, C, H, W).
        conditions: drawn driving signals, encoded, (B, C, H, W).
        noisy: Z_t, (B, C, H, W).
        prior: mean and uncertainty in [0, 1] of the grid, (B, C + 1, H, W).

    Returns:
        (B, 3C or 4C + 1, H, W).
    """
    return torch.cat([references, conditions, noisy] + ([] if prior is None else [prior]), dim=1)
