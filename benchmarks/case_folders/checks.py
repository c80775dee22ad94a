"""Measures what came out of a case and compares it with what is right."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from correspondence import Image

COLOUR_LEVELS = 3.0  # largest difference of a colour that should stay
CHANGED_LEVELS = 24  # difference to the input from which a pixel shows an edit
WORN_REACH = 0.16  # an edit must lie this near its place, shares of the picture's height
WORN_SHARE = 0.85  # share of the change that must lie there
WORN_PIXELS = 12  # least number of pixels that show the edit
STEP_TOLERANCE_MS = 1.1  # containers round times to a millisecond


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What came out of one try.

    Attributes:
        folder: the case's folder.
        code: exit code.
        said: all that was printed.
        report: the report of `livery edit`. Empty for other verbs, or if it stopped.
        output: the file written. None if none was asked for or written.
    """

    folder: Path
    code: int
    said: str
    report: Mapping[str, Any]
    output: Path | None


Check = Callable[[Outcome, Any], str | None]  # what is wrong, None if nothing is


def faults(outcome: Outcome, expected: Mapping[str, Any]) -> list[str]:
    """Compare an outcome with what is expected. Returns what is wrong, in words.

    Raises:
        ValueError: an expectation has an unknown name.
    """
    wanted = expected.get("exit", 0)
    codes = wanted if isinstance(wanted, list) else [wanted]
    if outcome.code not in codes:
        return [f"exit code {outcome.code}, {wanted} expected: {outcome.said.strip()[-300:]}"]
    found = []
    for name, value in expected.items():
        if name in ("exit", "run", "publish", "input"):
            continue
        if name not in CHECKS:
            raise ValueError(f"unknown expectation {name!r}; there are {', '.join(CHECKS)}")
        if name not in ("says", "says_not") and outcome.code != 0:
            continue
        source = outcome.folder / expected["input"] if "input" in expected else None
        wrong = CHECKS[name](outcome, (source, value) if name in WITH_INPUT else value)
        if wrong is not None:
            found.append(f"{name}: {wrong}")
    return found


def _says(outcome: Outcome, words: list[str]) -> str | None:
    missing = [word for word in words if word not in outcome.said]
    return f"{missing} was not said in: {outcome.said.strip()}" if missing else None


def _says_not(outcome: Outcome, words: list[str]) -> str | None:
    present = [word for word in words if word in outcome.said]
    return f"{present} was said in: {outcome.said.strip()}" if present else None


def _most_notes(outcome: Outcome, most: int) -> str | None:
    notes = list(outcome.report["notes"])
    repeated = len(notes) != len(set(notes))
    return f"{len(notes)} notes: {notes}" if repeated or len(notes) > most else None


def _mask(outcome: Outcome, limits: list[float]) -> str | None:
    share = float(outcome.report["mask_share"])
    return None if limits[0] <= share <= limits[1] else f"{share:.4f}, {limits} expected"


def _place(outcome: Outcome, wanted: list[float]) -> str | None:
    words = str(outcome.report["placement"]).replace(",", "").split()
    found = [float(words[i]) for i in (1, 3, 5, 7)]
    x, y, *scales = (abs(f - w) for f, w in zip(found, (*wanted, wanted[-1]), strict=False))
    return None if max(x, y) <= 0.5 and max(scales) <= 0.005 else f"{found}, {wanted} expected"


def _pictures(path: Path | None) -> list[Any]:
    if path is None:
        raise ValueError("the case writes no file")
    with av.open(f"file:{path}") as container:
        stream = max(container.streams.video, key=lambda one: one.codec_context.width)
        return list(container.decode(stream))


def _frames(outcome: Outcome, limits: list[int]) -> str | None:
    count = len(_pictures(outcome.output))
    return None if limits[0] <= count <= limits[1] else f"{count} frames, {limits} expected"


def _step_ms(outcome: Outcome, wanted: float) -> str | None:
    steps = np.diff([1000 * frame.time for frame in _pictures(outcome.output)])
    off = float(np.abs(steps - wanted).max())
    return None if off <= STEP_TOLERANCE_MS else f"steps of {steps.min():.1f} to {steps.max():.1f} ms"


def _size(outcome: Outcome, wanted: list[int]) -> str | None:
    first = _pictures(outcome.output)[0]
    found = [first.width, first.height]
    return None if found == wanted else f"{found}, {wanted} expected"


def _alpha(outcome: Outcome, wanted: bool) -> str | None:
    first = _pictures(outcome.output)[0]
    kept = any(part.is_alpha for part in first.format.components)
    return None if kept == wanted else f"the output is {first.format.name}"


def _interlaced(outcome: Outcome, wanted: bool) -> str | None:
    found = bool(_pictures(outcome.output)[0].interlaced_frame)
    return None if found == wanted else f"interlaced is {found}"


def _sound(outcome: Outcome, wanted: list[str]) -> str | None:
    with av.open(f"file:{outcome.output}") as container:
        found = [stream.codec_context.name for stream in container.streams.audio]
        heard = sum(1 for _ in container.decode(audio=0)) if found else 0
    return None if found == wanted and heard else f"{found} with {heard} frames of sound, {wanted} expected"


def _pixels(path: Path | None, numbers: set[int] | None = None) -> dict[int, Image]:
    return {
        number: np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
        for number, frame in enumerate(_pictures(path))
        if numbers is None or number in numbers
    }


def _colours(outcome: Outcome, asked: tuple[Path, list[list[int]]]) -> str | None:
    source, points = asked
    before, after = (_pixels(path, {0})[0].astype(int) for path in (source, outcome.output))
    off = {(x, y): int(np.abs(before[y, x] - after[y, x]).max()) for x, y in points}
    return None if max(off.values()) <= COLOUR_LEVELS else f"levels off at {off}"


def _changed(outcome: Outcome, source: Path, numbers: set[int]) -> Iterator[tuple[int, Image]]:
    before, after = _pixels(source, numbers), _pixels(outcome.output, numbers)
    for number in sorted(numbers):
        yield number, np.asarray(cv2.absdiff(before[number], after[number]).max(axis=2), np.uint8)


def _unchanged(outcome: Outcome, asked: tuple[Path, list[int]]) -> str | None:
    source, numbers = asked
    found = {
        number: int((change > CHANGED_LEVELS).sum())
        for number, change in _changed(outcome, source, set(numbers))
    }
    bad = {number: count for number, count in found.items() if count >= WORN_PIXELS}
    return f"pixels changed by frame: {bad}" if bad else None


def _worn(outcome: Outcome, asked: tuple[Path, list[list[float]]]) -> str | None:
    """An edit lies at its place in each frame, or the frame passed unedited with a reason."""
    source, places = asked
    passed = {frame["index"] for frame in outcome.report["per_frame"] if frame["reason"] is not None}
    at = {int(number): (x, y) for number, x, y in places}
    bad = []
    for number, change in _changed(outcome, source, set(at)):
        if number in passed:
            continue
        shown = cv2.erode((change > CHANGED_LEVELS).astype(np.uint8), np.ones((3, 3), np.uint8))
        rows, columns = np.nonzero(shown)  # without lines at hard edges, which chroma at half size shifts
        h, w = change.shape
        x, y = at[number]
        near = (np.abs(columns - x * w) < WORN_REACH * h) & (np.abs(rows - y * h) < WORN_REACH * h)
        if rows.size < WORN_PIXELS or near.mean() < WORN_SHARE:
            share = f"{near.mean():.2f}" if rows.size else "none"
            bad.append(f"frame {number}: {rows.size} pixels changed, {share} of them in place")
    return "; ".join(bad) or None


def _chosen(outcome: Outcome, limits: list[int]) -> str | None:
    number = int(outcome.said.partition("frame ")[2].partition(" ")[0])
    return None if limits[0] <= number <= limits[1] else f"frame {number}, {limits} expected"


def _level(outcome: Outcome, limits: list[float]) -> str | None:
    picture = cv2.imread(str(outcome.output))
    mean = float(picture.mean()) if picture is not None else -1.0
    return None if limits[0] <= mean <= limits[1] else f"mean level {mean:.1f}, {limits} expected"


WITH_INPUT = ("colours", "unchanged", "worn")
CHECKS: dict[str, Check] = {
    "says": _says,
    "says_not": _says_not,
    "most_notes": _most_notes,
    "mask": _mask,
    "place": _place,
    "frames": _frames,
    "step_ms": _step_ms,
    "size": _size,
    "alpha": _alpha,
    "interlaced": _interlaced,
    "sound": _sound,
    "colours": _colours,
    "unchanged": _unchanged,
    "worn": _worn,
    "chosen": _chosen,
    "level": _level,
}
