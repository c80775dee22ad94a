"""Decides frame by frame whether a stream should request a better reference, and which one."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from correspondence import Landmarks
from reference.keyframes.bank import Bank
from reference.keyframes.keeper_config import KeeperConfig
from reference.keyframes.keyframe import Keyframe
from reference.keyframes.policy import Action, Decision, KeyframePolicy
from reference.keyframes.refusal import SHUT, eyes_shut


@dataclass(frozen=True, slots=True, eq=False)
class Wanted:
    """A job that should be done beside the frame's path.

    Attributes:
        candidate: the keyframe to try; None to make a new one.
        least: coverage that the candidate must reach, [0, 1].
        reason: why, in words for the user.
    """

    candidate: Keyframe | None
    least: float
    reason: str


class Lookout:
    """Asks the policy at every frame and the bank at intervals. Use it from the thread of `step` only.

    Args:
        config: settings of the keeper.
        bank: the keyframes that may serve.

    Attributes:
        decision: the last frame's decision, for the log and the page.
        looks_down: whether the eyes have been shut for longer than a blink takes.
    """

    def __init__(self, config: KeeperConfig, bank: Bank) -> None:
        self.decision = Decision(Action.KEEP, "no frame yet")
        self._config, self._bank = config, bank
        self._other: tuple[Keyframe, float] | None = None  # best other keyframe and its predicted coverage
        self._own: Keyframe | None = None  # the user's keyframe that may serve again
        self.begin_anew()

    def begin_anew(self) -> None:
        """Starts afresh after the source restarted or another edit was worn."""
        self._policy = KeyframePolicy(self._config.policy)
        self._asked_s = self._changed_s = -np.inf
        self._other = None
        self._shut_s: float | None = None  # time since which the eyes are shut
        self.looks_down = False

    def see(self, landmarks: Landmarks, first: Landmarks | None, now_s: float) -> None:
        """Notes at each frame whether the eyes are shut, and for how long.

        Args:
            landmarks: landmarks of the frame.
            first: landmarks of the user's first keyframe; None without a face.
            now_s: the frame's time, seconds.
        """
        if not eyes_shut(landmarks, first, self._config.refusal):
            self._shut_s = None
        elif self._shut_s is None:
            self._shut_s = now_s
        self.looks_down = self._shut_s is not None and now_s - self._shut_s > self._config.lids_s

    def switched(self, now_s: float) -> None:
        """Tells that another keyframe serves now."""
        self._policy.switched(now_s=now_s)
        self._changed_s, self._other, self._own = now_s, None, None

    def refused(self, now_s: float) -> None:
        """Tells that the frame was refused as keyframe."""
        self._policy.refused(now_s=now_s)

    def ask(self, keyframe: Keyframe, landmarks: Landmarks, covered: float, now_s: float) -> bool:
        """Asks the bank for a better keyframe, at most once in `ask_every_s`.

        Args:
            keyframe: the keyframe that serves.
            landmarks: landmarks of the frame.
            covered: covered share of the edit, [0, 1].
            now_s: the frame's time, seconds.

        Returns:
            Whether the bank was asked at this frame.
        """
        config = self._config
        if now_s - self._asked_s < config.ask_every_s:
            return False
        self._asked_s = now_s
        keyframe.observe(landmarks, covered, config.bank)
        low = covered < config.policy.recover
        self._other = self._bank.best(landmarks, without=keyframe, hopeful=True) if low else None
        self._own = None if low else self._home(keyframe, landmarks, now_s)
        return True

    def decide(self, covered: float, now_s: float) -> None:
        """Makes the frame's decision from the covered share of the edit, [0, 1], and the time, seconds."""
        other = None if self._other is None else self._other[1]
        decision = self._policy.decide(coverage=covered, now_s=now_s, best_other=other)
        self.decision = replace(decision, coverage=covered)

    def _home(self, keyframe: Keyframe, landmarks: Landmarks, now_s: float) -> Keyframe | None:
        """The user's own keyframe that should serve again instead of a made one; None if there is none.

        Its pixels are the user's work, while those of a made keyframe were carried over.
        """
        if keyframe.pinned or now_s - self._changed_s < self._config.home_s:
            return None
        best = self._bank.best(landmarks, pinned=True)
        return best[0] if best is not None and best[1] >= self._config.home_coverage else None

    def wanted(self, covered: float, match_s: float, now_s: float, *, makes: bool = True) -> Wanted | None:
        """Returns the job that follows from the last decision. It then counts as started.

        Args:
            covered: covered share of the edit, [0, 1].
            match_s: average duration of a match, seconds.
            now_s: the frame's time, seconds.
            makes: whether a new keyframe can be made at the moment.

        Returns:
            The job, or None if nothing is due.
        """
        config, action, reason = self._config, self.decision.action, self.decision.reason
        own = self._own if action is Action.KEEP and covered >= config.policy.recover else None
        if action is Action.KEEP and own is None:
            return None
        if own is not None:
            wanted = Wanted(own, config.policy.recover, "the user's own covers the view again")
            self._changed_s = now_s  # so that it is tried at most once in `home_s`
        elif action is Action.SWITCH:
            assert self._other is not None
            wanted = Wanted(self._other[0], min(1.0, covered + config.policy.switch_gain), reason)
        elif not (config.make and makes):
            return None
        elif match_s > config.max_match_s:
            reason = f"{reason}; a match takes {1e3 * match_s:.0f} ms, too long for more"
            self.decision = Decision(Action.KEEP, reason, covered)
            return None
        elif self._shut_s is not None and not self.looks_down:  # a blink: until they open
            self.decision = replace(self.decision, action=Action.KEEP, reason=f"{reason}; but {SHUT}")
            return None
        else:
            wanted = Wanted(None, 0.0, reason)
            self._policy.made(now_s=now_s)
        self._other = self._own = None
        return wanted
