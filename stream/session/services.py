"""What all sessions of a server share: configuration, matcher, thread pools and counters."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from correspondence import Matcher
from correspondence.threads import one_thread_each
from reference import Propagator, PropagatorConfig
from reference.side_work import step_aside
from stream.config import ServerConfig, with_cores
from stream.filling.fill import WorkerFill, make_worker
from stream.filling.types import Worker
from stream.live.pipeline import Stepper
from stream.live.references import live_references
from stream.metrics import Registry
from stream.prompting.service import PromptModel, PromptService
from stream.recording.config import RecordConfig
from stream.recording.render import render
from stream.session.admission import Admission
from stream.session.virtual import VirtualOutput, require_virtual_camera
from stream.storage.storage import Storage
from stream.tracing import Tracer

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Services:
    """What the sessions of one server share.

    Attributes:
        config: the server's configuration.
        new_propagator: makes the propagator of a session. It is slow.
        registry: counters over all sessions.
        codecs: threads that run encoders and colour conversion.
        heavy: threads for work that a user waits for, such as presets and preparing an edit.
        pictures: threads that decode uploads and encode downloads, two at a time and at a lower priority
            than the frames' path.
        filler: fills what no reference shows and edits recordings anew, in a process of its own. None if
            nothing needs it.
        recording: how sessions are recorded. None if they are not recorded.
        admission: decides whether another live session fits.
        prompts: edits by words in a process of its own. None if no model was given.
        storage: keeps sessions on disk. None if they live in memory only.
        tracer: sends traces of frames. None if nobody asked for them.
        virtual: the virtual camera of this machine. One session at a time feeds it.
    """

    config: ServerConfig
    new_propagator: Callable[[], Stepper]
    registry: Registry = field(default_factory=Registry)
    codecs: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(max(2, os.cpu_count() or 2), "codec")
    )
    heavy: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(2, "heavy"))
    pictures: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(2, "pictures", initializer=step_aside)
    )
    filler: Worker | None = None
    recording: RecordConfig | None = None
    prompts: PromptService | None = None
    storage: Storage | None = None
    admission: Admission = field(default_factory=Admission)
    tracer: Tracer | None = None
    virtual: VirtualOutput = field(default_factory=VirtualOutput)

    def shutdown(self) -> None:
        """End thread pools and processes. Work that has not begun is dropped."""
        self.virtual.close()
        if self.prompts is not None:
            self.prompts.close()
        if self.filler is not None:
            self.filler.close()
        self.heavy.shutdown(wait=False, cancel_futures=True)
        self.pictures.shutdown(wait=False, cancel_futures=True)
        self.codecs.shutdown(wait=False, cancel_futures=True)
        if self.tracer is not None:
            self.tracer.close()
        if self.storage is not None:
            self.storage.close()


def load_services(config: ServerConfig, filler: Worker | None = None) -> Services:
    """Load the matcher and make the shared services. This is slow and is done once per server.

    Args:
        config: the server's configuration.
        filler: fills what no reference shows. None makes a process for it, if the configuration needs one.

    Raises:
        WeightsError: the matcher's weights are missing or damaged, or the weights of the fill or of the
            editor by words are missing.
        MediaError: nothing can be recorded in the configured folder.
        StartError: nothing can be stored in the configured folder, or OpenTelemetry is not installed.
        VirtualCameraError: a virtual camera is configured, but this machine has none.
    """
    if config.virtual_camera:
        require_virtual_camera()
    one_thread_each()
    storage = Storage(config.store) if config.store is not None else None
    prompts = _prompts(config)
    recording = _recording(config)
    started_s = time.perf_counter()
    matcher = Matcher.load(config.matcher, device=config.device)
    logger.info("matcher %s loaded in %.1f s", config.matcher, time.perf_counter() - started_s)
    keeping = live_references(config.makes_references)
    worn = PropagatorConfig(references=keeping, split=with_cores(config.follow_camera), faces=config.faces)
    wanted = config.makes_references or config.record is not None
    renderer = render if config.record is not None else None
    if wanted and filler is None:
        filler = make_worker(config.fill_weights, config.device, render=renderer)
    fill = WorkerFill(filler) if filler is not None else None
    return Services(
        config=config,
        new_propagator=lambda: Propagator(matcher=matcher, config=worn, fill=fill),
        filler=filler,
        recording=recording,
        prompts=prompts,
        storage=storage,
        admission=Admission(config.max_load),
        tracer=Tracer(config.traces) if config.traces is not None else None,
    )


def _recording(config: ServerConfig) -> RecordConfig | None:
    if config.record is None:
        return None
    recording = RecordConfig(
        folder=config.record,
        matcher=config.matcher,
        max_mib=config.record_mib,
        always=not config.record_asked,
        mark=config.mark,
    )
    recording.require()
    return recording


def _prompts(config: ServerConfig) -> PromptService | None:
    if config.prompt_model is None:
        return None
    model = PromptModel(model=config.prompt_model, controlnet=config.prompt_controlnet, device=config.device)
    model.require()
    return PromptService(model)
