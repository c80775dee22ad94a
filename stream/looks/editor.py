"""The user's edits of a look: take a reference, upload a picture, apply a preset, add or remove keyframes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

from correspondence import Image
from reference import Edit, EditError, Mode, align_edited, presets
from stream.errors import ConflictError, NotFoundError, RequestError, UploadError
from stream.looks.look import Look, LookKeyframe, Pictures, PresetChoice, ReferencePicture, examine
from stream.looks.wardrobe import Wardrobe
from stream.media.pictures import Picture

MAX_KEYFRAMES = 8  # most keyframes of one look that are edited by hand


@dataclass(frozen=True, slots=True)
class Target:
    """The look and keyframe that an edit is meant for.

    Attributes:
        look: id of the look. None for the active one.
        keyframe: id of the keyframe. None for the one in focus.
    """

    look: int | None = None
    keyframe: int | None = None


class Editor:
    """Edits the looks of one wardrobe."""

    def __init__(self, wardrobe: Wardrobe) -> None:
        self._wardrobe = wardrobe

    async def examine(self, image: Image, taken_s: float = 0.0) -> ReferencePicture:
        """Find landmarks and score of a picture and return it as a reference not yet taken."""
        return await self._wardrobe.run(partial(examine, image, taken_s))

    async def take(self, candidate: ReferencePicture, target: Target | None = None) -> None:
        """Make `candidate` the reference of a look.

        A preset is drawn anew on the new reference. A painted edit stays on the picture it was made for.
        """
        wardrobe = self._wardrobe
        look = wardrobe.look((target or Target()).look)
        async with wardrobe.changing:
            pictures = Pictures(candidate, look.pictures.edits)
            anchor = look.pictures.anchor
            if anchor is not None and anchor.preset is not None:
                try:
                    image = await self._made_up(candidate, anchor.preset)
                    edit = LookKeyframe(Edit(candidate.image, image), candidate, anchor.preset)
                    pictures = Pictures(candidate, (edit,))
                except ConflictError:
                    pass  # no face: the preset stays on the earlier reference, as the page says
            await wardrobe.install(look, pictures, "new reference")

    async def put(self, picture: Picture, mode: Mode | None = None, target: Target | None = None) -> None:
        """Wear an edited picture of the reference or of a keyframe.

        Args:
            picture: the edited picture.
            mode: how it is composed (see `reference.Edit`). None keeps the look's mode.
            target: what was edited.

        Raises:
            ConflictError: there is no reference yet, or not enough memory.
            NotFoundError: the look or keyframe was removed.
            UploadError: the picture shows something else.
        """
        wardrobe, target = self._wardrobe, target or Target()
        look = wardrobe.look(target.look)
        async with wardrobe.changing:
            reference, old = self._aim(look, target.keyframe)

            def aligned() -> tuple[Image, str | None]:
                alignment = align_edited(reference.image, picture.over(reference.image))
                said = [text for text in (picture.remark, alignment.note) if text is not None]
                return alignment.image, " ".join(said) or None

            try:
                image, note = await wardrobe.run(aligned)
            except EditError as exc:
                raise UploadError(str(exc), "edit a copy of the reference, and keep its framing") from exc
            before, look.mode = look.mode, mode or look.mode
            try:
                await self._replace(look, reference, old, image, "picture", note=note)
            except ConflictError:
                look.mode = before
                raise

    def aim(self, target: Target | None = None) -> tuple[Target, ReferencePicture]:
        """Resolve a target to ids and find the picture to edit. This serves edits that take longer.

        Returns:
            The target with the ids of its look and keyframe, and the picture to edit.

        Raises:
            ConflictError: there is no reference yet.
            NotFoundError: the look or keyframe was removed.
        """
        target = target or Target()
        look = self._wardrobe.look(target.look)
        reference, _ = self._aim(look, target.keyframe)
        return Target(look.id, reference.id), reference

    async def put_made(self, image: Image, target: Target, label: str) -> None:
        """Wear an edited picture that was made by this server. It is not aligned.

        Args:
            image: the edited picture, of the same size as the picture that `aim` returned.
            target: the target that `aim` returned.
            label: what was done, for the undo button.

        Raises:
            ConflictError: there is not enough memory.
            NotFoundError: the look or keyframe was removed.
        """
        wardrobe = self._wardrobe
        async with wardrobe.changing:
            look = wardrobe.look(target.look)
            reference, old = self._aim(look, target.keyframe)
            await self._replace(look, reference, old, image, label)

    async def preset(self, choice: PresetChoice, target: Target | None = None) -> None:
        """Draw a preset on the reference or on a keyframe, and wear it.

        Raises:
            ConflictError: there is no reference, it lacks the face that the preset needs, or there is not
                enough memory.
            NotFoundError: the look or keyframe was removed.
            RequestError: the preset is unknown, or its colour or strength is not allowed.
        """
        wardrobe, target = self._wardrobe, target or Target()
        look = wardrobe.look(target.look)
        async with wardrobe.changing:
            reference, old = self._aim(look, target.keyframe)
            image = await self._made_up(reference, choice)
            await self._replace(look, reference, old, image, choice.name, choice)

    def _aim(self, look: Look, keyframe: int | None) -> tuple[ReferencePicture, LookKeyframe | None]:
        """Return the picture to edit and its present edit. The edit is None if there is none."""
        wanted = look.focus if keyframe is None else keyframe
        reference = look.pictures.reference
        if wanted is None or (reference is not None and reference.id == wanted):
            if reference is None:
                raise ConflictError("there is no reference yet", "take a reference first")
            return reference, look.pictures.find(reference.id)
        edited = look.keyframe(wanted)
        if edited is None:
            raise _gone(wanted)
        return edited.reference, edited

    async def _replace(
        self,
        look: Look,
        reference: ReferencePicture,
        old: LookKeyframe | None,
        image: Image,
        label: str,
        preset: PresetChoice | None = None,
        note: str | None = None,
    ) -> None:
        """Give a keyframe another edit. Without an `old` edit, the new one replaces all edits of the look."""
        new = LookKeyframe(Edit(reference.image, image), reference, preset, note, old.was if old else None)
        pictures = look.pictures.with_edit(new) if old is not None else Pictures(reference, (new,))
        self._check_number(pictures)
        merges = f"{label} {reference.id}" if preset is not None else None
        await self._wardrobe.install(look, pictures, label, focus=look.focus, merges=merges)
        self._wardrobe.show()  # whoever edits wants to see it

    def _check_number(self, pictures: Pictures) -> None:
        if len(pictures.edits) > MAX_KEYFRAMES:
            raise ConflictError(
                f"a look holds at most {MAX_KEYFRAMES} keyframes edited by hand", "remove one first"
            )

    async def _made_up(self, reference: ReferencePicture, choice: PresetChoice) -> Image:
        if choice.name not in presets.NAMES:
            raise RequestError(f"unknown preset {choice.name!r}", f"known are {', '.join(presets.NAMES)}")
        draw = partial(
            presets.apply,
            choice.name, reference.image, reference.landmarks, choice.colour, choice.strength,
        )  # fmt: skip
        try:
            return await self._wardrobe.run(draw)
        except EditError as exc:
            if reference.landmarks is None:
                raise ConflictError(str(exc), "take another reference, facing the camera") from exc
            raise RequestError(str(exc)) from exc

    async def remove(self, target: Target | None = None) -> None:
        """Remove the edit of a look with all its keyframes. The reference stays."""
        wardrobe = self._wardrobe
        look = wardrobe.look((target or Target()).look)
        async with wardrobe.changing:
            if look.pictures.edits:
                await wardrobe.install(look, Pictures(look.pictures.reference), "removal of the edit")

    async def add_keyframe(self, candidate: ReferencePicture, target: Target | None = None) -> None:
        """Add a keyframe of another view. The look's edit is drawn on it, and the keyframe comes into focus.

        A look without an edit takes the picture as its reference instead.

        Raises:
            ConflictError: there are too many keyframes, the picture or the reference has no face, or there is
                not enough memory.
        """
        wardrobe = self._wardrobe
        look = wardrobe.look((target or Target()).look)
        anchor, outfit = look.pictures.anchor, look.outfit
        if anchor is None or outfit is None:
            await self.take(candidate, target)
            return
        if candidate.landmarks is None:
            raise ConflictError(
                "no face was found in this picture, so the edit cannot be carried to it",
                "face the camera and try again",
            )
        if anchor.reference.landmarks is None:
            raise ConflictError(
                "this look's edit follows no face, so one picture of it is all it can have",
                "take a new reference instead",
            )
        async with wardrobe.changing:
            workshop = await wardrobe.workshop()
            carry = partial(workshop.carry, outfit, candidate.image, candidate.landmarks)
            prepared, image = await wardrobe.run(carry)
            new = LookKeyframe(Edit(candidate.image, image), replace(candidate, prepared=prepared))
            pictures = look.pictures.with_edit(new)
            self._check_number(pictures)
            await wardrobe.install(look, pictures, "new keyframe", focus=candidate.id)

    async def remove_keyframe(self, target: Target) -> None:
        """Remove a keyframe. A keyframe that Livery made and the user edited gets back its earlier edit.

        Raises:
            NotFoundError: the look or keyframe was removed.
            ConflictError: it is the only keyframe edited by hand.
        """
        wardrobe = self._wardrobe
        look = wardrobe.look(target.look)
        async with wardrobe.changing:
            _, old = self._aim(look, target.keyframe)
            if old is None:
                raise _gone(target.keyframe)
            keyframe = old.reference.id
            focus = None if look.focus == keyframe else look.focus
            if look.pictures.find(keyframe) is None:
                await self._drop_made(look, keyframe)
                look.focus = focus
                return
            pictures = look.pictures.without(keyframe)
            if not pictures.edits:
                raise ConflictError(
                    "the only keyframe edited by hand stays", "remove the look's edit instead"
                )
            await wardrobe.install(look, pictures, "removal of a keyframe", focus=focus)

    async def _drop_made(self, look: Look, keyframe: int) -> None:
        try:
            if look.outfit is not None:
                await self._wardrobe.run(partial(look.outfit.remove, keyframe))
        except ValueError as exc:
            raise _gone(keyframe) from exc
        look.held = None

    def focus(self, target: Target) -> None:
        """Choose the keyframe to edit from now on. A target without a keyframe means the reference.

        Raises:
            NotFoundError: the look or keyframe was removed.
        """
        look = self._wardrobe.look(target.look)
        keyframe, reference = target.keyframe, look.pictures.reference
        if keyframe is None or (reference is not None and reference.id == keyframe):
            look.focus = look.held = None
            return
        edited = look.keyframe(keyframe)
        if edited is None:
            raise _gone(keyframe)
        look.focus, look.held = keyframe, edited if look.pictures.find(keyframe) is None else None


def _gone(keyframe: int | None) -> NotFoundError:
    return NotFoundError(
        f"there is no keyframe {keyframe}", "it was removed, or dropped for better ones; choose another"
    )
