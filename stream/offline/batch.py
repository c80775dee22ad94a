"""Edits many clips, one after the other, into one folder.

A failure of one clip does not stop the others. Outputs that exist already are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stream.media.probe import MediaError
from stream.offline.references import SearchStopped
from stream.offline.report import EditReport

CLIPS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".wmv", ".flv")
WRITABLE = (".mp4", ".m4v", ".mov", ".mkv", ".webm")  # other clips become .mp4

EditClip = Callable[
    [Path, Path, Callable[[float], None]], EditReport
]  # source, output, callback with the share done


@dataclass(slots=True)
class BatchReport:
    """Result of a batch.

    Attributes:
        done: outputs that were written.
        there: outputs that existed already.
        failed: sources that failed, each with the reason.
        complete: False if the batch was stopped.
    """

    done: list[Path] = field(default_factory=list)
    there: list[Path] = field(default_factory=list)
    failed: list[tuple[Path, str]] = field(default_factory=list)
    complete: bool = True

    def summary(self, total: int) -> list[str]:
        """Summarise the batch in lines for the user."""
        words = [f"{len(self.done)} of {total} clips done"]
        if self.there:
            words.append(f"{len(self.there)} there already")
        if self.failed:
            words.append(f"{len(self.failed)} failed")
        return [", ".join(words), *(f"  {source}: {why}" for source, why in self.failed)]


def clips_of(inputs: Sequence[Path]) -> list[Path]:
    """List the clips of inputs: files as they are, and all clips of a folder, sorted by name.

    Raises:
        MediaError: a folder has no clips.
    """
    found: list[Path] = []
    for path in inputs:
        if not path.is_dir():
            found.append(path)
            continue
        inside = sorted(p for p in path.iterdir() if p.suffix.lower() in CLIPS and p.is_file())
        if not inside:
            raise MediaError(f"{path}: there are no clips in this folder ({', '.join(CLIPS)})")
        found += inside
    return found


def outputs_of(sources: Sequence[Path], folder: Path) -> list[Path]:
    """Choose the name of each clip's output in `folder`.

    Raises:
        MediaError: two clips would get the same name, or an output would overwrite its own input.
    """
    outputs: dict[Path, Path] = {}
    for source in sources:
        suffix = source.suffix.lower() if source.suffix.lower() in WRITABLE else ".mp4"
        output = folder / f"{source.stem}{suffix}"
        if output in outputs:
            raise MediaError(f"{outputs[output]} and {source} would both become {output}; rename one of them")
        if output.exists() and source.exists() and output.samefile(source):
            raise MediaError(f"{output}: is also an input; choose another folder for the results")
        outputs[output] = source
    return list(outputs)


def edit_clips(
    sources: Sequence[Path],
    outputs: Sequence[Path],
    edit: EditClip,
    *,
    overwrite: bool = False,
    stop: Callable[[], bool] = lambda: False,
    progress: Callable[[float, str], None] = lambda done, name: None,
) -> BatchReport:
    """Edit clips one after the other.

    Args:
        sources: the clips.
        outputs: the output of each clip (see `outputs_of`). An output that exists is kept.
        edit: edits one clip.
        overwrite: whether to replace outputs that exist.
        stop: called between clips. The clip being edited ends early by itself, and its output is removed.
        progress: called with the number of clips done, including the share of the present one, and with the
            name of the present clip.
    """
    report = BatchReport()
    for number, (source, output) in enumerate(zip(sources, outputs, strict=True)):
        if stop():
            report.complete = False
            break
        progress(number, source.name)
        if output.exists() and not overwrite:
            report.there.append(output)
            continue
        try:
            made = edit(source, output, lambda share: progress(number + share, source.name))  # noqa: B023
        except SearchStopped:
            report.complete = False
            break
        except Exception as exc:
            # Whatever is wrong with one clip, the others are edited.
            report.failed.append((source, _reason(source, exc)))
            continue
        if not made.complete:
            output.unlink(missing_ok=True)
            report.complete = False
            break
        report.done.append(output)
    else:
        progress(len(sources), "")
    return report


def _reason(source: Path, exc: Exception) -> str:
    text = " ".join(str(exc).split()) or type(exc).__name__
    known = isinstance(exc, (MediaError, OSError, ValueError))
    return text.removeprefix(f"{source}: ") if known else f"{type(exc).__name__}: {text}"
