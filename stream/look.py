"""What a session wears: its reference, the edit made of it, and the settings."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Literal, get_args

from correspondence import detect_landmarks
from correspondence.types import Image, Landmarks
from reference import MODES, Edit, EditError, Mode, align_edited, presets, reference_score
from stream.errors import ConflictError, RequestError, UploadError
from stream.pictures import Picture

logger = logging.getLogger(__name__)

Overlay = Literal["none", "confidence"]
NO_FACE = "no face was found in this picture: presets need one, and the edit will not follow a face"


@dataclass(frozen=True, slots=True)
class Settings:
    """How the edit is worn.

    Attributes:
        mode: how it composes, see `reference.Edit`.
        strength: share of the change that is applied, [0, 1].
        enabled: False shows the live picture.
        overlay: "confidence" draws the field's confidence over the picture.

    Raises:
        RequestError: a value outside these.
    """

    mode: Mode = "auto"
    strength: float = 1.0
    enabled: bool = True
    overlay: Overlay = "none"

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise RequestError(f"mode must be one of {', '.join(MODES)}, got {self.mode!r}")
        if isinstance(self.strength, bool) or not isinstance(self.strength, (int, float)):
            raise RequestError(f"strength must be a number in [0, 1], got {self.strength!r}")
        if not 0.0 <= self.strength <= 1.0:
            raise RequestError(f"strength must lie in [0, 1], got {self.strength}")
        if not isinstance(self.enabled, bool):
            raise RequestError(f"enabled must be true or false, got {self.enabled!r}")
        if self.overlay not in get_args(Overlay):
            raise RequestError(f"overlay must be none or confidence, got {self.overlay!r}")

    def patched(self, patch: Mapping[str, object]) -> Settings:
        """These settings with some replaced.

        Raises:
            RequestError: an unknown name or a value out of range.
        """
        unknown = sorted(set(patch) - {"mode", "strength", "enabled", "overlay"})
        if unknown:
            raise RequestError(
                f"unknown setting {', '.join(unknown)}", "known are mode, strength, enabled and overlay"
            )
        return replace(self, **patch)  # type: ignore[arg-type]  # checked by __post_init__


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """A picture to edit, with what was found in it; `score` in [0, 1], None without a face."""

    image: Image
    version: int
    landmarks: Landmarks | None
    score: float | None


@dataclass(frozen=True, slots=True)
class PresetChoice:
    """A preset as it was asked for; None means its own colour or strength."""

    name: str
    colour: str | None = None
    strength: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Edited:
    """An edited picture and the reference it was made of."""

    image: Image
    version: int
    reference: Reference
    preset: PresetChoice | None
    note: str | None


class Look:
    """Reference, edit and settings of one session; slow work runs in `executor`.

    Args:
        wear: makes the pipeline wear an edit whose reference has these landmarks.
        adjust: makes the pipeline follow the settings.
        executor: runs landmarks, alignment and presets.
    """

    def __init__(
        self,
        wear: Callable[[Edit | None, Landmarks | None], Awaitable[None]],
        adjust: Callable[[Settings], Awaitable[None]],
        executor: Executor,
    ) -> None:
        self._wear = wear
        self._adjust = adjust
        self._executor = executor
        self._changing = asyncio.Lock()
        self._versions = 0
        self.settings = Settings()
        self.reference: Reference | None = None
        self.edited: Edited | None = None

    async def examine(self, image: Image) -> Reference:
        """Landmarks and score of a picture, as a reference that is not taken yet (version 0)."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, _examine, image)

    async def take(self, candidate: Reference) -> None:
        """Make `candidate` the reference. A preset moves over to it; a painted edit stays on its own."""
        async with self._changing:
            self.reference = replace(candidate, version=self._next_version())
            preset = self.edited.preset if self.edited is not None else None
            if preset is not None:
                try:
                    image = await self._made_up(self.reference, preset)
                except ConflictError:
                    logger.debug("preset %s stays on the earlier reference", preset.name)
                else:
                    await self._put_on(image, None, preset)

    async def put(self, picture: Picture, mode: Mode | None) -> None:
        """Wear an edited picture of the reference.

        Raises:
            ConflictError: no reference yet.
            UploadError: it shows something else than the reference.
            RequestError: an unknown mode.
        """
        settings = self.settings if mode is None else self.settings.patched({"mode": mode})
        async with self._changing:
            reference = self._need_reference()

            def aligned() -> tuple[Image, str | None]:
                alignment = align_edited(reference.image, picture.over(reference.image))
                return alignment.image, alignment.note

            try:
                image, note = await asyncio.get_running_loop().run_in_executor(self._executor, aligned)
            except EditError as exc:
                raise UploadError(str(exc), "edit a copy of the downloaded reference") from exc
            if settings is not self.settings:
                self.settings = settings
                await self._adjust(settings)
            await self._put_on(image, note, None)

    async def preset(self, choice: PresetChoice) -> None:
        """Wear a preset drawn on the reference.

        Raises:
            ConflictError: no reference, or none with the face it needs.
            RequestError: an unknown preset, colour or strength.
        """
        async with self._changing:
            reference = self._need_reference()
            await self._put_on(await self._made_up(reference, choice), None, choice)

    async def remove(self) -> None:
        """Take the edit off."""
        async with self._changing:
            self.edited = None
            await self._wear(None, None)

    async def change(self, settings: Settings) -> None:
        """Apply settings; of several that wait, only the newest takes effect."""
        self.settings = settings
        async with self._changing:
            if self.settings is settings:
                await self._adjust(settings)

    def _need_reference(self) -> Reference:
        if self.reference is None:
            raise ConflictError("there is no reference yet", "take a reference first")
        return self.reference

    async def _made_up(self, reference: Reference, choice: PresetChoice) -> Image:
        if choice.name not in presets.NAMES:
            raise RequestError(f"unknown preset {choice.name!r}", f"known are {', '.join(presets.NAMES)}")

        def draw() -> Image:
            return presets.apply(
                choice.name, reference.image, reference.landmarks, choice.colour, choice.strength
            )

        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, draw)
        except EditError as exc:
            if reference.landmarks is None:
                raise ConflictError(str(exc), "take another reference, facing the camera") from exc
            raise RequestError(str(exc)) from exc

    async def _put_on(self, image: Image, note: str | None, preset: PresetChoice | None) -> None:
        reference = self._need_reference()
        await self._wear(Edit(reference.image, image), reference.landmarks)
        self.edited = Edited(image, self._next_version(), reference, preset, note)

    def _next_version(self) -> int:
        self._versions += 1
        return self._versions

    def describe(self) -> dict[str, object]:
        """The session state's `reference` and `edit`."""
        reference, edited, settings = self.reference, self.edited, self.settings
        return {
            "reference": reference
            and {
                "width": reference.image.shape[1],
                "height": reference.image.shape[0],
                "version": reference.version,
                "landmarks": reference.landmarks is not None,
                "score": reference.score,
            },
            "edit": edited
            and {
                "version": edited.version,
                "reference_version": edited.reference.version,
                "mode": settings.mode,
                "strength": settings.strength,
                "enabled": settings.enabled,
                "preset": edited.preset and edited.preset.name,
                "preset_colour": edited.preset and edited.preset.colour,
                "preset_strength": edited.preset and edited.preset.strength,
                "note": edited.note,
            },
            "settings": {
                "mode": settings.mode,
                "strength": settings.strength,
                "enabled": settings.enabled,
                "overlay": settings.overlay,
            },
        }


def _examine(image: Image) -> Reference:
    landmarks = detect_landmarks(image)
    score = round(reference_score(image, landmarks).total, 3) if landmarks is not None else None
    return Reference(image, 0, landmarks, score)
