"""Figures of the live path: of each session for its page, and over all sessions for Prometheus."""

from __future__ import annotations

import os
import threading
import time
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from stream.timeline import Timeline

WINDOW = 300  # most samples kept for percentiles
WINDOW_S = 3.0  # samples older than this do not count
RATE_S = 2.0  # period over which rates are counted
BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.033, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


def process_gauges() -> dict[str, float]:
    """Memory and open files of this process, by gauge name. Empty where the system does not tell them."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            pages = int(file.read().split()[1])
        return {
            "resident_bytes": float(pages * os.sysconf("SC_PAGE_SIZE")),
            "open_files": float(len(os.listdir("/proc/self/fd"))),
        }
    except OSError:
        return {}


class Window:
    """The samples of a quantity in the last `WINDOW_S` seconds, at most `WINDOW`.

    Args:
        clock: returns the time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._samples: deque[tuple[float, float]] = deque(maxlen=WINDOW)

    def add(self, value: float) -> None:
        """Add a sample."""
        self._samples.append((self._clock(), value))

    def percentiles(self) -> tuple[float, float] | None:
        """Median and 95th percentile. None without samples."""
        after_s = self._clock() - WINDOW_S
        while self._samples and self._samples[0][0] < after_s:
            self._samples.popleft()
        if not self._samples:
            return None
        low, high = np.percentile([value for _, value in self._samples], [50, 95])
        return float(low), float(high)


class Rate:
    """Number of events per second over the last `RATE_S` seconds."""

    def __init__(self) -> None:
        self._times: deque[float] = deque()
        self.total = 0

    def add(self, now_s: float) -> None:
        """Count an event."""
        self.total += 1
        self._times.append(now_s)
        self._forget(now_s)

    def value(self, now_s: float) -> float:
        """Events per second."""
        self._forget(now_s)
        return len(self._times) / RATE_S

    def _forget(self, now_s: float) -> None:
        while self._times and self._times[0] <= now_s - RATE_S:
            self._times.popleft()


class Histogram:
    """Counts of durations by bucket, in Prometheus' form."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS_S) + 1)
        self.sum_s = 0.0

    def add(self, seconds: float) -> None:
        """Add a sample."""
        self.counts[bisect_left(BUCKETS_S, seconds)] += 1
        self.sum_s += seconds

    def lines(self, name: str, labels: str) -> Iterable[str]:
        """Return the text lines of the histogram `name{labels}`."""
        comma = "," if labels else ""
        total = 0
        for edge, count in zip([*map(str, BUCKETS_S), "+Inf"], self.counts, strict=True):
            total += count
            yield f'{name}_bucket{{{labels}{comma}le="{edge}"}} {total}'
        braces = f"{{{labels}}}" if labels else ""
        yield f"{name}_sum{braces} {self.sum_s:.6f}"
        yield f"{name}_count{braces} {total}"


class Registry:
    """Counters and histograms over all sessions since the server started. It may be used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str]] = Counter()
        self._stages: dict[str, Histogram] = {}
        self._latency = Histogram()

    def count(self, name: str, label: str = "", by: int = 1) -> None:
        """Add one to counter `name`. `label` is a 'key="value"' pair or empty."""
        with self._lock:
            self._counts[name, label] += by

    def stage(self, stage: str, seconds: float) -> None:
        """Add the duration of a stage of a step."""
        with self._lock:
            self._stages.setdefault(stage, Histogram()).add(seconds)

    def latency(self, seconds: float) -> None:
        """Add the time from a frame's arrival to its hand-over to the encoder."""
        with self._lock:
            self._latency.add(seconds)

    def render(self, gauges: Mapping[str, float]) -> str:
        """Return all figures as Prometheus text, version 0.0.4.

        Args:
            gauges: present values, by name without prefix.
        """
        lines: list[str] = []
        for name, value in sorted(gauges.items()):
            lines += [f"# TYPE livery_{name} gauge", f"livery_{name} {value:g}"]
        with self._lock:
            seen: set[str] = set()
            for (name, label), count in sorted(self._counts.items()):
                if name not in seen:
                    lines.append(f"# TYPE livery_{name}_total counter")
                    seen.add(name)
                lines.append(f"livery_{name}_total{'{' + label + '}' if label else ''} {count}")
            lines.append("# TYPE livery_stage_seconds histogram")
            for stage, histogram in sorted(self._stages.items()):
                lines += histogram.lines("livery_stage_seconds", f'stage="{stage}"')
            lines.append("# TYPE livery_latency_seconds histogram")
            lines += self._latency.lines("livery_latency_seconds", "")
        return "\n".join(lines) + "\n"


class SessionMetrics:
    """Figures of one session. They may be updated from any thread.

    Args:
        registry: sums them over all sessions.

    Attributes:
        timeline: when each of the newest frames was taken, edited and sent.
    """

    def __init__(self, registry: Registry) -> None:
        self.timeline = Timeline()
        self._registry = registry
        self._lock = threading.Lock()
        self._in = Rate()
        self._out = Rate()
        self._latency = {True: Window(), False: Window()}  # of edited frames and of others
        self._edited = False  # whether the newest frame was edited
        self._stages: dict[str, Window] = {}
        self._step_s = self._step_cpu_s = 0.0  # of recent steps, smoothed
        self._dropped: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()

    def frame_in(self) -> None:
        """Count an arriving frame."""
        self._registry.count("frames_in")
        with self._lock:
            self._in.add(time.monotonic())

    def frame_out(self, latency_s: float, edited: bool) -> None:
        """Count a frame that went to the encoder `latency_s` seconds after it arrived."""
        self._registry.count("frames_out", f'edited="{str(edited).lower()}"')
        self._registry.latency(latency_s)
        with self._lock:
            self._out.add(time.monotonic())
            self._latency[edited].add(latency_s)
            self._edited = edited

    def stage(self, stage: str, seconds: float) -> None:
        """Add the duration of a stage."""
        self._registry.stage(stage, seconds)
        with self._lock:
            self._stages.setdefault(stage, Window()).add(seconds)

    def step(self, seconds: float, cpu_s: float) -> None:
        """Add the duration of a whole step and the processor time of its thread."""
        self.stage("step", seconds)
        with self._lock:
            fresh = 0.05 if self._step_s > 0 else 1.0
            self._step_s += fresh * (seconds - self._step_s)
            self._step_cpu_s += fresh * (cpu_s - self._step_cpu_s)

    def load(self) -> tuple[float, float, float]:
        """Duration of a step and its thread's processor time, seconds, smoothed; steps per second."""
        with self._lock:
            return self._step_s, self._step_cpu_s, self._out.value(time.monotonic())

    def dropped(self, border: str, total: int) -> None:
        """Note that the slot at `border` has dropped `total` frames so far."""
        with self._lock:
            fresh = total - self._dropped[border]
            self._dropped[border] = total
        if fresh > 0:
            self._registry.count("frames_dropped", f'border="{border}"', fresh)

    def failed(self, stage: str) -> None:
        """Count a failed stage, whose frame went out unedited."""
        self._registry.count("stage_failures", f'stage="{stage}"')
        with self._lock:
            self._failed[stage] += 1

    def fps_in(self) -> float:
        """Arriving frames per second."""
        with self._lock:
            return self._in.value(time.monotonic())

    def snapshot(self, encode_s: float) -> dict[str, object]:
        """Return figures for the page: rates per second and times in milliseconds.

        None for what was not measured. Times of edited frames and of others are never mixed: `latency_ms` is
        that of the kind which goes out now, `other_latency_ms` that of the other kind.

        Args:
            encode_s: time to encode a frame, which is added to the time to the encoder.
        """
        now_s = time.monotonic()
        with self._lock:
            stages = {name: _ms(window.percentiles()) for name, window in self._stages.items()}
            if encode_s > 0:
                stages["encode"] = _ms((encode_s, encode_s))
            return {
                "fps_in": round(self._in.value(now_s), 1),
                "fps_out": round(self._out.value(now_s), 1),
                "latency_ms": _ms(self._latency[self._edited].percentiles(), encode_s),
                "other_latency_ms": _ms(self._latency[not self._edited].percentiles(), encode_s),
                "edited": self._edited,
                "dropped": sum(self._dropped.values()),
                "dropped_at": dict(self._dropped),
                "failed": dict(self._failed),
                "stages_ms": {name: both["p50"] for name, both in stages.items() if both},
                "stages_p95_ms": {name: both["p95"] for name, both in stages.items() if both},
            }


def _ms(seconds: tuple[float, float] | None, more_s: float = 0.0) -> dict[str, float] | None:
    if seconds is None:
        return None
    return {"p50": round((seconds[0] + more_s) * 1000, 2), "p95": round((seconds[1] + more_s) * 1000, 2)}
