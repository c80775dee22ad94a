"""Editing by words beside the live path: one model in a process of its own, one edit at a time."""

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
from stream.offline.references import SearchStopped, frame_at, pick_reference

logger = logging.getLogger(__name__)

State = Literal["loading", "editing", "done", "failed"]
THREADS = 1  # of torch on the CPU
GRACE_S = 2.0  # for the process to end by itself


class PromptBusyError(RuntimeError):
    """Another edit is under way; cancel it or wait for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptModel:
    """Which weights edit by words.

    Attributes:
        model: folder, or a model's id on the hub.
        controlnet: the same of a ControlNet for an inpainting model, None where it holds its own.
        device: "cpu" or "cuda".
    """

    model: str
    controlnet: str | None = None
    device: str = "cpu"

    def require(self) -> None:
        """Refuse what is not there, without loading it; see `reference.edits.prompt.require`."""
        require(self.model, self.controlnet)

    def load(self) -> PromptEditor:
        """Load it here; see `PromptEditor.load`."""
        return PromptEditor.load(self.model, controlnet=self.controlnet, device=self.device)


@dataclass(frozen=True, slots=True, eq=False)
class PromptStatus:
    """Where an edit stands.

    Attributes:
        state: of it; done, total: steps.
        image: the edited picture once it is done, uint8 (H, W, 3).
        error: why it failed, for the user.
    """

    state: State
    done: int = 0
    total: int = 0
    image: Image | None = None
    error: str | None = None


class PromptService:
    """Edits pictures by words; every method returns at once and may be called from any thread.

    The process starts with the first edit and keeps the model. A cancelled edit ends with its process, so
    that it stops also inside a step or while loading.
    """

    def __init__(self, model: PromptModel) -> None:
        self.model = model
        self._lock = threading.Lock()  # guards everything below
        self._process: BaseProcess | None = None
        self._pipe: Connection[Any, Any] | None = None
        self._number = 0  # of the newest edit
        self._running = False  # that one is under way
        self._closed = False

    @property
    def pid(self) -> int | None:
        """The process's id; None while there is none."""
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
            told: called from another thread as it goes on, until it is done, has failed or is cancelled.

        Returns:
            The edit's number, for `cancel`.

        Raises:
            PromptBusyError: one is under way, or the service is closed. ValueError: no words.
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
        """Stop an edit; False where it is not under way any more."""
        with self._lock:
            if number != self._number or not self._running:
                return False
            self._running = False
            self._stop()
        return True

    def close(self) -> None:
        """Stop the process and whatever it does, for good."""
        with self._lock:
            self._closed = True
            self._running = False
            self._stop()

    def _stop(self) -> None:
        process, self._process, self._pipe = self._process, None, None
        if process is not None:
            _end(process)

    def _follow(self, job: tuple[Any, ...], number: int, told: Callable[[PromptStatus], None]) -> None:
        """One edit from its begin to its end, in a thread of its own."""
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
        """Whether an edit is still wanted; its last news ends it."""
        with self._lock:
            if number != self._number or not self._running:
                return False
            self._running = status.state not in ("done", "failed")
            return True

    def _ready(self, number: int) -> Connection[Any, Any] | None:
        """The pipe to the process, started where there is none; None where the edit was cancelled."""
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
    """Edit a clip's frame by words, in this process.

    Args:
        source: the clip.
        reference: the frame's number, or "auto" for the best.
        words: what to do.
        model: what edits it.
        folder: where the edited frame is written.
        stop: asked as it goes.
        progress: told what is being done, steps done and steps in all.

    Returns:
        The frame's number and the edited picture's file.

    Raises:
        MediaError: no such frame, no face, or a reference that is no frame. WeightsError: no such model.
        Stopped: `stop` said so.
    """
    info = probe(source)
    if isinstance(reference, int):
        picked = frame_at(info, reference)
    elif reference == "auto":
        picked = pick_reference(info, None, stop, lambda done: progress("reference", done, info.frames))
    else:
        raise MediaError(f"{reference}: with words the reference must be a frame's number, or auto")
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
    """Stop a process. Its pipe closes with the last who holds it: a thread may be about to send."""
    process.terminate()
    threading.Thread(target=_reap, args=(process,), name="prompt-end", daemon=True).start()


def _reap(process: BaseProcess) -> None:
    process.join(GRACE_S)
    if process.is_alive():
        process.kill()
        process.join()


def _serve(pipe: Connection[Any, Any], model: PromptModel) -> None:
    """The process: edits what comes through the pipe until that closes."""
    step_back()
    editor: PromptEditor | None = None
    with contextlib.suppress(EOFError, OSError):  # who asked has gone
        while True:
            job = pipe.recv()
            try:
                editor = editor or _loaded(model)
                with lowest_stream(model.device):
                    pipe.send(_edited(pipe, editor, job))
            except (WeightsError, ValueError) as error:
                pipe.send(PromptStatus("failed", error=str(error)))
            except Exception as error:  # the border: the server goes on without this edit
                pipe.send(PromptStatus("failed", error=f"{type(error).__name__}: {error}"))


def _edited(pipe: Connection[Any, Any], editor: PromptEditor, job: tuple[Any, ...]) -> PromptStatus:
    image, prompt, mask, config = job

    def told(done: int, total: int) -> None:
        pipe.send(PromptStatus("editing", done, total))

    made = editor.edit(image, prompt, mask=mask, config=config, progress=told)
    return PromptStatus("done", config.steps, config.steps, made)


def _loaded(model: PromptModel) -> PromptEditor:
    if model.device == "cpu":
        try:
            import torch
        except ImportError:
            return model.load()  # says what is missing
        torch.set_num_threads(THREADS)
    return model.load()
