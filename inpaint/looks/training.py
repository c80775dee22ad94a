"""Learns a look from one edited picture in a minute (Texler et al. 2020).

Crops of the pair train the network: as they are, turned and scaled a little, in other light, with noise. The
loss compares colours, gradients, and the energy of fine detail in patches. The last keeps texture where its
exact place cannot be foretold and the mean of all possible places would be flat paint.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from correspondence import Float, Image, check_image
from inpaint.looks.features import features
from inpaint.looks.learned import Colours, LearnedLook
from inpaint.looks.network import LookNetwork, with_memory_of
from inpaint.types import check_mask

SECONDS = 60.0  # of processor time that a look is given by default
CROP = 96  # side of a training crop, pixels
BATCH = 4
RATE = 3e-3  # learning rate after the first steps; it falls to 2 % of this along a half cosine
WARM_UP = 20  # steps
WINDOW = 448  # longest side of the windows from which crops are cut, pixels
WINDOWS = 6  # held at a time
RENEW = 12  # steps after which one window is drawn anew
WARPED = 0.5  # share of windows that are turned, scaled and lit anew
TURN, SCALE, LIGHT, NOISE = 0.12, 0.1, 0.08, 3.0  # radians, log scale, log gain, levels: the most of each
GRADIENTS, ENERGY = 0.5, 1.25  # weights of the losses beside that of colours
HELD_SIDE, HELD_BLOCKS = 512, 8  # the window in the middle where blocks are held out, and blocks along it
LEAST = 32  # smallest side of a picture, pixels


@dataclass(frozen=True, slots=True, eq=False)
class LookPair:
    """A live picture and its edited half.

    Attributes:
        live, edited: RGB uint8 (H, W, 3), equal sizes.
        mask: which pixels teach the look, float32 (H, W) in [0, 1]; None for all.

    Raises:
        ValueError: sizes that differ or are too small, or a mask that fits not or is empty.
    """

    live: Image
    edited: Image
    mask: Float | None = None

    def __post_init__(self) -> None:
        size = check_image(self.live, "live")
        if check_image(self.edited, "edited") != size:
            raise ValueError(f"live {size} and edited {self.edited.shape[:2]} must be of one size")
        if min(size) < LEAST:
            raise ValueError(f"a look is learned from pictures of at least {LEAST} pixels a side, got {size}")
        if self.mask is not None:
            check_mask(self.mask, size)
            if not self.mask.any():
                raise ValueError("the mask of a look's pair is empty: nothing of it was edited")

    @property
    def nbytes(self) -> int:
        """Memory of the arrays, bytes."""
        return self.live.nbytes + self.edited.nbytes + (0 if self.mask is None else self.mask.nbytes)


def learn_look(
    pair: LookPair,
    colours: Colours,
    further: Sequence[LookPair] = (),
    *,
    seconds: float = SECONDS,
    steps: int | None = None,
    seed: int = 0,
    start: LearnedLook | None = None,
    check: Callable[[], None] = lambda: None,
    clock: Callable[[], float] = time.process_time,
) -> LearnedLook:
    """Train a network for one look.

    Args:
        pair: the reference and its edited picture.
        colours: the edit's colour model, which the network corrects.
        further: more pairs of the same look, such as views of later frames.
        seconds: time budget by `clock`, above 0. The learning rate falls to its end within it.
        steps: number of steps instead of a time budget; the result then depends on the seed alone.
        seed: seed of weights, crops and windows.
        start: an earlier look whose weights are the start; None for the colour model's answer.
        check: called before each step; raises to stop.
        clock: seconds; the processor time of this process by default.

    Raises:
        ValueError: `seconds` or `steps` is not positive.
    """
    if not seconds > 0 or (steps is not None and steps < 1):
        raise ValueError(f"seconds must be above 0 and steps 1 or more, got {seconds} and {steps}")
    rng = np.random.default_rng(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = with_memory_of(LookNetwork())
    if start is not None:
        network.load_state_dict({name: torch.from_numpy(value) for name, value in start.weights.items()})
    optimiser = torch.optim.AdamW(network.parameters(), RATE, betas=(0.9, 0.98), weight_decay=1e-3)
    begun, done, share = clock(), 0, 0.0
    windows = _Windows((pair, *further), colours, rng)
    while share < 1:
        check()
        if done % RENEW == RENEW - 1:
            windows.renew()
        for group in optimiser.param_groups:
            group["lr"] = RATE * min(1.0, (done + 1) / WARM_UP) * (0.51 + 0.49 * math.cos(math.pi * share))
        planes, toned, edited, weight = windows.batch()
        loss = look_loss(network(planes, toned), edited, weight)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        done += 1
        share = done / steps if steps is not None else (clock() - begun) / seconds
    weights = {name: value.numpy().copy() for name, value in network.state_dict().items()}
    size = check_image(pair.live)
    learned = LearnedLook(weights, colours, size, ahead_db=math.inf, steps=done)
    return LearnedLook(weights, colours, size, ahead_db=_ahead_db(pair, learned), steps=done)


def look_loss(made: Tensor, edited: Tensor, weight: Tensor) -> Tensor:
    """Compare predicted with edited colours.

    Args:
        made, edited: float32 (B, 3, H, W), about [0, 1].
        weight: float32 (B, 1, H, W), [0, 1]; the loss ignores pixels of 0.

    Returns:
        Mean absolute difference of colours, plus that of gradients, plus that of the amplitude of fine detail
        in patches of 8 x 8 pixels, a scalar.
    """
    left = made - edited
    loss = _mean(left.abs(), weight)
    across, down = left[..., 1:] - left[..., :-1], left[..., 1:, :] - left[..., :-1, :]
    sides = weight[..., 1:] * weight[..., :-1], weight[..., 1:, :] * weight[..., :-1, :]
    loss = loss + GRADIENTS / 2 * (_mean(across.abs(), sides[0]) + _mean(down.abs(), sides[1]))
    inside = F.avg_pool2d(weight, 8, 4)
    return loss + ENERGY * _mean((_amplitude(made) - _amplitude(edited)).abs(), inside)


def _amplitude(colours: Tensor) -> Tensor:
    """Root mean square of the luma's fine detail in patches, (B, 1, h, w)."""
    detail = (colours - F.avg_pool2d(colours, 5, 1, 2, count_include_pad=False)).mean(dim=1, keepdim=True)
    return (F.avg_pool2d(detail * detail, 8, 4) + 1e-5).sqrt()


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    return (values * weight).sum() / (weight.sum() * values.shape[1]).clamp(min=1e-3)


class _Windows:
    """A few windows of the pairs with the network's inputs, from which crops are cut."""

    def __init__(self, pairs: Sequence[LookPair], colours: Colours, rng: np.random.Generator) -> None:
        self._pairs, self._colours, self._rng = pairs, colours, rng
        self._weights = [_weight(pair, held=number == 0) for number, pair in enumerate(pairs)]
        self._held = [self._draw(0, warped=False)]
        self._oldest = 0

    def renew(self) -> None:
        """Draw one window anew: half of them of the first pair."""
        rng = self._rng
        further = len(self._pairs) > 1 and rng.random() < 0.5
        number = int(rng.integers(1, len(self._pairs))) if further else 0
        window = self._draw(number, warped=bool(rng.random() < WARPED))
        if len(self._held) < WINDOWS:
            self._held.append(window)
        else:
            self._held[self._oldest] = window
            self._oldest = (self._oldest + 1) % WINDOWS

    def batch(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Cut planes (B, COUNT, h, w), toned and edited colours (B, 3, h, w), and weight (B, 1, h, w)."""
        chosen: list[tuple[Tensor, ...]] = []
        sides = [min(each[0].shape[1 + axis] for each in self._held) for axis in (0, 1)]
        high, wide = (min(CROP, side - side % 4) for side in sides)
        for _ in range(BATCH):
            window = self._held[int(self._rng.integers(len(self._held)))]
            tries = [self._crop(window, high, wide) for _ in range(3)]
            chosen.append(max(tries, key=lambda crop: float(crop[3].mean() > 0.1)))
        planes, toned, edited, weight = (torch.stack(parts) for parts in zip(*chosen, strict=True))
        return planes.contiguous(memory_format=torch.channels_last), toned, edited, weight

    def _crop(self, window: tuple[Tensor, ...], high: int, wide: int) -> tuple[Tensor, ...]:
        height, width = window[0].shape[1:]
        top, left = (int(self._rng.integers(0, most + 1)) for most in (height - high, width - wide))
        return tuple(each[:, top : top + high, left : left + wide] for each in window)

    def _draw(self, number: int, *, warped: bool) -> tuple[Tensor, ...]:
        """Cut a window of a pair and compute the network's inputs for it."""
        pair, weight, rng = self._pairs[number], self._weights[number], self._rng
        height, width = pair.live.shape[:2]
        high, wide = min(WINDOW, height), min(WINDOW, width)
        top, left = int(rng.integers(0, height - high + 1)), int(rng.integers(0, width - wide + 1))
        if warped:
            live, edited, weight = self._warped(pair, weight, (top, left), (high, wide))
        else:
            cut = np.s_[top : top + high, left : left + wide]
            live, edited = np.ascontiguousarray(pair.live[cut]), np.ascontiguousarray(pair.edited[cut])
            weight = np.ascontiguousarray(weight[cut])
        toned = self._colours.apply(live)
        colours = (torch.from_numpy(a.transpose(2, 0, 1).astype(np.float32) / 255) for a in (toned, edited))
        return torch.from_numpy(features(live, toned)), *colours, torch.from_numpy(weight)[None]

    def _warped(
        self, pair: LookPair, weight: Float, corner: tuple[int, int], size: tuple[int, int]
    ) -> tuple[Image, Image, Float]:
        """Cut a window that is turned, scaled, lit anew and noisy."""
        rng, (high, wide) = self._rng, size
        turn, scale = rng.uniform(-TURN, TURN), math.exp(rng.uniform(-SCALE, SCALE))
        linear = scale * np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
        middle = np.array([corner[1] + wide / 2, corner[0] + high / 2])
        matrix = np.concatenate([linear, (middle - linear @ (wide / 2, high / 2))[:, None]], axis=1)
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        live, edited = (
            cv2.warpAffine(a, matrix, (wide, high), flags=flags, borderMode=cv2.BORDER_REFLECT_101)
            for a in (pair.live, pair.edited)
        )
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        weight = np.asarray(cv2.warpAffine(weight, matrix, (wide, high), flags=flags), np.float32)
        gain = np.exp(rng.uniform(-LIGHT, LIGHT) + rng.uniform(-LIGHT, LIGHT, 3) / 3)
        lit = np.clip(np.rint(live * gain), 0, 255).astype(np.uint8)
        change = self._colours.apply(lit).astype(np.float32) - self._colours.apply(np.asarray(live, np.uint8))
        edited = np.clip(np.rint(edited + change), 0, 255).astype(np.uint8)
        noise = rng.normal(0, rng.uniform(0, NOISE), live.shape)
        return np.clip(np.rint(lit + noise), 0, 255).astype(np.uint8), edited, weight


def _weight(pair: LookPair, *, held: bool) -> Float:
    """Weight of each pixel in training, float32 (H, W): the mask, and 0 on blocks that are held out."""
    weight = np.ones(pair.live.shape[:2], np.float32) if pair.mask is None else pair.mask.copy()
    if held:
        weight[_held_out(pair)] = 0
    return weight


def _held_out(pair: LookPair) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """The pixels that are held out of training, bool (H, W): an eighth of the blocks in the middle."""
    height, width = pair.live.shape[:2]
    out = np.zeros((height, width), np.bool_)
    high, wide = min(HELD_SIDE, height), min(HELD_SIDE, width)
    rows, columns = (np.arange(side) * HELD_BLOCKS // side for side in (high, wide))
    blocks = (3 * rows[:, None] + columns[None, :]) % 8 == 5
    top, left = (height - high) // 2, (width - wide) // 2
    out[top : top + high, left : left + wide] = blocks
    return out


def _ahead_db(pair: LookPair, learned: LearnedLook) -> float:
    """How much nearer to the edited picture a look comes than its colours, on what was held out, dB."""
    held = _held_out(pair)
    if pair.mask is not None:
        held &= pair.mask > 0.5
    if not held.any():
        return math.inf  # nothing of the edit lies there: nothing says against the network
    height, width = held.shape
    top, left = max(0, (height - HELD_SIDE) // 2), max(0, (width - HELD_SIDE) // 2)
    cut = np.s_[top : top + HELD_SIDE, left : left + HELD_SIDE]
    live, truth, judged = np.ascontiguousarray(pair.live[cut]), pair.edited[cut], held[cut]
    errors = [
        float(((made[judged].astype(np.float32) - truth[judged]) ** 2).mean()) + 0.1
        for made in (learned.paint_unscaled(live), learned.colours.apply(live))
    ]
    return 10 * math.log10(errors[1] / errors[0])
