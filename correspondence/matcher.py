"""The public interface of the matchers: loads the best kind for this machine and forwards calls to it."""

from __future__ import annotations

import logging
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from correspondence.cover.runtime import CoverFinder, shipped_finder
from correspondence.errors import WeightsError
from correspondence.matchers.backend import Backend
from correspondence.matchers.classical import ClassicalMatcher, ClassicalReference
from correspondence.matchers.coarse import Begun
from correspondence.matchers.reuse import takes_over
from correspondence.matchers.thorough import ThoroughMatcher
from correspondence.matchers.window_match import match_window
from correspondence.matchers.windows import is_due
from correspondence.types import DETECT, Box, Image, Landmarks, Match, MaybeLandmarks, Prepared, check_image

logger = logging.getLogger(__name__)

_pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="cover")
NETWORK_CORES = 4  # CPU cores from which "auto" takes the network; it takes twice the classical one's time
KINDS = ("auto", "classical", "thorough", "compact", "dinov2")


class Matcher:
    """Finds the place of each frame pixel in a reference. Sessions and threads can share one matcher.

    Args:
        backend: the kind of matcher that does the work.
        cover: finds what hides the face of a frame; None skips this.
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
        """Load a matcher of the given kind.

        Args:
            kind: one of `KINDS`. "classical" needs no weights. "compact" and "dinov2" are networks.
                "thorough" is for files: it refines the compact network's field at full size, or the
                classical field if the network does not load. "auto" takes the best kind that loads on this
                machine and is quick enough for live use.
            device: "cpu" or "cuda", where a network runs. Everything else runs on the CPU.
            weights: folder or file with the network's weights; None for the shipped weights.
            cover: whether to find what hides the face of a frame, with the shipped network. If that does
                not load, the reason is logged.

        Raises:
            ValueError: `kind` is not one of `KINDS`.
            WeightsError: a network was asked for by name and its weights are missing or damaged.
        """
        if kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
        return cls(_backend(kind, device, weights), shipped_finder() if cover else None)

    @property
    def kind(self) -> str:
        """The kind that was loaded: one of `KINDS`, never "auto"."""
        return self.backend.kind

    def wants_begin(
        self, prepared: Prepared, previous: Match | None, thin: int = 0, *, whole: bool = False
    ) -> bool:
        """Tell whether `begin` saves time for the frame after `previous`.

        If only a window is needed, the flow of the whole frame is computed at intervals, so that most frames
        need no `begin`. A frame that takes over the flow of the one before needs none either.

        Args:
            prepared: the reference of the match.
            previous: the match of the last frame with it.
            thin: as for `match`.
            whole: whether the whole frame is needed.
        """
        if takes_over(previous, prepared, thin):
            return False
        return whole or not isinstance(self.backend, ClassicalMatcher) or is_due(previous, prepared)

    def prepare(self, image: Image, landmarks: MaybeLandmarks = DETECT) -> Prepared:
        """Prepare a reference for matching. This is the slow part and runs once for each keyframe.

        Args:
            image: the reference, RGB uint8 (H, W, 3). It is copied.
            landmarks: landmarks of the face in `image`; None if it shows no face; DETECT to detect them.

        Returns:
            The prepared reference, for `match` and `begin` of this matcher.

        Raises:
            ValueError: `image` has another dtype or shape.
        """
        prepared: Prepared = self.backend.prepare(image, landmarks)
        return prepared

    def begin(self, frame: Image, prepared: Prepared) -> Begun:
        """Start the part of a match that needs no landmarks, on another thread.

        Landmarks of the frame can be detected in the meantime.

        Args:
            frame: the frame to match, RGB uint8 (H, W, 3).
            prepared: a reference from this matcher's `prepare`.

        Returns:
            The started match. Pass it to `match` as `begun`, together with the same frame and reference.

        Raises:
            ValueError: `frame` has another dtype or shape.
        """
        return self.backend.begin(frame, prepared)

    def match(
        self,
        frame: Image,
        prepared: Prepared,
        previous: Match | None = None,
        landmarks: MaybeLandmarks = DETECT,
        begun: Begun | None = None,
        window: Box | None = None,
        thin: int = 0,
    ) -> Match:
        """Find the place of each pixel of `frame` in the reference. This is the fast part, once a frame.

        Args:
            frame: the frame, RGB uint8 (H, W, 3), of any size.
            prepared: a reference from this matcher's `prepare`.
            previous: the match of the session's last frame. It keeps the result steady over time.
            landmarks: landmarks of the face in `frame`; None if it shows no face; DETECT to detect them.
            begun: the result of `begin`. The work done since then is not repeated.
            window: the part of the frame that is needed, (x0, y0, x1, y1), pixels. Elsewhere the match may
                then be rough, which saves most of the time. None for the whole frame. Only the classical
                matcher makes use of it, and only with landmarks.
            thin: how far the match gives way where the machine is too slow: 0 not at all; from 1 on a window
                is matched without the finest pass of flow; from 2 on every other frame takes over the flow
                of the frame before. Only the classical matcher makes use of it.

        Returns:
            The match of `frame` with the reference.

        Raises:
            ValueError: `frame` has another dtype or shape, or `begun` is of another frame or reference.
        """
        check_image(frame, "frame")
        looking, last = None, None if previous is None else previous.glance
        if isinstance(landmarks, Landmarks) and self.cover is not None and prepared.landmarks is not None:
            looking = _pool.submit(self.cover.watch, frame, landmarks, prepared.face_crop, last)
        match = self._window(frame, prepared, previous, landmarks, begun, window, thin)
        if match is None:
            match = self._whole(frame, prepared, previous, landmarks, begun, thin)
        if looking is not None:
            hidden, glance = looking.result()
            return replace(match, hidden=hidden, glance=glance)
        if self.cover is None or match.landmarks is None or prepared.landmarks is None:
            return match
        return replace(match, hidden=self.cover(frame, match.landmarks, prepared.face_crop))

    def _whole(
        self,
        frame: Image,
        prepared: Prepared,
        previous: Match | None,
        landmarks: MaybeLandmarks,
        begun: Begun | None,
        thin: int,
    ) -> Match:
        if isinstance(self.backend, ClassicalMatcher) and isinstance(prepared, ClassicalReference):
            return self.backend.match(frame, prepared, previous, landmarks, begun, thin)
        return self.backend.match(frame, prepared, previous, landmarks, begun)

    def _window(
        self,
        frame: Image,
        prepared: Prepared,
        previous: Match | None,
        landmarks: MaybeLandmarks,
        begun: Begun | None,
        window: Box | None,
        thin: int,
    ) -> Match | None:
        """Match a window of the frame. None if the kind cannot do that, or the whole frame is needed."""
        if window is None or not isinstance(landmarks, Landmarks):
            return None
        if not isinstance(self.backend, ClassicalMatcher) or not isinstance(prepared, ClassicalReference):
            return None
        if begun is not None:
            begun.check(frame, prepared.coarse)
        return match_window(self.backend, frame, prepared, previous, landmarks, begun, window, thin)


def _backend(kind: str, device: str, weights: str | Path | None) -> Backend:
    """Load the backend of a matcher of the given kind."""
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
    """Load the compact network. If it does not load, log why and return the classical matcher."""
    try:
        return _network("compact", device, weights)
    except (WeightsError, ImportError) as error:
        logger.info("classical matcher, since the compact one does not load here: %s", error)
        return ClassicalMatcher()


def _network(kind: str, device: str, weights: str | Path | None) -> Backend:
    """Load a network matcher. The import is local because only networks need a runtime."""
    from correspondence.network.runtime import NetworkMatcher

    backend: Backend = NetworkMatcher.load(kind, device=device, weights=weights)
    return backend
