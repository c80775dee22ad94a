"""A look is learned in seconds, the same with the same seed, and paints what the colours cannot."""

from __future__ import annotations

import pickle
from dataclasses import dataclass

import cv2
import numpy as np
import pytest

from correspondence import Float, Image
from inpaint import FillContext
from inpaint.looks.learned import LearnedLook
from inpaint.looks.training import LookPair, learn_look

SIDE = 64


@dataclass(frozen=True)
class Inverted:
    """A colour model that inverts colours."""

    def apply(self, image: Image) -> Image:
        """See `learned.Colours`."""
        return 255 - image


def picture(seed: int, size: tuple[int, int] = (SIDE, SIDE)) -> Image:
    noise = np.random.default_rng(seed).normal(0, 1, (*size, 3)).astype(np.float32)
    soft = cv2.GaussianBlur(noise, (0, 0), 3)
    return np.clip(128 + 300 * soft, 0, 255).astype(np.uint8)


def drawn(image: Image) -> Image:
    """The look: inverted, with dark lines where the picture is darker than around."""
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    lines = np.clip((cv2.GaussianBlur(gray, (0, 0), 4) - gray) / 16, 0, 1)[..., None]
    return np.clip((255 - image) * (1 - 0.9 * lines), 0, 255).astype(np.uint8)


def pair(seed: int = 1, mask: Float | None = None) -> LookPair:
    return LookPair(picture(seed), drawn(picture(seed)), mask)


def error(made: Image, truth: Image) -> float:
    return float(((made.astype(np.float32) - truth) ** 2).mean())


def apart(one: LearnedLook, other: LearnedLook) -> float:
    return max(float(np.abs(one.weights[n] - other.weights[n]).max()) for n in one.weights)


@pytest.fixture(scope="module")
def look() -> LearnedLook:
    return learn_look(pair(), Inverted(), steps=40)


def test_lines_are_learned_that_colours_cannot_tell(look: LearnedLook) -> None:
    unseen = picture(7)
    truth = drawn(unseen)
    by_colours = error(Inverted().apply(unseen), truth)
    assert error(look.paint(unseen), truth) < by_colours / 2, "3 dB nearer"
    assert look.ahead_db > 2
    assert look.steps == 40


def test_the_seed_decides() -> None:
    first, second, other = (learn_look(pair(), Inverted(), steps=2, seed=seed) for seed in (3, 3, 4))
    assert apart(first, second) < 1e-5, "equal but for the order of sums"
    assert apart(first, other) > 1e-2


def test_a_warm_start_is_nearer_at_once(look: LearnedLook) -> None:
    cold, warm = (learn_look(pair(), Inverted(), steps=1, start=start) for start in (None, look))
    truth = drawn(picture(7))
    assert error(warm.paint(picture(7)), truth) < error(cold.paint(picture(7)), truth) / 1.5


def test_time_ends_training_and_so_does_the_check() -> None:
    now_s = iter(range(100))
    assert learn_look(pair(), Inverted(), seconds=3, clock=lambda: next(now_s)).steps == 3

    def stop() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        learn_look(pair(), Inverted(), check=stop)


def test_only_the_mask_teaches() -> None:
    mask = np.zeros((SIDE, SIDE), np.float32)
    mask[:, : SIDE // 2] = 1
    plain = pair()
    spoilt = plain.edited.copy()
    spoilt[:, SIDE // 2 :] = 0
    one = learn_look(LookPair(plain.live, plain.edited, mask), Inverted(), steps=2)
    other = learn_look(LookPair(plain.live, spoilt, mask), Inverted(), steps=2)
    assert apart(one, other) < 1e-5


def test_a_part_is_painted_as_in_the_whole(look: LearnedLook) -> None:
    large = picture(5, (260, 200))
    whole = look.paint_unscaled(large)
    wanted = np.zeros((260, 200), np.float32)
    wanted[150:180, 40:90] = 1
    part = look.paint_unscaled(large, wanted)
    there = wanted > 0
    assert np.abs(part[there].astype(int) - whole[there]).max() <= 3, "no seam where strips meet"
    assert np.array_equal(part[:100], Inverted().apply(large)[:100]), "the rest has the colours"


def test_a_larger_picture_is_scaled_to_what_was_learned(look: LearnedLook) -> None:
    unseen = picture(7)
    double = cv2.resize(unseen, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    made = look.paint(double, np.ones(double.shape[:2], np.float32))
    assert made.shape == double.shape
    small = cv2.resize(made, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    assert error(small, drawn(unseen)) < error(Inverted().apply(unseen), drawn(unseen)) / 2


def test_it_fills_a_hole_from_the_live_picture(look: LearnedLook) -> None:
    unseen = picture(7)
    mask = np.zeros((SIDE, SIDE), np.float32)
    mask[20:40, 20:40] = 1
    held = pickle.loads(pickle.dumps(look))
    filled = held(np.zeros_like(unseen), mask, FillContext(live=unseen))
    assert not filled[mask == 0].any()
    assert np.array_equal(filled[mask > 0], look.paint(unseen, mask)[mask > 0])
    for context in (None, FillContext(), FillContext(live=picture(7, (SIDE, 80)))):
        with pytest.raises(ValueError, match="paints the live picture"):
            held(unseen, mask, context)


def test_a_network_that_is_behind_leaves_the_colours() -> None:
    flat = LookPair(picture(1), Inverted().apply(picture(1)))
    spoilt = {n: np.full_like(v, 0.3) for n, v in learn_look(flat, Inverted(), steps=1).weights.items()}
    look = learn_look(flat, Inverted(), steps=1, start=LearnedLook(spoilt, Inverted(), (SIDE, SIDE)))
    assert look.ahead_db < 0
    assert np.array_equal(look.paint(picture(7)), Inverted().apply(picture(7)))


def test_what_cannot_be_learned_is_refused() -> None:
    good = picture(1)
    with pytest.raises(ValueError, match="one size"):
        LookPair(good, good[:40])
    with pytest.raises(ValueError, match="at least 32 pixels"):
        LookPair(good[:20], good[:20])
    with pytest.raises(ValueError, match="empty"):
        LookPair(good, good, np.zeros((SIDE, SIDE), np.float32))
    with pytest.raises(ValueError, match="seconds must be above 0"):
        learn_look(pair(), Inverted(), seconds=0)
    with pytest.raises(ValueError, match="steps 1 or more"):
        learn_look(pair(), Inverted(), steps=0)
    with pytest.raises(ValueError, match="wanted must be"):
        LearnedLook({}, Inverted(), (SIDE, SIDE)).paint(good, np.ones((3, 3), np.float32))
