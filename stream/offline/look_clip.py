"""Puts a look file on a frame of a clip, to make the edited picture of file mode."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from correspondence import detect_landmarks
from reference import EditError, Look, carry, read_look_file
from reference.looks.layers import MOST_LAYERS, Layer
from stream.media.pictures import encode_png
from stream.media.probe import MediaError, probe
from stream.media.untrusted import check_exists
from stream.offline.references import find_reference
from stream.offline.turned import turn


def read_look(path: Path, added: Sequence[Layer] = ()) -> Look:
    """Read a look file and add layers on top.

    Raises:
        MediaError: the file cannot be read, or there would be too many layers.
    """
    check_exists(path)
    try:
        look = read_look_file(path)[0]
    except OSError as exc:
        raise MediaError(f"{path}: cannot be read ({exc.strerror}); name a look file you may read") from exc
    except EditError as exc:
        raise MediaError(f"{path}: {exc}; export it again from Livery") from exc
    if len(look.layers) + len(added) > MOST_LAYERS:
        raise MediaError(
            f"{path}: with what is added it has {len(look.layers) + len(added)} layers; at most "
            f"{MOST_LAYERS} are taken: add fewer"
        )
    return replace(look, layers=(*look.layers, *added))


def edit_by_look(
    source: Path,
    reference: int | Path | str,
    look: Look,
    folder: Path,
    stop: Callable[[], bool] = lambda: False,
    progress: Callable[[str, int, int], None] = lambda phase, done, total: None,
) -> tuple[int | Path, Path, list[str]]:
    """Carry a look to the face on a frame of a clip.

    Args:
        source: the clip.
        reference: number of the frame, or "auto" for the best frame, or a picture file.
        look: the look.
        folder: folder in which the edited frame is written.
        stop: called repeatedly. True stops the search.
        progress: called with the present phase, the number of frames done and the number of all frames.

    Returns:
        The frame's number or the given picture, the file of the edited picture without stickers that the
        head carries, and what was left out.

    Raises:
        MediaError: there is no such frame, or it or the look's own still shows no face.
        SearchStopped: `stop` returned True.
    """
    info = probe(source)
    picked = find_reference(
        info, reference, None, stop, lambda done: progress("reference", done, info.frames)
    )
    upright = turn(picked.image, picked.quarters)
    try:
        carried = carry(look, upright, detect_landmarks(upright))
        made = turn(carried.look.edit().edited, -picked.quarters)
    except EditError as exc:
        raise MediaError(f"{source}: {picked.note.partition(':')[0]}: {exc}") from exc
    path = folder / "worn.png"
    path.write_bytes(encode_png(made))
    notes = list(carried.left)
    if notes:
        notes.append("If the clip shows the person of the look, --own-look keeps what was left out.")
    return Path(str(reference)) if picked.index is None else picked.index, path, notes


def own_pictures(look: Look, folder: Path) -> tuple[Path, Path]:
    """Write a look's still and its edited picture, to be worn by the same person with all that is on them.

    Returns:
        The files of the still and of the edited picture, without stickers that the head carries.

    Raises:
        MediaError: a preset needs a face and the still has none.
    """
    try:
        pictures = {"still.png": look.still, "worn.png": look.edit().edited}
    except EditError as exc:
        raise MediaError(f"the look: {exc}") from exc
    for name, image in pictures.items():
        (folder / name).write_bytes(encode_png(image))
    return folder / "still.png", folder / "worn.png"
