"""JSON from outside: whole numbers, and what cannot be read."""

from __future__ import annotations

from typing import Any

import pytest

from stream.errors import RequestError
from stream.json_text import EXACT, read_json


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2", 2),
        ("2.0", 2),
        ("-0.0", 0),
        ("1e3", 1000),
        ("137438953473.0", 137438953473),
        (f"{EXACT}.0", EXACT),
    ],
)
def test_a_whole_number_is_an_int_however_it_is_written(text: str, value: int) -> None:
    (found,) = read_json(f"[{text}]", "it")
    assert type(found) is int
    assert found == value


@pytest.mark.parametrize("text", ["2.5", "1e300", "1e-300", f"{EXACT * 4}.0"])
def test_other_numbers_stay_floats(text: str) -> None:
    found: Any = read_json(text, "it")
    assert type(found) is float
    assert found == float(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "it is not JSON"),
        ("[" * 9000, "nested too deeply"),
        ("9" * 5000, "too many digits"),
        (b"\xff", "not JSON"),
    ],
)
def test_what_is_no_json_is_refused(text: str | bytes, why: str) -> None:
    with pytest.raises(RequestError, match=why):
        read_json(text, "it")
