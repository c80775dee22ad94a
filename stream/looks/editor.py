"""The user's edits of a look: take a reference, add or remove keyframes, and what `LayerEditor` does."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from functools import partial

from correspondence import Image
from reference.looks.drawn import edit_of
from reference.looks.layers import PictureLayer
from stream.errors import ConflictError
from stream.looks import stack
from stream.looks.layering import LayerEditor, Target, gone
from stream.looks.look import Look, LookKeyframe, Pictures, ReferencePicture, examine


class Editor(LayerEditor):
    """Edits the looks of one wardrobe."""

    async def examine(self, image: Image, taken_s: float = 0.0) -> ReferencePicture:
        """Find landmarks and score of a picture and return it as a reference not yet taken."""
        return await self._wardrobe.run(partial(examine, image, taken_s))

    async def take(self, candidate: ReferencePicture, target: Target | None = None) -> None:
        """Make `candidate` the reference of a look.

        An edit of presets alone is drawn anew on the new reference. Any other edit stays on the picture it
        was made for.
        """
        wardrobe = self._wardrobe
        look = wardrobe.look((target or Target()).look)
        async with wardrobe.changing:
            pictures = Pictures(candidate, look.pictures.edits)
            anchor = look.pictures.anchor
            if anchor is not None and anchor.layers == stack.presets_of(anchor.layers):
                with contextlib.suppress(ConflictError):  # no face: they stay on the earlier reference
                    pictures = Pictures(candidate, (await self._dressed(candidate, anchor.layers),))
            await wardrobe.install(look, pictures, "new reference")

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
            ready = replace(candidate, prepared=prepared)
            layers = (PictureLayer(image=image), *look.head_stickers())
            edit = edit_of(candidate.image, candidate.landmarks, layers, drawn=image)
            new = LookKeyframe(edit, ready, layers)
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
                raise gone(target.keyframe)
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
            raise gone(keyframe) from exc
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
            raise gone(keyframe)
        look.focus, look.held = keyframe, edited if look.pictures.find(keyframe) is None else None
