"""`livery refine`: what a recording's refined half still lacks, made without a server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from stream.media.probe import MediaError
from stream.offline.files import Progress
from stream.offline.made import make_filler
from stream.recording.pieces import finish, forget
from stream.recording.render import RenderJob, render


@dataclass(slots=True)
class RefineReport:
    """What `refine_folder` did: pieces, frames, bridged and with invented parts; the files; what to know."""

    pieces: int = 0
    frames: int = 0
    bridged: int = 0
    invented: int = 0
    complete: bool = True
    outputs: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def refine_folder(
    folder: Path,
    weights: Path | None = None,
    device: str = "cpu",
    *,
    stop: Callable[[], bool] = lambda: False,
    progress: Progress = lambda phase, done, expected: None,
) -> RefineReport:
    """Make the pieces of a recording that were left, and join all of them.

    A source piece without a description (the server was killed while it was written) has lost what was worn,
    and is left where it is.

    Args:
        folder: of one recording, as `livery serve --record` leaves it.
        weights, device: of the diffusion model; None: warp and blend.
        stop: asked before each piece.
        progress: told after each piece.

    Raises:
        MediaError: no recording in the folder, or a piece that cannot be read or written.
        WeightsError: no weights where they were asked for.
    """
    if not folder.is_dir():
        raise MediaError(f"{folder}: no such folder")
    jobs = [RenderJob.read(path) for path in sorted(folder.glob("piece-*.json"))]
    done = [p for p in folder.glob("piece-*.ts") if not p.name.endswith(".source.ts")]
    if not jobs and not done:
        raise MediaError(f"{folder}: nothing is left to be refined here")
    filler, about = make_filler(weights, device)
    report = RefineReport(notes=[about])
    for job in jobs:
        if stop():
            report.complete = False
            return report
        made = render(job, filler)
        forget(folder, job)
        report.pieces += 1
        report.frames += made.frames
        report.bridged += made.bridged
        report.invented += made.invented
        progress("edit", report.pieces, len(jobs))
    lost = sorted(p.name for p in folder.glob("piece-*.source.ts"))
    if lost:
        report.notes.append(f"what was worn is not known of {', '.join(lost)}: left as they are")
    report.outputs = finish(folder)
    return report
