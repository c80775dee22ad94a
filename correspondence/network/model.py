"""The network of the probabilistic matcher. It blends and refines candidates and predicts uncertainty.

The network is written so that it exports to operators that are fast in ONNX Runtime: rows are gathered
instead of sampling a grid, softmax runs over the last axis, correlation is a matrix product, and no mean is
taken over channels.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from correspondence.network.encoder import Attention, Block, Encoder, EncoderConfig, Features
from correspondence.network.sampling import blend, cells, look_up, rows, sample_rows, score, unrows

LANDMARK, DIRECT, GUIDED, TEMPORAL, IDENTITY = range(5)  # the order of the candidates given
PROPOSED = ("landmark", "direct", "guided", "temporal", "identity")
BLENDED = ("network", *PROPOSED)  # the order of the weights of the last blend
CELL = 4  # pixels of the picture in a cell of the output grid
SHARPNESS = 2.0  # factor of the last blend's logits, since even a small weight of a wrong candidate harms
LOG_B_RANGE = (-4.0, 5.0)  # ln pixels


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkConfig:
    """Sizes of the whole network. `SIZES` contains the named ones."""

    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    cross: int = 2  # one-way attention blocks, frame to reference
    match: int = 64  # channels of the global match
    iterations: int = 2  # of the refinement at 1/8
    radius: int = 3  # of the correlation looked up around the field, cells of 1/8
    hidden_eighth: int = 96
    hidden_quarter: int = 64
    blocks_quarter: int = 2

    def __post_init__(self) -> None:
        if self.iterations < 1 or self.radius < 1 or self.cross < 1:
            raise ValueError(
                f"iterations, radius, cross must be >= 1, got {self.iterations}, {self.radius}, {self.cross}"
            )


SIZES = {
    "s2": NetworkConfig(),
    "xs2": NetworkConfig(
        encoder=EncoderConfig(quarter=32, inner=64, eighth=48, tokens=128, blocks=(1, 2, 2), kernel=5),
        hidden_eighth=64,
        hidden_quarter=48,
        blocks_quarter=1,
    ),
    "tiny": NetworkConfig(
        encoder=EncoderConfig(quarter=8, inner=8, eighth=8, tokens=16, blocks=(1, 1, 1), kernel=3),
        cross=1,
        match=8,
        iterations=1,
        radius=1,
        hidden_eighth=16,
        hidden_quarter=16,
        blocks_quarter=1,
    ),
}


class ReferenceFeatures(NamedTuple):
    """Features of a reference that do not depend on the frame.

    Attributes:
        quarter: rows of features and descriptor at 1/4, (B, H/4 * W/4, C4 + CD).
        eighth: features at 1/8, (B, C8, H/8 * W/8).
        tokens: tokens at 1/16, (B, N, C16).
        keys, values: keys and values of the cross-attention, block after block, (B, blocks * N, C16).
        match: keys of the global match, (B, N, M).
    """

    quarter: Tensor
    eighth: Tensor
    tokens: Tensor
    keys: Tensor
    values: Tensor
    match: Tensor


class Output(NamedTuple):
    """Output of the network on the grid of 1/4 (h, w), in pixels of its picture.

    Attributes:
        field: the field from frame to reference, (B, 2, h, w).
        log_b: natural log of the Laplace scale of each component of the field, (B, 1, h, w).
        log_sigma: natural log of the photometric scale of StreamEdit Eq. 2 for colours in [0, 1],
            (B, 1, h, w).
        visibility: logit of being visible in the reference, (B, 1, h, w).
        gain: natural log of the light's gain from reference to frame, (B, 3, h/2, w/2).
        weights: weights of `BLENDED`, (B, 6, h, w), with sum 1.
        coarse: fields of the earlier stages on the grid of 1/8, each (B, 2, h/2, w/2).
    """

    field: Tensor
    log_b: Tensor
    log_sigma: Tensor
    visibility: Tensor
    gain: Tensor
    weights: Tensor
    coarse: list[Tensor]


class MatcherNetwork(nn.Module):
    """Maps features of frame and reference, and candidates, to a field and its uncertainty.

    The candidates are blended at 1/8 (FOMM's mask) and refined there by the correlation. The field is refined
    again at 1/4 and blended there a last time. The last layers are initialised to zero, so an untrained
    network follows the rule of `prior`: landmarks inside the face and flow elsewhere, by their validity.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        c, e = config, config.encoder
        self.config = config
        self.descriptor = e.descriptor + 7
        self.fuse = nn.Linear(2 * e.tokens + 1, e.tokens)
        self.cross = nn.ModuleList(Attention(e.tokens) for _ in range(c.cross))
        self.match_query, self.match_key = nn.Linear(e.tokens, c.match), nn.Linear(e.tokens, c.match)
        proposed = len(PROPOSED) + 1  # and the global match
        self.choose = nn.Sequential(
            nn.Conv2d(e.eighth + proposed + 2 + 3, 48, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(48, proposed, 3, padding=1),
        )
        seen = (2 * c.radius + 1) ** 2
        self.into_eighth = nn.Conv2d(2 * e.eighth + seen + 2 * proposed + 2 + 3, c.hidden_eighth, 1)
        self.eighth = nn.Sequential(Block(c.hidden_eighth), Block(c.hidden_eighth))
        self.step_eighth = nn.Conv2d(c.hidden_eighth, 2, 3, padding=1)
        self.reduce = nn.Conv2d(c.hidden_eighth, 32, 1)
        self.light = nn.Conv2d(c.hidden_eighth, 3, 1)
        blended = len(BLENDED)
        self.into_quarter = nn.Conv2d(
            3 * e.quarter + blended * self.descriptor + 2 * (blended - 1) + 3 + 32, c.hidden_quarter, 1
        )
        self.quarter = nn.Sequential(*[Block(c.hidden_quarter, e.kernel) for _ in range(c.blocks_quarter)])
        self.compare = nn.Conv2d(blended * self.descriptor, blended, 1, bias=False)
        self.step_quarter = nn.Conv2d(c.hidden_quarter, 2 + blended + 3, 3, padding=1)
        for last in (self.choose[2], self.step_eighth, self.light, self.step_quarter):
            nn.init.zeros_(last.weight)  # type: ignore[arg-type]
            nn.init.zeros_(last.bias)  # type: ignore[arg-type]
        with torch.no_grad():
            own = torch.eye(blended).repeat_interleave(self.descriptor, dim=1)
            self.compare.weight.copy_(-0.3 * own[..., None, None])
            self.step_quarter.bias[-2] = -3.0  # type: ignore[index]  # sigma of 0.05
            self.step_quarter.bias[-1] = 2.0  # type: ignore[index]  # mostly visible

    def remember(self, features: Features) -> ReferenceFeatures:
        """Compute what is kept of a reference's features."""
        keys, values = zip(*[block.keys_values(features.tokens) for block in self._cross()], strict=True)
        return ReferenceFeatures(
            quarter=torch.cat([rows(features.quarter), rows(features.descriptor)], dim=2),
            eighth=features.eighth.flatten(2),
            tokens=features.tokens,
            keys=torch.cat(keys, dim=1),
            values=torch.cat(values, dim=1),
            match=self.match_key(features.tokens),
        )

    def forward(
        self, frame: Features, reference: ReferenceFeatures, candidates: Tensor, validity: Tensor
    ) -> Output:
        """Match a frame with a remembered reference.

        Args:
            frame: features of the frame.
            reference: result of `remember`.
            candidates: fields of `PROPOSED`, (B, 5, 2, H/4, W/4), pixels of the picture.
            validity: validity of the landmark, guided and temporal candidates, (B, 3, H/4, W/4), [0, 1].
        """
        b = candidates.shape[0]
        fine = candidates / CELL
        trust = F.avg_pool2d(validity, 2)
        coarse = F.avg_pool2d(fine.flatten(0, 1), 2).reshape(b, len(PROPOSED), 2, *trust.shape[2:]) / 2
        globally, certainty = self._global(frame.tokens, reference, coarse[:, LANDMARK], trust[:, :1])
        proposals = torch.cat([coarse, globally[:, None]], dim=1)
        stages, hidden = self._eighth(frame.eighth, reference.eighth, proposals, certainty, trust)
        out, weights = self._quarter(frame, reference, fine, validity, stages[-1], hidden)
        to_pixels = 2 * CELL
        return Output(
            field=out[:, :2] * CELL,
            log_b=out[:, 2:3].clamp(*LOG_B_RANGE),
            log_sigma=out[:, 3:4].clamp(-6.0, 1.0),
            visibility=out[:, 4:5],
            gain=self.light(hidden).clamp(-0.7, 0.7),
            weights=weights,
            coarse=[stage * to_pixels for stage in (globally, *stages)],
        )

    def _cross(self) -> list[Attention]:
        return [block for block in self.cross if isinstance(block, Attention)]

    def _global(
        self, tokens: Tensor, reference: ReferenceFeatures, landmark: Tensor, trust: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Compute StreamEdit Eq. 1, CrossAttn(F_curr, F_ref, F_warp), then one soft match over all tokens.

        Args:
            tokens: the frame's, (B, N, C).
            reference: its keys, values and match keys.
            landmark: the landmark candidate at 1/8, cells.
            trust: its validity at 1/8.

        Returns:
            The match at 1/8, (B, 2, h, w) in cells, and its certainty and spread, (B, 2, h, w).
        """
        b, n, _ = tokens.shape
        h, w = landmark.shape[2] // 2, landmark.shape[3] // 2
        grid = cells(h, w, tokens)
        there = grid + rows(F.avg_pool2d(landmark, 2)) / 2
        warped = sample_rows(reference.tokens, there, (h, w))
        query = tokens + self.fuse(torch.cat([tokens, warped, rows(F.avg_pool2d(trust, 2))], dim=2))
        for i, block in enumerate(self._cross()):
            own = slice(i * n, (i + 1) * n)
            query = block(query, reference.keys[:, own], reference.values[:, own])
        scores = self.match_query(query) @ reference.match.transpose(1, 2) * self.config.match**-0.5
        weights = torch.softmax(scores, dim=-1)
        with torch.autocast(tokens.device.type, enabled=False):  # places need more than 8 bits
            weights = weights.float()
            place = weights @ grid.float().expand(b, -1, -1)
            square = weights @ (grid * grid).float().expand(b, -1, -1)
        moved = place - grid
        best = weights.amax(dim=-1, keepdim=True)
        spread = torch.sqrt((square - place * place).clamp(min=0) + 1e-4)
        certainty = torch.cat([best, (spread[..., :1] + spread[..., 1:]) / w], dim=2)
        packed = unrows(torch.cat([moved * 2, certainty], dim=2), (h, w))
        packed = F.interpolate(packed, scale_factor=2.0, mode="bilinear", align_corners=False)
        return packed[:, :2], packed[:, 2:]

    def _eighth(
        self, frame: Tensor, reference: Tensor, proposals: Tensor, certainty: Tensor, trust: Tensor
    ) -> tuple[list[Tensor], Tensor]:
        """Blend the proposals at 1/8 and refine; return each stage's field in cells, and the hidden state."""
        h, w = frame.shape[2:]
        grid = cells(h, w, frame)
        correlation = rows(frame) @ reference * frame.shape[1] ** -0.5
        points = grid[:, :, None] + proposals.flatten(3).permute(0, 3, 1, 2)  # (B, N, 6, 2)
        scores = unrows(score(correlation.detach(), points, (h, w)), (h, w))
        logits = self.choose(torch.cat([frame, scores, certainty, trust], dim=1))
        logits = logits + torch.cat([prior(trust), torch.full_like(trust[:, :1], -2.0)], dim=1)
        now = blend(logits, proposals)[0]
        stages = [now]
        table = reference.transpose(1, 2)
        for _ in range(self.config.iterations):
            there = grid + rows(now)
            seen = torch.cat(
                [sample_rows(table, there, (h, w)), self._around(correlation, there, (h, w))], dim=2
            )
            seen = unrows(seen, (h, w))
            apart = ((proposals - now[:, None]) * 0.25).clamp(-4, 4).flatten(1, 2)
            hidden = self.eighth(self.into_eighth(torch.cat([frame, seen, apart, certainty, trust], dim=1)))
            now = now + self.step_eighth(hidden)
            stages.append(now)
        return stages, hidden

    def _quarter(
        self,
        frame: Features,
        reference: ReferenceFeatures,
        fine: Tensor,
        validity: Tensor,
        coarse: Tensor,
        hidden: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Refine at 1/4 and blend.

        Returns:
            Field, log_b, log_sigma and visibility, (B, 5, h, w), and the weights of the blend.
        """
        h, w = frame.quarter.shape[2:]
        grid = cells(h, w, frame.quarter)
        refined = F.interpolate(coarse, scale_factor=2.0, mode="bilinear", align_corners=False) * 2
        channels = frame.quarter.shape[1]
        warped = unrows(sample_rows(reference.quarter, grid + rows(refined), (h, w)), (h, w))
        fields = torch.cat([refined[:, None], fine], dim=1)
        unlike = [torch.abs(frame.descriptor - warped[:, channels:])]
        for k in range(fine.shape[1]):
            there = sample_rows(reference.quarter[:, :, channels:], grid + rows(fine[:, k]), (h, w))
            unlike.append(torch.abs(frame.descriptor - unrows(there, (h, w))))
        differences = torch.cat(unlike, dim=1)
        apart = ((fine - refined[:, None]) * 0.25).clamp(-4, 4).flatten(1, 2)
        known = [frame.quarter, warped[:, :channels], torch.abs(frame.quarter - warped[:, :channels])]
        up = F.interpolate(self.reduce(hidden), scale_factor=2.0, mode="nearest")
        state = self.quarter(self.into_quarter(torch.cat([*known, differences, apart, validity, up], dim=1)))
        said = self.step_quarter(state)
        blended = fields.shape[1]
        logits = said[:, 2 : 2 + blended] + self.compare(differences)
        logits = SHARPNESS * (logits + torch.cat([torch.zeros_like(validity[:, :1]), prior(validity)], dim=1))
        field_, weights = blend(logits, fields)
        return torch.cat([field_ + said[:, :2], said[:, 2 + blended :]], dim=1), weights

    def _around(self, correlation: Tensor, points: Tensor, size: tuple[int, int]) -> Tensor:
        return look_up(correlation, points, size, self.config.radius)


def prior(validity: Tensor) -> Tensor:
    """Compute the logits of `PROPOSED` before training.

    Landmarks are preferred where they are valid. Elsewhere flow is preferred, and guided flow more if its
    validity is high. The temporal candidate follows, and standing still comes last.

    Args:
        validity: validity of landmark, guided and temporal, (B, 3, H, W) in [0, 1].

    Returns:
        The logits, (B, 5, H, W).
    """
    landmark, guided, temporal = validity.chunk(3, dim=1)
    still = torch.full_like(landmark, -2.5)
    return torch.cat(
        [3.5 * landmark - 2.5, -0.5 * guided, 2 * guided - 1.5, 1.5 * temporal - 2.5, still], dim=1
    )


class Network(nn.Module):
    """The whole network: encoder and matcher."""

    def __init__(self, config: NetworkConfig, encoder: nn.Module) -> None:
        super().__init__()
        self.config = config
        self.encoder = encoder
        self.matcher = MatcherNetwork(config)

    def encode(self, image: Tensor) -> Features:
        """Compute features of a picture, float (B, 3, H, W) in [0, 1], with H and W multiples of 16."""
        encoder: Encoder = self.encoder
        return encoder(image)

    def prepare(self, image: Tensor) -> ReferenceFeatures:
        """Compute what is kept of a reference picture; see `encode` for its form."""
        return self.matcher.remember(self.encode(image))

    def forward(
        self, image: Tensor, reference: ReferenceFeatures, candidates: Tensor, validity: Tensor
    ) -> Output:
        """Match a frame `image` with a prepared reference; see `MatcherNetwork.forward`."""
        output: Output = self.matcher(self.encode(image), reference, candidates, validity)
        return output
