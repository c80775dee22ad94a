"""Reports of file mode, for people and for programs."""

from __future__ import annotations

import json
import platform
from collections import Counter
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from stream.media.probe import VideoInfo

PACKAGES = ("livery", "av", "mediapipe", "numpy", "opencv-contrib-python", "onnxruntime", "torch")
PERCENTILES = (50, 95, 99)
SHORTFALL = 0.02  # share of the announced frames that may be missing without a note; announcements are rough


class Reading(Protocol):
    """What a `VideoReader` tells of its file."""

    damaged: int
    concealed: int
    retimed: int
    resized: tuple[int, tuple[int, int]] | None
    info: VideoInfo


@dataclass(frozen=True, slots=True)
class FrameReport:
    """One frame of the output.

    Attributes:
        index: number of the frame, counted from 0.
        time_s: its time stamp, seconds.
        coverage: share of the edited area that is trusted, [0, 1].
        confidence: mean over the box of the edit, [0, 1]. None if nothing was edited or it was not asked for.
        reason: why the frame passed through unedited. None if it was edited.
    """

    index: int
    time_s: float
    coverage: float
    confidence: float | None
    reason: str | None


@dataclass(slots=True, kw_only=True)
class EditReport:
    """Report of one run of `edit_file`.

    Attributes:
        source: the input file.
        output: the output file. None if none was asked for.
        size: (H, W) of the input as shown, pixels.
        frames: number of frames written.
        frames_held: number of frames in the input, by its packets.
        frames_expected: number of frames that the input declares or that follows from its duration. 0 if
            unknown.
        complete: whether the input was read to its end.
        reference: the frame's number, or the picture's path.
        reference_note: why this reference was chosen.
        alignment: what was done to fit the edited picture to the reference. None if nothing was done.
        placement: where the edited picture lies on the reference.
        mask_share: share of the reference that counts as edited, [0, 1].
        other_frame: number of a frame that the edited picture rather shows than the one that was named. None
            if there is none.
        end: `reference`, `reference_note` and `alignment` of the end, for a clip with two edits, else None.
        mode, strength: the settings of the edit.
        matcher: kind of the matcher.
        elapsed_s: duration of the editing pass, seconds.
        timings_ms: percentiles of each stage over the frames, milliseconds.
        notes: what a user should know.
        per_frame: one report for each frame, in order.
    """

    source: Path
    output: Path | None
    size: tuple[int, int]
    frames: int = 0
    frames_held: int = 0
    frames_expected: int = 0
    complete: bool = True
    reference: int | str = 0
    reference_note: str = ""
    alignment: str | None = None
    placement: str = ""
    mask_share: float = 0.0
    other_frame: int | None = None
    end: tuple[int, str, str | None] | None = None
    mode: str = "auto"
    strength: float = 1.0
    matcher: str = "auto"
    elapsed_s: float = 0.0
    timings_ms: dict[str, dict[str, float]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    per_frame: list[FrameReport] = field(default_factory=list)

    def note_shortfall(self) -> None:
        """Add a note if the input announces frames that it does not hold."""
        missing = self.frames_expected - self.frames
        if self.complete and missing > max(2, SHORTFALL * self.frames_expected):
            self.notes.append(
                f"{self.frames} of the {self.frames_expected} frames the input announces could be read: it "
                "is cut short, damaged or trimmed. If a part is missing, copy or export it again"
            )

    @property
    def edited(self) -> int:
        """Number of frames that were edited."""
        return sum(frame.reason is None for frame in self.per_frame)

    def summary(self) -> list[str]:
        """Summarise the run in a few lines."""
        rate = self.frames / self.elapsed_s if self.elapsed_s else 0.0
        lines = [
            f"{self.output}: {_counted(self.frames, 'frame', 'frames')}, {self.edited} edited, "
            f"{self.elapsed_s:.1f} s ({rate:.1f} frames a second)",
            f"reference: {self.reference_note}",
        ]
        if self.alignment is not None:
            lines.append(self.alignment)
        if self.end is not None:
            lines += [f"end's reference: {self.end[1]}", *([self.end[2]] if self.end[2] else [])]
        reasons = Counter(frame.reason for frame in self.per_frame if frame.reason is not None)
        lines += [
            f"{_counted(count, 'frame', 'frames')} passed through unedited: {why}"
            for why, count in reasons.most_common()
        ]
        return [*lines, *self.notes]

    def doubts(self) -> list[str]:
        """Say what was done to bring the edited pictures to their references, or seems wrong with them."""
        said = (self.alignment, None if self.end is None else self.end[2], self._misnamed())
        return [each for each in said if each is not None]

    def _misnamed(self) -> str | None:
        if self.other_frame is None:
            return None
        return (
            f"The edited picture is nearer to frame {self.other_frame} than to frame {self.reference}: "
            f"{100 * self.mask_share:.0f} % of it count as edited. If it was made from that frame, name that "
            "one, or leave --reference out."
        )

    def estimate(self) -> str:
        """Say how long the whole clip would take at the pace of this pass."""
        whole_s = self.elapsed_s * self.frames_held / max(1, self.frames)
        said = f"{whole_s:.0f} s" if whole_s < 100 else f"{whole_s / 60:.0f} minutes"
        return f"a preview: all {_counted(self.frames_held, 'frame', 'frames')} would take about {said}"

    def forecast(self) -> list[str]:
        """Say in a few lines what would be done."""
        lines = [
            f"{self.source}: {_counted(self.frames_held, 'frame', 'frames')}, {self.size[1]}x{self.size[0]}",
            f"reference: {self.reference_note}",
            f"placement: {self.placement}, on the reference"
            + (f" ({self.alignment})" if self.alignment else ""),
            f"edited: {100 * self.mask_share:.2f} % of the reference",
        ]
        if self.end is not None:
            lines += [f"end's reference: {self.end[1]}", *([self.end[2]] if self.end[2] else [])]
        misnamed = self._misnamed()
        lines += [] if misnamed is None else [misnamed]
        return [*lines, *self.notes, "nothing was written (--dry-run)"]

    def to_dict(self) -> dict[str, Any]:
        """Convert the report to JSON values, with the versions of the packages that made it."""
        fields = asdict(self) | {
            "source": str(self.source),
            "output": None if self.output is None else str(self.output),
            "edited": self.edited,
        }
        return {"versions": versions(), **fields}

    def write(self, path: Path) -> None:
        """Write `to_dict` as JSON.

        Raises:
            OSError: the file cannot be written.
        """
        path.write_text(json.dumps(self.to_dict(), indent=1) + "\n", encoding="utf-8")


def _counted(number: int, one: str, more: str) -> str:
    return f"{number} {one if number == 1 else more}"


def percentiles_ms(seconds: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """Compute the percentiles in milliseconds of each list of seconds."""
    return {
        name: {f"p{q}": round(float(np.percentile(values, q)) * 1e3, 3) for q in PERCENTILES}
        for name, values in seconds.items()
        if values
    }


def versions() -> dict[str, str]:
    """Versions of Python and of the installed packages that affect the result."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # an optional one
            continue
    return found


def damage_notes(reader: Reading) -> list[str]:
    """Describe the damage of an input."""
    notes = []
    if reader.damaged:
        packets = _counted(
            reader.damaged, "damaged piece of the input was", "damaged pieces of the input were"
        )
        notes.append(f"{packets} left out, so frames may be missing there: use a whole copy if you have one")
    if reader.concealed:
        frames = _counted(reader.concealed, "damaged frame was", "damaged frames were")
        notes.append(
            f"{frames} read as well as could be, and the result may be wrong there: use a whole copy of the "
            "clip if you have one"
        )
    if reader.retimed:
        frames = _counted(
            reader.retimed, "frame without a usable time stamp was", "frames without a usable time stamp were"
        )
        notes.append(f"{frames} placed after the one before")
    if reader.resized is not None:
        number, (height, width) = reader.resized
        first = "{1}x{0}".format(*reader.info.stored_size)
        notes.append(
            f"the picture changes its size in the clip: from frame {number} on it is {width}x{height}, "
            f"which was resized to the {first} of the first frame; to keep each size, "
            "cut the clip there"
        )
    return notes
