"""The schemas of results, against the results that this repository holds and against wrong ones."""

from __future__ import annotations

import copy
import json
from typing import Any

import jsonschema
import pytest

from benchmarks.common import CHECKOUT_RESULTS
from benchmarks.reports.schemas import LATENCY, SCHEMAS, STEPS
from stream.cli.main import main

HELD = {"latency": LATENCY, "step": STEPS, "step-areas": STEPS, "step-faces": STEPS}


@pytest.mark.parametrize("name", HELD)
def test_the_results_here_follow_their_schema(name: str) -> None:
    held = json.loads((CHECKOUT_RESULTS / f"{name}.json").read_text())
    jsonschema.validate({"schema": HELD[name], **held}, SCHEMAS[HELD[name]])


@pytest.mark.parametrize("missing", ["latency_ms_p95", "drops", "frames"])
def test_a_missing_figure_is_found(missing: str) -> None:
    held: Any = {"schema": LATENCY, **json.loads((CHECKOUT_RESULTS / "latency.json").read_text())}
    wrong = copy.deepcopy(held)
    del wrong["results"]["best"][0][missing]
    with pytest.raises(jsonschema.ValidationError, match=missing):
        jsonschema.validate(wrong, SCHEMAS[LATENCY])


def test_the_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "latency", "--schema"]) == 0
    assert json.loads(capsys.readouterr().out) == SCHEMAS[LATENCY]
