from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from reference.keyframes.policy import Action, KeyframePolicy, PolicyConfig, coverage

CONFIG = PolicyConfig(min_coverage=0.9, recover=0.95, window_s=0.4, cooldown_s=2.0, switch_cooldown_s=0.5)
FRAME_S = 1 / 25


def run(
    policy: KeyframePolicy, levels: list[float], start_s: float = 0.0, other: float | None = None
) -> list[Action]:
    actions = []
    for i, level in enumerate(levels):
        now_s = i * FRAME_S
        action = policy.decide(coverage=level, now_s=now_s, best_other=other).action
        if action is Action.MAKE:
            policy.made(now_s=now_s)
        if action is Action.SWITCH:
            policy.switched(now_s=now_s)
        actions.append(action)
    return actions


def test_coverage_weighs_by_how_much_was_edited() -> None:
    confidence = np.array([[0.9, 0.9, 0.1, 0.1]], np.float32)
    assert coverage(confidence, np.array([[1, 1, 1, 1]], np.float32)) == 0.5
    assert coverage(confidence, np.array([[3, 0, 1, 0]], np.float32)) == 0.75
    assert coverage(confidence, np.zeros((1, 4), np.float32)) == 1.0


def test_coverage_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="one shape"):
        coverage(np.zeros((2, 2), np.float32), np.zeros((2, 3), np.float32))
    with pytest.raises(ValueError, match="at least 0"):
        coverage(np.zeros((1, 1), np.float32), np.full((1, 1), -1, np.float32))


def test_a_covered_view_is_kept() -> None:
    assert set(run(KeyframePolicy(CONFIG), [0.97] * 100)) == {Action.KEEP}


def test_a_blink_is_not_worth_a_keyframe() -> None:
    levels = [1.0] * 10 + [0.5] * 4 + [1.0] * 20
    assert Action.MAKE not in run(KeyframePolicy(CONFIG), levels)


def test_an_uncovered_view_gets_one_keyframe_per_cool_down() -> None:
    actions = run(KeyframePolicy(CONFIG), [1.0] * 10 + [0.6] * 150)
    made = [i * FRAME_S for i, a in enumerate(actions) if a is Action.MAKE]
    assert 2 <= len(made) <= 4
    assert min(np.diff(made)) >= CONFIG.cooldown_s


@pytest.mark.parametrize("fps", [2, 5, 60])
def test_streams_of_any_rate_get_their_keyframe(fps: int) -> None:
    policy = KeyframePolicy(PolicyConfig())
    actions = [policy.decide(coverage=1.0 if n < fps else 0.5, now_s=n / fps).action for n in range(3 * fps)]
    assert Action.MAKE not in actions[: fps + 1]
    assert Action.MAKE in actions


def test_a_view_that_falls_away_fast_need_not_wait_out_the_cool_down() -> None:
    falling = [1.0] * 10 + [0.5] * 12 + [1.0] * 15 + [0.5] * 20
    patient = [1.0] * 10 + [0.87] * 12 + [1.0] * 15 + [0.87] * 20
    config = replace(CONFIG, urgent=0.7, urgent_s=0.5)
    assert run(KeyframePolicy(config), falling).count(Action.MAKE) == 2
    assert run(KeyframePolicy(config), patient).count(Action.MAKE) == 1


def test_refused_frames_are_tried_again_ever_later() -> None:
    policy = KeyframePolicy(replace(CONFIG, retry_s=0.25))
    tried = []
    for i in range(250):
        now_s = i * FRAME_S
        if policy.decide(coverage=0.3, now_s=now_s).action is Action.MAKE:
            policy.made(now_s=now_s)
            policy.refused(now_s=now_s)
            tried.append(now_s)
    gaps = np.diff(tried)
    assert gaps[0] < 0.5 < 2 < gaps[-1] <= 0.25 * 2**4 + 2 * FRAME_S
    assert (np.diff(gaps) > -FRAME_S).all()


def test_between_the_thresholds_nothing_flips() -> None:
    policy = KeyframePolicy(CONFIG)
    wobble = [0.91, 0.93] * 50
    assert set(run(policy, wobble)) == {Action.KEEP}


def test_the_bank_comes_before_a_new_keyframe() -> None:
    actions = run(KeyframePolicy(CONFIG), [0.6] * 25, other=0.95)
    assert Action.SWITCH in actions
    assert Action.MAKE not in actions


@pytest.mark.parametrize(("covered", "urgent"), [(0.88, False), (0.6, True)])
def test_switches_keep_their_distance_unless_the_view_is_lost(covered: float, urgent: bool) -> None:
    actions = run(KeyframePolicy(CONFIG), [covered] * 100, other=0.95)
    at = [i * FRAME_S for i, a in enumerate(actions) if a is Action.SWITCH]
    assert (min(np.diff(at)) < CONFIG.switch_cooldown_s) == urgent


def test_reasons_name_the_figures() -> None:
    policy = KeyframePolicy(CONFIG)
    reasons = [policy.decide(coverage=0.6, now_s=i * FRAME_S).reason for i in range(20)]
    assert "60%" in reasons[-1]
    assert "90%" in reasons[-1]


def test_time_and_ranges_are_checked() -> None:
    policy = KeyframePolicy(CONFIG)
    policy.decide(coverage=1, now_s=1)
    with pytest.raises(ValueError, match="decrease"):
        policy.decide(coverage=1, now_s=0.5)
    with pytest.raises(ValueError, match="coverage"):
        policy.decide(coverage=1.2, now_s=2)
    with pytest.raises(ValueError, match="recover"):
        PolicyConfig(min_coverage=0.9, recover=0.8)
