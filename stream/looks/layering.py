"""The user's edits of one picture of a look: presets, paint, pictures, and changes of its layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from correspondence import Image
from reference import Edit, EditError, Mode, align_edited
from reference.looks.layers import Layer, PictureLayer
from stream.errors import ConflictError, NotFoundError, UploadError
from stream.looks import stack
from stream.looks.laying import MakeLayer
from stream.looks.look import Look, LookKeyframe, Pictures, PresetChoice, ReferencePicture
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


class LayerEditor:
    """Edits the layers of the looks of one wardrobe."""

    def __init__(self, wardrobe: Wardrobe) -> None:
        self._wardrobe = wardrobe

    async def put(self, picture: Picture, mode: Mode | None = None, target: Target | None = None) -> None:
        """Make an edited picture the whole edit of the reference or of a keyframe: its only layer.

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
            layer = await self._aligned(reference, picture)
            before, look.mode = look.mode, mode or look.mode
            try:
                await self._replace(look, reference, old, (layer,), "picture")
            except ConflictError:
                look.mode = before
                raise

    async def _aligned(
        self, reference: ReferencePicture, picture: Picture, *, sure: bool = True
    ) -> PictureLayer:
        """Bring an edited picture to its reference.

        Raises:
            UploadError: it shows something else, or hardly resembles the reference and nobody is `sure`.
        """

        def aligned() -> PictureLayer:
            alignment = align_edited(reference.image, picture.over(reference.image))
            if alignment.doubtful and not sure:
                text = "the edited picture hardly resembles its reference"
                hint = "edit a copy of the reference; or use it as it is, with sure=true"
                raise UploadError(text, hint, status=428)
            said = [text for text in (picture.remark, alignment.note) if text is not None]
            return PictureLayer(image=alignment.image, note=" ".join(said) or None)

        try:
            return await self._wardrobe.run(aligned)
        except EditError as exc:
            raise UploadError(str(exc), "edit a copy of the reference, and keep its framing") from exc

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

    async def put_made(self, image: Image, target: Target, label: str, words: str) -> None:
        """Add a picture that was edited by words. It is not aligned.

        Args:
            image: the edited picture, of the same size as the picture that `aim` returned.
            target: the target that `aim` returned.
            label: what was done, for the undo button.
            words: the words.

        Raises:
            ConflictError: there is not enough memory.
            NotFoundError: the look or keyframe was removed.
        """
        wardrobe = self._wardrobe
        async with wardrobe.changing:
            look = wardrobe.look(target.look)
            reference, old = self._aim(look, target.keyframe)
            layer = PictureLayer(image=image, words=words)
            await self._replace(look, reference, old, stack.added(self._lower(look, old), layer), label)

    async def preset(self, choice: PresetChoice, target: Target | None = None) -> None:
        """Draw a preset on top of the edit of the reference or of a keyframe, or change it if it is there.

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
            layers = stack.with_preset(self._lower(look, old), choice)
            merges = f"{choice.name} {reference.id}"
            await self._replace(look, reference, old, layers, choice.name, merges=merges)

    async def add(
        self,
        picture: Picture,
        target: Target | None = None,
        *,
        make: MakeLayer | None = None,
        sure: bool = True,
    ) -> None:
        """Add a layer on top: paint, a sticker, or an edited picture.

        Args:
            picture: the edited picture, or what `make` takes.
            target: what to edit.
            make: makes a layer of the picture, as `laying.paint_layer` does. None for an edited picture.
            sure: whether an edited picture is taken though it hardly resembles its reference.

        Raises:
            ConflictError: there is no reference, there are too many layers, or there is not enough memory.
            NotFoundError: the look or keyframe was removed.
            UploadError: the paint has another size, or the picture shows something else.
        """
        wardrobe, target = self._wardrobe, target or Target()
        look = wardrobe.look(target.look)
        async with wardrobe.changing:
            reference, old = self._aim(look, target.keyframe)
            new: Layer
            if make is not None:
                new = await self._wardrobe.run(partial(make, picture, reference))
            else:
                new = await self._aligned(reference, picture, sure=sure)
            layers = stack.added(self._lower(look, old), new)
            await self._replace(look, reference, old, layers, new.kind)

    async def renew_picture(self, number: int, picture: Picture, target: Target) -> None:
        """Replace the edited picture of a layer by a newer version of it.

        Raises:
            ConflictError: there is no edit, or not enough memory.
            NotFoundError: the look, keyframe or layer was removed.
            UploadError: the picture shows something else.
        """
        reference, _ = self._edited(self._wardrobe.look(target.look), target.keyframe)
        new = await self._aligned(reference, picture)
        await self.change_layers(
            lambda layers, _: stack.renewed(layers, number, new), "picture", target,
            merges=f"picture {number}",
        )  # fmt: skip

    async def change_layers(
        self,
        change: Callable[[tuple[Layer, ...], ReferencePicture], tuple[Layer, ...]],
        label: str,
        target: Target | None = None,
        merges: str | None = None,
    ) -> None:
        """Change the layers of the edit of the reference or of a keyframe. Without layers there is no edit.

        Args:
            change: returns the new layers, from the present ones and the picture they lie on.
            label: what was done, for the undo button.
            target: what to edit.
            merges: see `history.Change`.

        Raises:
            ConflictError: there is no reference, it has no edit, or there is not enough memory.
            NotFoundError: the look or keyframe was removed.
        """
        wardrobe, target = self._wardrobe, target or Target()
        look = wardrobe.look(target.look)
        async with wardrobe.changing:
            reference, old = self._edited(look, target.keyframe)
            layers = change(old.layers, reference)
            if layers or look.pictures.find(reference.id) is None:
                named = merges and f"{merges} {reference.id}"
                await self._replace(look, reference, old, layers, label, merges=named)
                return
            pictures = look.pictures.without(reference.id)
            focus = None if look.focus == reference.id else look.focus
            await wardrobe.install(look, pictures, label, focus=focus)

    async def patch_layer(
        self, number: int, values: Mapping[str, object], target: Target | None = None
    ) -> None:
        """Change one layer by JSON values (see `stack.LayerPatch`). Changes in quick succession are one step.

        Raises:
            ConflictError: there is no edit, or not enough memory.
            NotFoundError: the look, keyframe or layer was removed.
            RequestError: a value is not allowed.
        """
        patch = stack.LayerPatch.read(values)
        title = stack.find(self.edited(target or Target()).layers, number).title
        await self.change_layers(
            lambda layers, _: stack.changed(layers, number, patch), f"{patch.label} of {title}", target,
            merges=f"{patch.label} {number}",
        )  # fmt: skip

    def edited(self, target: Target) -> LookKeyframe:
        """Return the edit that `change_layers` would change.

        Raises:
            ConflictError: there is no reference, or it has no edit.
            NotFoundError: the look or keyframe was removed.
        """
        return self._edited(self._wardrobe.look(target.look), target.keyframe)[1]

    def _edited(self, look: Look, keyframe: int | None) -> tuple[ReferencePicture, LookKeyframe]:
        """Return the picture to edit and its edit; the earlier one's if a newer reference has none."""
        _, old = self._aim(look, keyframe)
        old = old or (look.pictures.anchor if keyframe is None else None)
        if old is None:
            raise ConflictError("there is no edit yet, so it has no layers", "choose a preset, or paint")
        return old.reference, old

    def _lower(self, look: Look, old: LookKeyframe | None) -> tuple[Layer, ...]:
        """Return the layers that a new one goes on top of: on a new reference the look's presets."""
        if old is not None:
            return old.layers
        anchor = look.pictures.anchor
        return () if anchor is None else stack.presets_of(anchor.layers)

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
            raise gone(wanted)
        return edited.reference, edited

    async def _replace(
        self,
        look: Look,
        reference: ReferencePicture,
        old: LookKeyframe | None,
        layers: tuple[Layer, ...],
        label: str,
        *,
        merges: str | None = None,
    ) -> None:
        """Give a keyframe other layers. Without an `old` edit, the new one replaces all edits of the look."""
        new = await self._dressed(reference, layers, old.was if old else None)
        pictures = look.pictures.with_edit(new) if old is not None else Pictures(reference, (new,))
        self._check_number(pictures)
        await self._wardrobe.install(look, pictures, label, focus=look.focus, merges=merges)
        self._wardrobe.show()  # whoever edits wants to see it

    def _check_number(self, pictures: Pictures) -> None:
        if len(pictures.edits) > MAX_KEYFRAMES:
            raise ConflictError(
                f"a look holds at most {MAX_KEYFRAMES} keyframes edited by hand", "remove one first"
            )

    async def _dressed(
        self,
        reference: ReferencePicture,
        layers: tuple[Layer, ...],
        was: Edit | None = None,
    ) -> LookKeyframe:
        """Draw layers on a reference.

        Raises:
            ConflictError: a preset needs a face and the reference has none.
        """
        draw = partial(stack.edit_of, reference.image, reference.landmarks, layers)
        return LookKeyframe(await self._wardrobe.run(draw), reference, layers, was)

    async def remove(self, target: Target | None = None) -> None:
        """Remove the edit of a look with all its keyframes. The reference stays."""
        wardrobe = self._wardrobe
        look = wardrobe.look((target or Target()).look)
        async with wardrobe.changing:
            if look.pictures.edits:
                await wardrobe.install(look, Pictures(look.pictures.reference), "removal of the edit")


def gone(keyframe: int | None) -> NotFoundError:
    """Return the error that a keyframe does not exist."""
    return NotFoundError(
        f"there is no keyframe {keyframe}", "it was removed, or dropped for better ones; choose another"
    )
