"""Editing by words beside the live path: one model in a process of its own, one edit at a time."""

from __future__ import annotations

import logging
import multiprocessing
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Literal

from correspondence.errors import WeightsError
from correspondence.types import Float, Image
from reference.prompt import PromptCancelled, PromptConfig, PromptEditor
from stream.pictures import encode_png
from stream.probe import MediaError, probe
from stream.references import Stopped, frame_at, pick_reference

logger = logging.getLogger(__name__)

State = Literal["loading", "editing", "done", "failed", "cancelled"]
NICE = 19  # the lowest scheduling class: frames come first
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
        self._lock = threading.Lock()
        self._process: BaseProcess | None = None
        self._pipe: Connection[Any, Any] | None = None
        self._status: PromptStatus | None = None
        self._number = 0  # of the edit whose news counts

    @property
    def status(self) -> PromptStatus | None:
        """The newest edit's, None before the first."""
        return self._status

    def start(
        self, image: Image, prompt: str, *, mask: Float | None = None, config: PromptConfig | None = None
    ) -> None:
        """Begin an edit; `status` tells how it goes.

        Args:
            image, prompt, mask, config: see `PromptEditor.edit`.

        Raises:
            PromptBusyError: one is under way. ValueError: no words.
        """
        if not prompt.strip():
            raise ValueError("prompt must say what to change, got nothing")
        with self._lock:
            if self._status is not None and self._status.state in ("loading", "editing"):
                raise PromptBusyError("an edit by words is under way: cancel it, or wait for it")
            self._number += 1
            self._status = PromptStatus("loading")
            number = self._number
            if self._process is None or not self._process.is_alive():
                self._launch()
            pipe = self._pipe
        assert pipe is not None
        job = (image, prompt, mask, config or PromptConfig())
        threading.Thread(target=self._follow, args=(pipe, job, number), name="prompt", daemon=True).start()

    def cancel(self) -> bool:
        """Stop the edit under way; False where there is none."""
        with self._lock:
            if self._status is None or self._status.state not in ("loading", "editing"):
                return False
            self._number += 1
            self._status = PromptStatus("cancelled", self._status.done, self._status.total)
            self._stop()
        return True

    def close(self) -> None:
        """Stop the process."""
        self.cancel()
        with self._lock:
            self._stop()

    def _launch(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self.model), name="prompt", daemon=True)
        self._process.start()
        theirs.close()

    def _stop(self) -> None:
        process, pipe = self._process, self._pipe
        self._process = self._pipe = None
        if process is not None:
            process.terminate()
            threading.Thread(target=_reap, args=(process, pipe), name="prompt-end", daemon=True).start()

    def _follow(self, pipe: Connection[Any, Any], job: tuple[Any, ...], number: int) -> None:
        try:
            pipe.send(job)
            while True:
                status: PromptStatus = pipe.recv()
                with self._lock:
                    if number != self._number:
                        return
                    self._status = status
                if status.state not in ("loading", "editing"):
                    return
        except (EOFError, OSError):
            with self._lock:
                if number == self._number:
                    self._status = PromptStatus("failed", error="the editor's process ended unexpectedly")
            logger.warning("the editor's process ended")


def edit_by_words(
    source: Path,
    reference: int | Path | str,
    words: str,
    model: str,
    device: str,
    folder: Path,
    stop: Callable[[], bool] = lambda: False,
    progress: Callable[[str, int, int], None] = lambda phase, done, total: None,
) -> tuple[int, Path]:
    """Edit a clip's frame by words, in this process.

    Args:
        source: the clip.
        reference: the frame's number, or "auto" for the best.
        words: what to do.
        model, device: see `PromptEditor.load`.
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
    editor = PromptEditor.load(model, device=device)
    try:
        made = editor.edit(picked.image, words, progress=lambda *at: progress("words", *at), stop=stop)
    except PromptCancelled as error:
        raise Stopped from error
    path = folder / "edited.png"
    path.write_bytes(encode_png(made))
    return picked.index, path


def _reap(process: BaseProcess, pipe: Connection[Any, Any] | None) -> None:
    process.join(GRACE_S)
    if process.is_alive():
        process.kill()
        process.join()
    if pipe is not None:
        pipe.close()


def _serve(pipe: Connection[Any, Any], model: PromptModel) -> None:
    """The process: edits what comes through the pipe until it closes."""
    os.nice(NICE)
    editor: PromptEditor | None = None
    while True:
        try:
            image, prompt, mask, config = pipe.recv()
        except EOFError:
            return
        try:
            if editor is None:
                editor = _loaded(model)

            def told(done: int, total: int) -> None:
                pipe.send(PromptStatus("editing", done, total))

            made = editor.edit(image, prompt, mask=mask, config=config, progress=told)
            pipe.send(PromptStatus("done", config.steps, config.steps, made))
        except (WeightsError, ValueError, PromptCancelled) as error:
            pipe.send(PromptStatus("failed", error=str(error)))
        except Exception as error:  # the border: the server goes on without this edit
            pipe.send(PromptStatus("failed", error=f"{type(error).__name__}: {error}"))


def _loaded(model: PromptModel) -> PromptEditor:
    if model.device == "cpu":
        try:
            import torch
        except ImportError:
            return model.load()  # says what is missing
        torch.set_num_threads(THREADS)
    return model.load()
