"""`livery refine`: edits the pieces of a recording that are left, without a server."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from inpaint.fills.jobs import Filler
from stream.media.probe import MediaError
from stream.offline.editing import Progress
from stream.offline.made import make_filler
from stream.recording.files import size_of
from stream.recording.folder import inside
from stream.recording.pieces import finish, forget, made_pieces
from stream.recording.render import RenderJob, render

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class RefineReport:
    """Result of `refine_folder`.

    Attributes:
        pieces, frames: numbers of pieces and frames that were made.
        bridged, invented: frames among them that were interpolated, and that have invented parts.
        complete: False if it was stopped.
        outputs: files that were written.
        notes: sentences for the user.
        failed: files that could not be used, and for each the name of the source that it concerns.
    """

    pieces: int = 0
    frames: int = 0
    bridged: int = 0
    invented: int = 0
    complete: bool = True
    outputs: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


def refine_folder(
    folder: Path,
    weights: Path | None = None,
    device: str = "cpu",
    *,
    stop: Callable[[], bool] = lambda: False,
    progress: Progress = lambda phase, done, expected: None,
) -> RefineReport:
    """Edit the pieces of a recording that are left, and join all pieces.

    A source piece without a description stays as it is, because what was worn is unknown. This happens if the
    server is killed while it writes the piece. A piece that cannot be edited stays too. The others are joined
    without it, and are kept so that they can be joined again.

    Args:
        folder: folder of one recording, as `livery serve --record` leaves it.
        weights, device: weights and device of the diffusion model. None as weights: pictures are warped and
            blended.
        stop: called before each piece; True ends the work.
        progress: called after each piece.

    Raises:
        MediaError: the folder holds no recording, or the film cannot be written.
        WeightsError: `weights` holds no weights.
    """
    if not folder.is_dir():
        raise MediaError(f"{folder}: no such folder")
    described = sorted(folder.glob("piece-*.json"))
    if not described and not made_pieces(folder):
        raise MediaError(f"{folder}: nothing is left to be refined here")
    filler, about = make_filler(weights, device)
    report = RefineReport(notes=[about])
    for number, path in enumerate(described, 1):
        if stop():
            report.complete = False
            return report
        _make(path, filler, report)
        progress("edit", number, len(described))
    lost = sorted({p.name for p in folder.glob("piece-*.source.ts")} - set(report.failed.values()))
    if lost:
        report.notes.append(f"what was worn is not known of {', '.join(lost)}: left as they are")
    pieces = [piece for piece in made_pieces(folder) if _is_readable(piece, report)]
    report.outputs = finish(folder, pieces, keep=bool(report.failed)) if pieces else []
    return report


def _make(path: Path, filler: Filler, report: RefineReport) -> None:
    """Edit the piece that a description names. A piece that cannot be edited stays and is reported."""
    source = path.name.replace(".json", ".source.ts")
    try:
        job = RenderJob.read(path)
        made = render(job, filler)
        if made.frames == 0:
            raise MediaError(f"{source} holds no picture")
    except Exception as exc:
        # A border: a folder may hold anything, and one bad piece must not stop the others.
        logger.debug("%s", path, exc_info=exc)
        text = str(exc) if isinstance(exc, MediaError) else f"{type(exc).__name__}: {exc}"
        report.failed[path.name] = source
        report.notes.append(f"{path.name}: left as it is, it cannot be made: {text}")
        return
    forget(path.parent, job)
    report.pieces += 1
    report.frames += made.frames
    report.bridged += made.bridged
    report.invented += made.invented


def _is_readable(piece: Path, report: RefineReport) -> bool:
    """Whether a piece can be joined. A piece that cannot is reported."""
    try:
        size_of(inside(piece.parent, piece.name, "a piece"))
    except MediaError as exc:
        report.failed[piece.name] = piece.name
        report.notes.append(f"left out of the film: {exc}")
        return False
    return True
