"""Tiling of four views 2 x 2 into one grid for the denoiser (Qffusion section 4.2), and its reverse."""

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
        views: rows x columns tensors, each (B, C, h, w).
        layout: (rows, columns).

    Returns:
        The grid, (B, C, rows * h, columns * w).

    Raises:
        ValueError: the number of views is wrong, or their shapes differ.
    """
    rows, columns = layout
    if len(views) != rows * columns or len({v.shape for v in views}) != 1:
        raise ValueError(f"need {rows * columns} views of one shape, got {[tuple(v.shape) for v in views]}")
    lines = [torch.cat(list(views[r * columns : (r + 1) * columns]), dim=-1) for r in range(rows)]
    return torch.cat(lines, dim=-2)


def cut(grid: Tensor, layout: tuple[int, int] = (2, 2)) -> list[Tensor]:
    """Cut a grid into its views, row by row: the reverse of `assemble`.

    Raises:
        ValueError: the sides of the grid are no multiples of the layout's rows and columns.
    """
    rows, columns = layout
    h, w = grid.shape[-2:]
    if h % rows or w % columns:
        raise ValueError(f"a grid of {h} x {w} has no {rows} x {columns} equal views")
    return [view for line in grid.chunk(rows, dim=-2) for view in line.chunk(columns, dim=-1)]


def reference_grid(first: Tensor, last: Tensor, arrangement: Arrangement = "two_references") -> Tensor:
    """Make R of Eq. 5, {r_a, 0; 0, r_d}, or its ablations {r_a, 0; 0, 0} and {r_a, 0}.

    Args:
        first: r_a, (B, C, h, w).
        last: r_d, of the same shape. The ablations ignore it.
        arrangement: one of `LAYOUTS`.
    """
    zero = torch.zeros_like(first)
    if arrangement == "side_by_side":
        return assemble([first, zero], LAYOUTS[arrangement])
    return assemble([first, zero, zero, last if arrangement == "two_references" else zero])


def stack_inputs(
    references: Tensor, conditions: Tensor, noisy: Tensor, prior: Tensor | None = None
) -> Tensor:
    """Stack the channels of Q_t of Eq. 5: references, conditions, noisy grid and, in warp mode, the prior.

    Args:
        references: R, (B, C, H, W).
        conditions: encoded drawings, (B, C, H, W).
        noisy: Z_t, (B, C, H, W).
        prior: mean of the grid and its uncertainty in [0, 1], (B, C + 1, H, W); None in pure mode.

    Returns:
        (B, 3C or 4C + 1, H, W).
    """
    return torch.cat([references, conditions, noisy] + ([] if prior is None else [prior]), dim=1)
