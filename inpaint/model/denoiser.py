"""The denoiser of the quadrant grid: diffusers' UNet with quadrant embeddings and identity tokens."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn

from inpaint.model.autoencoder import FACTOR
from inpaint.model.prior import linear
from inpaint.model.quadrants import LAYOUTS, Arrangement, stack_inputs

TIME_SCALE = 1000.0  # factor from t in [0, 1] to the input of the UNet's time embedding


@dataclass(frozen=True, slots=True, kw_only=True)
class DenoiserConfig:
    """Size and mode of the denoiser. The default is the small one that ships; `LARGE` is meant for GPUs.

    All levels except the first have attention, since the grid is four times as large as one latent.
    """

    latent_channels: int = 8
    widths: tuple[int, ...] = (48, 96, 128)
    heads: int = 4
    token_width: int = 96  # of identity tokens, cross-attention
    queries: int = 8  # identity tokens pooled from the references' foreground
    groups: int = 16  # of group normalisation; divides every width
    warp: bool = True  # take the warped composite and its uncertainty as further inputs
    arrangement: Arrangement = "two_references"
    latent_size: int = 32  # side of one view's latents; others work, this one is trained
    prior_std: tuple[float, float] = (0.3, 1.0)  # of x_0 around its prior mean, where sure and where unsure

    def __post_init__(self) -> None:
        if self.arrangement not in LAYOUTS:
            raise ValueError(f"arrangement must be one of {sorted(LAYOUTS)}, got {self.arrangement!r}")
        wrong = [w for w in self.widths if w % self.groups or w % self.heads]
        if len(self.widths) < 2 or wrong:
            raise ValueError(
                f"need two or more widths, each a multiple of groups {self.groups} and heads {self.heads}, "
                f"got {self.widths}"
            )
        if min(self.prior_std) <= 0:
            raise ValueError(f"prior_std must be positive, got {self.prior_std}")

    @property
    def in_channels(self) -> int:
        """Input channels of the UNet: 3C in pure mode, and C + 1 more for the prior with `warp`."""
        return (4 * self.latent_channels + 1) if self.warp else 3 * self.latent_channels

    @property
    def layout(self) -> tuple[int, int]:
        """Rows and columns of views in the grid."""
        return LAYOUTS[self.arrangement]


SMALL = DenoiserConfig()
LARGE = DenoiserConfig(widths=(64, 128, 192, 256), heads=8, token_width=192)


class PoseEncoder(nn.Module):
    """Encodes the driving picture to the latents' size by four convolutions. The paper uses its VAE."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.PixelUnshuffle(2),
            nn.Conv2d(12, 32, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(32, 48, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(48, 64, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(64, channels, 3, padding=1),
        )

    def forward(self, drawings: Tensor) -> Tensor:
        """Map drawings (B, 3, H, W) in [0, 1] to (B, C, H/8, W/8)."""
        h, w = drawings.shape[-2:]
        if h % FACTOR or w % FACTOR:
            raise ValueError(f"sides of a drawing must be multiples of {FACTOR}, got {h} x {w}")
        encoded: Tensor = self.layers(drawings)
        return encoded


class IdentityTokens(nn.Module):
    """Tokens of the person's identity. Learned queries pool the references' foreground (a perceiver layer).

    Two tokens are added. One is the mean of the background, which is kept apart from the person
    (VividPortraits 4.2). The other encodes the time between the references, which Anchored Diffusion's
    non-uniform spacing needs.
    """

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        width = config.token_width
        self.heads = config.heads
        self.patch = nn.Conv2d(config.latent_channels, width, 2, stride=2)
        self.mix = nn.Conv2d(width, width, 3, padding=1)
        self.position = nn.Parameter(torch.randn(1, width, 16, 16) * 0.02)
        self.queries = nn.Parameter(torch.randn(1, config.queries, width) * 0.02)
        self.norm = nn.LayerNorm(width)
        self.to_query, self.to_key = nn.Linear(width, width), nn.Linear(width, width)
        self.to_value, self.to_out = nn.Linear(width, width), nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        self.background = nn.Linear(width, width)
        self.gap = nn.Sequential(nn.Linear(16, width), nn.SiLU(), nn.Linear(width, width))
        self.empty = nn.Parameter(torch.randn(1, config.queries + 2, width) * 0.02)

    def forward(self, references: Tensor, person: Tensor, gap: Tensor, drop: Tensor | None = None) -> Tensor:
        """Compute tokens for cross-attention.

        Args:
            references: latents of both references, (B, 2, C, h, w), with even h and w.
            person: share of the person in each latent, (B, 2, 1, h, w), [0, 1].
            gap: frames between the references, (B,), 1 or more; 0 for a single reference.
            drop: bool (B,). True replaces the tokens by learned empty tokens. None replaces nothing.

        Returns:
            (B, queries + 2, token_width).
        """
        b = references.shape[0]
        x: Tensor = self.patch(references.flatten(0, 1))
        x = x + F.interpolate(self.position, x.shape[-2:], mode="bilinear", align_corners=False).to(x.dtype)
        x = x + self.mix(F.silu(x))
        share = F.avg_pool2d(person.flatten(0, 1), 2).flatten(1).reshape(b, -1, 1)  # (B, 2hw/4, 1)
        tokens = self.norm(x.flatten(2).transpose(1, 2).reshape(b, -1, x.shape[1]))  # (B, 2hw/4, width)
        pooled = self._pool(tokens, share)
        pooled = pooled + self.mlp(pooled)
        outside = 1 - share
        mean = (tokens * outside).sum(1, keepdim=True) / outside.sum(1, keepdim=True).clamp_min(1e-3)
        interval = self.gap(_fourier(torch.log1p(gap.float())).to(tokens.dtype))[:, None]
        out = torch.cat([pooled, self.background(mean), interval], dim=1)
        if drop is not None:
            out = torch.where(drop[:, None, None], self.empty.to(out.dtype), out)
        return out

    def _pool(self, tokens: Tensor, share: Tensor) -> Tensor:
        b, _, width = tokens.shape

        def split(x: Tensor) -> Tensor:
            return x.reshape(b, -1, self.heads, width // self.heads).transpose(1, 2)

        query = split(self.to_query(self.queries.to(tokens.dtype).expand(b, -1, -1)))
        bias = torch.log(share.clamp_min(1e-3)).transpose(1, 2)[:, None].to(query.dtype)  # (B, 1, 1, N)
        pooled = F.scaled_dot_product_attention(
            query, split(self.to_key(tokens)), split(self.to_value(tokens)), attn_mask=bias
        )
        out: Tensor = self.to_out(pooled.transpose(1, 2).reshape(b, -1, width))
        return out + self.queries.to(tokens.dtype)


def _fourier(x: Tensor, half: int = 8) -> Tensor:
    """Map (B,) to (B, 2 * half): sines and cosines at geometrically spaced frequencies."""
    frequency = torch.exp(torch.arange(half, device=x.device) * (-math.log(30.0) / half)) * math.pi
    angle = x[:, None] * frequency
    return torch.cat([angle.sin(), angle.cos()], dim=1)


class QuadrantConv(nn.Module):
    """The UNet's first convolution, with a learned embedding of each quadrant added to its output.

    The embedding is needed since convolutions do not know in which quadrant they are.
    """

    def __init__(self, conv: nn.Conv2d, layout: tuple[int, int]) -> None:
        super().__init__()
        self.conv = conv
        self.embedding = nn.Parameter(torch.randn(1, conv.out_channels, *layout) * 0.02)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C_in, H, W) to (B, C_out, H, W)."""
        h, w = x.shape[-2:]
        rows, columns = self.embedding.shape[-2:]
        spread = self.embedding.repeat_interleave(h // rows, dim=2).repeat_interleave(w // columns, dim=3)
        out: Tensor = self.conv(x)
        return out + spread.to(out.dtype)


class Denoiser(nn.Module):
    """Predicts v of a whole grid.

    Args:
        config: size and mode; None for `SMALL`.
    """

    def __init__(self, config: DenoiserConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or SMALL
        levels = len(config.widths)
        self.unet = UNet2DConditionModel(
            sample_size=2 * config.latent_size,
            in_channels=config.in_channels,
            out_channels=config.latent_channels,
            block_out_channels=config.widths,
            layers_per_block=1,
            down_block_types=("DownBlock2D",) + ("CrossAttnDownBlock2D",) * (levels - 1),
            up_block_types=("CrossAttnUpBlock2D",) * (levels - 1) + ("UpBlock2D",),
            cross_attention_dim=config.token_width,
            attention_head_dim=config.heads,  # diffusers means the number of heads here
            norm_num_groups=config.groups,
        )
        self.unet.conv_in = QuadrantConv(self.unet.conv_in, config.layout)
        self.unet.to(memory_format=torch.channels_last)  # 1.4 times as fast on a CPU
        nn.init.zeros_(self.unet.conv_out.weight)  # an untrained network returns its prior
        nn.init.zeros_(self.unet.conv_out.bias)
        self.pose = PoseEncoder(config.latent_channels)
        self.identity = IdentityTokens(config)

    def forward(
        self,
        noisy: Tensor,
        t: Tensor,
        references: Tensor,
        conditions: Tensor,
        tokens: Tensor,
        prior: Tensor,
    ) -> Tensor:
        """Predict v of Z_t from Q_t of Eq. 5, as a correction of the prior's estimate (`prior.linear`).

        Args:
            noisy: Z_t of the whole grid, (B, C, H, W).
            t: time, (B,), [0, 1].
            references: R, (B, C, H, W).
            conditions: drawings encoded by `pose`, (B, C, H, W).
            tokens: result of `identity`, (B, N, token_width).
            prior: mean of the grid and its uncertainty in [0, 1], (B, C + 1, H, W), see
                `diffusion.prior_grid`. In warp mode it is also an input of the network.

        Returns:
            v, (B, C, H, W).
        """
        base, scale = linear(noisy, t, prior, self.config.prior_std)
        stacked = stack_inputs(references, conditions, noisy, prior if self.config.warp else None)
        predicted: Tensor = self.unet(stacked, t * TIME_SCALE, tokens).sample
        return base - scale * predicted
