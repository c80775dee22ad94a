"""Takes the reference of `livery camera` and makes its look, beside the frames' path."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from correspondence.types import Image
from reference import (
    MODES,
    EditError,
    Look,
    Mode,
    Outfit,
    UserKeyframe,
    align_edited,
    carry,
    presets,
)
from reference.looks.drawn import edit_of
from reference.looks.layers import Layer, PictureLayer, PresetLayer, StickerLayer
from stream.camera.clocks import Clock
from stream.live.pipeline import LiveFrame, Pipeline
from stream.looks.look import ReferencePicture, examine
from stream.media.pictures import encode_png
from stream.media.untrusted import MediaError
from stream.offline.references import read_picture

logger = logging.getLogger(__name__)

GOOD_SCORE = 0.8  # a frame this good ends the search
SEARCH_S = 5.0  # longest search after the first face
STEP_S = 0.1  # interval between two frames that are examined
POLL_S = 0.5  # interval between two checks of the edited picture's file


@dataclass(frozen=True, slots=True, kw_only=True)
class LookConfig:
    """The look.

    Attributes:
        drawn: presets and stickers, in order, over the look file or the edited picture if there is one.
        worn: the look of a look file. It is carried to the face on the reference.
        own: whether that look was made of the person before the camera. It is then worn with its own still
            as reference, hair and backdrop included.
        edited: file of the edited still. It may appear later, and is worn anew whenever it is saved.
        reference: file of the still that was edited. None takes a still from the camera.
        still: file in which that still is saved, so that it can be edited. None saves it nowhere.
        mode: see `reference.Edit`. "auto" takes that of the look file.
        strength: see `reference.Edit`. It multiplies that of the look file.
    """

    drawn: tuple[Layer, ...] = ()
    worn: Look | None = None
    own: bool = False
    edited: Path | None = None
    reference: Path | None = None
    still: Path | None = None
    mode: Mode = "auto"
    strength: float = 1.0

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(MODES)}, got {self.mode!r}")
        if not 0.0 <= self.strength <= 1.0:
            raise ValueError(f"strength must lie in [0, 1], got {self.strength:g}")
        if self.worn is None and self.own:
            raise ValueError("--own-look goes with --look, which is missing: name the look file")
        if self.worn is not None and self.edited is not None:
            raise ValueError("--look cannot go with --edited: each says what is worn")
        if self.own and not (self.reference is None and self.still is None):
            raise ValueError("--own-look brings the look's own still, so leave out --reference and --still")
        if self.edited is not None and self.reference is None and self.still is None:
            raise ValueError(
                "an edited picture needs --reference, the still it was made from; or --still FILE, which "
                "saves one from the camera: edit a copy of it and save that as the edited picture"
            )
        if self.edited is not None and self.edited in (self.reference, self.still):
            raise ValueError(f"{self.edited}: the edited picture needs another name than the still")
        if self.edited is not None and self.still is None and not self.edited.exists():
            raise MediaError(f"{self.edited}: no such file")

    @property
    def base(self) -> str | None:
        """What lies below the layers, in words. None if nothing does."""
        if self.worn is not None:
            return f"the look “{self.worn.name}”"
        return None if self.edited is None else "the edited picture"


@dataclass(slots=True)
class _Search:
    """The search for a reference: the best frame since a face was first seen."""

    best: ReferencePicture | None = None
    until_s: float = math.inf
    asked: bool = False  # whether a key asked for the next frame, whatever it shows


@dataclass(slots=True)
class _Parts:
    """Which parts of the look are on: the look file or edited picture, and each layer."""

    base: bool = True
    drawn: list[bool] = field(default_factory=list)


class Fitting:
    """Takes a reference, draws the look on it and makes the pipeline wear it, in a thread.

    Args:
        pipeline: gives frames, makes outfits and wears them.
        look: the look.
        say: called on the thread with a line for the user.
        clock: returns the time, seconds.

    Raises:
        MediaError: the reference or the edited picture cannot be read.
        EditError: the edited picture cannot be found on the reference, or a preset or a look file needs a
            face and the reference has none.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        look: LookConfig,
        say: Callable[[str], None],
        clock: Clock = time.monotonic,
    ) -> None:
        self._pipeline = pipeline
        self._look = look
        self._say = say
        self._clock = clock
        self._parts = _Parts(drawn=[True] * len(look.drawn))
        self._enabled = True
        self._search: _Search | None = None
        self._seen: LiveFrame | None = None
        self._edited_at = 0  # modification time of the edited picture's file, ns
        self._lock = threading.Lock()  # guards _parts, _enabled, _search and _stale
        self._stale = False
        self._wake = threading.Event()
        self._stop = False
        self._worn: Outfit | None = None
        self._carried: tuple[ReferencePicture, Look] | None = None  # the look file on its latest reference
        self.reference: ReferencePicture | None = None
        if look.own and look.worn is not None:
            self.reference = examine(look.worn.still)
            self._carried = self.reference, look.worn
        elif look.reference is not None:
            self.reference = examine(read_picture(look.reference).image)
        if self.reference is not None:
            self._wear()
        else:
            self._search = _Search()
        self._thread = threading.Thread(target=self._run, name="fitting", daemon=True)

    def start(self) -> None:
        """Begin to look for a reference."""
        self._thread.start()

    def close(self) -> None:
        """End the thread and wait for it."""
        self._stop = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    def retake(self) -> None:
        """Take the next frame as reference, whatever it shows. This may be called on any thread.

        A look that brings its own still keeps it.
        """
        if self._look.own:
            self._say("the look brings its own still as reference; none is taken")
            return
        with self._lock:
            self._search = _Search(asked=True)
        self._wake.set()

    def toggle(self, number: int) -> str | None:
        """Turn a part of the look on or off.

        Args:
            number: 1 is the first part: the look file or edited picture if there is one, then the layers.

        Returns:
            What was done, in words. None if there is no such part.
        """
        base = self._look.base
        shift = int(base is not None)
        with self._lock:
            if number == 1 and base is not None:
                on = self._parts.base = not self._parts.base
                name = base
            elif 0 <= (index := number - 1 - shift) < len(self._parts.drawn):
                on = self._parts.drawn[index] = not self._parts.drawn[index]
                name = _named(self._look.drawn[index])
            else:
                return None
            self._stale = True
        self._wake.set()
        return f"{name} {'on' if on else 'off'}"

    def live(self) -> str:
        """Show the live picture, or the look again. Returns in words which of them is shown."""
        with self._lock:
            self._enabled = not self._enabled
            self._stale = True
        self._wake.set()
        return "the look" if self._enabled else "the live picture"

    @property
    def countdown_s(self) -> float | None:
        """Seconds until a reference is taken at the latest.

        None without a search, inf before the first face.
        """
        search = self._search
        return None if search is None else max(search.until_s - self._clock(), 0.0)

    def _run(self) -> None:
        while not self._stop:
            try:
                self._turn()
            except (EditError, MediaError, ValueError) as exc:
                self._say(f"not worn: {' '.join(str(exc).split())}")
            except Exception:  # every error is caught here, so that the picture goes on
                logger.exception("the look could not be made")
                self._say("the look could not be made (--log-level info shows why); the picture goes on")
                time.sleep(STEP_S)
            self._wake.wait(STEP_S if self._search is not None else POLL_S)
            self._wake.clear()

    def _turn(self) -> None:
        """Do what is due: search for a reference, or make the look anew."""
        search = self._search
        if search is not None and (taken := self._look_at(search)) is not None:
            self._take(taken, search)
        with self._lock:
            stale, self._stale = self._stale, False
        if self.reference is not None and (stale or self._edited_anew()):
            self._wear()

    def _look_at(self, search: _Search) -> ReferencePicture | None:
        """Examine the newest frame. Returns the picture to take, or None to go on."""
        frame = self._pipeline.latest
        if frame is not None and frame is not self._seen:
            self._seen = frame
            found = examine(frame.image, frame.captured_s)
            if search.asked:
                return found
            if found.score is not None:
                if search.best is None or search.best.score is None:
                    search.until_s = self._clock() + SEARCH_S
                if search.best is None or (search.best.score or 0.0) < found.score:
                    search.best = found
        best = search.best
        done = best is not None and ((best.score or 0.0) >= GOOD_SCORE or self._clock() >= search.until_s)
        return best if done else None

    def _take(self, taken: ReferencePicture, search: _Search) -> None:
        with self._lock:
            if self._search is search:
                self._search = None
        if taken.landmarks is None and _needs_face(self._look):
            self._say("no reference taken: no face was found; face the camera and try again")
            return
        self.reference = taken
        score = "no face in it" if taken.score is None else f"score {taken.score:.2f} of 1"
        self._say(f"reference taken ({score})")
        if self._look.still is not None:
            self._look.still.write_bytes(encode_png(taken.image))
            self._say(f"saved as {self._look.still}")
        self._wear()

    def _edited_anew(self) -> bool:
        path = self._look.edited
        if path is None or not path.exists():
            return False
        return path.stat().st_mtime_ns != self._edited_at

    def _wear(self) -> None:
        reference = self.reference
        assert reference is not None
        look = self._look
        with self._lock:
            parts = _Parts(self._parts.base, list(self._parts.drawn))
            enabled = self._enabled
        mode, strength = look.mode, look.strength
        layers: tuple[Layer, ...] = ()
        if look.worn is not None:
            mode = look.worn.mode if mode == "auto" else mode
            strength *= look.worn.strength
            layers = self._on(reference, look.worn).layers if parts.base else ()
        elif parts.base and (edited := self._edited(reference.image)) is not None:
            layers = (PictureLayer(image=edited),)
        layers += tuple(layer for layer, on in zip(look.drawn, parts.drawn, strict=True) if on)
        edit = edit_of(reference.image, reference.landmarks, layers, mode)
        own = UserKeyframe(edit=edit, landmarks=reference.landmarks, made_s=reference.taken_s)
        outfit = self._pipeline.workshop.outfit([own], mode, None)
        self._pipeline.wear(outfit, enabled=enabled, strength=strength)
        before, self._worn = self._worn, outfit
        if before is not None:
            before.retire(outfit)

    def _on(self, reference: ReferencePicture, worn: Look) -> Look:
        """Carry the look file to a reference, and tell what was left out. It is done once a reference."""
        if self._carried is None or self._carried[0] is not reference:
            carried = carry(worn, reference.image, reference.landmarks)
            for said in carried.left:
                self._say(said)
            self._carried = reference, carried.look
        return self._carried[1]

    def _edited(self, reference: Image) -> Image | None:
        """Return the edited picture on the reference. None if there is none yet."""
        path = self._look.edited
        if path is None or not path.exists():
            return None
        self._edited_at = path.stat().st_mtime_ns
        picture = read_picture(path)
        alignment = align_edited(reference, picture.over(reference))
        for said in (picture.remark, alignment.note):
            if said is not None:
                self._say(said)
        return alignment.image


def _needs_face(look: LookConfig) -> bool:
    """Whether a look can be put on a face only."""
    named = {each["name"] for each in presets.describe() if each["needs_face"]}
    bound = (isinstance(each, StickerLayer) or _named(each) in named for each in look.drawn)
    return look.worn is not None or any(bound)


def _named(layer: Layer) -> str:
    """Name a layer as the command line does: a preset by its name, a sticker by its place."""
    return layer.name if isinstance(layer, PresetLayer) else layer.title


def parts_in_words(look: LookConfig) -> Sequence[str]:
    """Name the parts of a look, in the order of their keys from 1."""
    base = [] if look.base is None else [look.base]
    return [*base, *map(_named, look.drawn)]
