"""Poor networks through a relay, with a real server: what a person sees, and how fast it recovers."""

from __future__ import annotations

import pytest

from benchmarks.networks import Case, cases, run_case

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
CASES = [case for case in cases(15.0) if case.client == "transport-wide"]


def number(row: dict[str, str | float], column: str) -> float:
    value = row[column]
    assert isinstance(value, float)
    return value


@pytest.mark.parametrize("case", CASES, ids=[f"{case.name}, {case.direction}" for case in CASES])
def test_a_poor_network(case: Case) -> None:
    row = run_case(case)
    print(row)
    assert number(row, "picture after s") < 2.0
    assert number(row, "80 % after s") < 5.0
    if case.bad.loss:
        assert number(row, "freeze s") < 0.75  # 0.5 on a machine that has nothing else to do
        assert number(row, "kb/s") > 0.8 * number(row, "kb/s before")
    elif case.bad.rate_bps is not None:
        assert number(row, "freeze s") < 1.5  # 1.0 on a machine that has nothing else to do
        assert 0.6 * 300 < number(row, "kb/s") < 320
