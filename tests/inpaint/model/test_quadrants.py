"""Tiling and cutting, written out."""

from __future__ import annotations

import pytest
import torch

from inpaint.model.quadrants import assemble, cut, reference_grid, stack_inputs


def filled(value: float) -> torch.Tensor:
    return torch.full((1, 2, 1, 2), float(value))


def test_the_grid_of_equation_5() -> None:
    grid = reference_grid(filled(1), filled(4))
    expected = torch.tensor([[1.0, 1, 0, 0], [0, 0, 4, 4]])
    torch.testing.assert_close(grid[0, 0], expected)
    torch.testing.assert_close(reference_grid(filled(1), filled(4), "one_reference")[0, 1, 1], torch.zeros(4))
    torch.testing.assert_close(
        reference_grid(filled(1), filled(4), "side_by_side")[0, 0], torch.tensor([[1.0, 1, 0, 0]])
    )


@pytest.mark.parametrize("layout", [(2, 2), (1, 2), (3, 1)])
def test_cut_undoes_assemble(layout: tuple[int, int]) -> None:
    views = [torch.randn(2, 3, 4, 5) for _ in range(layout[0] * layout[1])]
    for found, expected in zip(cut(assemble(views, layout), layout), views, strict=True):
        assert torch.equal(found, expected)


def test_channels_are_stacked_in_the_papers_order() -> None:
    stacked = stack_inputs(filled(1), filled(2), filled(3), torch.full((1, 3, 1, 2), 4.0))
    assert stacked[0, :, 0, 0].tolist() == [1, 1, 2, 2, 3, 3, 4, 4, 4]
    assert stack_inputs(filled(1), filled(2), filled(3)).shape[1] == 6


def test_what_cannot_be_tiled_is_refused() -> None:
    with pytest.raises(ValueError, match="4 views of one shape"):
        assemble([filled(1)] * 3)
    with pytest.raises(ValueError, match="equal views"):
        cut(torch.zeros(1, 1, 3, 4))
