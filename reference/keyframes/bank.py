"""A bounded set of keyframes. One is chosen by head pose and expression."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from correspondence import Landmarks
from reference.keyframes.keyframe import Keyframe, ViewScales


@dataclass(frozen=True, slots=True, kw_only=True)
class BankConfig(ViewScales):
    """Bounds of a `Bank`, and the scales of its coverage prediction.

    Raises:
        ValueError: `max_keyframes` is below 1, or `max_mib` is not above 0.
    """

    max_keyframes: int = 12
    max_mib: float = 256.0

    def __post_init__(self) -> None:
        if self.max_keyframes < 1 or self.max_mib <= 0:
            raise ValueError(
                f"the bank needs room for one keyframe, got {self.max_keyframes} and {self.max_mib} MiB"
            )


class Bank:
    """Keyframes within a limit of count and memory.

    The user's keyframes always stay. When a limit is exceeded, the least useful of the others is dropped.
    """

    def __init__(self, config: BankConfig | None = None) -> None:
        self.config = config or BankConfig()
        self._keyframes: list[Keyframe] = []

    def __len__(self) -> int:
        return len(self._keyframes)

    def __iter__(self) -> Iterator[Keyframe]:
        """Iterates over the keyframes, oldest first."""
        return iter(tuple(self._keyframes))

    @property
    def nbytes(self) -> int:
        """Memory that the keyframes hold, bytes."""
        return sum(k.nbytes for k in self._keyframes)

    def add(self, keyframe: Keyframe) -> list[Keyframe]:
        """Adds a keyframe.

        Returns:
            The keyframes that were dropped to make room.

        Raises:
            ValueError: the pinned keyframes alone fill the bank and leave no room for this one.
        """
        held = [k for k in self._keyframes if k.pinned]
        self._check_room(len(held) + 1, sum(k.nbytes for k in held) + keyframe.nbytes)
        self._keyframes.append(keyframe)
        return self._trim(keyframe)

    def has_room(self, nbytes: int) -> bool:
        """Whether one more keyframe of `nbytes` bytes fits without dropping another one."""
        fits = self.nbytes + nbytes <= self.config.max_mib * 2**20
        return fits and len(self._keyframes) < self.config.max_keyframes

    def _check_room(self, number: int, nbytes: int) -> None:
        if number > self.config.max_keyframes or nbytes > self.config.max_mib * 2**20:
            raise ValueError(
                f"keyframes edited by hand fill the bank ({self.config.max_keyframes} keyframes,"
                f" {self.config.max_mib} MiB): remove one, or raise max_keyframes or max_mib"
            )

    def remove(self, keyframe: Keyframe) -> None:
        """Removes a keyframe.

        Raises:
            ValueError: it is not in the bank.
        """
        self._keyframes.remove(keyframe)

    def changed(self, own: Sequence[Keyframe]) -> list[Keyframe]:
        """Returns the keyframes of `own` that the bank does not hold with the same edit."""
        held = {k.id: k for k in self._keyframes}
        return [k for k in own if not k.same_edit(held.get(k.id))]

    def follow(self, own: Sequence[Keyframe]) -> None:
        """Updates the bank to the user's current keyframes, matched by id.

        - A new keyframe is added.
        - A keyframe whose edit changed replaces its old version. Keyframes that Livery made since the old
          version are removed, because they may have been drawn from it.
        - A pinned keyframe that is not in `own` is removed.

        Raises:
            ValueError: the pinned keyframes do not fit into the bank.
        """
        pinned = [k for k in own if k.pinned]
        self._check_room(len(pinned), sum(k.nbytes for k in pinned))
        ids = {k.id for k in own}
        self._keyframes = [k for k in self._keyframes if k.id in ids or not k.pinned]
        for keyframe in self.changed(own):
            old = next((k for k in self._keyframes if k.id == keyframe.id), None)
            if old is None:
                self.add(keyframe)
                continue
            self.replace(old, keyframe)
            later = (k for k in self if not k.pinned and k is not keyframe and k.made_s >= old.made_s)
            for k in later:
                self.remove(k)

    def replace(self, old: Keyframe, new: Keyframe) -> None:
        """Replaces keyframe `old` by `new`, at the same place in the order.

        Raises:
            ValueError: `old` is not in the bank, or the pinned keyframes would not fit into it.
        """
        pinned = sum(k.nbytes for k in self._keyframes if k.pinned and k is not old)
        if new.pinned and pinned + new.nbytes > self.config.max_mib * 2**20:
            raise ValueError(
                f"keyframes edited by hand would take more than {self.config.max_mib} MiB: remove one, or "
                "raise max_mib"
            )
        self._keyframes[self._keyframes.index(old)] = new
        self._trim(new)

    def _trim(self, kept: Keyframe) -> list[Keyframe]:
        """Drops the least useful keyframes until the bounds hold, never a pinned one or `kept`.

        Returns the dropped ones.
        """
        limit = self.config.max_mib * 2**20
        dropped = []
        while len(self._keyframes) > self.config.max_keyframes or self.nbytes > limit:
            worst = min((k for k in self._keyframes if not k.pinned and k is not kept), key=self._usefulness)
            self._keyframes.remove(worst)
            dropped.append(worst)
        return dropped

    def served(self, keyframe: Keyframe) -> None:
        """Counts a frame served by `keyframe`. When its count reaches 4,096, all counts are halved."""
        keyframe.used += 1
        if keyframe.used >= 4096:
            for k in self._keyframes:
                k.used //= 2

    def best(
        self,
        landmarks: Landmarks,
        *,
        without: Keyframe | None = None,
        hopeful: bool = False,
        pinned: bool = False,
    ) -> tuple[Keyframe, float] | None:
        """Finds the keyframe with the highest predicted coverage of a view.

        Args:
            landmarks: landmarks of the frame.
            without: a keyframe to leave out, such as the one in use.
            hopeful: see `Keyframe.predict`.
            pinned: only considers the user's keyframes.

        Returns:
            The keyframe and its predicted coverage, [0, 1]; the earliest among equals. None if there is none.
        """
        choices = [
            (k, k.predict(landmarks, self.config, hopeful=hopeful))
            for k in self._keyframes
            if k is not without and (k.pinned or not pinned)
        ]
        return max(choices, key=lambda choice: choice[1], default=None)

    def sources(self, landmarks: Landmarks, most: int) -> list[Keyframe]:
        """Chooses the keyframes that a new keyframe of a view is drawn from.

        These are the user's first keyframe and the others with the highest predicted coverage.

        Args:
            landmarks: landmarks of the frame.
            most: largest number of keyframes.

        Returns:
            The user's keyframes, then the made ones; each group oldest first.
        """
        first = next(k for k in self._keyframes if k.pinned)
        others = [k for k in self._keyframes if k is not first]
        others.sort(key=lambda k: k.predict(landmarks, self.config), reverse=True)
        chosen = [first, *others[: most - 1]]
        return sorted(chosen, key=lambda k: (not k.pinned, self._keyframes.index(k)))

    def _usefulness(self, keyframe: Keyframe) -> float:
        """Number of frames served, times the share that no other keyframe would cover in its view."""
        own = keyframe.prepared.landmarks
        if own is None:
            return 0.0
        others = [k.predict(own, self.config) for k in self._keyframes if k is not keyframe]
        return (1 + keyframe.used) * (1.001 - max(others, default=0.0))
