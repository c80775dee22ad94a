"""Networks by name and by figures."""

from __future__ import annotations

import argparse

import pytest

from benchmarks.streams.profiles import PROFILES, parse_network
from benchmarks.streams.relay import Condition


def test_networks_by_name_and_by_figures() -> None:
    assert parse_network("4g") is PROFILES["4g"]
    found = parse_network("delay=20,jitter=10,loss=1,rate=2000")
    assert found == Condition(delay_s=0.02, jitter_s=0.01, loss=0.01, rate_bps=2e6)
    assert parse_network("loss=2.5") == Condition(loss=0.025)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("5g", "there are wifi, dsl, 4g, poor"),
        ("delay", "no network"),
        ("delay=x", r"delay must lie in \[0, 5000\], got 'x'"),
        ("loss=91", r"loss must lie in \[0, 90\]"),
        ("rate=0", r"rate must lie in \[1, 1e\+06\]"),
        ("delay=nan", "delay must lie"),
        ("pause=3", "no network"),
        ("", "no network"),
    ],
)
def test_what_is_no_network_is_refused(text: str, why: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=why):
        parse_network(text)
