"""An anchor frame shared by many grids. Its keys and values are recorded once and appended to attention.

Anchored Diffusion overrides the anchor's tokens in every sequence at every layer and step. I2VEdit appends
the first clip's keys and values (skip-interval attention). Here both amount to the same: while a batch of
grids is denoised, each grid also attends to the quadrant of the user's edit as it was in a first pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from inpaint.model.denoiser import Denoiser

if TYPE_CHECKING:
    from inpaint.model.onnx import OnnxDenoiser

Mode = Literal["off", "record", "use"]


class AnchorBank:
    """Keys and values of one quadrant, by layer and noise level.

    Its size is bounded by layers x noise levels x a quarter of each layer's tokens. Set `level` before each
    call of the network. Using a level that was not recorded is an error.

    Args:
        denoiser: the denoiser whose self-attention is extended.
        quadrant: row and column of the quadrant in the grid.

    Raises:
        ValueError: the quadrant is outside the denoiser's layout.
    """

    def __init__(self, denoiser: Denoiser | OnnxDenoiser, quadrant: tuple[int, int] = (0, 0)) -> None:
        rows, columns = denoiser.config.layout
        if not (0 <= quadrant[0] < rows and 0 <= quadrant[1] < columns):
            raise ValueError(f"quadrant {quadrant} is not in a layout of {rows} x {columns}")
        self.mode: Mode = "off"
        self.level = 0.0
        self.quadrant = quadrant
        self.layout = (rows, columns)
        self.shape = (0, 0)  # latent rows and columns of the grid in the current call
        self._kept: dict[tuple[str, float], tuple[Tensor, Tensor]] = {}
        self._denoiser = denoiser

    @property
    def nbytes(self) -> int:
        """Memory that the bank holds, bytes."""
        return sum(k.nbytes + v.nbytes for k, v in self._kept.values())

    def clear(self) -> None:
        """Forget the anchor."""
        self._kept.clear()

    @contextmanager
    def attached(self, mode: Mode) -> Iterator[AnchorBank]:
        """Attach the bank to the network's self-attention inside a `with` block.

        Args:
            mode: "record" records the anchor, "use" appends it, "off" does not attach the bank.

        Raises:
            ValueError: the denoiser is an ONNX graph.
        """
        if mode == "off":
            yield self
            return
        if not isinstance(self._denoiser, Denoiser):
            raise ValueError("an anchor needs the denoiser in torch, not as ONNX graph")
        unet = self._denoiser.unet
        before = dict(unet.attn_processors)
        own = {name: (_Processor(self, name) if ".attn1." in name else p) for name, p in before.items()}
        unet.set_attn_processor(own)
        self.mode = mode
        try:
            yield self
        finally:
            self.mode = "off"
            unet.set_attn_processor(before)

    def exchange(self, name: str, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Record the anchor quadrant's rows of keys and values (B, N, D), or append the recorded rows."""
        if self.mode == "record":
            rows = self._rows(key.shape[1]).to(key.device)
            self._kept[name, self.level] = (key[:1, rows].detach(), value[:1, rows].detach())
            return key, value
        if (name, self.level) not in self._kept:
            raise ValueError(f"no anchor recorded at noise level {self.level}: record the same steps first")
        k, v = self._kept[name, self.level]
        b = key.shape[0]
        return (
            torch.cat([key, k.to(key).expand(b, -1, -1)], dim=1),
            torch.cat([value, v.to(value).expand(b, -1, -1)], dim=1),
        )

    def _rows(self, tokens: int) -> Tensor:
        h, w = self.shape
        scale = round((h * w / tokens) ** 0.5)
        h, w = h // scale, w // scale
        if h * w != tokens:
            raise ValueError(f"{tokens} tokens are no even reduction of a grid of {self.shape}: set `shape`")
        rows, columns = self.layout
        top, left = self.quadrant[0] * h // rows, self.quadrant[1] * w // columns
        numbers = torch.arange(tokens).reshape(h, w)
        return numbers[top : top + h // rows, left : left + w // columns].reshape(-1)


class _Processor:
    """Scaled-dot-product self-attention that passes keys and values through the bank."""

    def __init__(self, bank: AnchorBank, name: str) -> None:
        self.bank = bank
        self.name = name

    def __call__(self, attn: Any, hidden_states: Tensor, *_: object, **__: object) -> Tensor:
        b, _n, _d = hidden_states.shape
        query, key, value = attn.to_q(hidden_states), attn.to_k(hidden_states), attn.to_v(hidden_states)
        key, value = self.bank.exchange(self.name, key, value)

        def split(x: Tensor) -> Tensor:
            return x.reshape(b, -1, attn.heads, x.shape[-1] // attn.heads).transpose(1, 2)

        mixed = F.scaled_dot_product_attention(split(query), split(key), split(value), scale=attn.scale)
        projected: Tensor = attn.to_out[0](mixed.transpose(1, 2).flatten(2))
        out: Tensor = attn.to_out[1](projected)
        return out
