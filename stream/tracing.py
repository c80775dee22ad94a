"""Traces of frames for OpenTelemetry: how long one waited, was edited, and its stages."""

from __future__ import annotations

import importlib
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from stream.errors import StartError

EVERY = 15  # of a session's frames one is traced: two a second at 30 fps
CLOSE_S = 1.0  # longest sending of the last spans
FrameTrace = Callable[[float, float, float, Mapping[str, float], bool], None]


class Tracer:
    """Sends spans over OTLP/HTTP, from a thread of its own. What the collector does not take is lost.

    Args:
        endpoint: the collector's address for traces, as in "http://127.0.0.1:4318/v1/traces".
        every: one of so many frames of a session is traced.
        exporter: takes the spans in place of OTLP.

    Raises:
        StartError: OpenTelemetry is not installed.
    """

    def __init__(self, endpoint: str, every: int = EVERY, exporter: Any = None) -> None:
        try:
            self._api: Any = importlib.import_module("opentelemetry.trace")
            sdk: Any = importlib.import_module("opentelemetry.sdk.trace")
            sending: Any = importlib.import_module("opentelemetry.sdk.trace.export")
            resources: Any = importlib.import_module("opentelemetry.sdk.resources")
            otlp: Any = importlib.import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
        except ModuleNotFoundError as exc:
            raise StartError("--traces needs OpenTelemetry: python -m pip install 'livery[traces]'") from exc
        about = resources.Resource.create({"service.name": "livery"})
        self._provider = sdk.TracerProvider(resource=about, shutdown_on_exit=False)
        exporter = exporter or otlp.OTLPSpanExporter(endpoint=endpoint)
        self._provider.add_span_processor(sending.BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("livery")
        self._every = every

    def of(self, session: str) -> FrameTrace:
        """Return what takes the times of each frame of a session, on one thread.

        Args:
            session: id of the session, of which the first six characters are told.

        Returns:
            A function of: when the frame arrived, when its edit began and ended, monotonic seconds; the
            duration of each stage, seconds; whether it was edited.
        """
        count = 0

        def trace(
            arrived_s: float, began_s: float, ended_s: float, stages: Mapping[str, float], edited: bool
        ) -> None:
            nonlocal count
            count += 1
            if count % self._every == 1 or self._every == 1:
                self._send(session[:6], arrived_s, began_s, ended_s, stages, edited)

        return trace

    def _send(
        self,
        session: str,
        arrived_s: float,
        began_s: float,
        ended_s: float,
        stages: Mapping[str, float],
        edited: bool,
    ) -> None:
        """Send a span "frame" with two below it: "wait" for its turn, and "edit", which holds the stages."""
        since_ns = time.time_ns() - time.monotonic_ns()

        def ns(monotonic_s: float) -> int:
            return since_ns + int(monotonic_s * 1e9)

        told = {"livery.session": session, "livery.edited": edited}
        frame = self._tracer.start_span("frame", start_time=ns(arrived_s), attributes=told)
        inside = self._api.set_span_in_context(frame)
        self._tracer.start_span("wait", context=inside, start_time=ns(arrived_s)).end(ns(began_s))
        times = {f"livery.stage.{name}_ms": 1000 * seconds for name, seconds in stages.items()}
        edit = self._tracer.start_span("edit", context=inside, start_time=ns(began_s), attributes=times)
        edit.end(ns(ended_s))
        frame.end(ns(ended_s))

    def close(self) -> None:
        """Send what is left, and end the thread. A collector that does not answer is not waited for."""
        ending = threading.Thread(target=self._provider.shutdown, daemon=True)
        ending.start()
        ending.join(CLOSE_S)
