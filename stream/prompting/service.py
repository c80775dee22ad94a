"""Edits pictures by words beside the live path, with one model in one process and one edit at a time."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import threading
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Literal

from correspondence import Float, Image, WeightsError
from reference.edits.prompt import PromptCancelled, PromptConfig, PromptEditor, require
from stream.filling.child import lowest_stream, step_back
from stream.media.pictures import encode_png
from stream.media.probe import MediaError, probe
from stream.offline.references import SearchStopped, find_reference

logger = logging.getLogger(__name__)

State = Literal["loading", "editing", "done", "failed"]
THREADS = 1  # threads of torch on the CPU
GRACE_S = 2.0  # time that the process has to end by itself


class PromptBusyError(RuntimeError):
    """Another edit is running. Cancel it or wait for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptModel:
    """The weights of an editor by words.

    Attributes:
        model: folder of the model, or its id on the hub.
        controlnet: folder or id of a ControlNet for an inpainting model. None if the model holds its own.
        device: "cpu" or "cuda".
    """

    model: str
    controlnet: str | None = None
    device: str = "cpu"

    def require(self) -> None:
        """Check that the weights exist, without loading them (see `reference.edits.prompt.require`)."""
        require(self.model, self.controlnet)

    def load(self) -> PromptEditor:
        """Load the model in this process (see `PromptEditor.load`)."""
        return PromptEditor.load(self.model, controlnet=self.controlnet, device=self.device)

    def load_beside(self) -> PromptEditor:
        """Load the model in a process beside the live path, to which it leaves the processor.

        Raises:
            WeightsError: see `require`. It is said before the libraries are loaded, which takes seconds.
        """
        self.require()
        if self.device == "cpu":
            import torch

            torch.set_num_threads(THREADS)
        return self.load()


@dataclass(frozen=True, slots=True, eq=False)
class PromptStatus:
    """State of an edit.

    Attributes:
        state: "loading", "editing", "done" or "failed".
        done: number of steps done.
        total: number of all steps.
        image: the edited picture, uint8 (H, W, 3). None until it is done.
        error: why the edit failed, for the user. None if it did not fail.
    """

    state: State
    done: int = 0
    total: int = 0
    image: Image | None = None
    error: str | None = None


class PromptService:
    """Edits pictures by words. Every method returns at once and may be called from any thread.

    The process starts with the first edit and keeps the model. To cancel an edit ends the process, so that
    the edit also stops inside a step or while the model is loading.
    """

    def __init__(self, model: PromptModel) -> None:
        self.model = model
        self._lock = threading.Lock()  # guards everything below
        self._process: BaseProcess | None = None
        self._pipe: Connection[Any, Any] | None = None
        self._number = 0  # number of the newest edit
        self._running = False  # whether the newest edit is running
        self._closed = False

    @property
    def pid(self) -> int | None:
        """Id of the process. None while there is none."""
        with self._lock:
            return self._process.pid if self._process is not None else None

    def start(
        self,
        image: Image,
        prompt: str,
        *,
        mask: Float | None = None,
        config: PromptConfig | None = None,
        told: Callable[[PromptStatus], None] = lambda status: None,
    ) -> int:
        """Begin an edit.

        Args:
            image, prompt, mask, config: see `PromptEditor.edit`.
            told: called from another thread with each state of the edit, until it ends or is cancelled.

        Returns:
            The edit's number, for `cancel`.

        Raises:
            PromptBusyError: another edit is running, or the service is closed.
            ValueError: `prompt` has no words.
        """
        if not prompt.strip():
            raise ValueError("prompt must say what to change, got nothing")
        with self._lock:
            if self._running or self._closed:
                raise PromptBusyError(
                    "the editor by words is closed"
                    if self._closed
                    else "an edit by words is under way: cancel it, or wait for it"
                )
            self._number += 1
            self._running = True
            number = self._number
        job = (image, prompt, mask, config or PromptConfig())
        threading.Thread(target=self._follow, args=(job, number, told), name="prompt", daemon=True).start()
        return number

    def cancel(self, number: int) -> bool:
        """Stop an edit. Returns False if it is no longer running."""
        with self._lock:
            if number != self._number or not self._running:
                return False
            self._running = False
            self._stop()
        return True

    def close(self) -> None:
        """Stop the process and accept no further edits."""
        with self._lock:
            self._closed = True
            self._running = False
            self._stop()

    def _stop(self) -> None:
        process, self._process, self._pipe = self._process, None, None
        if process is not None:
            _end(process)

    def _follow(self, job: tuple[Any, ...], number: int, told: Callable[[PromptStatus], None]) -> None:
        """Follow one edit from beginning to end, in a thread of its own."""
        try:
            told(PromptStatus("loading"))
            pipe = self._ready(number)
            if pipe is None:
                return
            pipe.send(job)
            while self._takes(number, status := pipe.recv()):
                told(status)
                if status.state in ("done", "failed"):
                    return
        except (EOFError, OSError):
            with self._lock:
                if number != self._number or not self._running:
                    return
                self._running = False
                self._stop()
            logger.warning("the editor's process ended")
            told(PromptStatus("failed", error="the editor's process ended unexpectedly"))

    def _takes(self, number: int, status: PromptStatus) -> bool:
        """Return whether an edit is still wanted. A status "done" or "failed" ends the edit."""
        with self._lock:
            if number != self._number or not self._running:
                return False
            self._running = status.state not in ("done", "failed")
            return True

    def _ready(self, number: int) -> Connection[Any, Any] | None:
        """Return the pipe to the process. A missing process is started. None if the edit was cancelled."""
        with self._lock:
            if self._process is not None and self._process.is_alive():
                return self._pipe if number == self._number and self._running else None
        process, pipe = _launch(self.model)
        with self._lock:
            if number == self._number and self._running:
                self._process, self._pipe = process, pipe
                return pipe
        _end(process)
        return None


def edit_by_words(
    source: Path,
    reference: int | Path | str,
    words: str,
    model: PromptModel,
    folder: Path,
    stop: Callable[[], bool] = lambda: False,
    progress: Callable[[str, int, int], None] = lambda phase, done, total: None,
) -> tuple[int, Path]:
    """Edit a frame of a clip by words, in this process.

    Args:
        source: the clip.
        reference: number of the frame, or "auto" for the best frame.
        words: what to change.
        model: the model that edits.
        folder: folder in which the edited frame is written.
        stop: called repeatedly. True stops the edit.
        progress: called with the present phase, the number of steps done and the number of all steps.

    Returns:
        The frame's number and the edited picture's file.

    Raises:
        MediaError: there is no such frame or no face, or the reference is not a frame.
        WeightsError: there is no such model.
        SearchStopped: `stop` returned True.
    """
    info = probe(source)
    if reference != "auto" and not isinstance(reference, int):
        raise MediaError(f"{reference}: with words the reference must be a frame's number, or auto")
    picked = find_reference(
        info, reference, None, stop, lambda done: progress("reference", done, info.frames)
    )
    assert picked.index is not None
    editor = model.load()
    try:
        made = editor.edit(picked.image, words, progress=lambda *at: progress("words", *at), stop=stop)
    except PromptCancelled as error:
        raise SearchStopped from error
    path = folder / "edited.png"
    path.write_bytes(encode_png(made))
    return picked.index, path


def _launch(model: PromptModel) -> tuple[BaseProcess, Connection[Any, Any]]:
    context = multiprocessing.get_context("spawn")  # a fork would copy locks that other threads hold
    pipe, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, model), name="livery-prompt", daemon=True)
    process.start()
    theirs.close()  # so that the pipe ends with the process
    return process, pipe


def _end(process: BaseProcess) -> None:
    """Stop a process. Its pipe is not closed here, since a thread may be about to send."""
    process.terminate()
    threading.Thread(target=_reap, args=(process,), name="prompt-end", daemon=True).start()


def _reap(process: BaseProcess) -> None:
    process.join(GRACE_S)
    if process.is_alive():
        process.kill()
        process.join()


def _serve(pipe: Connection[Any, Any], model: PromptModel) -> None:
    """Main function of the process. It edits the jobs that arrive through the pipe until the pipe closes."""
    step_back()
    editor: PromptEditor | None = None
    with contextlib.suppress(EOFError, OSError):  # the parent has ended
        while True:
            job = pipe.recv()
            try:
                editor = editor or model.load_beside()
                with lowest_stream(model.device):
                    pipe.send(_edited(pipe, editor, job))
            except (WeightsError, ValueError) as error:
                pipe.send(PromptStatus("failed", error=str(error)))
            except Exception as error:  # the server goes on without this edit
                pipe.send(PromptStatus("failed", error=f"{type(error).__name__}: {error}"))


def _edited(pipe: Connection[Any, Any], editor: PromptEditor, job: tuple[Any, ...]) -> PromptStatus:
    image, prompt, mask, config = job

    def told(done: int, total: int) -> None:
        pipe.send(PromptStatus("editing", done, total))

    made = editor.edit(image, prompt, mask=mask, config=config, progress=told)
    return PromptStatus("done", config.steps, config.steps, made)
