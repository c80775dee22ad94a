"""`livery refine`: edits the pieces of a recording that are left, without a server."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from inpaint.fills.jobs import Check, Filler
from inpaint.weights import NO_WEIGHTS
from stream.media.probe import MediaError
from stream.offline.editing import Progress
from stream.offline.made import make_filler
from stream.pace import Pace
from stream.recording.files import count_frames, size_of
from stream.recording.folder import inside
from stream.recording.pieces import finish, forget, made_pieces
from stream.recording.render import RenderJob, Told, render

logger = logging.getLogger(__name__)


class _StoppedError(Exception):
    """The work was stopped within a piece, which stays as it was."""


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
    fill: bool = False,
    stop: Callable[[], bool] = lambda: False,
    progress: Progress = lambda phase, done, expected: None,
    say: Callable[[str], None] = lambda text: None,
) -> RefineReport:
    """Edit the pieces of a recording that are left, and join all pieces.

    A source piece without a description stays as it is, because what was worn is unknown. This happens if the
    server is killed while it writes the piece. A piece that cannot be edited stays too. The others are joined
    without it, and are kept so that they can be joined again.

    Args:
        folder: folder of one recording, as `livery serve --record` leaves it.
        weights, device: weights and device of the diffusion model. None as weights: the shipped ones.
        fill: whether the diffusion model invents unsure places; it does if there are `weights`. It takes
            seconds for each such frame. Otherwise pictures are warped and blended.
        stop: called at each frame; True ends the work. Pieces that are done stay done, so that the same call
            goes on with the others.
        progress: called after each frame.
        say: called once, as soon as it is known, with how long the work will take.

    Raises:
        MediaError: the folder holds no recording, or the film cannot be written.
        WeightsError: `weights` holds no weights.
    """
    if not folder.is_dir():
        raise MediaError(f"{folder}: no such folder")
    described = sorted(folder.glob("piece-*.json"))
    if not described and not made_pieces(folder):
        raise MediaError(f"{folder}: nothing is left to be refined here")
    filler, about = make_filler(weights if fill or weights is not None else Path(NO_WEIGHTS), device)
    report = RefineReport(notes=[about])
    pace = Pace(_frames_of(described), progress, say)

    def check() -> None:
        if stop():
            raise _StoppedError

    for path in described:
        try:
            check()
            _make(path, filler, report, check, pace)
        except _StoppedError:
            report.complete = False
            return report
    lost = sorted({p.name for p in folder.glob("piece-*.source.ts")} - set(report.failed.values()))
    if lost:
        report.notes.append(f"what was worn is not known of {', '.join(lost)}: left as they are")
    pieces = [piece for piece in made_pieces(folder) if _is_readable(piece, report)]
    report.outputs = finish(folder, pieces, keep=bool(report.failed)) if pieces else []
    return report


def _frames_of(described: Sequence[Path]) -> int:
    """Estimate how many frames the pieces hold, by the first one that can be read."""
    for path in described:
        with contextlib.suppress(MediaError):
            job = RenderJob.read(path)
            piece = inside(path.parent, job.source, "source")
            return len(described) * max(1, count_frames(piece))
    return len(described)


def _make(path: Path, filler: Filler, report: RefineReport, check: Check, told: Told) -> None:
    """Edit the piece that a description names. A piece that cannot be edited stays and is reported."""
    source = path.name.replace(".json", ".source.ts")
    try:
        job = RenderJob.read(path)
        made = render(job, filler, check, told)
        if made.frames == 0:
            raise MediaError(f"{source} holds no picture")
    except _StoppedError:
        raise
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
