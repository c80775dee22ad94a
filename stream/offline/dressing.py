"""Draws presets and stickers on a frame of a clip, to make the edited picture of file mode."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from correspondence import detect_landmarks
from reference.looks.drawn import edit_of
from reference.looks.layers import Layer, PictureLayer
from stream.media.pictures import encode_png
from stream.media.probe import MediaError, probe
from stream.offline.references import find_reference, read_picture
from stream.offline.shape import aligned
from stream.offline.turned import turn


def edit_by_layers(
    source: Path,
    reference: int | Path | str,
    layers: Sequence[Layer],
    folder: Path,
    edited: Path | None = None,
    stop: Callable[[], bool] = lambda: False,
    progress: Callable[[str, int, int], None] = lambda phase, done, total: None,
) -> tuple[int | Path, Path, list[str]]:
    """Draw layers on a frame of a clip, or on an edited picture of that frame if there is one.

    Stickers that the head carries are left out, see `FileConfig.stickers`.

    Args:
        source: the clip.
        reference: number of the frame, or "auto" for the best frame or the one `edited` was made from, or a
            picture file.
        layers: presets and stickers, the lowest first.
        folder: folder in which the edited frame is written.
        edited: PNG, JPEG or WebP of that frame, already edited.
        stop: called repeatedly. True stops the search.
        progress: called with the present phase, the number of frames done and the number of all frames.

    Returns:
        The frame's number or the given picture, the file of the edited picture, and what was done to read
        and align `edited`.

    Raises:
        MediaError: there is no such frame, or it lacks the face that a layer needs.
        EditError: `edited` does not fit the frame.
        SearchStopped: `stop` returned True.
    """
    info = probe(source)
    picture = None if edited is None else read_picture(edited, info.space)
    picked = find_reference(
        info, reference, picture, stop, lambda done: progress("reference", done, info.frames)
    )
    notes: list[str] = []
    still = turn(picked.image, picked.quarters)
    below: tuple[Layer, ...] = ()
    if picture is not None:
        alignment, picture = aligned(picked.image, picture, info.space)
        below = (PictureLayer(image=turn(alignment.image, picked.quarters)),)
        notes = [said for said in (picture.remark, alignment.note) if said is not None]
    try:
        edit = edit_of(still, detect_landmarks(still), (*below, *layers))
    except ValueError as exc:
        raise MediaError(f"{source}: {picked.note.partition(':')[0]}: {exc}") from exc
    path = folder / "dressed.png"
    path.write_bytes(encode_png(turn(edit.edited, -picked.quarters)))
    return Path(str(reference)) if picked.index is None else picked.index, path, notes
