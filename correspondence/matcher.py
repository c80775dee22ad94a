"""The matcher's public face: loads the best kind for this machine and forwards to it."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from pathlib import Path

from correspondence.cover.runtime import CoverFinder, shipped_finder
from correspondence.errors import WeightsError
from correspondence.matchers.backend import Backend
from correspondence.matchers.classical import ClassicalMatcher
from correspondence.matchers.coarse import Begun
from correspondence.matchers.thorough import ThoroughMatcher
from correspondence.types import DETECT, Image, Match, MaybeLandmarks, Prepared

logger = logging.getLogger(__name__)

NETWORK_CORES = 4  # "auto" takes the network from here on: it costs twice the classical matcher's time
KINDS = ("auto", "classical", "thorough", "compact", "dinov2")


class Matcher:
    """Finds where each pixel of a frame lies in a reference; several sessions and threads may share one.

    Args:
        backend: does the work.
        cover: finds what hides a face; None does not look.
    """

    def __init__(self, backend: Backend, cover: CoverFinder | None = None) -> None:
        self.backend = backend
        self.cover = cover

    @classmethod
    def load(
        cls,
        kind: str = "auto",
        device: str = "cpu",
        weights: str | Path | None = None,
        *,
        cover: bool = True,
    ) -> Matcher:
        """A matcher of a kind.

        Args:
            kind: "classical" (no weights), "compact" or "dinov2" (networks), "thorough" (for files: the
                compact one, or the classical one where that does not load, refined at full size), or "auto":
                the best that loads here and is quick enough for live use.
            device: "cpu" or "cuda", of a network; all else runs on the CPU.
            weights: folder or file with the network's weights, None for the shipped ones.
            cover: look for what hides a face, with the shipped network; logged where that does not load.

        Raises:
            ValueError: another kind.
            WeightsError: the kind's weights are missing or damaged; only for networks asked for by name.
        """
        if kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
        return cls(_backend(kind, device, weights), shipped_finder() if cover else None)

    @property
    def kind(self) -> str:
        """Which kind was loaded: one of `KINDS`, never "auto"."""
        return self.backend.kind

    def prepare(self, image: Image, landmarks: MaybeLandmarks = DETECT) -> Prepared:
        """Make a reference ready: the slow part, once a keyframe.

        Args:
            image: RGB uint8 (H, W, 3); copied.
            landmarks: of its face; None for no face; DETECT to look for one.

        Raises:
            ValueError: another dtype or shape.
        """
        prepared: Prepared = self.backend.prepare(image, landmarks)
        return prepared

    def begin(self, frame: Image, prepared: Prepared) -> Begun:
        """Start on what a match needs no landmarks for, on another thread, while they are looked for.

        Args:
            frame: as `match`'s.
            prepared: as `match`'s.

        Returns:
            What `match` takes as `begun`, with this very frame and keyframe.

        Raises:
            ValueError: another dtype or shape.
        """
        return self.backend.begin(frame, prepared)

    def match(
        self,
        frame: Image,
        prepared: Prepared,
        previous: Match | None = None,
        landmarks: MaybeLandmarks = DETECT,
        begun: Begun | None = None,
    ) -> Match:
        """Where each pixel of `frame` lies in the reference: the fast part, once a frame.

        Args:
            frame: RGB uint8 (H, W, 3), of any size.
            prepared: from this matcher's `prepare`.
            previous: the match of the session's last frame; steadies this one.
            landmarks: of the frame's face; None for no face; DETECT to look for one.
            begun: from `begin`; saves the time that has passed since.

        Raises:
            ValueError: another dtype or shape; a match begun for another frame or keyframe.
        """
        match = self.backend.match(frame, prepared, previous, landmarks, begun)
        if self.cover is None or match.landmarks is None or prepared.landmarks is None:
            return match
        return replace(match, hidden=self.cover(frame, match.landmarks, prepared.face_crop))


def _backend(kind: str, device: str, weights: str | Path | None) -> Backend:
    """What stands behind a matcher of one of `KINDS`."""
    if kind == "classical":
        return ClassicalMatcher()
    if kind == "thorough":
        return ThoroughMatcher(_best(device, weights))
    if kind != "auto":
        return _network(kind, device, weights)
    if device == "cpu" and (os.cpu_count() or 1) < NETWORK_CORES:
        logger.info("classical matcher: the network is for machines of %d cores or more", NETWORK_CORES)
        return ClassicalMatcher()
    return _best(device, weights)


def _best(device: str, weights: str | Path | None) -> Backend:
    """The compact network, or where it does not load here the classical matcher, and says so."""
    try:
        return _network("compact", device, weights)
    except (WeightsError, ImportError) as error:
        logger.info("classical matcher, since the compact one does not load here: %s", error)
        return ClassicalMatcher()


def _network(kind: str, device: str, weights: str | Path | None) -> Backend:
    """The network matcher; imported here, since it needs a runtime the classical one does not."""
    from correspondence.network.runtime import NetworkMatcher

    backend: Backend = NetworkMatcher.load(kind, device=device, weights=weights)
    return backend
