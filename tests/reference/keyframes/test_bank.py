from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import pytest

from correspondence import Image, Landmarks
from correspondence.face_crop import FaceCrop
from reference.face.view import view_change
from reference.keyframes.bank import Bank, BankConfig
from reference.keyframes.keeper_config import KeeperConfig
from reference.keyframes.keyframe import Keyframe
from reference.keyframes.policy import KeyframePolicy

IMAGE = np.zeros((64, 64, 3), np.uint8)


@dataclass(frozen=True)
class Still:
    """A prepared picture of a known size."""

    image: Image
    landmarks: Landmarks | None
    face_crop: FaceCrop | None = None
    nbytes: int = 2**20


def turned(yaw_deg: float = 0.0, pitch_deg: float = 0.0, scale: float = 1.0) -> Landmarks:
    """A fixed random head, turned."""
    points = np.random.default_rng(0).normal(0, 20, (478, 3))
    yaw, pitch = np.radians([yaw_deg, pitch_deg])
    about_y = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
    return Landmarks((scale * points @ (about_y @ about_x).T + 100).astype(np.float32), (200, 200))


def keyframe(yaw_deg: float = 0.0, *, pinned: bool = False, made_s: float = 0.0) -> Keyframe:
    return Keyframe(IMAGE, IMAGE, Still(IMAGE, turned(yaw_deg)), pinned=pinned, made_s=made_s)


@pytest.mark.parametrize("yaw", [-40, -5, 0, 12, 60])
@pytest.mark.parametrize("pitch", [-20, 0, 15])
def test_view_change_finds_the_turn(yaw: float, pitch: float) -> None:
    change = view_change(turned(), turned(yaw, pitch, scale=1.3))
    assert change.yaw_deg == pytest.approx(yaw, abs=0.1)
    assert change.pitch_deg == pytest.approx(pitch, abs=0.1)
    assert change.roll_deg == pytest.approx(0, abs=0.1)
    assert change.log_scale == pytest.approx(np.log(1.3), abs=1e-3)


def test_the_nearest_pose_is_chosen() -> None:
    bank = Bank()
    frames = [keyframe(yaw) for yaw in (-30, 0, 30)]
    for k in frames:
        bank.add(k)
    chosen = bank.best(turned(25))
    assert chosen is not None
    assert chosen[0] is frames[2]
    other = bank.best(turned(25), without=frames[2])
    assert other is not None
    assert other[0] is frames[1]
    assert chosen[1] > other[1]


def test_an_empty_bank_has_no_best() -> None:
    assert Bank().best(turned()) is None


def test_what_was_observed_corrects_the_prior() -> None:
    config = BankConfig()
    k = keyframe()
    before, other_side = k.predict(turned(20), config), k.predict(turned(-20), config)
    for _ in range(5):
        k.observe(turned(20), 0.2, BankConfig())
    assert k.predict(turned(20), config) < min(before, 0.35)
    assert k.predict(turned(-20), config) == pytest.approx(other_side, abs=0.05)


def test_the_least_useful_leaves_and_the_users_own_stay() -> None:
    bank = Bank(BankConfig(max_keyframes=3))
    mine, near, far = keyframe(0, pinned=True), keyframe(2), keyframe(40)
    for k in (mine, near, far):
        bank.add(k)
    assert bank.add(keyframe(-40)) == [near]
    assert mine in list(bank)


def test_memory_is_bounded() -> None:
    bank = Bank(BankConfig(max_keyframes=100, max_mib=5))
    for yaw in range(0, 60, 3):
        bank.add(keyframe(yaw))
        assert bank.nbytes <= 5 * 2**20
    assert len(bank) == 4


def test_a_bank_full_of_the_users_own_says_so() -> None:
    bank = Bank(BankConfig(max_keyframes=2))
    bank.add(keyframe(0, pinned=True))
    bank.add(keyframe(20, pinned=True))
    with pytest.raises(ValueError, match="max_keyframes"):
        bank.add(keyframe(40))
    assert len(bank) == 2


def test_counts_fade() -> None:
    bank = Bank()
    a, b = keyframe(0), keyframe(30)
    bank.add(a)
    bank.add(b)
    for _ in range(4095):
        bank.served(a)
    for _ in range(4096):
        bank.served(b)
    assert a.used < b.used + 1
    assert a.used == 2047


def test_a_full_bank_and_the_policy_cost_less_than_a_millisecond() -> None:
    """Processor time of what a frame asks of them, at the most keyframes and views there can be."""
    config = BankConfig()
    bank, policy = Bank(config), KeyframePolicy()
    views = [turned(yaw) for yaw in range(-40, 41)]
    for n in range(config.max_keyframes):
        keyframe = Keyframe(IMAGE, IMAGE, Still(IMAGE, views[6 * n]), pinned=n == 0)
        bank.add(keyframe)
        for view in views:
            keyframe.observe(view, 0.9, config)
    spent = []
    for n, view in enumerate(views * 3):
        start = time.thread_time()
        keyframe.observe(view, 0.5, config)
        best = bank.best(view, without=keyframe, hopeful=True)
        policy.decide(coverage=0.5, now_s=n / 25, best_other=None if best is None else best[1])
        bank.served(keyframe)
        spent.append(time.thread_time() - start)
    a_question, every_s = float(np.median(spent)), KeeperConfig().ask_every_s
    assert a_question / (every_s * 25) < 1e-3  # the bank is asked once in `ask_every_s`
