"""Windows, rates, histograms and the text that Prometheus reads."""

from __future__ import annotations

import re

import numpy as np
import pytest

from stream.metrics import RATE_S, WINDOW, Histogram, Rate, Registry, SessionMetrics, Window


def test_window_forgets_the_oldest() -> None:
    window = Window()
    assert window.percentiles() is None
    for value in range(1000):
        window.add(value)
    kept = np.arange(1000 - WINDOW, 1000)
    assert window.percentiles() == pytest.approx(tuple(np.percentile(kept, [50, 95])))


def test_rate_counts_the_last_seconds() -> None:
    rate = Rate()
    for index in range(90):
        rate.add(index / 30)
    assert rate.value(89 / 30) == pytest.approx(30, abs=0.6)
    assert rate.value(89 / 30 + RATE_S) == 0
    assert rate.total == 90


def test_histogram_buckets_are_cumulative() -> None:
    histogram = Histogram()
    for seconds in (0.0005, 0.001, 0.004, 9.0):
        histogram.add(seconds)
    text = "\n".join(histogram.lines("x", 'stage="a"'))
    assert 'x_bucket{stage="a",le="0.001"} 2' in text
    assert 'x_bucket{stage="a",le="0.005"} 3' in text
    assert 'x_bucket{stage="a",le="2.5"} 3' in text
    assert 'x_bucket{stage="a",le="+Inf"} 4' in text
    assert 'x_count{stage="a"} 4' in text
    assert 'x_sum{stage="a"} 9.005500' in text


def test_every_line_is_prometheus_text() -> None:
    registry = Registry()
    metrics = SessionMetrics(registry)
    for _ in range(3):
        metrics.frame_in()
        metrics.stage("match", 0.012)
        metrics.frame_out(0.02, edited=True)
    metrics.failed("match")
    metrics.dropped("pipeline", 5)
    metrics.dropped("pipeline", 7)
    text = registry.render({"sessions": 1.0})
    line = re.compile(
        r'# TYPE livery_\w+ (gauge|counter|histogram)|livery_\w+(\{(\w+="[^"]+",?)+\})? [0-9.e+-]+'
    )
    assert all(line.fullmatch(entry) for entry in text.splitlines()), text
    assert 'livery_frames_out_total{edited="true"} 3' in text
    assert 'livery_frames_dropped_total{border="pipeline"} 7' in text
    assert 'livery_stage_failures_total{stage="match"} 1' in text
    assert "livery_latency_seconds_count 3" in text


def test_snapshot_adds_encoding_to_latency() -> None:
    metrics = SessionMetrics(Registry())
    assert metrics.snapshot(0.0)["latency_ms"] is None
    metrics.frame_out(0.020, edited=False)
    metrics.stage("match", 0.010)
    figures = metrics.snapshot(0.004)
    assert figures["latency_ms"] == {"p50": 24.0, "p95": 24.0}
    assert figures["stages_ms"] == {"match": 10.0, "encode": 4.0}
