"""JSON Schemas (draft 2020-12) of the results that scripts read: `livery bench latency` and `step`.

A file names its schema by the key "schema". A name ends with a number, which grows if a key is removed or
changes its meaning. New keys may come at any time. A figure that was not measured is null.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]
NUMBER: Schema = {"type": ["number", "null"]}
METADATA: Schema = {
    "type": "object",
    "required": ["commit", "date", "python", "packages", "processor", "cores", "options"],
    "properties": {
        "commit": {"type": "string"},
        "date": {"type": "string", "description": "start of writing, ISO 8601, UTC"},
        "python": {"type": "string"},
        "packages": {"type": "object", "additionalProperties": {"type": "string"}},
        "processor": {"type": "string"},
        "cores": {"type": ["integer", "null"]},
        "options": {"type": "object"},
    },
}
RUN: Schema = {
    "type": "object",
    "required": [
        "server", "latency_ms_p50", "latency_ms_p95", "latency_ms_p99", "fps", "drops", "cpu", "rss_bytes",
        "frames", "told",
    ],
    "properties": {
        "server": {"type": "string", "description": "what was measured"},
        "latency_ms_p50": NUMBER,
        "latency_ms_p95": NUMBER,
        "latency_ms_p99": NUMBER,
        "fps": {"type": "number", "minimum": 0, "description": "different frames received a second"},
        "drops": {"type": "number", "maximum": 1, "description": "share of the sent frames not received"},
        "cpu": {**NUMBER, "description": "processor time over wall time; 1 is one core"},
        "rss_bytes": NUMBER,
        "frames": {"type": "integer", "minimum": 0},
        "told": {"type": "object", "description": "the server's own statistics; empty for other servers"},
    },
}  # fmt: skip
STALL: Schema = {"type": "object", "additionalProperties": NUMBER}
STEP: Schema = {
    "type": "object",
    "required": ["step"],
    "properties": {"step": {"type": "number", "description": "milliseconds a frame, median"}},
    "additionalProperties": {
        "type": ["number", "string", "null"],
        "description": "texts name the row (matcher, edit, people, size, area); numbers are ms, or ratios",
    },
}


def _whole(name: str, results: Schema) -> Schema:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": name,
        "type": "object",
        "required": ["schema", "metadata", "results"],
        "properties": {"schema": {"const": name}, "metadata": METADATA, "results": results},
    }


LATENCY, STEPS = "livery-latency-1", "livery-step-1"
RUNS: Schema = {"type": "array", "items": RUN, "minItems": 1}
SCHEMAS = {
    LATENCY: _whole(
        LATENCY,
        {
            "type": "object",
            "required": ["best", "runs"],
            "properties": {"best": RUNS, "median": RUNS, "runs": RUNS, "stall": STALL},
        },
    ),
    STEPS: _whole(STEPS, {"type": "array", "items": STEP, "minItems": 1}),
}
