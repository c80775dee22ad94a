"""Draws presets on a frame of a clip, to make the edited picture of file mode."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from correspondence import detect_landmarks
from reference import align_edited
from stream.looks.choice import draw_presets
from stream.looks.look import PresetChoice
from stream.media.pictures import encode_png
from stream.media.probe import MediaError, probe
from stream.offline.references import find_reference, over, read_picture
from stream.offline.turned import turn


def edit_by_presets(
    source: Path,
    reference: int | Path | str,
    presets: Sequence[PresetChoice],
    folder: Path,
    edited: Path | None = None,
    stop: Callable[[], bool] = lambda: False,
    progress: Callable[[str, int, int], None] = lambda phase, done, total: None,
) -> tuple[int | Path, Path, list[str]]:
    """Draw presets on a frame of a clip, or on an edited picture of that frame if there is one.

    Args:
        source: the clip.
        reference: number of the frame, or "auto" for the best frame or the one `edited` was made from, or a
            picture file.
        presets: the presets to draw, in order.
        folder: folder in which the edited frame is written.
        edited: PNG, JPEG or WebP of that frame, already edited.
        stop: called repeatedly. True stops the search.
        progress: called with the present phase, the number of frames done and the number of all frames.

    Returns:
        The frame's number or the given picture, the file of the edited picture, and what was done to read
        and align `edited`.

    Raises:
        MediaError: there is no such frame, or it lacks the face that a preset needs.
        EditError: `edited` does not fit the frame.
        SearchStopped: `stop` returned True.
    """
    info = probe(source)
    picture = None if edited is None else read_picture(edited)
    picked = find_reference(
        info, reference, picture, stop, lambda done: progress("reference", done, info.frames)
    )
    image = picked.image
    notes: list[str] = []
    if picture is not None:
        alignment = align_edited(image, over(picture, image))
        image = alignment.image
        notes = [said for said in (picture.remark, alignment.note) if said is not None]
    landmarks = detect_landmarks(turn(picked.image, picked.quarters))
    try:
        made = turn(draw_presets(turn(image, picked.quarters), landmarks, presets), -picked.quarters)
    except ValueError as exc:
        raise MediaError(f"{source}: {picked.note.partition(':')[0]}: {exc}") from exc
    path = folder / "dressed.png"
    path.write_bytes(encode_png(made))
    return Path(str(reference)) if picked.index is None else picked.index, path, notes
