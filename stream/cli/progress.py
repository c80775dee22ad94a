"""Progress bars, clean interruption and quiet native libraries for commands that take long."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TextIO

from tqdm import tqdm

PHASES = {
    "reference": "looking for the reference",
    "edit": "editing",
    "words": "editing the frame by words",
    "cuts": "looking for cuts",
    "look": "learning the look",
}


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Turn Ctrl-C, SIGTERM and a closed terminal into a flag, so that a file can be finished.

    A second Ctrl-C raises KeyboardInterrupt. The other signals are often sent twice, by `timeout` and by
    shells, and have no further effect. A SIGHUP that `nohup` made ignored stays ignored. Nothing is written
    to a closed terminal.

    Yields:
        A function that returns whether a signal came.
    """
    asked = False
    terminals = [stream for stream in (sys.stdout, sys.stderr) if stream.isatty()]

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for stream in terminals:
            if not stream.isatty():
                _mute(stream)

    numbers = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGBREAK"):  # Windows: Ctrl-Break, a closed console
        numbers.append(signal.SIGBREAK)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _mute(stream: TextIO) -> None:
    """Discard what is written to `stream`."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)


@contextmanager
def progress_bar(always: bool) -> Iterator[Callable[[str, int, int], None]]:
    """Show frames done, frames a second and the time left on stderr.

    Args:
        always: whether to show it even if stderr is no terminal.

    Yields:
        A function to call with the phase, the frames done and the frames expected (0 if unknown).
    """
    bar: tqdm[None] | None = None
    shown = ""

    def show(phase: str, done: int, expected: int) -> None:
        nonlocal bar, shown
        if phase != shown:
            if bar is not None:
                bar.close()
            bar, shown = _bar(phase, expected, always), phase
        assert bar is not None
        bar.update(done - bar.n)

    try:
        yield show
    finally:
        if bar is not None:
            bar.close()


@contextmanager
def clips_bar(total: int, always: bool) -> Iterator[Callable[[float, str], None]]:
    """Show clips done and the time left on stderr, as one bar.

    Args:
        total: number of clips.
        always: whether to show it even if stderr is no terminal.

    Yields: A function to call with the number of clips done, which may have a fraction, and the present
        clip's name.
    """
    form = "{desc}: {percentage:3.0f}%|{bar}| {n:.1f}/{total} clips [{elapsed}<{remaining}]"
    shown = always or sys.stderr.isatty()
    with tqdm(
        total=total, desc="editing", file=sys.stderr, disable=not shown, dynamic_ncols=True, mininterval=0.2,
        bar_format=form,
    ) as bar:  # fmt: skip

        def show(done: float, name: str) -> None:
            bar.set_description_str(name or "editing", refresh=False)
            bar.update(done - bar.n)

        yield show


@contextmanager
def native_chatter_hidden() -> Iterator[None]:
    """Discard what native libraries write to stderr, such as MediaPipe's start-up lines.

    Python's output passes.
    """
    python, real = sys.stderr, os.dup(2)
    try:
        ours = python.fileno() == 2
    except io.UnsupportedOperation:  # stderr was replaced, for example by a test
        ours = False
    python.flush()
    if ours:
        sys.stderr = os.fdopen(os.dup(real), "w", buffering=1, encoding=python.encoding, errors=python.errors)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    os.close(null)
    try:
        yield
    finally:
        os.dup2(real, 2)
        os.close(real)
        if ours:
            sys.stderr.close()
            sys.stderr = python


def _bar(phase: str, expected: int, always: bool) -> tqdm[None]:
    return tqdm(
        total=expected or None,
        desc=PHASES[phase],
        unit="frame",
        file=sys.stderr,
        disable=not (always or sys.stderr.isatty()),
        dynamic_ncols=True,
        mininterval=0.2,
    )
