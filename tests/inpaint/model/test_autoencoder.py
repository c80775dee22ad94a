"""The autoencoder's shapes, shortcuts and normalisation."""

from __future__ import annotations

import pytest
import torch

from inpaint.model.autoencoder import Autoencoder, AutoencoderConfig, average_channels, repeat_channels
from inpaint.model.denoiser import Denoiser
from tests.inpaint.tiny import TINY_AUTOENCODER, tiny_autoencoder


@pytest.mark.parametrize("size", [(64, 64), (32, 72)])
def test_latents_are_an_eighth(size: tuple[int, int]) -> None:
    model = tiny_autoencoder()
    with torch.no_grad():
        latents = model.encode(torch.rand(2, 3, *size))
        assert latents.shape == (2, 8, size[0] // 8, size[1] // 8)
        assert model.decode(latents).shape == (2, 3, *size)


@pytest.mark.parametrize("shape", [(1, 3, 60, 64), (1, 1, 64, 64), (3, 64, 64)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="multiples of 8"):
        tiny_autoencoder().encode(torch.rand(shape))


def test_averaging_undoes_repeating() -> None:
    x = torch.arange(8.0).reshape(1, 2, 2, 2)
    torch.testing.assert_close(average_channels(repeat_channels(x, 6), 2), x)
    torch.testing.assert_close(
        average_channels(torch.tensor([1.0, 3.0, 5.0, 9.0]).reshape(1, 4, 1, 1), 2).flatten(),
        torch.tensor([2.0, 7.0]),
    )


def test_normalisation_changes_the_scale_not_the_picture() -> None:
    model = tiny_autoencoder()
    images = torch.rand(8, 3, 64, 64)
    with torch.no_grad():
        before = model.decode(model.encode(images))
        model.set_scale(model.raw_latents(images))
        latents = model.encode(images)
        torch.testing.assert_close(model.decode(latents), before, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(latents.mean(dim=(0, 2, 3)), torch.zeros(8), atol=1e-4, rtol=0)
    torch.testing.assert_close(latents.std(dim=(0, 2, 3)), torch.ones(8), atol=1e-3, rtol=0)


def test_both_networks_fit_the_shipping_limit() -> None:
    """At most 14 MB in half precision together."""
    total = sum(p.numel() for network in (Autoencoder(), Denoiser()) for p in network.parameters())
    assert 2 * total <= 14e6


def test_widths_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ValueError, match="latent_channels"):
        AutoencoderConfig(latent_channels=7)
    with pytest.raises(ValueError, match="width_quarter"):
        AutoencoderConfig(width_quarter=20, width_eighth=96)
    assert TINY_AUTOENCODER.width_eighth == 32
