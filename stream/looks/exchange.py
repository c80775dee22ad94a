"""Looks of a session as look files: written, and taken in on their own stills or on another person's."""

from __future__ import annotations

from functools import partial

from reference import EditError, carry, look_file, read_look_file
from reference import Look as LayeredLook
from reference.looks.drawn import edit_of
from stream.errors import ConflictError, UploadError
from stream.looks.look import Look, LookKeyframe, Pictures, ReferencePicture, examine
from stream.looks.wardrobe import Wardrobe


def exported(look: Look) -> bytes:
    """Return a look file of a look with all its keyframes that were edited by hand. This is slow.

    Raises:
        ConflictError: there is no edit, or the file would be too large.
    """
    if not look.pictures.edits:
        raise ConflictError(f"the look “{look.name}” has no edit", "make one first")
    worn = (look.mode, look.strength, look.name)
    try:
        return look_file(
            [
                LayeredLook(e.reference.image, e.reference.landmarks, e.layers, *worn)
                for e in look.pictures.edits
            ]
        )
    except EditError as exc:
        raise ConflictError(str(exc)) from exc


async def take_in(wardrobe: Wardrobe, data: bytes, *, own: bool) -> tuple[str, ...]:
    """Add a look from a look file, and wear it.

    Args:
        wardrobe: the session's looks.
        data: the file. It is not trusted.
        own: whether it is worn by the person it was made of, with its own stills. Otherwise it is carried to
            the face on the active look's reference.

    Returns:
        A sentence for people about each layer that could not be carried.

    Raises:
        UploadError: it is no look file, or it exceeds a limit.
        ConflictError: there is no reference with a face to carry it to, no room for another look, or not
            enough memory for its stills.
    """
    try:
        looks = await wardrobe.run(partial(read_look_file, data))
    except EditError as exc:
        raise UploadError(str(exc), "export it again from Livery") from exc
    wardrobe.check_pixels(sum(look.still.size // 3 for look in (looks if own else looks[:1])))
    reference, left = wardrobe.active.reference, tuple[str, ...]()
    stills: list[ReferencePicture] = []
    if own:
        stills = [await wardrobe.run(partial(examine, look.still)) for look in looks]
    elif reference is None or reference.landmarks is None:
        raise ConflictError(
            "there is no reference with a face that could wear this look",
            "take one first, or say that the look was made of the same person",
        )
    else:
        stills = [reference]
    try:
        if not own:
            onto = partial(carry, looks[0], stills[0].image, stills[0].landmarks)
            carried = await wardrobe.run(onto)
            looks, left = [carried.look], carried.left
        edits = [await wardrobe.run(partial(_keyframe, *pair)) for pair in zip(looks, stills, strict=True)]
    except EditError as exc:
        raise ConflictError(str(exc), "take another reference, facing the camera") from exc
    await _put_on(wardrobe, looks[0], Pictures(stills[0], tuple(edits)))
    return left


def _keyframe(look: LayeredLook, still: ReferencePicture) -> LookKeyframe:
    return LookKeyframe(edit_of(still.image, still.landmarks, look.layers), still, look.layers)


async def _put_on(wardrobe: Wardrobe, made: LayeredLook, pictures: Pictures) -> None:
    """Wear pictures as a look of their own. Without room for them, no look is left behind."""
    before = wardrobe.active
    look = await wardrobe.create(made.name)
    look.mode, look.strength = made.mode, made.strength
    try:
        async with wardrobe.changing:
            await wardrobe.install(look, pictures, f"import of “{made.name}”")
    except ConflictError:
        await wardrobe.discard(look.id)
        wardrobe.wear(before.id)
        raise
