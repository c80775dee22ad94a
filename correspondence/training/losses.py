"""Losses of the network: agreement of pictures, error of known fields, and calibrated uncertainty."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from correspondence.face import topology
from correspondence.network.model import Output
from correspondence.network.sampling import cells, unrows
from correspondence.types import LANDMARK_COUNT

IRISES = (topology.RIGHT_IRIS, topology.LEFT_IRIS)

OCCLUDED_PIXELS = 8.0  # smallest error assumed for a pixel that the reference does not show
LARGE = 8.0  # weight of squared relative to absolute colour errors; misplaced edges count more
PARTS_SHARE = 6.0  # weight of landmarks on lips and eyes relative to the others
STAGES = (0.15, 0.3, 0.5, 0.7, 0.8)  # weights of the global match and of the fields at 1/8
CENSUS_STEPS = ((0, 2), (2, 0), (2, 2), (2, -2))  # the opposite neighbours give the same signs


@dataclass(frozen=True, slots=True, kw_only=True)
class LossConfig:
    """Weights of the loss terms. Equation numbers are StreamEdit's."""

    census: float = 0.5
    ssim: float = 0.5
    colour: float = 2.0  # Eq. 3's reconstruction, L1
    sigma: float = 0.03  # Eq. 2
    flow: float = 0.2  # on known fields
    early: float = 0.05  # the same on the stages before the last
    doubt: float = 0.06  # Laplace likelihood of the error of known fields
    landmark: float = 0.22
    cycle: float = 0.02
    smooth: float = 0.02
    visible: float = 0.1
    edit: float = 0.05
    choice: float = 0.02  # the blend's weights, on known fields
    gain: float = 0.05

    def __post_init__(self) -> None:
        for item in fields(self):
            if getattr(self, item.name) < 0:
                raise ValueError(f"weight {item.name} must not be negative, got {getattr(self, item.name)}")


def upsample(field: Tensor, scale: int) -> Tensor:
    """Upsample a map (B, C, h, w) from cells to pixels, bilinearly with half-pixel centres. Values stay."""
    return F.interpolate(field, scale_factor=float(scale), mode="bilinear", align_corners=False)


def warp(image: Tensor, field: Tensor) -> Tensor:
    """Warp a picture: out(x) = image(x + field(x)), bilinear, with the border repeated.

    Args:
        image: (B, C, H, W).
        field: (B, 2, H, W), pixels.
    """
    h, w = image.shape[2:]
    at = unrows(cells(h, w, field), (h, w)) + field
    unit = at.permute(0, 2, 3, 1) * at.new_tensor([2 / (w - 1), 2 / (h - 1)]) - 1
    return F.grid_sample(image, unit, padding_mode="border", align_corners=True)


def grey(image: Tensor) -> Tensor:
    """Convert RGB to luma (B, 1, H, W)."""
    return 0.299 * image[:, 0:1] + 0.587 * image[:, 1:2] + 0.114 * image[:, 2:3]


def census(a: Tensor, b: Tensor) -> Tensor:
    """Compute the soft Hamming distance of census signs, (B, 1, H, W) in [0, 1].

    It does not respond to smooth changes of light.

    Args:
        a, b: luma (B, 1, H, W) in [0, 1].
    """
    total = torch.zeros_like(a)
    for dy, dx in CENSUS_STEPS:
        signs = []
        for image in (a, b):
            step = (image - torch.roll(image, (dy, dx), (2, 3))) * 255
            signs.append(step * torch.rsqrt(step * step + 8.0))
        apart = (signs[0] - signs[1]) ** 2
        total = total + apart / (apart + 0.1)
    return total / len(CENSUS_STEPS)


def structural(a: Tensor, b: Tensor) -> Tensor:
    """Compute (1 - SSIM) / 2 over 3 x 3 windows (Wang et al. 2004, Eq. 13), (B, 1, H, W) in [0, 1]."""

    def mean(x: Tensor) -> Tensor:
        return F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1)

    mean_a, mean_b = mean(a), mean(b)
    var_a, var_b = mean(a * a) - mean_a**2, mean(b * b) - mean_b**2
    joint = mean(a * b) - mean_a * mean_b
    similarity = (2 * mean_a * mean_b + 1e-4) * (2 * joint + 9e-4)
    similarity = similarity / ((mean_a**2 + mean_b**2 + 1e-4) * (var_a + var_b + 9e-4))
    return ((1 - similarity) / 2).clamp(0, 1)


def laplace(residual: Tensor, log_scale: Tensor) -> Tensor:
    """Compute the negative log-likelihood |r| / b + ln b of a Laplace law, without its constant (Eq. 2)."""
    return residual * torch.exp(-log_scale) + log_scale


def masked_mean(values: Tensor, weight: Tensor) -> Tensor:
    """Compute the weighted mean; 0 if all weights are 0."""
    return (values * weight).sum() / weight.expand_as(values).sum().clamp(min=1.0)


def length(error: Tensor) -> Tensor:
    """Compute the length of vectors (B, 2, H, W), smooth at 0 and at most 20 pixels: (B, 1, H, W)."""
    return torch.sqrt((error * error).sum(dim=1, keepdim=True) + 1e-3).clamp(max=20.0)


def other_way(x: Tensor) -> Tensor:
    """Return the other direction of each pair. The directions are the two halves of the batch."""
    return torch.roll(x, x.shape[0] // 2, 0)


def random_edit(images: tuple[Tensor, Tensor], generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Apply one random colour edit (mixed channels, a bent tone curve) to both pictures of all pairs."""
    mix = torch.eye(3) + 0.35 * torch.randn(3, 3, generator=generator)
    bend = 2.0 + 4.0 * torch.rand(3, 1, 1, generator=generator)
    phase = 6.3 * torch.rand(3, 1, 1, generator=generator)
    first, second = ((i.permute(0, 2, 3, 1) @ mix.T.to(i)).permute(0, 3, 1, 2) for i in images)
    return torch.sin(bend.to(first) * first + phase.to(first)), torch.sin(
        bend.to(second) * second + phase.to(second)
    )


def total_loss(
    output: Output, batch: dict[str, Tensor], config: LossConfig, progress: float, generator: torch.Generator
) -> tuple[Tensor, dict[str, Tensor]]:
    """Compute the loss of a batch whose second half is the other direction of the first half.

    Args:
        output: output of the network, (2B, ...).
        batch: see `pairs.Pairs`; images are float in [0, 1].
        config: weights of the terms.
        progress: progress of the training, [0, 1]. The choice term is used in the first 30 %.
        generator: source of randomness of the edit.

    Returns:
        The weighted sum, and each term by name.
    """
    terms = {**_pictures(output, batch, generator), **_known(output, batch), **_shape(output, batch)}
    if progress > 0.3:
        terms.pop("choice")
    total = torch.stack([getattr(config, name) * value for name, value in terms.items()]).sum()
    return total, {name: value.detach() for name, value in terms.items()}


def _pictures(output: Output, batch: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
    frame = batch["images"]
    scale = frame.shape[2] // output.field.shape[2]
    field = upsample(output.field, scale)
    warped = warp(other_way(frame), field) * torch.exp(upsample(output.gain, 2 * scale))
    covered = (batch["visible"] == 0).to(frame) * (1 - batch["known"])
    seen = torch.sigmoid(output.visibility.detach())
    seen = torch.where(batch["known"] > 0, (batch["visible"] > 0).to(seen), 0.4 + 0.6 * seen) * (1 - covered)
    weight = upsample(seen * (1 + batch["parts"]), scale)
    a, b = grey(frame), grey(warped)
    apart = (frame - warped).abs()
    residual = F.avg_pool2d(apart.detach().mean(dim=1, keepdim=True), scale)
    edits = random_edit((frame, warped), generator)
    trust = torch.exp(-upsample(output.log_sigma, scale).detach()).clamp(max=20) / 20
    return {
        "census": masked_mean(census(a, b), weight),
        "ssim": masked_mean(structural(a, b), weight),
        "colour": masked_mean(apart + LARGE * apart * apart, weight),
        "sigma": laplace(residual, output.log_sigma).mean(),
        "edit": masked_mean((edits[0] - edits[1]).abs() * trust, weight),
        "gain": (output.gain**2).mean()
        + (output.gain.diff(dim=2) ** 2).mean()
        + (output.gain.diff(dim=3) ** 2).mean(),
    }


def _known(output: Output, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Compute the terms on known fields, known visibility and landmarks."""
    truth, known, visible = batch["truth"], batch["known"], batch["visible"]
    told = (visible >= 0).to(truth)
    seen = (visible > 0).to(truth)
    weight = known * (0.15 + 0.85 * seen) * (1 + batch["parts"])
    flow = masked_mean(length(output.field - truth), weight)
    early = flow * 0
    for stage, share in zip(output.coarse, STAGES, strict=False):
        early = early + share * masked_mean(length(upsample(stage, 2) - truth), weight)
    error = (output.field - truth).detach().abs()
    error = torch.where(seen > 0, error, error.clamp(min=OCCLUDED_PIXELS)) * known + OCCLUDED_PIXELS * (
        1 - known
    )
    doubt = laplace(error, output.log_b).mean(dim=1, keepdim=True)
    sure = torch.maximum(known, told * (1 - seen))  # a known error, or something pasted over a real frame
    offered = [upsample(output.coarse[-1], 2), *batch["candidates"].unbind(1)]
    apart = torch.cat([length(field - truth) for field in offered], dim=1)
    best = torch.softmax(-apart.detach() / 0.5, dim=1)
    choice = -(best * torch.log(output.weights + 1e-4)).sum(dim=1, keepdim=True)
    judged = F.binary_cross_entropy_with_logits(output.visibility, seen, reduction="none")
    return {
        "flow": flow,
        "early": early,
        "doubt": masked_mean(doubt, sure * told),
        "choice": masked_mean(choice, known * seen),
        "visible": masked_mean(judged, told * (1 + 2 * (1 - seen))),
        "landmark": landmark_error(output.field, batch["points"], batch["trusted"], batch["images"].shape[2]),
    }


@lru_cache(maxsize=1)
def part_shares() -> Tensor:
    """Compute the weight of each landmark, float32 (478,). It is higher on lips, eyes and irises."""
    shares = torch.ones(LANDMARK_COUNT)
    for ring in (topology.LIPS, topology.INNER_LIPS, topology.RIGHT_EYE, topology.LEFT_EYE, *IRISES):
        shares[list(ring)] = PARTS_SHARE
    return shares


def landmark_error(field: Tensor, points: Tensor, trusted: Tensor, side: int) -> Tensor:
    """Compute the robust error of a field at landmarks.

    FaceMesh's own error is about a pixel, and it sometimes loses the face. So the error saturates at 1.5
    pixels.

    Args:
        field: the field, (B, 2, h, w), pixels.
        points: landmarks of frame and reference, (B, 2, 478, 2), pixels.
        trusted: 1 for landmarks seen in both pictures, (B, 478).
        side: side of the picture, pixels.
    """
    unit = (points[:, 0] + 0.5) * (2 / side) - 1
    said = F.grid_sample(field, unit[:, None], padding_mode="border", align_corners=False)[:, :, 0].transpose(
        1, 2
    )
    error = torch.sqrt(((said - (points[:, 1] - points[:, 0])) ** 2).sum(dim=2) + 1e-3)
    return masked_mean(1.5 * error / (1.5 + error), trusted * part_shares().to(trusted))


def _shape(output: Output, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Compute the terms on the field alone: cycle consistency, and smoothness except at edges."""
    field = output.field
    h = field.shape[2]
    scale = batch["images"].shape[2] / h
    back = other_way(field)
    loop = field + warp(back, field / scale)
    seen = torch.sigmoid(output.visibility).detach()
    image = F.avg_pool2d(grey(batch["images"]), int(scale))
    smooth = torch.zeros((), device=field.device)
    for axis in (2, 3):
        bend = field.diff(n=2, dim=axis).abs().mean(dim=1, keepdim=True).clamp(max=8.0)
        middle = image.narrow(axis, 1, image.shape[axis] - 2)
        edge = torch.exp(-20 * (middle - image.narrow(axis, 0, middle.shape[axis])).abs())
        smooth = smooth + (bend * edge).mean()
    return {"cycle": masked_mean(length(loop), seen), "smooth": smooth}
