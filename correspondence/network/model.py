"""The probabilistic matcher's network: candidates proposed from outside are blended, refined and doubted.

Written so that it exports to forms ONNX Runtime is fast at: rows are gathered where one would sample a grid,
softmax runs over the last axis, correlation is a matrix product, no mean is taken over channels.
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
SHARPNESS = 2.0  # of the last blend: a little of a candidate that is far off is already too much
LOG_B_RANGE = (-4.0, 5.0)  # ln pixels


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkConfig:
    """Sizes of the whole network; `SIZES` names the shipped ones."""

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
    """What is kept of a reference: everything that does not depend on the frame.

    Attributes:
        quarter: rows (B, H/4 * W/4, C4 + CD): features and descriptor.
        eighth: (B, C8, H/8 * W/8).
        tokens: (B, N, C16).
        keys, values: (B, blocks * N, C16), the cross-attention's, block after block.
        match: (B, N, M), keys of the global match.
    """

    quarter: Tensor
    eighth: Tensor
    tokens: Tensor
    keys: Tensor
    values: Tensor
    match: Tensor


class Output(NamedTuple):
    """What the network says, on the grid of 1/4 (h, w), in pixels of its picture.

    Attributes:
        field: (B, 2, h, w), frame to reference.
        log_b: (B, 1, h, w), ln of the Laplace scale of each component of the field.
        log_sigma: (B, 1, h, w), ln of the photometric scale of StreamEdit Eq. 2, colours in [0, 1].
        visibility: (B, 1, h, w), logit: seen in the reference too.
        gain: (B, 3, h/2, w/2), ln of the light's gain, reference to frame.
        weights: (B, 6, h, w), of `BLENDED`, summing to 1.
        coarse: fields of the earlier stages on the grid of 1/8, (B, 2, h/2, w/2) each.
    """

    field: Tensor
    log_b: Tensor
    log_sigma: Tensor
    visibility: Tensor
    gain: Tensor
    weights: Tensor
    coarse: list[Tensor]


class MatcherNetwork(nn.Module):
    """Features of frame and reference, and candidates, to a field and its uncertainty.

    Candidates are blended at 1/8 (FOMM's mask), refined there against the correlation, refined once more at
    1/4 and blended a last time there. The last layers start at zero, so that an untrained network is the
    rule of `prior`: landmarks inside the face, direct flow elsewhere, by their validity.
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
        """What to keep of a reference's features."""
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
            frame: the frame's features.
            reference: from `remember`.
            candidates: (B, 5, 2, H/4, W/4), fields of `PROPOSED` in pixels of the picture.
            validity: (B, 3, H/4, W/4), how far landmark, guided and temporal can be believed, [0, 1].
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
        """StreamEdit Eq. 1, CrossAttn(F_curr, F_ref, F_warp), then one soft match over all tokens.

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
        """Blend the proposals at 1/8 and refine; each stage's field in cells, and the last hidden state."""
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
        """Refine at 1/4 and blend; (B, 5, h, w): field, log_b, log_sigma, visibility; and the weights."""
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
    """Logits (B, 5, H, W) of `PROPOSED` before anything is learned.

    Landmarks where they are valid; elsewhere flow, by its cycle rather the guided one; then what the last
    frame had; last that nothing moves.

    Args:
        validity: (B, 3, H, W) in [0, 1], of landmark, guided and temporal.
    """
    landmark, guided, temporal = validity.chunk(3, dim=1)
    still = torch.full_like(landmark, -2.5)
    return torch.cat(
        [3.5 * landmark - 2.5, -0.5 * guided, 2 * guided - 1.5, 1.5 * temporal - 2.5, still], dim=1
    )


class Network(nn.Module):
    """Encoder and matcher together."""

    def __init__(self, config: NetworkConfig, encoder: nn.Module) -> None:
        super().__init__()
        self.config = config
        self.encoder = encoder
        self.matcher = MatcherNetwork(config)

    def encode(self, image: Tensor) -> Features:
        """Features of a picture, float (B, 3, H, W) in [0, 1], H and W multiples of 16."""
        encoder: Encoder = self.encoder
        return encoder(image)

    def prepare(self, image: Tensor) -> ReferenceFeatures:
        """What to keep of a reference picture; see `encode` for its form."""
        return self.matcher.remember(self.encode(image))

    def forward(
        self, image: Tensor, reference: ReferenceFeatures, candidates: Tensor, validity: Tensor
    ) -> Output:
        """Match a frame `image` with a prepared reference; see `MatcherNetwork.forward`."""
        output: Output = self.matcher(self.encode(image), reference, candidates, validity)
        return output
